package txn_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// gatedEngine makes batches durable only when the test says so.
type gatedEngine struct {
	store.Engine
	stages  atomic.Int64
	commits atomic.Int64
	gate    chan error // one value lets one Wait return
	durable atomic.Uint64
	pause   chan struct{} // if there is one: what is durable has been seen by readers, and the syncer may go on
}

func (g *gatedEngine) LastCommitTS() uint64 { return g.durable.Load() }

func newGated() *gatedEngine {
	return &gatedEngine{Engine: store.NewMVCCStore().(store.Engine), gate: make(chan error)}
}

func (g *gatedEngine) Stage(ctx context.Context, commits []store.Commit) (store.Staged, error) {
	st, err := g.Engine.Stage(ctx, commits)
	if err != nil {
		return nil, err
	}
	g.stages.Add(1)
	g.commits.Add(int64(len(commits)))
	return gatedWait{g, st, commits[len(commits)-1].TS}, nil
}

type gatedWait struct {
	g  *gatedEngine
	st store.Staged
	ts uint64
}

func (w gatedWait) Wait() error {
	if err := <-w.g.gate; err != nil {
		return err
	}
	w.g.durable.Store(w.ts)
	if w.g.pause != nil {
		<-w.g.pause
	}
	return w.st.Wait()
}

func put(key, value string) func(*txn.Tx) error {
	return func(tx *txn.Tx) error { return tx.Put([]byte(key), []byte(value), 0) }
}

func seen(t *testing.T, db txn.DB, key string) (value string) {
	t.Helper()
	err := db.View(context.Background(), func(tx *txn.Tx) error {
		value = lookUp(tx, key)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return value
}

// Who has read a write can wait until those have heard of it who asked for that, and waits for nothing else.
func TestSettled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGated()
		g.pause = make(chan struct{})
		db := txn.NewLocal(g, hlc.New(time.Now), txn.Options{})
		defer db.Close()
		var mu sync.Mutex
		var order []string
		note := func(what string) {
			mu.Lock()
			defer mu.Unlock()
			order = append(order, what)
		}
		var all sync.WaitGroup
		for _, name := range []string{"first", "second"} {
			all.Go(func() {
				err := db.Sequence(t.Context(), func(seq *txn.Seq) {
					if err := seq.Do(put("k", name)); err != nil {
						t.Error(err)
					}
					seq.AfterSync(func() { note(name) })
				})
				if err != nil {
					t.Error(err)
				}
			})
			synctest.Wait() // the run waits for its sync
			db.Settled()    // does not
		}
		note("nothing can be read")
		g.gate <- nil
		synctest.Wait()
		if got := seen(t, db, "k"); got != "first" {
			t.Errorf("a reader sees %q", got)
		}
		all.Go(func() { db.Settled(); note("settled") })
		synctest.Wait()
		g.pause <- struct{}{}
		synctest.Wait()
		note("the second is not durable")
		g.gate <- nil
		g.pause <- struct{}{}
		all.Wait()
		if want := []string{"nothing can be read", "first", "settled", "the second is not durable", "second"}; !slices.Equal(order, want) {
			t.Errorf("heard %q, want %q", order, want)
		}
	})
}

