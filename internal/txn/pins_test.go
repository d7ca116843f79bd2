package txn_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// history is a database with a key "k" that holds "1", "2" and so on, at the timestamps
// in at.
type history struct {
	*txn.Local
	engine store.Engine
	wall   *atomic.Int64 // milliseconds
	at     []uint64
}

func newHistory(t *testing.T, e store.Engine, versions int) *history {
	t.Helper()
	h := &history{engine: e, wall: new(atomic.Int64)}
	h.wall.Store(1_000_000)
	clock := hlc.New(func() time.Time { return time.UnixMilli(h.wall.Load()) })
	h.Local = newDB(e, clock, txn.Options{})
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("close the database: %v", err)
		}
	})
	for range versions {
		h.write(t)
	}
	return h
}

// write adds a version.
func (h *history) write(t *testing.T) {
	t.Helper()
	h.wall.Add(1000)
	value := string('1' + rune(len(h.at)))
	if err := h.Update(context.Background(), put("k", value)); err != nil {
		t.Fatal(err)
	}
	h.at = append(h.at, h.engine.LastCommitTS())
}

// drop lets go of history up to ts and checks where it begins after that.
func (h *history) drop(t *testing.T, ts, want uint64) {
	t.Helper()
	if err := h.DropHistory(context.Background(), ts); err != nil {
		t.Fatal(err)
	}
	if got := h.engine.MinRetainedTS(); got != want {
		t.Errorf("history dropped up to %d: it begins at %d, want %d", ts, got, want)
	}
}

// checkPins compares what Pins tells, but for the ages.
func checkPins(t *testing.T, db *txn.Local, want txn.PinStats) {
	t.Helper()
	got := db.Pins()
	got.OldestAge = 0
	if got != want {
		t.Errorf("pins: got %+v, want %+v", got, want)
	}
}

func TestHistoryStaysForThoseWhoReadIt(t *testing.T) {
	overEngines(t, func(t *testing.T, e store.Engine) {
		h := newHistory(t, e, 3)
		ctx := context.Background()
		err := h.ViewAt(ctx, h.at[0], func(past *txn.Tx) error {
			return h.View(ctx, func(now *txn.Tx) error {
				h.write(t)
				tx, err := h.Begin(ctx)
				if err != nil {
					return err
				}
				checkPins(t, h.Local, txn.PinStats{Count: 3, OldestTS: h.at[0]})
				h.drop(t, h.at[3], h.at[0])
				for _, read := range []struct {
					tx   *txn.Tx
					want string
				}{{past, "1"}, {now, "3"}, {tx, "4"}} {
					if got := lookUp(read.tx, "k"); got != read.want {
						t.Errorf("got %s, want %s", got, read.want)
					}
				}
				return h.Commit(ctx, tx)
			})
		})
		if err != nil {
			t.Fatal(err)
		}
		checkPins(t, h.Local, txn.PinStats{})
		h.drop(t, h.at[2], h.at[2])
		if err := h.ViewAt(ctx, h.at[1], func(*txn.Tx) error { return nil }); !errors.Is(err, store.ErrReadTSCompacted) {
			t.Errorf("read below the floor: got %v, want %v", err, store.ErrReadTSCompacted)
		}
		h.drop(t, h.at[0], h.at[2])
	})
}

// Whatever way a transaction ends, it holds nothing afterwards.
func TestPinsEndWithTheirTransaction(t *testing.T) {
	e := store.NewMVCCStore().(store.Engine)
	h := newHistory(t, e, 2)
	ctx := context.Background()
	for name, end := range map[string]func() error{
		"a view that fails":   func() error { return h.View(ctx, func(*txn.Tx) error { return errors.New("no") }) },
		"a view that panics":  func() error { return h.View(ctx, func(*txn.Tx) error { panic("no") }) },
		"a past one":          func() error { return h.ViewAt(ctx, h.at[0], func(*txn.Tx) error { return nil }) },
		"an empty commit":     func() error { return h.optimistic(func(*txn.Tx) error { return nil }) },
		"a commit":            func() error { return h.optimistic(put("other", "1")) },
		"a conflict":          func() error { return h.optimistic(func(tx *txn.Tx) error { h.write(t); return put("k", "9")(tx) }) },
		"a commit of the end": func() error { return h.commitTwice() },
	} {
		t.Run(name, func(t *testing.T) {
			_ = end()
			checkPins(t, h.Local, txn.PinStats{})
		})
	}
}

