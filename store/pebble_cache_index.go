package store

import (
	"math/bits"
	"unsafe"

	"github.com/elastickv/elastickv/internal/prefetch"
)

// cacheIndex says where in the chunks of a shard the entry of a key stands, by the hash of the
// key; of two keys with one hash the later is there. It is divided into tables that grow one by one: to make one
// twice as large takes a fraction of a millisecond, in which the shard is held up, however many entries there are.
type cacheIndex struct {
	tables      []cacheTable // a power of two
	used, slots int          // of all tables
}

// cacheTableShare is for how many bytes of a shard there is a table: for some thousands of small entries.
const cacheTableShare = 256 << 10

// newCacheIndex returns an empty index for a shard of so many bytes.
func newCacheIndex(limit int) cacheIndex {
	const most = 1 << 16 // a hash has no more bits for it
	n := 1
	if limit > cacheTableShare {
		n = min(1<<bits.Len(uint(limit-1)/cacheTableShare), most)
	}
	return cacheIndex{tables: make([]cacheTable, n)}
}

// table is where hash belongs.
func (x *cacheIndex) table(hash uint64) *cacheTable {
	return &x.tables[hash>>48&uint64(len(x.tables)-1)]
}

// find returns the slot of hash, or nil. It is valid until the next put or remove.
func (x *cacheIndex) find(hash uint64) *cacheSlot { return x.table(hash).find(hash) }

// prefetch has the processor bring near where find begins to look for hash.
func (x *cacheIndex) prefetch(hash uint64) {
	if t := x.table(hash); t.used > 0 {
		prefetch.Line(unsafe.Pointer(&t.slots[t.home(hash)]))
	}
}

// put makes ref what hash stands for.
func (x *cacheIndex) put(hash uint64, ref cacheRef) {
	t := x.table(hash)
	x.change(t, func() { t.put(hash, ref) })
}

// remove forgets hash.
func (x *cacheIndex) remove(hash uint64) {
	t := x.table(hash)
	x.change(t, func() { t.remove(hash) })
}

// removeFunc forgets every hash of the table with the number i whose entry drop asks for.
func (x *cacheIndex) removeFunc(i int, drop func(cacheRef) bool) {
	t := &x.tables[i]
	x.change(t, func() { t.removeFunc(drop) })
}

// change counts what fn does to t.
func (x *cacheIndex) change(t *cacheTable, fn func()) {
	used, slots := t.used, len(t.slots)
	fn()
	x.used += t.used - used
	x.slots += len(t.slots) - slots
}

// again notes that hash was looked for in vain, in a full shard, and reports whether it was before.
func (x *cacheIndex) again(hash uint64) bool {
	t := x.table(hash)
	if len(t.missed) != len(t.slots) {
		t.missed = make(missedKeys, len(t.slots))
	}
	return t.missed.again(hash)
}

// size is what the index takes, in bytes, once the shard is full.
func (x *cacheIndex) size() int { return x.slots * (cacheSlotSize + missedSize) }

// cacheTable is a table with open addressing: a look-up costs one miss of the processor's cache where a map costs two,
// and what is found can be changed in place. The zero value is empty.
type cacheTable struct {
	slots  []cacheSlot // a power of two, at most three quarters of them in use
	used   int
	missed missedKeys // as many places as slots, or none
}

// cacheSlot is free if its hash is 0.
type cacheSlot struct {
	hash uint64
	ref  cacheRef
}

// cacheRef is where an entry stands.
type cacheRef struct{ chunk, offset uint32 }

const (
	// cacheSlotsLeast is how many slots the first table of a shard has.
	cacheSlotsLeast = 16
	// cacheShardBits are the low bits of a hash, which are the same in a whole shard.
	cacheShardBits = 6
)

// home is the number of the slot that hash has, unless others have taken that.
func (x *cacheTable) home(hash uint64) uint64 { return hash >> cacheShardBits & uint64(len(x.slots)-1) }

// slot returns the slot of hash, or the one that would become it. There is a free one.
func (x *cacheTable) slot(hash uint64) *cacheSlot {
	mask := uint64(len(x.slots) - 1)
	for i := x.home(hash); ; i = (i + 1) & mask {
		if s := &x.slots[i]; s.hash == hash || s.hash == 0 {
			return s
		}
	}
}

// find returns the slot of hash, or nil. It is valid until the next put or remove.
func (x *cacheTable) find(hash uint64) *cacheSlot {
	if x.used == 0 {
		return nil
	}
	if s := x.slot(hash); s.hash != 0 {
		return s
	}
	return nil
}

// put makes ref what hash stands for.
func (x *cacheTable) put(hash uint64, ref cacheRef) {
	if 4*(x.used+1) > 3*len(x.slots) {
		x.grow()
	}
	s := x.slot(hash)
	if s.hash == 0 {
		x.used++
	}
	*s = cacheSlot{hash, ref}
}

func (x *cacheTable) grow() {
	old := x.slots
	x.slots = make([]cacheSlot, max(2*len(old), cacheSlotsLeast))
	for _, s := range old {
		if s.hash != 0 {
			*x.slot(s.hash) = s
		}
	}
}

// remove forgets hash. Those behind it that it was in the way of move up, so that look-ups find them.
func (x *cacheTable) remove(hash uint64) {
	if x.find(hash) == nil {
		return
	}
	x.used--
	mask := uint64(len(x.slots) - 1)
	gap := x.home(hash)
	for x.slots[gap].hash != hash {
		gap = (gap + 1) & mask
	}
	for i := (gap + 1) & mask; x.slots[i].hash != 0; i = (i + 1) & mask {
		home := x.home(x.slots[i].hash)
		if (i-home)&mask >= (i-gap)&mask { // its way begins at the gap or before
			x.slots[gap] = x.slots[i]
			gap = i
		}
	}
	x.slots[gap] = cacheSlot{}
}

// removeFunc forgets every hash whose entry drop asks for.
func (x *cacheTable) removeFunc(drop func(cacheRef) bool) {
	var gone []uint64 // to remove one moves others
	for _, s := range x.slots {
		if s.hash != 0 && drop(s.ref) {
			gone = append(gone, s.hash)
		}
	}
	for _, hash := range gone {
		x.remove(hash)
	}
}

// cacheSlotSize is in bytes.
const cacheSlotSize = 16