// Those who asked for it hear of durability in the order of the sequencer, before the
// callers do; of what has failed they hear nothing.
func TestAfterSync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGated()
		db := txn.NewLocal(g, hlc.New(time.Now), txn.Options{})
		var told []string
		ask := func(name string) func(*txn.Seq) {
			return func(seq *txn.Seq) {
				_ = seq.Do(put(name, "v"))
				seq.AfterSync(func() { told = append(told, name) })
			}
		}
		results := make(chan error, 3)
		for _, name := range []string{"a", "b", "c"} {
			go func() {
				err := db.Sequence(context.Background(), ask(name))
				if err == nil && !slices.Contains(told, name) {
					err = fmt.Errorf("%s was answered before it was told", name)
				}
				results <- err
			}()
			synctest.Wait()
		}
		if len(told) != 0 {
			t.Fatalf("told of %v before the sync", told)
		}
		g.gate <- nil // a by itself
		g.gate <- errors.New("disk on fire")
		g.gate <- nil // c's own sync succeeds, behind one that did not
		synctest.Wait()
		if !slices.Equal(told, []string{"a"}) {
			t.Errorf("told of %v, want only a, whose sync succeeded", told)
		}
		failures := 0
		for range 3 {
			if err := <-results; err != nil {
				failures++
			}
		}
		if failures != 2 {
			t.Errorf("%d calls failed, want those whose sync did", failures)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

func TestRepliesWaitForDurabilityAndReadsWaitForNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGated()
		db := txn.NewLocal(g, hlc.New(time.Now), txn.Options{})
		var acked atomic.Bool
		done := make(chan error, 1)
		go func() {
			err := db.Update(context.Background(), put("k", "v"))
			acked.Store(true)
			done <- err
		}()
		synctest.Wait()
		if g.stages.Load() != 1 || acked.Load() {
			t.Fatalf("before the sync: %d batches staged, acknowledged %v; want 1, false", g.stages.Load(), acked.Load())
		}
		if got := seen(t, db, "k"); got != "-" {
			t.Errorf("a read sees %q, which a crash could take back", got)
		}
		g.gate <- nil
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		if got := seen(t, db, "k"); got != "v" {
			t.Errorf("after the reply a read sees %q", got)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestCommandsShareBatches(t *testing.T) {
	const callers = 200
	synctest.Test(t, func(t *testing.T) {
		g := newGated()
		db := txn.NewLocal(g, hlc.New(time.Now), txn.Options{})
		var wg sync.WaitGroup
		for range callers {
			wg.Go(func() {
				if err := db.Update(context.Background(), increment); err != nil {
					t.Error(err)
				}
			})
			synctest.Wait() // arrive one by one, while the first batch is being synced
		}
		for g.commits.Load() < callers {
			g.gate <- nil
			synctest.Wait()
		}
		close(g.gate)
		wg.Wait()
		if n := g.stages.Load(); n > 4 {
			t.Errorf("%d increments of one key took %d batches, want at most 4", callers, n)
		}
		if got := seen(t, db, "n"); binary.BigEndian.Uint64([]byte(got)) != callers {
			t.Errorf("counter is %x, want %d", got, callers)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// increment adds one to the counter at n.
func increment(tx *txn.Tx) error {
	r, ok, err := tx.Get([]byte("n"))
	if err != nil {
		return err
	}
	var n uint64
	if ok {
		n = binary.BigEndian.Uint64(r.Value)
	}
	return tx.Put([]byte("n"), binary.BigEndian.AppendUint64(nil, n+1), 0)
}

func TestFailedSyncReachesEveryCaller(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g := newGated()
		db := txn.NewLocal(g, hlc.New(time.Now), txn.Options{})
		broken := errors.New("disk is gone")
		errs := make(chan error, 3)
		for _, fn := range []func(*txn.Seq){
			func(s *txn.Seq) { _ = s.Do(put("a", "1")) },
			func(s *txn.Seq) { _ = s.Do(put("b", "1")); _ = s.Do(put("c", "1")) },
			func(*txn.Seq) {}, // may have read what the others wrote
		} {
			go func() { errs <- db.Sequence(context.Background(), fn) }()
			synctest.Wait()
		}
		for range 2 {
			g.gate <- broken
			synctest.Wait()
		}
		for range 3 {
			select {
			case err := <-errs:
				if !errors.Is(err, broken) {
					t.Errorf("got %v, want the error of the sync", err)
				}
			default:
				t.Error("a caller still waits")
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPanicDropsOneTransaction(t *testing.T) {
	overEngines(t, func(t *testing.T, e store.Engine) {
		db := openLocal(t, e)
		err := db.Sequence(context.Background(), func(s *txn.Seq) {
			if err := s.Do(put("p", "1")); err != nil {
				t.Error(err)
			}
			err := s.Do(func(tx *txn.Tx) error {
				_ = tx.Put([]byte("p"), []byte("2"), 0)
				panic("boom")
			})
			var p *txn.PanicError
			if !errors.As(err, &p) || p.Value != "boom" {
				t.Errorf("got %v, want the panic as an error", err)
			}
			if err := s.Do(put("q", "1")); err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if p, q := seen(t, db, "p"), seen(t, db, "q"); p != "1" || q != "1" {
			t.Errorf("p = %s, q = %s; want 1, 1", p, q)
		}
	})
}

func TestCommitTimestampsSurviveAClockSetBack(t *testing.T) {
	overEngines(t, func(t *testing.T, e store.Engine) {
		wall := time.UnixMilli(5_000_000)
		first := newDB(e, hlc.New(func() time.Time { return wall }), txn.Options{})
		if err := first.Update(context.Background(), put("k", "old")); err != nil {
			t.Fatal(err)
		}
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		before := e.LastCommitTS()
		second := newDB(e, hlc.New(func() time.Time { return wall.Add(-time.Hour) }), txn.Options{})
		defer second.Close()
		if err := second.Update(context.Background(), put("k", "new")); err != nil {
			t.Fatal(err)
		}
		if e.LastCommitTS() <= before {
			t.Errorf("commit timestamp %d after %d", e.LastCommitTS(), before)
		}
		if got := seen(t, second, "k"); got != "new" {
			t.Errorf("read %q, want the newer value", got)
		}
	})
}

func TestEveryCommitKeepsItsOwnVersion(t *testing.T) {
	overEngines(t, func(t *testing.T, e store.Engine) {
		db := openLocal(t, e)
		var at [3]uint64
		err := db.Sequence(context.Background(), func(s *txn.Seq) {
			for i := range at {
				if err := s.Do(func(tx *txn.Tx) error {
					at[i] = tx.Now()
					return tx.Put([]byte("v"), []byte{'0' + byte(i)}, 0)
				}); err != nil {
					t.Error(err)
				}
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		for i, ts := range at {
			err := db.ViewAt(context.Background(), ts, func(tx *txn.Tx) error {
				if got := lookUp(tx, "v"); got != string([]byte{'0' + byte(i)}) {
					t.Errorf("at %d: %q, want %d", ts, got, i)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestRetryUnderContention(t *testing.T) {
	const workers, each = 8, 25
	overEngines(t, func(t *testing.T, e store.Engine) {
		db := openLocal(t, e)
		var wg sync.WaitGroup
		for range workers {
			wg.Go(func() {
				for range each {
					if err := txn.Retry(context.Background(), db, 10_000, increment); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		if got := binary.BigEndian.Uint64([]byte(seen(t, db, "n"))); got != workers*each {
			t.Errorf("counter is %d, want %d", got, workers*each)
		}
	})
}

func TestRetryGivesUp(t *testing.T) {
	e := store.NewMVCCStore().(store.Engine)
	defer e.Close()
	db := openLocal(t, e)
	err := txn.Retry(context.Background(), db, 3, func(tx *txn.Tx) error {
		if err := db.Update(context.Background(), put("n", "x")); err != nil {
			return err
		}
		return tx.Put([]byte("n"), []byte("y"), 0)
	})
	if !errors.Is(err, store.ErrWriteConflict) {
		t.Errorf("got %v, want the conflict after the last attempt", err)
	}
}

func TestClosed(t *testing.T) {
	e := store.NewMVCCStore().(store.Engine)
	defer e.Close()
	db := newDB(e, hlc.New(time.Now), txn.Options{})
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	if err := db.Update(context.Background(), put("k", "v")); !errors.Is(err, txn.ErrClosed) {
		t.Errorf("update after close: %v, want ErrClosed", err)
	}
}

// An idle database keeps what it holds readable, however long ago it was written.
func TestDropHistoryKeepsThePresent(t *testing.T) {
	overEngines(t, func(t *testing.T, e store.Engine) {
		wall := time.UnixMilli(1_000_000)
		db := newDB(e, hlc.New(func() time.Time { return wall }), txn.Options{})
		defer db.Close()
		for _, v := range []string{"old", "new"} {
			if err := db.Update(context.Background(), put("k", v)); err != nil {
				t.Fatal(err)
			}
		}
		wall = wall.Add(24 * time.Hour)
		if err := db.DropHistory(context.Background(), hlc.FromTime(wall.Add(-time.Hour))); err != nil {
			t.Fatal(err)
		}
		if got := seen(t, db, "k"); got != "new" {
			t.Errorf("read %q, want the newest value", got)
		}
		if err := db.Update(context.Background(), put("k", "newest")); err != nil {
			t.Error(err)
		}
		if got := seen(t, db, "k"); got != "newest" {
			t.Errorf("read %q, want the value written last", got)
		}
		err := db.ViewAt(context.Background(), hlc.FromTime(time.UnixMilli(900_000)), func(tx *txn.Tx) error {
			_, _, err := tx.Get([]byte("k"))
			return err
		})
		if !errors.Is(err, store.ErrReadTSCompacted) {
			t.Errorf("read before the floor: %v, want ErrReadTSCompacted", err)
		}
	})
}

// A transaction that no batch could hold is refused; it does not end the database.
func TestTransactionTooLarge(t *testing.T) {
	e := store.NewMVCCStore().(store.Engine)
	defer e.Close()
	db := openLocal(t, e)
	value := make([]byte, 200<<20)
	err := db.Sequence(context.Background(), func(s *txn.Seq) {
		err := s.Do(func(tx *txn.Tx) error {
			for i := range 7 {
				if err := tx.Put([]byte{byte(i)}, value, 0); err != nil {
					return err
				}
			}
			return nil
		})
		if !errors.Is(err, txn.ErrTooLarge) {
			t.Errorf("1.4 GB in one transaction: %v, want ErrTooLarge", err)
		}
		if err := s.Do(put("k", "v")); err != nil {
			t.Error(err)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := seen(t, db, "k"); got != "v" {
		t.Errorf("the transaction behind it wrote %q", got)
	}
}