func (h *history) optimistic(fn func(*txn.Tx) error) error {
	tx, err := h.Begin(context.Background())
	if err != nil {
		return err
	}
	if err := fn(tx); err != nil {
		return err
	}
	return h.Commit(context.Background(), tx)
}

// commitTwice ends a transaction a second time while another one has its pin.
func (h *history) commitTwice() error {
	tx, err := h.Begin(context.Background())
	if err != nil {
		return err
	}
	if err := h.Commit(context.Background(), tx); err != nil {
		return err
	}
	return h.View(context.Background(), func(*txn.Tx) error {
		err := h.Commit(context.Background(), tx)
		if !errors.Is(err, txn.ErrFinished) || h.Pins().Count != 1 {
			panic("the view's pin is gone")
		}
		return nil
	})
}

// A transaction that was dropped keeps nothing once the collector has seen it.
func TestPinsOfDroppedTransactions(t *testing.T) {
	h := newHistory(t, store.NewMVCCStore().(store.Engine), 1)
	for range 100 {
		if _, err := h.Begin(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	held, err := h.Begin(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // the pool keeps its own for two rounds
		runtime.GC()
	}
	checkPins(t, h.Local, txn.PinStats{Count: 1, OldestTS: h.at[0]})
	runtime.KeepAlive(held)
}

// A transaction that is forgotten, yet not dropped, keeps history for PinAge; then its
// reads and its commit fail.
func TestForgottenTransactionLapses(t *testing.T) {
	const age = 10 * time.Minute // the default
	overEngines(t, func(t *testing.T, e store.Engine) {
		h := newHistory(t, e, 1)
		ctx := context.Background()
		tx, err := h.Begin(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if got := lookUp(tx, "k"); got != "1" {
			t.Errorf("got %s, want 1", got)
		}
		h.write(t)
		err = h.ViewAt(ctx, h.at[0], func(view *txn.Tx) error {
			h.wall.Add(age.Milliseconds() - 1000) // the write has taken one second
			if got := h.Pins(); got.Count != 2 || got.OldestAge != age {
				t.Errorf("at its age: got %+v, want 2 of %v", got, age)
			}
			h.drop(t, h.at[1], h.at[0])
			h.wall.Add(2000)
			checkPins(t, h.Local, txn.PinStats{Count: 1, OldestTS: h.at[0], Lapsed: 1})
			h.drop(t, h.at[1], h.at[0]) // a view ends by itself, so it never lapses
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		checkPins(t, h.Local, txn.PinStats{Lapsed: 1})
		h.drop(t, h.at[1], h.at[1])
		if _, _, err := tx.Get([]byte("k")); !errors.Is(err, store.ErrReadTSCompacted) {
			t.Errorf("read of a lapsed transaction: got %v, want %v", err, store.ErrReadTSCompacted)
		}
		if err := tx.Put([]byte("new"), nil, 0); err != nil {
			t.Fatal(err)
		}
		if err := h.Commit(ctx, tx); !errors.Is(err, store.ErrReadTSCompacted) && !errors.Is(err, store.ErrWriteConflict) {
			t.Errorf("commit of a lapsed transaction: got %v, want a refusal", err)
		}
		checkPins(t, h.Local, txn.PinStats{})
	})
}

// stops is an engine that calls back where a test wants to come in between.
type stops struct {
	store.Engine
	lastCommit atomic.Pointer[func()] // called once, after LastCommitTS has been read
	compact    func()                 // called before a compaction, once it is decided up to where
}

func (s *stops) LastCommitTS() uint64 {
	ts := s.Engine.LastCommitTS()
	if fn := s.lastCommit.Swap(nil); fn != nil {
		(*fn)()
	}
	return ts
}

func (s *stops) Compact(ctx context.Context, ts uint64) error {
	if s.compact != nil {
		s.compact()
	}
	return s.Engine.Compact(ctx, ts)
}

// The present moves on, and history is dropped up to the new one, after a transaction
// has looked at the clock and before it has pinned anything. It reads the new present.
func TestFloorPassesWhileAViewBegins(t *testing.T) {
	overEngines(t, func(t *testing.T, e store.Engine) {
		s := &stops{Engine: e}
		h := newHistory(t, s, 1)
		overtake := func() {
			h.write(t)
			if err := h.DropHistory(context.Background(), h.at[len(h.at)-1]); err != nil {
				t.Error(err)
			}
		}
		read := func(tx *txn.Tx) error {
			want := string('0' + rune(len(h.at)))
			if got := lookUp(tx, "k"); got != want || tx.Now() <= h.at[len(h.at)-1] {
				t.Errorf("got %s at %d, want %s after %d", got, tx.Now(), want, h.at[len(h.at)-1])
			}
			return nil
		}
		ctx := context.Background()
		for name, begin := range map[string]func() error{
			"View":             func() error { return h.View(ctx, read) },
			"Begin":            func() error { return h.optimistic(read) },
			"ViewAt of to-day": func() error { return h.ViewAt(ctx, hlc.FromMillis(1<<40), read) },
		} {
			s.lastCommit.Store(&overtake)
			if err := begin(); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		at := h.at[0]
		s.lastCommit.Store(&overtake)
		err := h.ViewAt(ctx, at, func(*txn.Tx) error { t.Error("a view began below the floor"); return nil })
		if !errors.Is(err, store.ErrReadTSCompacted) {
			t.Errorf("ViewAt below the floor: got %v, want %v", err, store.ErrReadTSCompacted)
		}
		checkPins(t, h.Local, txn.PinStats{})
	})
}

// Once it is decided up to where history goes, nobody may begin to read below that,
// even if the floor has not been raised yet. Above it, everyone may.
func TestViewBetweenDecisionAndFloor(t *testing.T) {
	overEngines(t, func(t *testing.T, e store.Engine) {
		s := &stops{Engine: e}
		h := newHistory(t, s, 3)
		ctx := context.Background()
		s.compact = func() {
			if e.MinRetainedTS() != 0 {
				t.Errorf("the floor is %d already", e.MinRetainedTS())
			}
			err := h.ViewAt(ctx, h.at[1]-1, func(*txn.Tx) error { t.Error("a view began below what is decided"); return nil })
			if !errors.Is(err, store.ErrReadTSCompacted) {
				t.Errorf("got %v, want %v", err, store.ErrReadTSCompacted)
			}
			if err := h.ViewAt(ctx, h.at[1], func(tx *txn.Tx) error {
				if got := lookUp(tx, "k"); got != "2" {
					t.Errorf("got %s, want 2", got)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		}
		h.drop(t, h.at[1], h.at[1])
		s.compact = nil
		if err := h.ViewAt(ctx, 0, func(tx *txn.Tx) error {
			if got := lookUp(tx, "k"); got != "-" {
				t.Errorf("at 0: got %s, want nothing", got)
			}
			return nil
		}); err != nil {
			t.Errorf("at 0, before anything was written: %v", err)
		}
	})
}

// A new Local knows what an earlier one has dropped.
func TestPinsAfterReopening(t *testing.T) {
	e := store.NewMVCCStore().(store.Engine)
	first := newHistory(t, e, 3)
	first.drop(t, first.at[1], first.at[1])
	second := openLocal(t, e)
	err := second.ViewAt(context.Background(), first.at[0], func(*txn.Tx) error { t.Error("a view began below the floor"); return nil })
	if !errors.Is(err, store.ErrReadTSCompacted) {
		t.Errorf("got %v, want %v", err, store.ErrReadTSCompacted)
	}
}

// Where somebody has raised the floor above the newest commit, the present cannot be read
// until the next one. Who tries meanwhile does not make the floor seem lower than it is.
func TestPinBelowTheFloor(t *testing.T) {
	overEngines(t, func(t *testing.T, e store.Engine) {
		floor := newHistory(t, e, 1).at[0] + 5
		e.SetMinRetainedTS(floor)
		h := newHistory(t, e, 0)
		ctx := context.Background()
		err := h.View(ctx, func(tx *txn.Tx) error {
			if _, _, err := tx.Get([]byte("k")); !errors.Is(err, store.ErrReadTSCompacted) {
				t.Errorf("got %v, want %v", err, store.ErrReadTSCompacted)
			}
			h.wall.Add(1000)
			h.write(t)
			h.drop(t, h.at[0], floor)
			err := h.ViewAt(ctx, floor-1, func(*txn.Tx) error { t.Error("a view began below the floor"); return nil })
			if !errors.Is(err, store.ErrReadTSCompacted) {
				t.Errorf("got %v, want %v", err, store.ErrReadTSCompacted)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

// To pin takes no memory: a view needs one piece for itself.
func TestViewAllocates(t *testing.T) {
	h := newHistory(t, store.NewMVCCStore().(store.Engine), 1)
	fn := func(*txn.Tx) error { return nil }
	n := testing.AllocsPerRun(1000, func() { _ = h.View(context.Background(), fn) })
	if n > 1 {
		t.Errorf("a view makes %v allocations, want 1", n)
	}
}

// Readers of random moments and a floor that rises all the time: who has begun to read
// reads to the end, and gets the same answer each time.
func TestReadersAgainstARisingFloor(t *testing.T) {
	const rounds, readers, perRound = 100, 3, 2
	overEngines(t, func(t *testing.T, e store.Engine) {
		h := newHistory(t, e, 1)
		ctx := context.Background()
		var newest atomic.Uint64 // timestamp
		newest.Store(h.at[0])
		var begun, late atomic.Int64
		stop := make(chan struct{})
		var wg sync.WaitGroup
		end := sync.OnceFunc(func() { close(stop); wg.Wait() })
		defer end()
		for r := range readers {
			wg.Go(func() {
				for i := uint64(r); ; i++ {
					select {
					case <-stop:
						return
					default:
					}
					err := h.readTwice(ctx, newest.Load()-hlc.FromMillis(1000*(i%3)))
					switch {
					case err == nil:
						begun.Add(1)
					case errors.Is(err, store.ErrReadTSCompacted):
						late.Add(1)
					default:
						t.Error(err)
					}
				}
			})
		}
		for range rounds {
			h.write(t)
			newest.Store(h.at[len(h.at)-1])
			if err := h.DropHistory(ctx, newest.Load()); err != nil {
				t.Fatal(err)
			}
			for target := begun.Load() + perRound; begun.Load() < target; {
				runtime.Gosched()
			}
		}
		end()
		t.Logf("%d views read to their end, %d came too late", begun.Load(), late.Load())
		checkPins(t, h.Local, txn.PinStats{})
		h.drop(t, h.at[rounds], h.at[rounds])
	})
}

// readTwice fails with store.ErrReadTSCompacted if the view does not begin, and in
// another way if it does not read the same to its end.
func (h *history) readTwice(ctx context.Context, ts uint64) error {
	return h.ViewAt(ctx, ts, func(tx *txn.Tx) error {
		first, _, err := tx.Get([]byte("k"))
		for range 20 {
			runtime.Gosched()
			again, _, errAgain := tx.Get([]byte("k"))
			if err != nil || errAgain != nil || again.TS != first.TS {
				return fmt.Errorf("read version %d (%v), then %d (%v)", first.TS, err, again.TS, errAgain)
			}
		}
		return nil
	})
}
