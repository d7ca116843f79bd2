package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/elastickv/elastickv/bench/engine"
)

// aloneEngine is the engine that our store stands on, by itself and in this process, with the options of our store.
type aloneEngine struct {
	*pebble.DB
	keys, size int
}

// openAlone makes an engine with the data of the servers and waits until its background has come to rest.
func (o *memoryCommand) openAlone(ctx context.Context, l *lab, keys int) (*aloneEngine, error) {
	options, err := engine.Options(filepath.Join(l.dir, "options"), int64(o.engine))
	if err != nil {
		return nil, err
	}
	db, err := pebble.Open(filepath.Join(l.dir, "engine"), options)
	if err != nil {
		return nil, err
	}
	a := &aloneEngine{db, keys, o.size}
	if err := a.fill(ctx); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return a, nil
}

func (a *aloneEngine) fill(ctx context.Context) error {
	for i := 0; i < a.keys; {
		b := a.NewBatch()
		for range min(fillDepth, a.keys-i) {
			if err := b.Set([]byte(dataKey(i)), []byte(value(i, a.size)), nil); err != nil {
				return errors.Join(err, b.Close())
			}
			i++
		}
		if err := errors.Join(b.Commit(pebble.NoSync), b.Close(), ctx.Err()); err != nil {
			return err
		}
	}
	for deadline := time.Now().Add(settleWait); a.Metrics().Compact.NumInProgress > 0 && time.Now().Before(deadline); {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
	return nil
}

// take has goroutines read keys for d, at least one each. What this process uses meanwhile is the engine's.
func (a *aloneEngine) take(ctx context.Context, l load, choose chooser, d time.Duration) (sample, error) {
	before, began := usageOf(os.Getpid()), time.Now()
	took, errs := make([]latencies, l.clients), make([]error, l.clients)
	var all sync.WaitGroup
	var failed atomic.Bool
	for id := range l.clients {
		all.Go(func() {
			rng := rand.New(rand.NewPCG(l.seed, uint64(id)))
			for errs[id] == nil && !failed.Load() && ctx.Err() == nil && (took[id].n == 0 || time.Since(began) < d) {
				start := time.Now()
				if errs[id] = a.get(dataKey(choose(rng))); errs[id] != nil {
					failed.Store(true)
				}
				took[id].add(time.Since(start))
			}
		})
	}
	all.Wait()
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return sample{}, fmt.Errorf("%s: %w", engineAlone, err)
	}
	return newSample(took, 1, time.Since(began), usageOf(os.Getpid()).since(before))
}

func (a *aloneEngine) get(key string) error {
	v, closer, err := a.Get([]byte(key))
	if err != nil {
		return err
	}
	if len(v) != a.size {
		err = fmt.Errorf("key %s has %d bytes", key, len(v))
	}
	return errors.Join(err, closer.Close())
}
