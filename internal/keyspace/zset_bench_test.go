package keyspace

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// zsetBench is a sorted set in the engine that servers use.
type zsetBench struct {
	b   *testing.B
	db  *txn.Local
	rnd *rand.Rand
	n   int // members it was made with
}

// together is how many transactions of a benchmark are part of one run, as when many clients write at once.
const together = 64

func newZSetBench(b *testing.B, n int) *zsetBench {
	engine, err := store.NewPebbleStore(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	z := &zsetBench{b: b, db: txn.NewLocal(engine.(store.Engine), hlc.New(time.Now), txn.Options{}), rnd: rand.New(rand.NewPCG(1, 2)), n: n}
	b.Cleanup(func() {
		z.db.Close()
		engine.Close()
	})
	for from := 0; from < n; from += 1000 {
		z.do(1, func(zs *ZSet) error {
			for i := from; i < min(from+1000, n); i++ {
				if _, err := zs.Set(bigMember(i), z.rnd.Float64()); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return z
}

// do runs fn so many times, each in a transaction of its own.
func (z *zsetBench) do(times int, fn func(zs *ZSet) error) {
	limits := DefaultLimits()
	err := z.db.Sequence(z.b.Context(), func(seq *txn.Seq) {
		for range times {
			err := seq.Do(func(tx *txn.Tx) error {
				zs, err := Open(tx, 0, Env{Limits: &limits}).ZSet([]byte("z"))
				if err != nil {
					return err
				}
				return fn(zs)
			})
			if err != nil {
				z.b.Error(err)
			}
		}
	})
	if err != nil {
		z.b.Fatal(err)
	}
}

func (z *zsetBench) read(fn func(zs *ZSet) error) {
	limits := DefaultLimits()
	err := z.db.View(z.b.Context(), func(tx *txn.Tx) error {
		zs, err := Open(tx, 0, Env{Limits: &limits}).ZSet([]byte("z"))
		if err != nil {
			return err
		}
		return fn(zs)
	})
	if err != nil {
		z.b.Fatal(err)
	}
}

// BenchmarkZSet does what is usual with sorted sets of some sizes. To fill them takes longer, so each
// size does all in turns. Writes are those of many clients: 64 to a run, and ns/op is of one.
func BenchmarkZSet(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			z := newZSetBench(b, n)
			reads := map[string]func(*ZSet) error{
				"rank": func(zs *ZSet) error {
					_, ok, err := zs.Rank(bigMember(z.rnd.IntN(z.n)))
					return expectZ(err, "found", ok, true)
				},
				"range": func(zs *ZSet) error {
					at := z.rnd.Int64N(int64(z.n))
					_, err := zs.ByRank(at, at+9, Window{})
					return err
				},
				"count": func(zs *ZSet) error {
					_, err := zs.Count(ByScore(ScoreRange{Min: z.rnd.Float64() / 2, Max: 0.5 + z.rnd.Float64()/2}))
					return err
				},
			}
			for _, name := range []string{"rank", "range", "count"} {
				b.Run(name, func(b *testing.B) {
					z.b = b
					for b.Loop() {
						z.read(reads[name])
					}
				})
			}
			added, popped := 0, 0
			writes := map[string]func(*ZSet) error{
				"move": func(zs *ZSet) error { _, err := zs.Set(bigMember(z.rnd.IntN(z.n)), z.rnd.Float64()); return err },
				"add and remove": func(zs *ZSet) error {
					added++
					if _, err := zs.Set(fmt.Appendf(nil, "new%d", added), z.rnd.Float64()); err != nil {
						return err
					}
					if added <= 64 {
						return nil
					}
					_, err := zs.Delete(fmt.Appendf(nil, "new%d", added-64))
					return err
				},
				"queue": func(zs *ZSet) error {
					popped++
					if _, err := zs.Set(fmt.Appendf(nil, "job%d", popped), 1+float64(popped)); err != nil {
						return err
					}
					_, err := zs.RemoveRange(ZRange{}, Window{Limit: 1})
					return err
				},
			}
			for _, name := range []string{"move", "add and remove", "queue"} {
				b.Run(name, func(b *testing.B) {
					z.b = b
					b.ReportAllocs()
					for b.Loop() {
						z.do(together, writes[name])
					}
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/together, "ns/tx")
				})
			}
		})
	}
}
