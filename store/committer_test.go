package store_test

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/elastickv/elastickv/store"
)

// ticking is a clock that counts.
type ticking struct{ last atomic.Uint64 }

func (c *ticking) Now() uint64 { return c.last.Add(1) }

func clockAt(ts uint64) *ticking {
	c := &ticking{}
	c.last.Store(ts)
	return c
}

func noError(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// stopped is a clock that does not rise.
type stopped uint64

func (s stopped) Now() uint64 { return uint64(s) }

// put returns a plan that writes key at any start.
func put(key, value string) func(uint64) (store.Change, error) {
	return func(uint64) (store.Change, error) {
		return store.Change{Mutations: func(uint64) []*store.KVPairMutation {
			return []*store.KVPairMutation{{Key: []byte(key), Value: []byte(value)}}
		}}, nil
	}
}

// plain hides what a store can do besides MVCCStore.
func plain(s store.MVCCStore) store.MVCCStore { return struct{ store.MVCCStore }{s} }

func TestUpdate(t *testing.T) {
	for name, open := range map[string]func() store.MVCCStore{
		"engine": func() store.MVCCStore { return store.NewMVCCStore() },
		"plain":  func() store.MVCCStore { return plain(store.NewMVCCStore()) },
	} {
		t.Run(name, func(t *testing.T) {
			s := open()
			c := store.NewCommitter(s, clockAt(10))
			ts, err := c.Update(t.Context(), put("k", "v"))
			if err != nil || ts != 12 {
				t.Fatalf("Update = %d, %v; want 12 after the start at 11", ts, err)
			}
			if ok, err := s.CommittedVersionAt(t.Context(), []byte("k"), 12); !ok || err != nil {
				t.Errorf("nothing is committed at 12 (%v)", err)
			}
			start, err := c.StartTS()
			if err != nil || start != 13 {
				t.Errorf("StartTS = %d, %v; want 13", start, err)
			}
			ts, err = c.Update(t.Context(), func(uint64) (store.Change, error) { return store.Change{}, nil })
			if err != nil || ts != 14 || s.LastCommitTS() != 12 {
				t.Errorf("Update with nothing to commit = %d, %v, and the store is at %d; want its start, 14, and 12", ts, err, s.LastCommitTS())
			}
			mine := errors.New("mine")
			if _, err := c.Update(t.Context(), func(uint64) (store.Change, error) { return store.Change{}, mine }); !errors.Is(err, mine) {
				t.Errorf("an error of the plan comes back as %v", err)
			}
		})
	}
}

func TestClockBehindTheStore(t *testing.T) {
	s := store.NewMVCCStore()
	noError(t, s.PutAt(t.Context(), []byte("k"), nil, 100, 0))
	for name, clock := range map[string]store.HybridClock{"behind": clockAt(50), "equal": clockAt(99), "stopped": stopped(math.MaxUint64)} {
		c := store.NewCommitter(s, clock)
		_, err := c.Update(t.Context(), put("k", "v"))
		if err == nil || !strings.Contains(err.Error(), "LastCommitTS") {
			t.Errorf("%s: Update gives %v, want an error that says what to do", name, err)
		}
	}
	if last := s.LastCommitTS(); last != 100 {
		t.Errorf("the store is at %d, want 100", last)
	}
}

// A transaction that has lost a few times runs alone, and so it cannot lose again.
func TestUpdateIsAloneInTheEnd(t *testing.T) {
	c := store.NewCommitter(store.NewMVCCStore(), clockAt(0))
	var attempts int
	var rival sync.WaitGroup
	var rivalTS uint64
	ts, err := c.Update(t.Context(), func(startTS uint64) (store.Change, error) {
		attempts++
		change, err := put("k", "mine")(startTS)
		if attempts < 5 {
			_, rivalErr := c.Update(t.Context(), put("k", "rival"))
			return change, errors.Join(err, rivalErr)
		}
		rival.Go(func() {
			var err error
			if rivalTS, err = c.Update(t.Context(), put("k", "rival")); err != nil {
				t.Error(err)
			}
		})
		for range 1000 {
			runtime.Gosched()
		}
		return change, err
	})
	rival.Wait()
	if err != nil || attempts != 5 || rivalTS < ts {
		t.Errorf("Update = %d, %v after %d attempts, and the rival has committed at %d; want 5 attempts, and the rival later", ts, err, attempts, rivalTS)
	}
}

// Whoever does not go through the Committer can be in the way for ever.
func TestUpdateGivesUp(t *testing.T) {
	s, clock := store.NewMVCCStore(), clockAt(0)
	c := store.NewCommitter(s, clock)
	attempts := 0
	_, err := c.Update(t.Context(), func(startTS uint64) (store.Change, error) {
		attempts++
		noError(t, s.PutAt(t.Context(), []byte("k"), nil, clock.Now(), 0))
		return put("k", "v")(startTS)
	})
	if key, ok := store.WriteConflictKey(err); !ok || string(key) != "k" || attempts != 20 {
		t.Errorf("after %d attempts: %v; want a conflict on k after 20", attempts, err)
	}
}

// A key that was only read counts like one that was written.
func TestUpdateChecksReadKeys(t *testing.T) {
	s, clock := store.NewMVCCStore(), clockAt(0)
	c := store.NewCommitter(s, clock)
	attempts := 0
	_, err := c.Update(t.Context(), func(startTS uint64) (store.Change, error) {
		if attempts++; attempts == 1 {
			noError(t, s.PutAt(t.Context(), []byte("read"), nil, clock.Now(), 0))
		}
		change, err := put("k", "v")(startTS)
		change.ReadKeys = [][]byte{[]byte("read")}
		return change, err
	})
	if err != nil || attempts != 2 {
		t.Errorf("%d attempts, %v; want 2", attempts, err)
	}
}

// A compaction that overtakes a transaction makes it start again.
func TestUpdateStartsAgainAboveTheFloor(t *testing.T) {
	s, clock := store.NewMVCCStore(), clockAt(0)
	c := store.NewCommitter(s, clock)
	attempts := 0
	_, err := c.Update(t.Context(), func(startTS uint64) (store.Change, error) {
		if attempts++; attempts == 1 {
			noError(t, s.Compact(t.Context(), clock.Now()))
		}
		return put("k", "v")(startTS)
	})
	if err != nil || attempts != 2 {
		t.Errorf("%d attempts, %v; want 2", attempts, err)
	}
}

// slowDisk is a memory store whose commits are not durable until released.
type slowDisk struct {
	store.Engine
	durable atomic.Uint64

	mu     sync.Mutex
	staged []store.Commit
	waits  []chan error
}

func (d *slowDisk) LastCommitTS() uint64 { return d.durable.Load() }

func (d *slowDisk) Stage(ctx context.Context, commits []store.Commit) (store.Staged, error) {
	if _, err := d.Engine.Stage(ctx, commits); err != nil {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.staged = append(d.staged, commits...)
	w := make(chan error, 1)
	d.waits = append(d.waits, w)
	return stagedOn(w), nil
}

// release waits until batch n is staged and ends its sync with err.
func (d *slowDisk) release(n int, err error) {
	for {
		d.mu.Lock()
		staged := len(d.waits) > n
		if staged {
			d.durable.Store(d.Engine.LastCommitTS())
			d.waits[n] <- err
		}
		d.mu.Unlock()
		if staged {
			return
		}
		runtime.Gosched()
	}
}

type stagedOn chan error

func (s stagedOn) Wait() error { return <-s }

// Commits wait for the disk side by side, and whoever has seen one waits for it,
// also with nothing to commit.
func TestUpdateWaitsForWhatItHasSeen(t *testing.T) {
	d := &slowDisk{Engine: store.NewMVCCStore().(store.Engine)}
	c := store.NewCommitter(d, clockAt(0))
	broken := errors.New("broken disk")
	results := make(chan error, 3)
	update := func(plan func(uint64) (store.Change, error)) {
		go func() {
			_, err := c.Update(context.Background(), plan)
			results <- err
		}()
	}
	update(put("a", "1"))
	for d.Engine.LastCommitTS() == 0 {
		runtime.Gosched()
	}
	update(func(startTS uint64) (store.Change, error) {
		_, err := d.GetAt(context.Background(), []byte("a"), startTS)
		return store.Change{}, err
	})
	d.release(1, broken) // the batch of nothing
	if err := <-results; !errors.Is(err, broken) {
		t.Errorf("the reader is told %v, want %v", err, broken)
	}
	update(put("b", "1"))
	d.release(2, nil)
	d.release(0, nil)
	if err := errors.Join(<-results, <-results); err != nil {
		t.Error(err)
	}
	_, err := c.Update(t.Context(), func(uint64) (store.Change, error) { return store.Change{}, nil })
	if err != nil || len(d.waits) != 3 {
		t.Errorf("%d batches, %v; want no more than 3: all was durable", len(d.waits), err)
	}
}

// Commit timestamps rise in the order of application, so nobody who counts up
// loses a step, and what a start has seen stays.
func TestCommitsRiseInOrder(t *testing.T) {
	const workers, rounds = 6, 100
	d := &recorder{Engine: store.NewMVCCStore().(store.Engine)}
	c := store.NewCommitter(d, clockAt(0))
	key := []byte("counter")
	count := func(ts uint64) (int, error) {
		v, err := d.GetAt(t.Context(), key, ts)
		if errors.Is(err, store.ErrKeyNotFound) {
			return 0, nil
		}
		n, atoiErr := strconv.Atoi(string(v))
		return n, errors.Join(err, atoiErr)
	}
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for range rounds {
				_, err := c.Update(t.Context(), func(startTS uint64) (store.Change, error) {
					n, err := count(startTS)
					runtime.Gosched()
					if again, againErr := count(startTS); again != n {
						t.Errorf("at %d the counter was %d and is %d (%v)", startTS, n, again, againErr)
					}
					change, _ := put(string(key), strconv.Itoa(n+1))(startTS)
					return change, err
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n, err := count(math.MaxUint64); err != nil || n != workers*rounds {
		t.Errorf("the counter is at %d, %v; want %d", n, err, workers*rounds)
	}
	if !slices.IsSorted(d.order) {
		t.Errorf("commits were applied in the order %v", d.order)
	}
}

// recorder notes the order in which commits are applied.
type recorder struct {
	store.Engine
	mu    sync.Mutex
	order []uint64
}

func (r *recorder) Stage(ctx context.Context, commits []store.Commit) (store.Staged, error) {
	runtime.Gosched()
	r.mu.Lock()
	defer r.mu.Unlock()
	staged, err := r.Engine.Stage(ctx, commits)
	if err == nil {
		r.order = append(r.order, commits[0].TS)
	}
	return staged, err
}
