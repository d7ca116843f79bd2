package store

import "hash/maphash"

// boundSlots is how many timestamps commitBounds has: 512 KiB of them.
const boundSlots = 1 << 16

// commitBounds knows for every key a timestamp that none of its rows is above, without
// asking the engine: many keys share one slot, which holds the highest timestamp that any
// of them was written at. A transaction that began not long ago so learns of nearly all of its
// keys that nobody has touched them since; for the others the engine has to say.
//
// It belongs to the apply lock, and costs nothing before the first check that needs it.
type commitBounds struct {
	seed  maphash.Seed
	slots []uint64 // nil before begin
}

// begin makes every bound highest, which no row is above. From now on all that
// is written is noted.
func (b *commitBounds) begin(highest uint64) {
	if b.slots == nil {
		b.seed, b.slots = maphash.MakeSeed(), make([]uint64, boundSlots)
	}
	for i := range b.slots {
		b.slots[i] = highest
	}
}

func (b *commitBounds) slot(key []byte) *uint64 {
	return &b.slots[maphash.Bytes(b.seed, key)%boundSlots]
}

// of returns what no row of key is above.
func (b *commitBounds) of(key []byte) uint64 { return *b.slot(key) }

// note is told of rows before anyone checks against them.
func (b *commitBounds) note(commits []Commit) {
	if b.slots == nil {
		return
	}
	for i := range commits {
		ts := commits[i].TS
		for _, m := range commits[i].Mutations {
			if slot := b.slot(m.Key); *slot < ts {
				*slot = ts
			}
		}
	}
}
