package store

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/elastickv/elastickv/internal/prefetch"
)

const (
	// cacheShards is how many parts the cache has, each with a lock of its own.
	cacheShards = 1 << cacheShardBits
	// cachedShare is which part of a shard one entry may take at most.
	cachedShare = 8
	// cacheChunkShare is which part of a shard a chunk takes at most, but for one large entry: half a chunk is free, and a whole one goes
	// at once.
	cacheChunkShare = 32
	// cacheChunkLeast is the size in bytes of the first chunk of a shard, if its limit allows it.
	cacheChunkLeast = 4 << 10
	// cacheChunkMost is the size in bytes of the largest chunk but for one large entry: who drops one looks up all that is in it, and holds up the shard.
	cacheChunkMost = 32 << 10
	// defaultVersionCacheSize is in bytes.
	defaultVersionCacheSize = 64 << 20
)

// versionCache holds the newest version of some keys: of those that were
// read last, within a bound in bytes. A read at or above the timestamp of
// the newest version needs nothing else, and that is nearly every read.
//
// It is exact: an entry is the newest version that has a row of its own and that the
// engine shows, once the write of that version has returned. Reads put in what they
// find, unless a key of the same shard has been written since their view was opened: it
// might be theirs. Writes replace entries before anyone can read at their timestamp, and
// make none: of many keys that are written once the cache is of no use.
//
// Entries stand one after the other in chunks of bytes, which are never written
// again, so that values can be handed out, and which the garbage collector need not
// look into. (A list of entries with pointers cost as much for each write
// as the engine itself.) An entry that another has replaced is dead, and its bytes are free when its chunk goes: while there is room, the oldest one goes
// as soon as more than half of the bytes are dead, and what lives in it moves, so that few keys that are written
// often take little memory. Where there is none, too, the oldest chunk goes; what was read in it
// since it was put there gets a second chance. Once a chunk had to go, reads put in only keys that were looked for lately already: of
// keys that are read once in a long time the cache is of no use either.
type versionCache struct {
	seed   maphash.Seed
	limit  int           // bytes of each shard
	beside *atomic.Int64 // bytes that others take out of the same bound
	shards [cacheShards]cacheShard
	batch  cacheBatch // the writer's: there is one at a time
}

type cacheShard struct {
	mu     sync.Mutex
	index  cacheIndex
	chunks [][]byte // oldest first, the last one is being filled
	first  uint32   // number of chunks[0]; they are numbered as they come
	taken  int      // bytes of all chunks
	dead   int      // bytes of the dead entries in them
	limit  int      // bytes; 0 while nothing may be kept
	writes uint64   // writes to keys of this shard
	full   bool     // a chunk has had to go

	hits, misses uint64
}

// init makes an empty cache of at most size bytes, out of which others take what beside says; a size of 0 or less keeps nothing.
func (c *versionCache) init(size int64, beside *atomic.Int64) {
	c.beside = beside
	c.seed = maphash.MakeSeed()
	c.limit = int(max(size, 0) / cacheShards)
	for i := range c.shards {
		c.shards[i].limit = c.limit
		c.shards[i].clear()
	}
}

func (c *versionCache) shard(key []byte) (*cacheShard, uint64) {
	hash := cacheHash(c.seed, key)
	return &c.shards[hash%cacheShards], hash
}

// cacheHash is never 0.
func cacheHash(seed maphash.Seed, key []byte) uint64 {
	return max(maphash.Bytes(seed, key), cacheShards) // which is in the shard that 0 would be in
}

// newest returns what is known of the newest version of key. If nothing is,
// found wants to see mark together with what the engine says.
func (c *versionCache) newest(key []byte) (v VersionedValue, none, known bool, mark uint64) {
	if c.limit == 0 {
		return VersionedValue{}, false, false, 0
	}
	s, hash := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	e, ok := s.find(hash, key)
	if !ok {
		s.misses++
		return VersionedValue{}, false, false, s.writes
	}
	s.hits++
	e.markUsed()
	return e.version(), e.none(), true, 0
}

// prefetchMost is how many look-ups are prepared at once: what is near has to stay so until it is looked at.
const prefetchMost = 64

// prefetchBytes is how much of an entry is brought near: a name and a short value. The processor sees by itself that somebody goes on reading.
const prefetchBytes = 192

