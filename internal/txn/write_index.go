package txn

import (
	"bytes"
	"hash/maphash"
)

// writeIndex finds writes of a log by their keys. It is a table with open addressing, which keeps no keys, since the log
// has them, and keeps its memory when it is emptied: a map of strings copied each key.
type writeIndex struct {
	used  bool
	slots []writeSlot // a power of two
	taken int         // slots that are not free; at most three quarters
}

// writeSlot is free if at is 0.
type writeSlot struct {
	hash uint32
	at   int32 // 1 + the index in the log, or goneWrite
}

// goneWrite is in the slot of a key of which there is nothing any more, so that those behind it are still found.
const goneWrite = -1

const (
	writeSlotsLeast = 4 * linearMax
	// writeSlotsShare is how many slots there are at most, for each that was taken, of those that an index keeps when it is emptied.
	writeSlotsShare = 8
)

// writeHashes is the seed of all indices: who may choose keys cannot foresee which collide.
var writeHashes = maphash.MakeSeed()

func writeHash(key []byte) uint32 { return uint32(maphash.Bytes(writeHashes, key)) }

// reset empties the index. It takes time for what was in it, and not for what was there once.
func (x *writeIndex) reset() {
	if !x.used {
		return
	}
	slots := x.slots
	if n := len(slots); n > writeSlotsLeast && writeSlotsShare*x.taken < n {
		slots = slots[:n/2]
	}
	clear(slots)
	*x = writeIndex{slots: slots}
}

// find returns the index in the log of what key points to, or -1.
func (x *writeIndex) find(log []write, key []byte) int {
	if s := x.slot(log, writeHash(key), key); s != nil && s.at > 0 {
		return int(s.at) - 1
	}
	return -1
}

// slot returns the slot of a key, or the free one in which a search for it has ended; nil if there are none.
func (x *writeIndex) slot(log []write, hash uint32, key []byte) *writeSlot {
	if len(x.slots) == 0 {
		return nil
	}
	mask := uint32(len(x.slots) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		s := &x.slots[i]
		if s.at == 0 || s.at > 0 && s.hash == hash && bytes.Equal(log[s.at-1].key, key) {
			return s
		}
	}
}

// point makes key point to index at of the log, or to nothing if that is -1.
func (x *writeIndex) point(log []write, key []byte, at int) {
	hash := writeHash(key)
	s := x.slot(log, hash, key)
	switch {
	case at < 0:
		if s != nil && s.at > 0 {
			s.at = goneWrite
		}
		return
	case s == nil || s.at == 0:
		if 4*(x.taken+1) > 3*len(x.slots) {
			x.grow()
			s = x.slot(log, hash, key)
		}
		x.taken++
	}
	*s = writeSlot{hash, int32(at) + 1}
}

// grow makes the table twice as large.
func (x *writeIndex) grow() {
	old := x.slots
	n := max(2*len(old), writeSlotsLeast)
	x.slots, x.taken = make([]writeSlot, n), 0
	mask := uint32(n - 1)
	for _, o := range old {
		if o.at <= 0 {
			continue
		}
		i := o.hash & mask
		for x.slots[i].at != 0 {
			i = (i + 1) & mask
		}
		x.slots[i] = o
		x.taken++
	}
}
