package txn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"runtime"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// sizeOfAll is the size of all rows by a walk.
func sizeOfAll(t interface{ Fatal(...any) }, db txn.DB) (n int64) {
	err := db.View(context.Background(), func(tx *txn.Tx) error {
		return tx.WalkAll(store.Span{}, store.Ascending, func(key []byte, r txn.Row) bool {
			n += int64(len(key) + len(r.Value))
			return true
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// meterModel makes random histories.
type meterModel struct {
	t       *rapid.T
	db      *txn.Local
	expires bool // rows may have expired; the store drops those with history, so none is dropped
}

var errUnwanted = errors.New("not wanted after all")

func (m *meterModel) key() []byte {
	return fmt.Appendf(nil, "%d/%d", rapid.IntRange(0, 3).Draw(m.t, "prefix"), rapid.IntRange(0, 40).Draw(m.t, "key"))
}

// step writes something in tx, if its draws say so.
func (m *meterModel) step(tx *txn.Tx) error {
	switch rapid.SampledFrom([]string{"put", "put", "delete", "fill", "clear", "rollback", "fail"}).Draw(m.t, "step") {
	case "put":
		var expireAt uint64
		if m.expires && rapid.Bool().Draw(m.t, "expired") {
			expireAt = 1
		}
		return tx.Put(m.key(), make([]byte, rapid.IntRange(0, 50).Draw(m.t, "size")), expireAt)
	case "delete":
		return tx.Delete(m.key())
	case "fill": // so that spans are looked at, walked at once, or walked later
		n := rapid.SampledFrom([]int{70, 1500}).Draw(m.t, "rows")
		prefix := rapid.IntRange(0, 3).Draw(m.t, "prefix")
		for i := range n {
			if err := tx.Put(fmt.Appendf(nil, "%d/fill/%05d", prefix, i), []byte("value"), 0); err != nil {
				return err
			}
		}
	case "clear":
		return tx.DeletePrefix([]byte(rapid.SampledFrom([]string{"0", "1/", "2/fill", "3/fill/000", ""}).Draw(m.t, "prefix")))
	case "rollback":
		at := tx.Savepoint()
		defer tx.RollbackTo(at)
		return m.write(tx)
	case "fail":
		return errUnwanted
	}
	return nil
}

func (m *meterModel) write(tx *txn.Tx) error {
	for range rapid.IntRange(1, 4).Draw(m.t, "steps") {
		if err := m.step(tx); err != nil {
			return err
		}
	}
	return nil
}

func (m *meterModel) sequence() {
	err := m.db.Sequence(context.Background(), func(seq *txn.Seq) {
		for range rapid.IntRange(1, 3).Draw(m.t, "transactions") {
			if err := seq.Do(m.write); err != nil && !errors.Is(err, errUnwanted) {
				m.t.Fatal(err)
			}
		}
	})
	if err != nil {
		m.t.Fatal(err)
	}
}

// optimistic commits a transaction that began before another, so that it may conflict.
func (m *meterModel) optimistic() {
	tx, err := m.db.Begin(context.Background())
	if err != nil {
		m.t.Fatal(err)
	}
	if err := m.write(tx); errors.Is(err, errUnwanted) {
		return
	} else if err != nil {
		m.t.Fatal(err)
	}
	if rapid.Bool().Draw(m.t, "another") {
		m.sequence()
	}
	if err := m.db.Commit(context.Background(), tx); err != nil && !errors.Is(err, store.ErrWriteConflict) {
		m.t.Fatal(err)
	}
}

// In any history, what is counted is what a walk finds.
func TestMeterModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		engine := store.NewMVCCStore().(store.Engine)
		db := txn.NewLocal(engine, hlc.New(time.Now), txn.Options{})
		defer engine.Close()
		defer db.Close()
		m := &meterModel{t: t, db: db, expires: rapid.Bool().Draw(t, "expires")}
		on, ready := false, db.Measure(false)
		for range rapid.IntRange(1, 30).Draw(t, "operations") {
			switch rapid.SampledFrom([]string{"sequence", "sequence", "sequence", "optimistic", "drop", "switch"}).Draw(t, "operation") {
			case "sequence":
				m.sequence()
			case "optimistic":
				m.optimistic()
			case "drop":
				if m.expires {
					continue
				}
				if err := db.DropHistory(context.Background(), engine.LastCommitTS()); err != nil {
					t.Fatal(err)
				}
			case "switch":
				on = !on
				ready = db.Measure(on)
			}
			if !rapid.Bool().Draw(t, "look") {
				continue
			}
			<-ready
			got, want := measuredExactly(db), sizeOfAll(t, db)
			if got.On != on || got.Exact() != on || got.Failure != nil || on && got.Bytes != want {
				t.Fatalf("measured %+v, want %d bytes, on %v", got, want, on)
			}
		}
	})
}

// measuredExactly waits until no deleted span is still counted.
func measuredExactly(db txn.DB) (m txn.Measure) {
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); runtime.Gosched() {
		if m = db.Measured(); m.Pending == 0 {
			return m
		}
	}
	return m
}

// A span of many rows is taken off the count beside the sequencer, over a real folder too.
func TestMeterOverFolder(t *testing.T) {
	engine, err := store.NewPebbleStore(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engine.Close() })
	db := openLocal(t, engine.(store.Engine))
	fill := func(tx *txn.Tx) error {
		for i := range 5000 {
			if err := tx.Put(fmt.Appendf(nil, "a/%d", i), bytes.Repeat([]byte("v"), i%10), 0); err != nil {
				return err
			}
		}
		return tx.Put([]byte("b"), []byte("stays"), 0)
	}
	if err := db.Update(t.Context(), fill); err != nil {
		t.Fatal(err)
	}
	<-db.Measure(true)
	if got, want := db.Measured(), sizeOfAll(t, db); !got.Exact() || got.Bytes != want || want == 0 {
		t.Fatalf("measured %+v, want %d bytes", got, want)
	}
	if err := db.Update(t.Context(), func(tx *txn.Tx) error { return tx.DeletePrefix([]byte("a/")) }); err != nil {
		t.Fatal(err)
	}
	if got, want := measuredExactly(db), sizeOfAll(t, db); !got.Exact() || got.Bytes != want || got.Spans != 1 || want != 6 {
		t.Errorf("after a deletion measured %+v, want %d bytes", got, want)
	}
}

