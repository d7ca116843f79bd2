package txn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// TestTxModel runs random transactions against a map: reads, scans of both
// directions, deletions by prefix, savepoints and rollbacks, failing functions.
func TestTxModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		engine := store.NewMVCCStore().(store.Engine)
		db := txn.NewLocal(engine, hlc.New(time.Now), txn.Options{RunBytes: 64})
		defer engine.Close()
		defer db.Close()
		model := map[string]string{}
		errDrop := errors.New("drop")
		for range rapid.IntRange(1, 8).Draw(rt, "sequences") {
			err := db.Sequence(context.Background(), func(seq *txn.Seq) {
				for range rapid.IntRange(1, 6).Draw(rt, "transactions") {
					m := modelTx{state: maps.Clone(model)}
					drop := rapid.Bool().Draw(rt, "drop")
					err := seq.Do(func(tx *txn.Tx) error {
						m.play(rt, tx)
						if drop {
							return errDrop
						}
						return nil
					})
					if drop != errors.Is(err, errDrop) {
						rt.Fatalf("transaction: %v", err)
					}
					if !drop {
						model = m.state
					}
				}
			})
			if err != nil {
				rt.Fatal(err)
			}
			err = db.View(context.Background(), func(tx *txn.Tx) error {
				m := modelTx{state: model}
				m.checkScan(rt, tx, store.Span{}, store.Ascending)
				return nil
			})
			if err != nil {
				rt.Fatal(err)
			}
		}
	})
}

type modelTx struct{ state map[string]string }

var keyGen = rapid.SampledFrom([]string{"", "a", "a\x00", "aa", "ab", "a\xff", "b", "b\x00\x00", "\xff", "\xff\xff"})

func (m *modelTx) play(rt *rapid.T, tx *txn.Tx) {
	type mark struct {
		at    txn.Savepoint
		state map[string]string
	}
	var marks []mark
	for range rapid.IntRange(1, 30).Draw(rt, "steps") {
		key := keyGen.Draw(rt, "key")
		switch rapid.IntRange(0, 7).Draw(rt, "op") {
		case 0, 1:
			value := rapid.StringN(0, 3, -1).Draw(rt, "value")
			must(rt, tx.Put([]byte(key), []byte(value), 0))
			m.state[key] = value
		case 2:
			must(rt, tx.Delete([]byte(key)))
			delete(m.state, key)
		case 3:
			must(rt, tx.DeletePrefix([]byte(key)))
			maps.DeleteFunc(m.state, func(k, _ string) bool { return len(k) >= len(key) && k[:len(key)] == key })
		case 4:
			marks = append(marks, mark{tx.Savepoint(), maps.Clone(m.state)})
		case 5:
			if len(marks) > 0 {
				i := rapid.IntRange(0, len(marks)-1).Draw(rt, "mark")
				tx.RollbackTo(marks[i].at)
				m.state = maps.Clone(marks[i].state)
				marks = marks[:i]
			}
		case 6:
			r, ok, err := tx.Get([]byte(key))
			must(rt, err)
			if want, there := m.state[key]; ok != there || string(r.Value) != want {
				rt.Fatalf("Get(%q) = %q, %v; want %q, %v", key, r.Value, ok, want, there)
			}
		case 7:
			span := store.Span{Start: []byte(key)}
			if rapid.Bool().Draw(rt, "bounded") {
				span.End = []byte(keyGen.Draw(rt, "end"))
			}
			m.checkScan(rt, tx, span, store.Order(rapid.Bool().Draw(rt, "descending")))
		}
	}
}

func (m *modelTx) checkScan(rt *rapid.T, tx *txn.Tx, span store.Span, order store.Order) {
	var want []string
	for _, k := range slices.Sorted(maps.Keys(m.state)) {
		if k >= string(span.Start) && (span.End == nil || k < string(span.End)) {
			want = append(want, fmt.Sprintf("%q=%q", k, m.state[k]))
		}
	}
	if order == store.Descending {
		slices.Reverse(want)
	}
	limit := rapid.IntRange(1, 12).Draw(rt, "limit")
	want = want[:min(limit, len(want))]
	var got []string
	must(rt, tx.Walk(span, order, func(k []byte, r txn.Row) bool {
		got = append(got, fmt.Sprintf("%q=%q", k, r.Value))
		return len(got) < limit
	}))
	if !slices.Equal(got, want) {
		rt.Fatalf("Walk(%q, %q, descending %v) =\n%v, want\n%v", span.Start, span.End, order, got, want)
	}
}

func must(rt *rapid.T, err error) {
	if err != nil {
		rt.Fatal(err)
	}
}

func TestExpiryIsJudgedAtNow(t *testing.T) {
	wall := time.UnixMilli(1_000_000)
	engine := store.NewMVCCStore().(store.Engine)
	defer engine.Close()
	db := txn.NewLocal(engine, hlc.New(func() time.Time { return wall }), txn.Options{})
	defer db.Close()
	ctx := context.Background()
	expireAt := uint64(1_000_500) << 16
	put := func(tx *txn.Tx) error { return tx.Put([]byte("k"), []byte("v"), expireAt) }
	if err := db.Update(ctx, put); err != nil {
		t.Fatal(err)
	}
	visible := func() (got bool) {
		err := db.View(ctx, func(tx *txn.Tx) (err error) {
			_, got, err = tx.Get([]byte("k"))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	wall = time.UnixMilli(1_000_499)
	if !visible() {
		t.Error("one millisecond before its expiry the key is not there")
	}
	wall = time.UnixMilli(1_000_500)
	if visible() {
		t.Error("at its expiry the key is still there, although nothing was written since")
	}
	err := db.ViewAt(ctx, uint64(1_000_400)<<16, func(tx *txn.Tx) error {
		if r, ok, err := tx.Get([]byte("k")); err != nil || !ok || string(r.Value) != "v" {
			t.Errorf("in the past: %q, %v, %v; want the value", r.Value, ok, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestLimits(t *testing.T) {
	engine := store.NewMVCCStore().(store.Engine)
	defer engine.Close()
	db := openLocal(t, engine)
	err := db.Update(context.Background(), func(tx *txn.Tx) error {
		if err := tx.Put(bytes.Repeat([]byte("k"), 1<<20+1), nil, 0); !errors.Is(err, txn.ErrKeyTooLarge) {
			t.Errorf("a key over 1 MiB: %v", err)
		}
		return tx.Put([]byte("small"), []byte("v"), 0)
	})
	if err != nil {
		t.Errorf("a refused write must not spoil the transaction: %v", err)
	}
	err = db.View(context.Background(), func(tx *txn.Tx) error { return tx.Delete([]byte("small")) })
	if !errors.Is(err, txn.ErrReadOnly) {
		t.Errorf("write in a view: %v, want ErrReadOnly", err)
	}
}