// prefetch has the processor bring near what newest will look at for keys: first all their places in the index, then
// all entries.
func (c *versionCache) prefetch(keys [][]byte) {
	if c.limit == 0 {
		return
	}
	var hashes [prefetchMost]uint64
	for some := range slices.Chunk(keys, prefetchMost) {
		for i, key := range some {
			s, hash := c.shard(key)
			s.mu.Lock()
			s.index.prefetch(hash)
			s.mu.Unlock()
			hashes[i] = hash
		}
		for _, hash := range hashes[:len(some)] {
			s := &c.shards[hash%cacheShards]
			s.mu.Lock()
			if slot := s.index.find(hash); slot != nil {
				e := s.at(slot.ref)
				prefetch.Bytes(e[:min(len(e), prefetchBytes)])
			}
			s.mu.Unlock()
		}
	}
}

// found puts in what a read has found to be the newest version of key, or that there
// is none, in a view that was opened after newest had returned mark. If it is kept, it comes
// back with the cache's own copy of the value.
func (c *versionCache) found(key []byte, v VersionedValue, none bool, mark uint64) (_ VersionedValue, kept bool) {
	if c.limit == 0 {
		return v, false
	}
	s, hash := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.found(c, hash, key, v, none, mark)
}

func (s *cacheShard) found(c *versionCache, hash uint64, key []byte, v VersionedValue, none bool, mark uint64) (_ VersionedValue, kept bool) {
	if s.writes != mark || !s.fits(key, v) || s.full && !s.index.again(hash) {
		return v, false
	}
	return s.set(c, hash, key, v, none), true
}

// marks returns what newest would of a key of each shard, if nothing was known of it.
func (c *versionCache) marks(of *[cacheShards]uint64) {
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		of[i] = s.writes
		s.mu.Unlock()
	}
}

// foundSince is found for a key of which newest was not asked: marks are of before the view was opened. It reports whether the key was known already.
func (c *versionCache) foundSince(marks *[cacheShards]uint64, key []byte, v VersionedValue) (known bool) {
	if c.limit == 0 {
		return false
	}
	s, hash := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known = s.find(hash, key); !known {
		s.found(c, hash, key, v, false, marks[hash%cacheShards])
	}
	return known
}

// find returns the entry of key.
func (s *cacheShard) find(hash uint64, key []byte) (cacheEntry, bool) {
	slot := s.index.find(hash)
	if slot == nil {
		return nil, false
	}
	e := s.at(slot.ref)
	return e, bytes.Equal(e.key(), key)
}

func (s *cacheShard) at(ref cacheRef) cacheEntry {
	return cacheEntry(s.chunks[ref.chunk-s.first][ref.offset:])
}

// fits reports whether there is room for an entry: one must not push out all others.
func (s *cacheShard) fits(key []byte, v VersionedValue) bool {
	return cacheEntryHead+len(key)+len(v.Value) <= s.limit/cachedShare
}

// set makes v, which fits, the entry of key, drops others to make room, and returns v with
// the value that it keeps.
func (s *cacheShard) set(c *versionCache, hash uint64, key []byte, v VersionedValue, none bool) VersionedValue {
	slot := s.index.find(hash)
	used := false
	if slot != nil {
		used = s.at(slot.ref).used()
		s.kill(slot.ref)
	}
	chunks := s.made()
	ref := s.reserve(cacheEntryHead + len(key) + len(v.Value))
	chunk := &s.chunks[len(s.chunks)-1]
	*chunk = appendCacheEntry(*chunk, key, v, none)
	if slot != nil {
		slot.ref = ref
	} else {
		s.index.put(hash, ref)
	}
	if used { // a key that is read and written by turns is in use
		s.at(ref).markUsed()
	}
	if !v.Tombstone && !none {
		v.Value = s.at(ref).version().Value
	}
	if s.made() != chunks {
		s.tidy(c)
	}
	s.evict(c)
	return v
}

// made is how many chunks the shard has made.
func (s *cacheShard) made() uint32 { return s.first + uint32(len(s.chunks)) }

// kill notes that the entry at ref is that of its key no longer.
func (s *cacheShard) kill(ref cacheRef) {
	e := s.at(ref)
	e.markDead()
	s.dead += len(e.whole())
}

