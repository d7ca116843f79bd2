package main

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/elastickv/elastickv/store"
)

// applyJob writes batches that are not synced. Each turn begins with an empty store and
// writes half as many rows as there are keys, because the more rows lie in memory, the
// longer a write looks for its place among them.
func applyJob(goroutines, puts int) job {
	name, target := fmt.Sprintf("ApplyRaft/puts=%d", puts), 0.8
	if puts > 1 {
		target = 0.9
	}
	name = atGoroutines(name, goroutines)
	return job{
		name: name,
		rows: []row{{name: name, kind: ratio, base: raw{}.name(), target: target}},
		enter: func(_ context.Context, a *arena) ([]turn, error) {
			var turns []turn
			for _, c := range []contestant{ours{}, raw{}} {
				turns = append(turns, freshTurn(a, c, func(ctx context.Context, db opened) (sample, error) {
					return counted(ctx, max(1, a.keys/2/puts), goroutines, applyPuts(db, puts))
				}))
			}
			return turns, nil
		},
	}
}

// freshTurn measures on a store that is empty at first.
func freshTurn(a *arena, c contestant, measure func(ctx context.Context, db opened) (sample, error)) turn {
	return turn{c.name(), func(ctx context.Context) (samples []sample, err error) {
		err = a.inEmpty(ctx, c, func(db opened) error {
			s, err := measure(ctx, db)
			samples = []sample{s}
			return err
		})
		return samples, err
	}}
}

// applyPuts writes keys that were not there before.
func applyPuts(db opened, puts int) work {
	var next, clock atomic.Int64
	return func(w *worker) error {
		if w.puts == nil {
			w.puts = newPuts(puts)
		}
		first := int(next.Add(int64(puts))) - puts
		for i, m := range w.puts {
			m.Key = appendKey(m.Key[:0], first+i)
		}
		return db.apply(context.Background(), w.puts, uint64(clock.Add(1)))
	}
}

// newPuts returns mutations that want a key.
func newPuts(n int) []*store.KVPairMutation {
	puts := make([]*store.KVPairMutation, n)
	for i := range puts {
		puts[i] = &store.KVPairMutation{Op: store.OpTypePut, Value: value(i)}
	}
	return puts
}

// durablePutJob has many callers that each wait for their write to be on the disk.
func durablePutJob(goroutines int) job {
	name := atGoroutines("PutDurable", goroutines)
	return job{
		name: name,
		rows: []row{{name: name, kind: ratio, base: raw{}.name(), target: 0.95}},
		enter: func(_ context.Context, a *arena) ([]turn, error) {
			var turns []turn
			for _, c := range everyone(ours{}) {
				turns = append(turns, freshTurn(a, c, func(ctx context.Context, db opened) (sample, error) {
					var clock atomic.Int64
					return timed(ctx, a.turnTime(), goroutines, func(w *worker) error {
						n := clock.Add(1)
						w.key = appendKey(w.key[:0], int(n))
						return db.put(context.Background(), w.key, value(int(n)), uint64(n))
					})
				}))
			}
			return turns, nil
		},
	}
}

// applyAllocsJob counts what a transaction of one put allocates.
func applyAllocsJob() job {
	const name = "Apply/puts=1"
	return job{
		name: name,
		rows: []row{{name: name, kind: allocs, target: 4}},
		enter: func(_ context.Context, a *arena) ([]turn, error) {
			return []turn{freshTurn(a, ours{}, func(ctx context.Context, db opened) (sample, error) {
				s, put, n := db.(*openedOurs).Engine, newPuts(1), uint64(0)
				return timed(ctx, a.turnTime(), 1, func(*worker) error {
					n++
					put[0].Key = appendKey(put[0].Key[:0], int(n))
					return s.ApplyMutations(context.Background(), put, nil, n-1, n)
				})
			})}, nil
		},
	}
}
