package store

import (
	"context"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

const benchKeys = 200_000

func benchKey(i int) []byte {
	return binary.BigEndian.AppendUint64([]byte("bench|key|"), uint64(i)*0x9e3779b97f4a7c15)
}

func openBench(b *testing.B) *pebbleStore {
	b.Helper()
	s, err := NewPebbleStore(b.TempDir(), WithVersionCacheSize(-1))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	return s.(*pebbleStore)
}

// fillBench puts benchKeys keys into tables, in the last level.
func fillBench(b *testing.B, s *pebbleStore) {
	b.Helper()
	value := make([]byte, 100)
	for i := 0; i < benchKeys; {
		c := Commit{TS: 10}
		for n := 0; n < 1000 && i < benchKeys; n++ {
			c.Mutations = append(c.Mutations, &KVPairMutation{Op: OpTypePut, Key: benchKey(i), Value: value})
			i++
		}
		staged, err := s.Stage(context.Background(), []Commit{c})
		if err != nil {
			b.Fatal(err)
		}
		if err := staged.Wait(); err != nil {
			b.Fatal(err)
		}
	}
	if err := s.db.Compact(context.Background(), []byte{namespaceMeta, 0}, appendDataEnd(nil), true); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkGetAt sets the store against its own engine, over the same rows: it tells
// what this package adds, apart from the order of keys. What a user of the bare
// engine has is measured by bench/store.
func BenchmarkGetAt(b *testing.B) {
	s := openBench(b)
	fillBench(b, s)
	rng := rand.New(rand.NewPCG(1, 2))
	ctx := context.Background()
	store := func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.GetAt(ctx, benchKey(rng.IntN(benchKeys)), 20); err != nil {
				b.Fatal(err)
			}
		}
	}
	raw := func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			v, closer, err := s.db.Get(appendVersionKey(nil, benchKey(rng.IntN(benchKeys)), 10))
			if err != nil {
				b.Fatal(err)
			}
			_ = cloneBytes(v)
			_ = closer.Close()
		}
	}
	for range 2 {
		b.Run("raw", raw)
		b.Run("store", store)
	}
}

func BenchmarkScanAt(b *testing.B) {
	s := openBench(b)
	fillBench(b, s)
	for _, order := range []Order{Ascending, Descending} {
		name := "ascending"
		if order == Descending {
			name = "descending"
		}
		b.Run(name, func(b *testing.B) {
			rows := 0
			for b.Loop() {
				n := 0
				err := s.WalkAt(context.Background(), Span{}, order, 20, func([]byte, VersionedValue) bool {
					n++
					return n < 1000
				})
				if err != nil {
					b.Fatal(err)
				}
				rows += n
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(rows), "ns/row")
		})
	}
}