// failingWalk is an engine that cannot be walked for a while.
type failingWalk struct {
	store.Engine
	broken bool
}

var errBroken = errors.New("no such block")

func (f *failingWalk) WalkAt(ctx context.Context, span store.Span, order store.Order, ts uint64, fn func([]byte, store.VersionedValue) bool) error {
	if f.broken {
		return errBroken
	}
	return f.Engine.WalkAt(ctx, span, order, ts, fn)
}

// A count that has failed says so, and nothing else, until it has begun again.
func TestMeterFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &failingWalk{Engine: store.NewMVCCStore().(store.Engine), broken: true}
		defer engine.Close()
		db := txn.NewLocal(engine, hlc.New(time.Now), txn.Options{})
		defer db.Close()
		<-db.Measure(true)
		if m := db.Measured(); !errors.Is(m.Failure, errBroken) || m.Counted || m.Bytes != 0 {
			t.Fatalf("measured %+v, want %v", m, errBroken)
		}
		engine.broken = false
		if err := db.Update(t.Context(), put("a", "value")); err != nil {
			t.Fatal(err)
		}
		<-db.Measure(true)
		if m := db.Measured(); !m.Exact() || m.Bytes != 6 {
			t.Errorf("measured %+v, want 6 bytes", m)
		}
		ready := db.Measure(false)
		if m := db.Measured(); m.On || m.Bytes != 0 {
			t.Errorf("measured %+v when off", m)
		}
		<-ready
	})
}

// gatedWalk is an engine in which those walks wait that can be given up: not the sequencer's.
type gatedWalk struct {
	store.Engine
	gate chan struct{} // nil: none waits
}

func (g *gatedWalk) WalkAt(ctx context.Context, span store.Span, order store.Order, ts uint64, fn func([]byte, store.VersionedValue) bool) error {
	if g.gate != nil && ctx.Done() != nil {
		<-g.gate
	}
	return g.Engine.WalkAt(ctx, span, order, ts, fn)
}

// More deletions than can wait to be walked make the count begin again, and hold up nobody.
func TestMeterFallsBehind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &gatedWalk{Engine: store.NewMVCCStore().(store.Engine), gate: make(chan struct{})}
		defer engine.Close()
		db := txn.NewLocal(engine, hlc.New(time.Now), txn.Options{})
		defer db.Close()
		db.SetSettlementsMost(3)
		ready := db.Measure(true)
		synctest.Wait()   // the count has begun
		const rows = 1025 // one more than are walked at once
		refill := func(tx *txn.Tx) error {
			for i := range rows {
				if err := tx.Put(fmt.Appendf(nil, "a%d", i), nil, 0); err != nil {
					return err
				}
			}
			return nil
		}
		for range 4 {
			if err := db.Update(t.Context(), refill); err != nil {
				t.Fatal(err)
			}
			if err := db.Update(t.Context(), func(tx *txn.Tx) error { return tx.DeletePrefix([]byte("a")) }); err != nil {
				t.Fatal(err)
			}
		}
		if m := db.Measured(); m.Failure == nil || m.Exact() {
			t.Fatalf("measured %+v, want that it has fallen behind", m)
		}
		close(engine.gate)
		<-ready
		<-db.Measure(true)
		if m := db.Measured(); !m.Exact() || m.Bytes != 0 {
			t.Errorf("measured %+v, want 0 bytes", m)
		}
	})
}

// What waits to be walked stays, even if it was deleted before anything had been durable.
func TestMeterKeepsWhatItWalksLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		engine := &gatedWalk{Engine: store.NewMVCCStore().(store.Engine)}
		defer engine.Close()
		db := txn.NewLocal(engine, hlc.New(time.Now), txn.Options{})
		defer db.Close()
		<-db.Measure(true)
		engine.gate = make(chan struct{})
		err := db.Sequence(t.Context(), func(seq *txn.Seq) {
			err := seq.Do(func(tx *txn.Tx) error {
				for i := range 1025 { // one more than are walked at once
					if err := tx.Put(fmt.Appendf(nil, "a%d", i), nil, 0); err != nil {
						return err
					}
				}
				return nil
			})
			if err = errors.Join(err, seq.Do(func(tx *txn.Tx) error { return tx.DeletePrefix(nil) })); err != nil {
				t.Error(err)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := db.DropHistory(t.Context(), engine.LastCommitTS()); err != nil {
			t.Fatal(err)
		}
		close(engine.gate)
		synctest.Wait()
		if m := db.Measured(); !m.Exact() || m.Bytes != 0 || m.Failure != nil {
			t.Errorf("measured %+v, want 0 bytes", m)
		}
	})
}
