package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"
)

// BenchmarkSealed sets sealed stores against clear ones: random reads that the cache of
// newest versions does not answer, and durable writes by 64 goroutines. Both take turns
// every few operations, and "speed" is the ratio, clear to sealed, of what the fastest tenth of the turns
// has taken at most: so it holds on a machine that has other things to do, too.
func BenchmarkSealed(b *testing.B) {
	for _, size := range []int{100, 10 << 10} {
		value := make([]byte, size)
		rng := rand.New(rand.NewPCG(1, 2))
		for i := range value {
			value[i] = "0123456789abcdef"[rng.IntN(16)]
		}
		keys := 20_000_000 / size
		clear := openFilled(b, keys, value)
		sealed := openFilled(b, keys, value, newSealer(b).options()...)
		b.Run(fmt.Sprintf("GetAt/%d", size), func(b *testing.B) {
			takeTurns(b, clear, sealed, func(s *pebbleStore, _ uint64) {
				for range 50 {
					_, err := s.GetAt(context.Background(), benchKey(rng.IntN(keys)), maxTS)
					must(b, err)
				}
			})
		})
		b.Run(fmt.Sprintf("PutAt/%d", size), func(b *testing.B) {
			takeTurns(b, clear, sealed, func(s *pebbleStore, turn uint64) {
				var wg sync.WaitGroup
				for w := range 64 {
					wg.Go(func() {
						for i := range 4 {
							n := turn*1000 + uint64(w*4+i) + 100
							if err := s.PutAt(context.Background(), benchKey(int(n)), value, n, 0); err != nil {
								b.Error(err)
							}
						}
					})
				}
				wg.Wait()
			})
		})
	}
}

// takeTurns measures work on either store, by turns.
func takeTurns(b *testing.B, clear, sealed *pebbleStore, work func(s *pebbleStore, turn uint64)) {
	var took [2][]time.Duration
	turn := uint64(0)
	for b.Loop() {
		for i, s := range []*pebbleStore{clear, sealed} {
			turn++
			start := time.Now()
			work(s, turn)
			took[i] = append(took[i], time.Since(start))
		}
	}
	for i := range took {
		slices.Sort(took[i])
	}
	undisturbed := func(d []time.Duration) float64 { return float64(d[len(d)/10]) }
	b.ReportMetric(undisturbed(took[0])/undisturbed(took[1]), "speed")
	b.ReportMetric(0, "ns/op")
}

// openFilled opens a store without cache whose keys are in the last level.
func openFilled(b *testing.B, keys int, value []byte, opts ...PebbleStoreOption) *pebbleStore {
	b.Helper()
	s := openTest(b, b.TempDir(), append(opts, WithVersionCacheSize(-1))...)
	for i := 0; i < keys; {
		var m []*KVPairMutation
		for n := 0; n < 1000 && i < keys; n++ {
			m = append(m, &KVPairMutation{Key: benchKey(i), Value: value})
			i++
		}
		must(b, s.ApplyMutationsRaft(context.Background(), m, nil, maxTS, 10))
	}
	must(b, s.db.Compact(context.Background(), []byte{namespaceMeta, keySentinel}, appendDataEnd(nil), true))
	return s
}
