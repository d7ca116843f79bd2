package storetest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/elastickv/elastickv/store"
)

// testLostUpdate: optimistic transactions that count up lose nothing, and
// nobody ever sees half of one.
func testLostUpdate(t *testing.T, open Open) {
	const workers, rounds = 6, 60
	e := open(t)
	total := []byte("total")
	counter := func(w int) []byte { return fmt.Appendf(nil, "counter%d", w%3) }
	must(t, e.PutAt(ctx, total, []byte("0"), 1, 0))

	increment := func(key []byte) (int64, error) {
		// Every transaction writes total, so its newest timestamp orders them all.
		e.Prefetch([][]byte{total, key})
		v, _, err := e.VersionAt(ctx, total, math.MaxUint64)
		if err != nil {
			return 0, err
		}
		sum, err := strconv.ParseInt(string(v.Value), 10, 64)
		if err != nil {
			return 0, err
		}
		own, err := readInt(e, key, v.TS)
		if err != nil {
			return 0, err
		}
		return sum, e.ApplyMutations(ctx, []*store.KVPairMutation{
			{Key: key, Value: strconv.AppendInt(nil, own+1, 10)},
			{Key: total, Value: strconv.AppendInt(nil, sum+1, 10)},
		}, nil, v.TS, v.TS+1)
	}

	done, stop := context.WithCancel(ctx)
	var writers, readers sync.WaitGroup
	for w := range workers {
		writers.Go(func() {
			for range rounds {
				for {
					_, err := increment(counter(w))
					if errors.Is(err, store.ErrWriteConflict) {
						continue
					}
					if err != nil {
						t.Errorf("increment: %v", err)
					}
					break
				}
			}
		})
	}
	readers.Go(func() {
		for done.Err() == nil && !t.Failed() {
			checkSum(t, e, e.LastCommitTS())
		}
	})
	writers.Wait()
	stop()
	readers.Wait()

	if got, err := readInt(e, total, math.MaxUint64); err != nil || got != workers*rounds {
		t.Errorf("total is %d (%v), want %d", got, err, workers*rounds)
	}
	checkSum(t, e, math.MaxUint64)
}

// checkSum fails unless the counters at ts add up to total.
func checkSum(t *testing.T, e store.Engine, ts uint64) {
	pairs, err := e.ScanAt(ctx, nil, nil, 100, ts)
	if err != nil {
		t.Errorf("scan: %v", err)
		return
	}
	var sum, total int64
	for _, p := range pairs {
		n, err := strconv.ParseInt(string(p.Value), 10, 64)
		switch {
		case err != nil:
			t.Error(err)
		case string(p.Key) == "total":
			total = n
		default:
			sum += n
		}
	}
	if sum != total {
		t.Errorf("at %d the counters add up to %d, total is %d", ts, sum, total)
	}
}

// readInt reads a counter; one that is not there is 0.
func readInt(e store.Engine, key []byte, ts uint64) (int64, error) {
	b, err := e.GetAt(ctx, key, ts)
	if errors.Is(err, store.ErrKeyNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	return strconv.ParseInt(string(b), 10, 64)
}

// testEverythingAtOnce: every method runs against every other. What a writer
// was told is committed is there in the end.
func testEverythingAtOnce(t *testing.T, open Open) {
	const workers, rounds = 4, 50
	e := open(t)
	var clock atomic.Uint64
	clock.Store(10)
	var writers, others sync.WaitGroup
	done, stop := context.WithCancel(ctx)
	for w := range workers {
		writers.Go(func() {
			for i := range rounds {
				if err := writeOwn(e, &clock, w, i); err != nil {
					t.Errorf("worker %d, round %d: %v", w, i, err)
					return
				}
			}
		})
	}
	for name, run := range map[string]func() error{
		"scan": func() error {
			_, err := e.ReverseScanAt(ctx, nil, nil, 100, math.MaxUint64)
			return err
		},
		"walk": func() error {
			return e.WalkAt(ctx, store.Span{}, store.Ascending, math.MaxUint64, func([]byte, store.VersionedValue) bool { return true })
		},
		"compact": func() error { return e.Compact(ctx, e.LastCommitTS()) },
		"delete":  func() error { return e.DeletePrefixAt(ctx, []byte("gone"), nil, clock.Add(1)) },
		"snapshot": func() error {
			s, err := e.Snapshot()
			if err != nil {
				return err
			}
			_, err = s.WriteTo(io.Discard)
			return errors.Join(err, s.Close())
		},
	} {
		others.Go(func() {
			for done.Err() == nil {
				if err := run(); err != nil {
					t.Errorf("%s: %v", name, err)
					return
				}
			}
		})
	}
	writers.Wait()
	stop()
	others.Wait()
	must(t, e.DeletePrefixAt(ctx, []byte("gone"), nil, clock.Add(1)))

	pairs, err := e.ScanAt(ctx, nil, nil, math.MaxInt, math.MaxUint64)
	must(t, err)
	if len(pairs) != workers*rounds {
		t.Errorf("%d keys are left, want %d", len(pairs), workers*rounds)
	}
	for _, p := range pairs {
		if string(p.Key) != string(p.Value) {
			t.Errorf("%q = %q", p.Key, p.Value)
		}
	}
}

// writeOwn commits one key that stays and one that a delete of the prefix
// "gone" will take.
func writeOwn(e store.Engine, clock *atomic.Uint64, worker, round int) error {
	key := fmt.Appendf(nil, "kept%d/%d", worker, round)
	if err := e.PutAt(ctx, key, []byte("first"), clock.Add(1), 0); err != nil {
		return err
	}
	if err := e.PutAt(ctx, fmt.Appendf(nil, "gone%d/%d", worker, round), nil, clock.Add(1), 0); err != nil {
		return err
	}
	return stageAndWait(e, store.Commit{TS: clock.Add(1), Mutations: []*store.KVPairMutation{{Key: key, Value: key}}})
}
