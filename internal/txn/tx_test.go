package txn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// TestTxModel runs random transactions against a map: reads, scans of both
// directions, deletions of spans with few keys and with many, savepoints and rollbacks,
// failing functions. Many transactions share a run, so that each reads through the
// writes of those before it. In the end the past is compared, too.
func TestTxModel(t *testing.T) {
	checkOverEngines(t, func(rt *rapid.T, engine store.Engine) {
		runBytes := rapid.SampledFrom([]int{64, 1 << 20}).Draw(rt, "run bytes")
		db := newDB(engine, hlc.New(time.Now), txn.Options{RunBytes: runBytes})
		defer db.Close()
		model := map[string]string{}
		past := map[uint64]map[string]string{}
		for range rapid.IntRange(1, 6).Draw(rt, "sequences") {
			err := db.Sequence(context.Background(), func(seq *txn.Seq) {
				for range rapid.IntRange(1, 6).Draw(rt, "transactions") {
					model = playTx(rt, seq, model, past)
				}
			})
			must(rt, err)
			must(rt, db.View(context.Background(), func(tx *txn.Tx) error {
				(&modelTx{state: model}).checkAll(rt, tx)
				return nil
			}))
		}
		for ts, state := range past {
			must(rt, db.ViewAt(context.Background(), ts, func(tx *txn.Tx) error {
				(&modelTx{state: withoutNewest(state), past: true}).checkAll(rt, tx)
				return nil
			}))
		}
	})
}

// newestPrefix is what the keys begin with of which only the newest version counts.
const newestPrefix = "c"

// withoutNewest is what can be said of a moment of the past.
func withoutNewest(state map[string]string) map[string]string {
	state = maps.Clone(state)
	maps.DeleteFunc(state, func(k, _ string) bool { return strings.HasPrefix(k, newestPrefix) })
	return state
}

// playTx plays one transaction on state and returns what it has made of it. It adds that to past.
func playTx(rt *rapid.T, seq *txn.Seq, state map[string]string, past map[uint64]map[string]string) map[string]string {
	m := modelTx{state: maps.Clone(state)}
	errDrop := errors.New("drop")
	drop := rapid.IntRange(0, 3).Draw(rt, "drop") == 0
	var ts uint64
	err := seq.Do(func(tx *txn.Tx) error {
		m.play(rt, tx)
		ts = tx.Now()
		if drop {
			return errDrop
		}
		return nil
	})
	if drop && errors.Is(err, errDrop) {
		return state
	}
	must(rt, err)
	past[ts] = m.state
	return m.state
}

type modelTx struct {
	state map[string]string
	past  bool
	marks []mark
}

// mark is a savepoint and what the keys were then.
type mark struct {
	at    txn.Savepoint
	state map[string]string
}

var (
	keyGen = rapid.SampledFrom([]string{"", "a", "a\x00", "aa", "ab", "ab07", "a\xff", "b", "b07", "b\x00\x00", "\xff", "\xff\xff"})
	// fills are prefixes under which there are at times more keys than are deleted one by one.
	fills = rapid.SampledFrom([]string{"a", "ab", "b", "\xff"})
)

func (m *modelTx) play(rt *rapid.T, tx *txn.Tx) {
	for range rapid.IntRange(1, 30).Draw(rt, "steps") {
		m.step(rt, tx)
	}
}

func (m *modelTx) step(rt *rapid.T, tx *txn.Tx) {
	key := keyGen.Draw(rt, "key")
	switch rapid.IntRange(0, 12).Draw(rt, "op") {
	case 0, 1:
		value := rapid.StringN(0, 3, -1).Draw(rt, "value")
		must(rt, tx.Put([]byte(key), []byte(value), 0))
		m.state[key] = value
	case 2:
		must(rt, tx.Delete([]byte(key)))
		delete(m.state, key)
	case 3:
		must(rt, tx.DeletePrefix([]byte(key)))
		maps.DeleteFunc(m.state, func(k, _ string) bool { return strings.HasPrefix(k, key) })
	case 4:
		prefix := fills.Draw(rt, "fill")
		for i := range rapid.SampledFrom([]int{64, 65, 90}).Draw(rt, "keys") {
			k := fmt.Sprintf("%s%02d", prefix, i)
			must(rt, tx.Put([]byte(k), []byte("f"), 0))
			m.state[k] = "f"
		}
	case 5:
		span := drawSpan(rt, key)
		must(rt, tx.DeleteSpan(span))
		maps.DeleteFunc(m.state, func(k, _ string) bool { return span.Contains([]byte(k)) })
	case 6:
		m.marks = append(m.marks, mark{tx.Savepoint(), maps.Clone(m.state)})
	case 7:
		m.rollBack(rt, tx)
	case 8:
		r, ok, err := tx.Get([]byte(key))
		must(rt, err)
		if want, there := m.state[key]; ok != there || string(r.Value) != want {
			rt.Fatalf("Get(%q) = %q, %v; want %q, %v", key, r.Value, ok, want, there)
		}
	case 9:
		m.take(rt, tx)
	case 10:
		key, value := newestPrefix+key, rapid.StringN(0, 3, -1).Draw(rt, "value")
		must(rt, tx.PutNewest([]byte(key), []byte(value)))
		m.state[key] = value
	default:
		m.checkScan(rt, tx, drawSpan(rt, key), store.Order(rapid.Bool().Draw(rt, "descending")))
	}
}

