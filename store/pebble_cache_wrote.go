package store

import (
	"bytes"
	"hash/maphash"
	"slices"
)

// cacheBatch has the writes of a batch in order of the shards of the version cache that they concern. Its memory is used
// again.
type cacheBatch struct {
	asWritten, byShard []cacheWrite
	ends               [cacheShards]int // in byShard
}

// cacheWrite is one of a batch.
type cacheWrite struct {
	hash uint64
	m    *KVPairMutation
	ts   uint64
}

const (
	// cacheTogether is how many writes one who has locked a shard makes before others come in between.
	cacheTogether = 16
	// cacheBatchKept is for how many writes there is memory, at most, between batches.
	cacheBatchKept = 1 << 14
)

// fill makes the batch that of commits.
func (b *cacheBatch) fill(seed maphash.Seed, commits []Commit) {
	for i := range commits {
		for _, m := range commits[i].Mutations {
			hash := cacheHash(seed, m.Key)
			b.asWritten = append(b.asWritten, cacheWrite{hash, m, commits[i].TS})
			b.ends[hash%cacheShards]++
		}
	}
	at := 0
	for i, n := range b.ends {
		b.ends[i] = at
		at += n
	}
	b.byShard = slices.Grow(b.byShard, at)[:at]
	for _, w := range b.asWritten {
		end := &b.ends[w.hash%cacheShards]
		b.byShard[*end] = w
		*end++
	}
}

// clear empties the batch.
func (b *cacheBatch) clear() {
	if cap(b.asWritten) > cacheBatchKept {
		*b = cacheBatch{}
		return
	}
	clear(b.asWritten)
	clear(b.byShard)
	*b = cacheBatch{asWritten: b.asWritten[:0], byShard: b.byShard[:0]}
}

// wrote is told what has been written, by one caller at a time. It is called once the engine shows the
// writes, and before anything is published of them.
func (c *versionCache) wrote(commits []Commit) {
	if c.limit == 0 {
		return
	}
	c.batch.fill(c.seed, commits)
	at := 0
	for i, end := range c.batch.ends {
		for some := range slices.Chunk(c.batch.byShard[at:end], cacheTogether) {
			c.shards[i].wrote(c, some)
		}
		at = end
	}
	c.batch.clear()
}

// wrote takes up writes to keys of the shard, in order. What is known of any of them is looked for first: the
// processor then waits for memory once for all of them, and not for each.
func (s *cacheShard) wrote(c *versionCache, all []cacheWrite) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	var slots [cacheTogether]*cacheSlot
	for i := range all {
		slots[i] = s.index.find(all[i].hash)
	}
	var known [cacheTogether]bool
	for i := range all {
		known[i] = slots[i] != nil && bytes.Equal(s.at(slots[i].ref).key(), all[i].m.Key)
	}
	for i := range all {
		if known[i] && !(i+1 < len(all) && all[i].outdoneBy(&all[i+1])) {
			s.take(c, &all[i])
		}
	}
}

// outdoneBy reports whether next, which comes right behind w, is of the same key and no older.
func (w *cacheWrite) outdoneBy(next *cacheWrite) bool {
	return next.hash == w.hash && next.ts >= w.ts && bytes.Equal(next.m.Key, w.m.Key)
}

// take makes the entry of a key, which was there a moment ago, that of a write.
func (s *cacheShard) take(c *versionCache, w *cacheWrite) {
	e, ok := s.find(w.hash, w.m.Key)
	if !ok || !e.none() && e.ts() > w.ts {
		return
	}
	v := VersionedValue{TS: w.ts, Tombstone: w.m.Op == OpTypeDelete}
	if !v.Tombstone {
		v.Value, v.ExpireAt = w.m.Value, w.m.ExpireAt
	}
	if s.fits(w.m.Key, v) {
		s.set(c, w.hash, w.m.Key, v, false)
	} else {
		s.remove(w.hash)
	}
}
