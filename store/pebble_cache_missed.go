package store

// missedKeys remembers by their hashes some keys that were looked for in a full shard and not found, of which each may push
// out another. It is a power of two of places, or none.
type missedKeys []uint16

// missedSize is the size of a place in bytes.
const missedSize = 2

// again notes a miss, and reports whether it is not the first one of the key. Of two keys with a place in common one is
// forgotten, and one in 65536 is taken for the other.
func (m missedKeys) again(hash uint64) bool {
	if len(m) == 0 {
		return true
	}
	place, mark := &m[hash>>cacheShardBits&uint64(len(m)-1)], uint16(hash>>32)
	if *place == mark {
		return true
	}
	*place = mark
	return false
}
