package store

// missedKeys remembers by their hashes some keys that were looked for in a full shard and not found, of which each may push
// out another. It is a power of two of places, or empty while there is room for all.
type missedKeys []uint16

// again notes a miss, and reports whether the key is worth an entry: if it has been missed before. Of two keys with a place in
// common one is forgotten, and one in 65536 is taken for the other.
func (m missedKeys) again(hash uint64) bool {
	if len(m) == 0 {
		return true
	}
	place, mark := &m[hash>>cacheShardBits&uint64(len(m)-1)], uint16(hash>>48)
	if *place == mark {
		return true
	}
	*place = mark
	return false
}

// resize makes it n places, a power of two, and forgets all if that changes it.
func (m *missedKeys) resize(n int) {
	if len(*m) != n {
		*m = make(missedKeys, n)
	}
}
