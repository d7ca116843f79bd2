package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// worker is one client of a load: it sends the next request when it has the reply to the last one.
type worker struct {
	*client
	id  int
	n   int // operations so far
	rng *rand.Rand
}

// operation is what a worker does again and again. It fails if it does not find what it should.
type operation func(*worker) error

// load is what the clients of a server do.
type load struct {
	clients int
	seed    uint64 // with the number of a client it decides what chance brings it
	op      operation
	helper  operation // if there is one, every second client does this instead, and it does not count
	batch   int       // what an operation counts as; 0 is 1
}

// workers connects the clients of l.
func (s *server) workers(l load) (all []*worker, err error) {
	for id := range l.clients {
		c, err := s.dial()
		if err != nil {
			closeAll(all)
			return nil, err
		}
		all = append(all, &worker{client: c, id: id, rng: rand.New(rand.NewPCG(l.seed, uint64(id)))})
	}
	return all, nil
}

func closeAll(all []*worker) {
	for _, w := range all {
		w.close()
	}
}

// take has the clients of l work for d, and returns what that took.
func (s *server) take(ctx context.Context, l load, d time.Duration) (sample, error) {
	workers, err := s.workers(l)
	if err != nil {
		return sample{}, err
	}
	defer closeAll(workers)
	for _, w := range workers {
		if err := w.allow(d + spareTime); err != nil {
			return sample{}, err
		}
	}
	took := make([]latencies, len(workers))
	s.beginPeak()
	before, began := s.usage(), time.Now()
	if err := l.work(ctx, workers, began.Add(d), took); err != nil {
		return sample{}, err
	}
	return newSample(took, max(l.batch, 1), time.Since(began), s.usage().since(before))
}

// newSample is what operations that took so long are together, each of which counts as batch requests.
func newSample(took []latencies, batch int, elapsed time.Duration, used usage) (sample, error) {
	var all latencies
	for i := range took {
		all.merge(&took[i])
	}
	if all.n == 0 {
		return sample{}, errors.New("no operation has come to its end")
	}
	n := float64(all.n) * float64(batch)
	return sample{
		rps: n / elapsed.Seconds(),
		p50: milliseconds(all.at(.5)), p99: milliseconds(all.at(.99)), p999: milliseconds(all.at(.999)), longest: milliseconds(all.max),
		usage: used.of(n),
	}, nil
}

// spareTime is what workers have to come to an end.
const spareTime = time.Minute

// work has workers repeat what they do until end, at least once each, or until one of them fails, and puts into took[id] what each operation took. Helpers help
// until the last operation has ended.
func (l load) work(ctx context.Context, workers []*worker, end time.Time, took []latencies) error {
	var failed atomic.Bool
	unhook := context.AfterFunc(ctx, func() { failed.Store(true) })
	defer unhook()
	errs := make([]error, len(workers))
	repeat := func(w *worker, op operation, over func() bool) {
		for errs[w.id] == nil && !failed.Load() && (w.n == 0 || !over()) {
			errs[w.id] = op(w)
			w.n++
		}
		if errs[w.id] != nil {
			failed.Store(true)
		}
	}
	timed := func(w *worker) error {
		began := time.Now()
		err := l.op(w)
		took[w.id].add(time.Since(began))
		return err
	}
	var helped, helpers sync.WaitGroup
	var ended atomic.Bool
	for _, w := range workers {
		if l.helper != nil && w.id%2 == 1 {
			helpers.Go(func() { repeat(w, l.helper, ended.Load) })
			continue
		}
		helped.Go(func() { repeat(w, timed, func() bool { return !time.Now().Before(end) }) })
	}
	helped.Wait()
	ended.Store(true)
	helpers.Wait()
	return errors.Join(append(errs, ctx.Err())...)
}

// fillers is how many clients put data into a server, fillDepth how many commands each sends at once.
const (
	fillers   = 4
	fillDepth = 64
)

// fill has clients send the commands that put adds for each number below n.
func (s *server) fill(ctx context.Context, n int, put func(w *worker, i int)) error {
	workers, err := s.workers(load{clients: fillers})
	if err != nil {
		return err
	}
	defer closeAll(workers)
	var next atomic.Int64
	errs := make([]error, len(workers))
	var all sync.WaitGroup
	for i, w := range workers {
		all.Go(func() {
			for ctx.Err() == nil && errs[i] == nil {
				from := int(next.Add(fillDepth)) - fillDepth
				if from >= n {
					return
				}
				for i := from; i < min(from+fillDepth, n); i++ {
					put(w, i)
				}
				errs[i] = errors.Join(w.allow(replyWait), w.flush(nil))
			}
		})
	}
	all.Wait()
	if err := errors.Join(append(errs, ctx.Err())...); err != nil {
		return fmt.Errorf("fill: %w", err)
	}
	return nil
}

// settle waits until the server has nothing more to do in the background, for settleWait at most.
func (s *server) settle(ctx context.Context) error {
	const step = 500 * time.Millisecond
	quiet := 0
	for deadline := time.Now().Add(settleWait); quiet < 2 && time.Now().Before(deadline); {
		before := usageOf(s.pid).cpu
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(step):
		}
		if quiet++; usageOf(s.pid).cpu-before > step.Seconds()/20 {
			quiet = 0
		}
	}
	return nil
}

const settleWait = 2 * time.Minute
