package store

import (
	"maps"
	"math/rand/v2"
	"testing"
	"unsafe"
)

// The index does what a map does, whatever hashes follow one another in the table.
func TestCacheIndexIsAMap(t *testing.T) {
	if unsafe.Sizeof(cacheSlot{}) != cacheSlotSize {
		t.Fatalf("a slot takes %d bytes, not %d", unsafe.Sizeof(cacheSlot{}), cacheSlotSize)
	}
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		// Few homes make long runs of slots, over the end of the table too.
		hash := func() uint64 {
			return (rng.Uint64N(1+seed%40)+uint64(cacheSlotsLeast)-4)<<cacheShardBits | rng.Uint64N(8)<<40 | 1
		}
		var x cacheIndex
		model := make(map[uint64]cacheRef)
		for range 300 {
			h := hash()
			switch rng.IntN(8) {
			case 0, 1, 2:
				ref := cacheRef{rng.Uint32(), rng.Uint32()}
				x.put(h, ref)
				model[h] = ref
			case 3, 4, 5:
				x.remove(h)
				delete(model, h)
			case 6:
				if s := x.find(h); s != nil {
					s.ref.offset++
					model[h] = s.ref
				}
			case 7:
				if rng.IntN(20) == 0 {
					odd := func(r cacheRef) bool { return r.offset%2 == 1 }
					x.removeFunc(odd)
					maps.DeleteFunc(model, func(_ uint64, r cacheRef) bool { return odd(r) })
				}
			}
			if x.used != len(model) {
				t.Fatalf("seed %d: %d hashes, not %d", seed, x.used, len(model))
			}
			for h, ref := range model {
				if s := x.find(h); s == nil || s.ref != ref {
					t.Fatalf("seed %d: hash %x is %v, not %v", seed, h, s, ref)
				}
			}
			if s := x.find(h); s != nil && s.ref != model[h] {
				t.Fatalf("seed %d: hash %x is there and should not be", seed, h)
			}
		}
	}
}
