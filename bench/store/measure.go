package main

import (
	"context"
	"errors"
	"math/rand/v2"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elastickv/elastickv/store"
)

// sample is what one turn has measured.
type sample struct {
	name    string // of the benchmark; empty for the job's own
	by      string // the contestant; empty for the turn's own
	ops     int
	elapsed time.Duration
	cpu     time.Duration // of the whole process; 0 if not known
	counted bool          // what was allocated is known
	mallocs uint64
	bytes   uint64
}

func (s sample) nsPerOp() float64     { return float64(s.elapsed.Nanoseconds()) / float64(s.ops) }
func (s sample) cpuPerOp() float64    { return float64(s.cpu.Nanoseconds()) / float64(s.ops) }
func (s sample) allocsPerOp() float64 { return float64(s.mallocs) / float64(s.ops) }
func (s sample) bytesPerOp() float64  { return float64(s.bytes) / float64(s.ops) }

// worker is one of the goroutines of a turn.
type worker struct {
	rng  *rand.Rand
	key  []byte                  // a buffer
	puts []*store.KVPairMutation // a buffer
}

// work is one operation. It fails if it does not find what it should.
type work func(w *worker) error

// errWrongAnswer says that a contestant has not done the work that is measured.
var errWrongAnswer = errors.New("a contestant's answer is not the one that its data has")

// timed repeats op on some goroutines for about d.
func timed(ctx context.Context, d time.Duration, goroutines int, op work) (sample, error) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	s, err := until(ctx, goroutines, op)
	if err == nil && !errors.Is(ctx.Err(), context.DeadlineExceeded) {
		err = ctx.Err()
	}
	return s, err
}

// until repeats op on some goroutines until ctx is done, at least once each.
func until(ctx context.Context, goroutines int, op work) (sample, error) {
	var stopped atomic.Bool
	unhook := context.AfterFunc(ctx, func() { stopped.Store(true) })
	defer unhook()
	return together(goroutines, func(w *worker) (ops int, err error) {
		for ops == 0 || !stopped.Load() {
			if err := op(w); err != nil {
				stopped.Store(true)
				return ops, err
			}
			ops++
		}
		return ops, nil
	})
}

// counted does op n times on some goroutines.
func counted(ctx context.Context, n, goroutines int, op work) (sample, error) {
	var stopped atomic.Bool
	unhook := context.AfterFunc(ctx, func() { stopped.Store(true) })
	defer unhook()
	var begun atomic.Int64
	s, err := together(goroutines, func(w *worker) (ops int, err error) {
		for begun.Add(1) <= int64(n) && !stopped.Load() {
			if err := op(w); err != nil {
				stopped.Store(true)
				return ops, err
			}
			ops++
		}
		return ops, nil
	})
	return s, firstError(err, ctx.Err())
}

// together measures one call of fn on each of some goroutines. What the process
// allocates and computes meanwhile counts, whoever does it: the work of a
// contestant's background is its own.
func together(goroutines int, fn func(w *worker) (ops int, err error)) (sample, error) {
	runtime.GC() // what the turn before has left behind is not this one's work
	ops, errs := make([]int, goroutines), make([]error, goroutines)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	began, used := time.Now(), cpuTime()
	var all sync.WaitGroup
	for i := range goroutines {
		all.Go(func() {
			w := &worker{rng: rand.New(rand.NewPCG(uint64(i), 3)), key: make([]byte, 0, keySize)}
			ops[i], errs[i] = fn(w)
		})
	}
	all.Wait()
	s := sample{elapsed: time.Since(began), cpu: cpuTime() - used}
	runtime.ReadMemStats(&after)
	s.counted = true
	s.mallocs, s.bytes = after.Mallocs-before.Mallocs, after.TotalAlloc-before.TotalAlloc
	for _, n := range ops {
		s.ops += n
	}
	return s, errors.Join(errs...)
}