// reserve makes the last chunk one that has room for n bytes, and returns where they will stand.
func (s *cacheShard) reserve(n int) cacheRef {
	last := len(s.chunks) - 1
	if last < 0 || cap(s.chunks[last])-len(s.chunks[last]) < n {
		size := max(n, min(max(cacheChunkLeast, s.taken), s.limit/cacheChunkShare, cacheChunkMost))
		s.chunks = append(s.chunks, make([]byte, 0, size))
		s.taken += size
		last++
	}
	return cacheRef{chunk: s.first + uint32(last), offset: uint32(len(s.chunks[last]))}
}

// size is what the shard takes, in bytes.
func (s *cacheShard) size() int { return s.taken + s.index.size() }

// tidy drops chunks if more than half of what they hold is dead, unless they go for want of room anyway: to keep what nobody reads would be
// no use then. It is called for each new chunk and drops two at most, so that no write waits for long: those two may hold nothing that is
// dead, but then those after them do.
func (s *cacheShard) tidy(c *versionCache) {
	for i := 0; i < 2 && !s.full && s.dead > s.taken/2 && len(s.chunks) > 1; i++ {
		s.dropOldest(c)
	}
}

// evict drops chunks until the shard is within its limit. The one being filled stays.
func (s *cacheShard) evict(c *versionCache) {
	room := s.limit - int(c.beside.Load()/cacheShards)
	for s.size() > room && len(s.chunks) > 1 {
		s.full = true
		s.dropOldest(c)
	}
}

// dropOldest drops the oldest chunk. Of its entries all that live move to the newest one; or, if the shard is full, those that were read
// since they were put there, until they would fill half of it.
func (s *cacheShard) dropOldest(c *versionCache) {
	oldest := s.chunks[0]
	s.chunks[0] = nil
	s.chunks = s.chunks[1:]
	s.first++
	s.taken -= cap(oldest)
	kept := 0
	eachCacheEntry(oldest, func(_ int, e cacheEntry) {
		n := len(e.whole())
		if e.dead() {
			s.dead -= n
			return
		}
		hash := cacheHash(c.seed, e.key())
		if s.full && (!e.used() || kept+n > cap(oldest)/2) {
			s.index.remove(hash)
			return
		}
		kept += n
		ref := s.reserve(n)
		chunk := &s.chunks[len(s.chunks)-1]
		*chunk = append(*chunk, e.whole()...)
		if s.full {
			s.at(ref).markUnused()
		}
		s.index.find(hash).ref = ref
	})
}

func (s *cacheShard) clear() {
	s.index, s.full = newCacheIndex(s.limit), false
	s.first += uint32(len(s.chunks))
	s.chunks, s.taken, s.dead = nil, 0, 0
	s.writes++
}

// forget drops what is known of some keys whose newest version has been compacted away.
func (c *versionCache) forget(keys [][]byte) {
	for _, key := range keys {
		s, hash := c.shard(key)
		s.mu.Lock()
		s.writes++
		if _, ok := s.find(hash, key); ok {
			s.remove(hash)
		}
		s.mu.Unlock()
	}
}

// remove forgets the entry of hash, which is there.
func (s *cacheShard) remove(hash uint64) {
	s.kill(s.index.find(hash).ref)
	s.index.remove(hash)
}

// forgetCovered drops what lies under a range tombstone of index at or below ts. Reads that
// have opened their view before leave none of it behind.
func (c *versionCache) forgetCovered(index *rangeIndex, ts uint64) {
	for i := range c.shards {
		s := &c.shards[i]
		for table := 0; s.forgetCovered(table, index, ts); table++ {
		}
	}
}

// forgetCovered is that for one table of the index, lest it hold up the shard for long. It reports whether there may be more.
func (s *cacheShard) forgetCovered(table int, index *rangeIndex, ts uint64) (more bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if table >= len(s.index.tables) { // cleared, it may have fewer
		return false
	}
	s.writes++
	s.index.removeFunc(table, func(ref cacheRef) bool {
		e := s.at(ref)
		mark, ok := index.at(e.key()).highest(ts, false)
		if !ok || mark <= e.ts() {
			return false
		}
		s.kill(ref)
		return true
	})
	return true
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
		st.Entries += int64(s.index.used)
		st.Bytes += int64(s.size())
		s.mu.Unlock()
	}
	return st
}
