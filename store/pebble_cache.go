package store

import (
	"hash/maphash"
	"sync"
)

const (
	// cacheShards is how many parts the cache has, each with a lock of its own.
	cacheShards = 64
	// cachedOverhead is about what an entry takes besides its key and value, in bytes.
	cachedOverhead = 160
	// cachedShare is which part of a shard one entry may take at most.
	cachedShare = 8
	// defaultVersionCacheSize is in bytes.
	defaultVersionCacheSize = 64 << 20
)

// versionCache holds the newest version of some keys: of those that were
// written or read last, within a bound in bytes. A read at or above the timestamp of
// the newest version needs nothing else, and that is nearly every read.
//
// It is exact: an entry is the newest version that the engine shows, once the
// write of that version has returned. Writes replace entries before anyone can
// read at their timestamp. Reads put in what they find, unless a key of the same shard
// has been written since their view was opened: it might be theirs.
type versionCache struct {
	seed   maphash.Seed
	limit  int // bytes of each shard
	shards [cacheShards]cacheShard
}

type cacheShard struct {
	mu      sync.Mutex
	entries map[string]*cachedVersion
	ring    cachedVersion // its next is the entry used last, its prev the one not used for longest
	size    int           // bytes, overhead included
	limit   int           // bytes; 0 while nothing may be kept
	writes  uint64        // writes to keys of this shard

	hits, misses uint64
}

// cachedVersion is the newest version of a key, or that it has none.
type cachedVersion struct {
	key        string
	version    VersionedValue // its value is never modified
	none       bool           // the key has no version at all
	prev, next *cachedVersion
}

func (e *cachedVersion) size() int { return cachedOverhead + len(e.key) + len(e.version.Value) }

// init makes an empty cache of at most size bytes; 0 or less keeps nothing.
func (c *versionCache) init(size int64) {
	c.seed = maphash.MakeSeed()
	c.limit = int(max(size, 0) / cacheShards)
	for i := range c.shards {
		c.shards[i].limit = c.limit
		c.shards[i].clear()
	}
}

func (c *versionCache) shard(key []byte) *cacheShard {
	return &c.shards[maphash.Bytes(c.seed, key)%cacheShards]
}

// newest returns what is known of the newest version of key. If nothing is,
// found wants to see mark together with what the engine says.
func (c *versionCache) newest(key []byte) (v VersionedValue, none, known bool, mark uint64) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.entries[string(key)]
	if !ok {
		s.misses++
		return VersionedValue{}, false, false, s.writes
	}
	s.hits++
	s.unlink(e)
	s.link(e)
	return e.version, e.none, true, 0
}

// found puts in what a read has found to be the newest version of key, or that there
// is none, in a view that was opened after newest had returned mark. The value is kept.
func (c *versionCache) found(key []byte, v VersionedValue, none bool, mark uint64) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writes == mark && s.fits(key, v) {
		s.set(key, v, none)
	}
}

// wrote puts in what has been written. It is called once the engine shows the
// writes, and before anything is published of them. Every version that was there before
// has a timestamp of at most highest.
func (c *versionCache) wrote(commits []Commit, highest uint64) {
	for i := range commits {
		for _, m := range commits[i].Mutations {
			c.shard(m.Key).wrote(m, commits[i].TS, highest)
		}
	}
}

func (s *cacheShard) wrote(m *KVPairMutation, ts, highest uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	e, ok := s.entries[string(m.Key)]
	newest := ok && (e.none || e.version.TS <= ts) || !ok && ts > highest
	if !newest {
		return // an entry stays right, and without one nobody knows what is newest
	}
	v := VersionedValue{TS: ts, Tombstone: m.Op == OpTypeDelete}
	if !v.Tombstone {
		v.Value, v.ExpireAt = m.Value, m.ExpireAt
	}
	switch {
	case !s.fits(m.Key, v):
		if ok {
			s.drop(e)
		}
		return
	case !v.Tombstone:
		v.Value = cloneBytes(v.Value)
	}
	s.set(m.Key, v, false)
}

// fits reports whether there is room for an entry: one must not push out all others.
func (s *cacheShard) fits(key []byte, v VersionedValue) bool {
	return cachedOverhead+len(key)+len(v.Value) <= s.limit/cachedShare
}

// set makes v, which fits and is kept, the entry of key, and drops others to make room.
func (s *cacheShard) set(key []byte, v VersionedValue, none bool) {
	e, ok := s.entries[string(key)]
	if ok {
		s.unlink(e)
	} else {
		e = &cachedVersion{key: string(key)}
		s.entries[e.key] = e
		s.size += e.size()
	}
	s.size += len(v.Value) - len(e.version.Value)
	e.version, e.none = v, none
	s.link(e)
	for s.size > s.limit {
		s.drop(s.ring.prev)
	}
}

func (s *cacheShard) drop(e *cachedVersion) {
	delete(s.entries, e.key)
	s.size -= e.size()
	s.unlink(e)
}

func (s *cacheShard) link(e *cachedVersion) {
	e.prev, e.next = &s.ring, s.ring.next
	e.prev.next, e.next.prev = e, e
}

func (s *cacheShard) unlink(e *cachedVersion) {
	e.prev.next, e.next.prev = e.next, e.prev
}

func (s *cacheShard) clear() {
	s.entries = make(map[string]*cachedVersion)
	s.size = 0
	s.ring.prev, s.ring.next = &s.ring, &s.ring
	s.writes++
}

// forget drops what is known of some keys whose newest version has been compacted away.
func (c *versionCache) forget(keys [][]byte) {
	for _, key := range keys {
		s := c.shard(key)
		s.mu.Lock()
		s.writes++
		if e, ok := s.entries[string(key)]; ok {
			s.drop(e)
		}
		s.mu.Unlock()
	}
}

// forgetCovered drops what lies under a range tombstone of index at or below ts. Reads that
// have opened their view before leave none of it behind.
func (c *versionCache) forgetCovered(index *rangeIndex, ts uint64) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.writes++
		for e := s.ring.next; e != &s.ring; {
			next := e.next
			if mark, ok := index.at([]byte(e.key)).highest(ts, false); ok && mark > e.version.TS {
				s.drop(e)
			}
			e = next
		}
		s.mu.Unlock()
	}
}

// suspend drops everything and keeps nothing until resume, while keys change
// that nobody can list.
func (c *versionCache) suspend() { c.restart(0) }

// resume ends suspend.
func (c *versionCache) resume() { c.restart(c.limit) }

func (c *versionCache) restart(limit int) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		s.limit = limit
		s.clear()
		s.mu.Unlock()
	}
}

// VersionCacheStats are figures of the cache of newest versions.
type VersionCacheStats struct {
	Hits, Misses uint64 // look-ups since the store was opened
	Entries      int64
	Bytes        int64 // what the entries take, roughly
}

func (c *versionCache) stats() (st VersionCacheStats) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		st.Hits += s.hits
		st.Misses += s.misses
		st.Entries += int64(len(s.entries))
		st.Bytes += int64(s.size)
		s.mu.Unlock()
	}
	return st
}
