package store

import (
	"encoding/binary"
	"maps"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"
)

// The index does what a map does, whatever hashes follow one another in its tables.
func TestCacheIndexIsAMap(t *testing.T) {
	for _, limit := range []int{0, cacheTableShare, cacheTableShare + 1, 5 * cacheTableShare} {
		testCacheIndex(t, limit)
	}
}

func testCacheIndex(t *testing.T, limit int) {
	if unsafe.Sizeof(cacheSlot{}) != cacheSlotSize {
		t.Fatalf("a slot takes %d bytes, not %d", unsafe.Sizeof(cacheSlot{}), cacheSlotSize)
	}
	for seed := range uint64(200) {
		rng := rand.New(rand.NewPCG(seed, 1))
		// Few homes make long runs of slots, over the end of the table too.
		hash := func() uint64 {
			return (rng.Uint64N(1+seed%40)+uint64(cacheSlotsLeast)-4)<<cacheShardBits | rng.Uint64N(8)<<48 | 1
		}
		x := newCacheIndex(limit)
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
					for i := range x.tables {
						x.removeFunc(i, odd)
					}
					maps.DeleteFunc(model, func(_ uint64, r cacheRef) bool { return odd(r) })
				}
			}
			if x.used != len(model) {
				t.Fatalf("seed %d: %d hashes, not %d", seed, x.used, len(model))
			}
			slots := 0
			for i := range x.tables {
				slots += len(x.tables[i].slots)
			}
			if x.slots != slots {
				t.Fatalf("seed %d: %d slots, not %d", seed, x.slots, slots)
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

// TestCacheIndexTables has none so large that to make it anew takes long, with the smallest entries that there are.
func TestCacheIndexTables(t *testing.T) {
	const entry = cacheEntryHead + 20 + cacheSlotSize + missedSize
	for _, limit := range []int{0, 1, cacheTableShare, 3 * cacheTableShare, 128 << 20, 1 << 30} {
		n := len(newCacheIndex(limit).tables)
		if n&(n-1) != 0 || limit/n/entry > 1<<13 {
			t.Errorf("%d bytes: %d tables", limit, n)
		}
	}
}

// BenchmarkVersionCachePut fills a shard of a cache of 8 GiB, and reports the longest time that one entry has taken.
func BenchmarkVersionCachePut(b *testing.B) {
	var c versionCache
	c.init(8<<30, new(atomic.Int64))
	s := &c.shards[0]
	longest := time.Duration(0)
	key, rng := make([]byte, 20), rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		binary.BigEndian.PutUint64(key, rng.Uint64())
		hash := cacheHash(c.seed, key)
		began := time.Now()
		s.set(&c, hash, key, VersionedValue{TS: 1}, false)
		longest = max(longest, time.Since(began))
	}
	b.ReportMetric(float64(longest.Microseconds()), "µs-at-most")
}