// take looks up some of the rows with a prefix one after the other, and may delete them.
func (m *modelTx) take(rt *rapid.T, tx *txn.Tx) {
	prefix, order := fills.Draw(rt, "prefix"), store.Order(rapid.Bool().Draw(rt, "descending"))
	var keys []string
	for _, k := range slices.Sorted(maps.Keys(m.state)) {
		if strings.HasPrefix(k, prefix) {
			keys = append(keys, k)
		}
	}
	if order == store.Descending {
		slices.Reverse(keys)
	}
	keys = keys[:min(len(keys), rapid.SampledFrom([]int{1, 2, 10, 70}).Draw(rt, "rows"))]
	if len(keys) == 0 {
		keys = []string{prefix} // which is not there
	}
	gone := rapid.Bool().Draw(rt, "gone")
	for i, key := range keys {
		r, ok, err := tx.GetInTurn([]byte(key), txn.Turn{Prefix: []byte(prefix), Order: order, Most: int64(len(keys) - i), Last: []byte(keys[len(keys)-1])})
		must(rt, err)
		if want, there := m.state[key]; ok != there || string(r.Value) != want {
			rt.Fatalf("GetInTurn(%q) = %q, %v; want %q, %v", key, r.Value, ok, want, there)
		}
		if gone {
			must(rt, tx.Delete([]byte(key)))
			delete(m.state, key)
		}
	}
}

func (m *modelTx) rollBack(rt *rapid.T, tx *txn.Tx) {
	if len(m.marks) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.marks)-1).Draw(rt, "mark")
	back := m.marks[i]
	if !maps.Equal(m.state, back.state) && !tx.Changed(back.at) {
		rt.Fatalf("Changed says that nothing was written since %v", back.at)
	}
	tx.RollbackTo(back.at)
	if tx.Changed(back.at) {
		rt.Fatalf("Changed says that there are writes behind %v after a rollback to it", back.at)
	}
	m.state, m.marks = maps.Clone(back.state), m.marks[:i]
}

func drawSpan(rt *rapid.T, start string) store.Span {
	span := store.Span{Start: []byte(start)}
	if rapid.Bool().Draw(rt, "bounded") {
		span.End = []byte(keyGen.Draw(rt, "end"))
	}
	return span
}

// checkAll compares every key, in both directions and one by one.
func (m *modelTx) checkAll(rt *rapid.T, tx *txn.Tx) {
	for _, order := range []store.Order{store.Ascending, store.Descending} {
		m.checkSome(rt, tx, store.Span{}, order, len(m.state)+1)
	}
	for key, want := range m.state {
		if got := lookUp(tx, key); got != want {
			rt.Fatalf("Get(%q) = %q, want %q", key, got, want)
		}
	}
}

func (m *modelTx) checkScan(rt *rapid.T, tx *txn.Tx, span store.Span, order store.Order) {
	m.checkSome(rt, tx, span, order, rapid.SampledFrom([]int{1, 2, 5, 12, 1000}).Draw(rt, "limit"))
}

func (m *modelTx) checkSome(rt *rapid.T, tx *txn.Tx, span store.Span, order store.Order, limit int) {
	var want []string
	for _, k := range slices.Sorted(maps.Keys(m.state)) {
		if span.Contains([]byte(k)) {
			want = append(want, fmt.Sprintf("%q=%q", k, m.state[k]))
		}
	}
	if order == store.Descending {
		slices.Reverse(want)
	}
	want = want[:min(limit, len(want))]
	var got []string
	must(rt, tx.Walk(span, order, func(k []byte, r txn.Row) bool {
		if m.past && strings.HasPrefix(string(k), newestPrefix) {
			return true
		}
		got = append(got, fmt.Sprintf("%q=%q", k, r.Value))
		return len(got) < limit
	}))
	if !slices.Equal(got, want) {
		rt.Fatalf("Walk(%q, %q, descending %v) =\n%v, want\n%v", span.Start, span.End, order, got, want)
	}
}

// must fails on an error. A panic that was caught goes on its way: with some of
// them rapid talks to itself.
func must(rt *rapid.T, err error) {
	var p *txn.PanicError
	if errors.As(err, &p) {
		panic(p.Value)
	}
	if err != nil {
		rt.Fatal(err)
	}
}

func TestExpiryIsJudgedAtNow(t *testing.T) {
	wall := time.UnixMilli(1_000_000)
	engine := store.NewMVCCStore().(store.Engine)
	defer engine.Close()
	db := newDB(engine, hlc.New(func() time.Time { return wall }), txn.Options{})
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
