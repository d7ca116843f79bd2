package txn_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/testkit"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// recorder is an engine that counts the rows that walks pass and the walks, and
// keeps the commits.
type recorder struct {
	store.Engine
	rows, walks int
	commits     []store.Commit
}

func newRecorder(t *testing.T) *recorder {
	r := &recorder{Engine: store.NewMVCCStore().(store.Engine)}
	t.Cleanup(func() { r.Close() })
	return r
}

func (r *recorder) WalkAt(ctx context.Context, span store.Span, order store.Order, ts uint64, fn func([]byte, store.VersionedValue) bool) error {
	r.walks++
	return r.Engine.WalkAt(ctx, span, order, ts, func(key []byte, v store.VersionedValue) bool {
		r.rows++
		return fn(key, v)
	})
}

func (r *recorder) Stage(ctx context.Context, commits []store.Commit) (store.Staged, error) {
	for _, c := range commits { // they are used again
		c.Mutations = slices.Clone(c.Mutations)
		for i, m := range c.Mutations {
			own := *m
			c.Mutations[i] = &own
		}
		r.commits = append(r.commits, c)
	}
	return r.Engine.Stage(ctx, commits)
}

// last writes the last commit: its spans, then its mutations.
func (r *recorder) last() string {
	c := r.commits[len(r.commits)-1]
	var all []string
	for _, span := range c.Deleted {
		all = append(all, fmt.Sprintf("%s-%s", span.Start, span.End))
	}
	for _, m := range c.Mutations {
		op := "+"
		if m.Op == store.OpTypeDelete {
			op = "-"
		}
		all = append(all, op+string(m.Key))
	}
	return strings.Join(all, " ")
}

// steps makes a transaction of functions.
func steps(all ...func(tx *txn.Tx) error) func(tx *txn.Tx) error {
	return func(tx *txn.Tx) error {
		for _, step := range all {
			if err := step(tx); err != nil {
				return err
			}
		}
		return nil
	}
}

func filled(prefix string, n int) func(tx *txn.Tx) error {
	return func(tx *txn.Tx) error { return fill(tx, prefix, n) }
}

// expired puts n keys whose time has passed.
func expired(prefix string, n int) func(tx *txn.Tx) error {
	return func(tx *txn.Tx) error {
		for i := range n {
			if err := tx.Put(fmt.Appendf(nil, "%s%03d", prefix, i), nil, 1); err != nil {
				return err
			}
		}
		return nil
	}
}

func del(key string) func(tx *txn.Tx) error {
	return func(tx *txn.Tx) error { return tx.Delete([]byte(key)) }
}

func cleared(prefix string) func(tx *txn.Tx) error {
	return func(tx *txn.Tx) error { return tx.DeletePrefix([]byte(prefix)) }
}

func clearedSpan(start, end string) func(tx *txn.Tx) error {
	return func(tx *txn.Tx) error {
		return tx.DeleteSpan(store.Span{Start: []byte(start), End: []byte(end)})
	}
}

// takenBack does what step does, and undoes it.
func takenBack(step func(tx *txn.Tx) error) func(tx *txn.Tx) error {
	return func(tx *txn.Tx) error {
		at := tx.Savepoint()
		err := step(tx)
		tx.RollbackTo(at)
		return err
	}
}

// TestWhatASpanBecomes says what the engine is given: a span for many keys and
// a deletion for each of few, and nothing for what the transaction itself had written.
func TestWhatASpanBecomes(t *testing.T) {
	deletions := func(prefix string, n int) string {
		var all []string
		for i := range n {
			all = append(all, fmt.Sprintf("-%s%03d", prefix, i))
		}
		return strings.Join(all, " ")
	}
	cases := []struct {
		name   string
		before func(tx *txn.Tx) error
		do     func(tx *txn.Tx) error
		want   string
	}{
		{"64 keys", filled("a", 64), cleared("a"), deletions("a", 64)},
		{"65 keys", filled("a", 65), cleared("a"), "a-b"},
		{"expired keys", expired("a", 100), cleared("a"), "a-b"},
		{"no keys", filled("b", 65), steps(put("k", "v"), cleared("a")), "+k"},
		{"an empty span", filled("b", 65), steps(put("k", "v"), clearedSpan("c", "a")), "+k"},
		{"a span within a prefix", filled("a", 100), clearedSpan("a010", "a090"), "a010-a090"},
		{"its own writes", put("x", "y"), steps(filled("a", 1000), put("k", "v"), cleared("a")), "+k"},
		{"its own writes over few", filled("a", 2), steps(filled("a", 1000), cleared("a")), "-a000 -a001"},
		{"its own writes over many", filled("a", 100), steps(filled("a", 1000), cleared("a")), "a-b"},
		{"written before and after", filled("a", 100), steps(put("a1", "v"), cleared("a"), put("a2", "v")), "a-b +a2"},
		{"put again", filled("a", 100), steps(put("a1", "v"), cleared("a"), put("a1", "w")), "a-b +a1"},
		{"deleted inside", filled("a", 100), steps(del("a001"), cleared("a"), del("a002"), del("x")), "a-b -x"},
		{"twice", filled("a", 100), steps(cleared("a"), filled("a", 70), cleared("a")), "a-b"},
		{"nested", filled("ab", 100), steps(cleared("ab"), put("ab1", "v"), cleared("a")), "a-b"},
		{"within", filled("ab", 100), steps(cleared("a"), put("ab1", "v"), cleared("ab")), "a-b"},
		{"side by side", filled("a", 100), steps(clearedSpan("a000", "a070"), clearedSpan("a070", "a072")), "a000-a072"},
		{"apart", steps(filled("a", 100), filled("c", 100)), steps(cleared("c"), cleared("a")), "a-b c-d"},
		{"few beside many", steps(filled("a", 100), filled("c", 1)), steps(cleared("a"), cleared("c")), "a-b -c000"},
		{"taken back", filled("a", 100), steps(put("a1", "v"), takenBack(steps(put("a1", "w"), cleared("a"), put("a2", "v")))), "+a1"},
		{"taken back over one", steps(filled("a", 100), filled("c", 100)),
			steps(cleared("a"), put("a1", "v"), takenBack(steps(cleared("c"), cleared("a"), put("c1", "v")))), "a-b +a1"},
		{"taken back, few", filled("a", 3), steps(put("a001", "v"), takenBack(cleared("a")), put("k", "v")), "+a001 +k"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRecorder(t)
			db := openLocal(t, r)
			for _, fn := range []func(*txn.Tx) error{c.before, c.do} {
				if err := db.Update(context.Background(), fn); err != nil {
					t.Fatal(err)
				}
			}
			if got := r.last(); got != c.want {
				t.Errorf("the engine got\n%s, want\n%s", got, c.want)
			}
		})
	}
}

// TestSpanCost holds the deletion of a span, and walks over it in the same
// transaction and in others of the same run, to a few rows of the engine.
func TestSpanCost(t *testing.T) {
	r := newRecorder(t)
	db := openLocal(t, r)
	if err := db.Update(context.Background(), filled("a", 1000)); err != nil {
		t.Fatal(err)
	}
	rows := func(what string, want int, fn func() error) {
		t.Helper()
		r.rows = 0
		if err := fn(); err != nil {
			t.Error(err)
		}
		if r.rows != want {
			t.Errorf("%s: %d rows walked over, want %d", what, r.rows, want)
		}
	}
	walks := func(tx *txn.Tx, want int) error {
		for _, order := range []store.Order{store.Ascending, store.Descending} {
			n := 0
			err := tx.Walk(store.PrefixSpan([]byte("a")), order, func([]byte, txn.Row) bool { n++; return true })
			if err != nil || n != want {
				return fmt.Errorf("a walk saw %d rows, want %d (%w)", n, want, err)
			}
		}
		return nil
	}
	err := db.Sequence(context.Background(), func(s *txn.Seq) {
		must := func(err error) {
			if err != nil {
				t.Error(err)
			}
		}
		must(s.Do(func(tx *txn.Tx) error {
			rows("deletion", 65, func() error { return tx.DeletePrefix([]byte("a")) })
			rows("walks", 0, func() error { return walks(tx, 0) })
			must(put("a500", "v")(tx))
			rows("walks over what came after", 0, func() error { return walks(tx, 1) })
			rows("another deletion", 0, func() error { return tx.DeletePrefix([]byte("a")) })
			return put("a600", "v")(tx)
		}))
		must(s.Do(func(tx *txn.Tx) error {
			rows("walks in the next transaction", 0, func() error { return walks(tx, 1) })
			rows("deletion in the next transaction", 0, func() error { return tx.DeletePrefix([]byte("a")) })
			rows("walks after it", 0, func() error { return walks(tx, 0) })
			return nil
		}))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestWalksAcrossManySpansEndARun keeps transactions of one run from going from
// gap to gap again and again.
func TestWalksAcrossManySpansEndARun(t *testing.T) {
	const spans = 20
	r := newRecorder(t)
	db := openLocal(t, r)
	all := func(step func(prefix string) func(*txn.Tx) error) (all []func(*txn.Tx) error) {
		for i := range spans {
			all = append(all, step(fmt.Sprintf("a%02d", i)))
		}
		return all
	}
	hundred := func(prefix string) func(*txn.Tx) error { return filled(prefix, 100) }
	if err := db.Update(context.Background(), steps(all(hundred)...)); err != nil {
		t.Fatal(err)
	}
	apart := func(prefix string) func(*txn.Tx) error { return clearedSpan(prefix+"0", prefix+"080") }
	firstOfAll := func(tx *txn.Tx) error {
		r.walks = 0
		err := tx.Walk(store.PrefixSpan([]byte("a")), store.Ascending, func([]byte, txn.Row) bool { return false })
		if r.walks > 2 {
			t.Errorf("a look for one row has walked over %d parts", r.walks)
		}
		return err
	}
	before := len(r.commits)
	err := db.Sequence(context.Background(), func(s *txn.Seq) {
		if err := s.Do(steps(all(apart)...)); err != nil {
			t.Error(err)
		}
		if err := s.Do(firstOfAll); err != nil {
			t.Error(err)
		}
		for range 20 {
			if err := s.Do(steps(put("k", "v"), func(tx *txn.Tx) error {
				return tx.Walk(store.PrefixSpan([]byte("a")), store.Ascending, func([]byte, txn.Row) bool { return true })
			})); err != nil {
				t.Error(err)
			}
		}
		if got := len(r.commits) - before; got == 0 || got > 15 {
			t.Errorf("%d transactions were staged before the end of the run, want the first few", got)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// endlessEngine finds more rows in every span than any transaction could delete
// one by one; they all look alike.
type endlessEngine struct{ stillEngine }

func (e *endlessEngine) WalkAt(_ context.Context, _ store.Span, _ store.Order, _ uint64, fn func([]byte, store.VersionedValue) bool) error {
	for fn([]byte("k"), store.VersionedValue{TS: 1}) {
	}
	return nil
}

// TestSpanBeyondTheLimit deletes more than fits into a transaction.
func TestSpanBeyondTheLimit(t *testing.T) {
	db := openLocal(t, &endlessEngine{stillEngine{last: 1}})
	err := db.Update(context.Background(), func(tx *txn.Tx) error {
		for i := range 1000 {
			if err := tx.DeletePrefix(fmt.Appendf(nil, "p%04d", i)); err != nil {
				return err
			}
		}
		return tx.Delete([]byte("k"))
	})
	if err != nil {
		t.Error(err)
	}
}

// TestSpanKeepsTheLimit counts spans like anything that a batch has to hold.
func TestSpanKeepsTheLimit(t *testing.T) {
	testkit.Single(t)
	db := openLocal(t, &endlessEngine{stillEngine{last: 1}})
	long := []byte(strings.Repeat("x", 1<<20-2))
	err := db.Update(context.Background(), func(tx *txn.Tx) error {
		for i := range 1000 {
			// Every second byte string is left out, so that no two adjoin.
			if err := tx.DeletePrefix(append([]byte{byte(i / 100), 2 * byte(i%100)}, long...)); err != nil {
				return err
			}
		}
		return nil
	})
	if !errors.Is(err, txn.ErrTooLarge) {
		t.Errorf("2 GB of bounds in one transaction: %v, want ErrTooLarge", err)
	}
	err = db.Update(context.Background(), func(tx *txn.Tx) error {
		for range 1000 {
			if err := takenBack(cleared(string(long)))(tx); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Errorf("2 GB of bounds, none of which stayed: %v", err)
	}
}

// TestSpanWithLongBounds refuses a bound that the engine would refuse, with the
// whole run, and leaves the transaction as it was.
func TestSpanWithLongBounds(t *testing.T) {
	r := newRecorder(t)
	db := openLocal(t, r)
	if err := db.Update(context.Background(), filled("a", 100)); err != nil {
		t.Fatal(err)
	}
	long := "a" + strings.Repeat("0", 1<<20)
	err := db.Update(context.Background(), steps(func(tx *txn.Tx) error {
		for name, err := range map[string]error{
			"one key up to a long end": clearedSpan("a", long+"1")(tx),
			"a long prefix of nothing": cleared(long)(tx),
		} {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
		if err := clearedSpan("", "b"+long)(tx); !errors.Is(err, txn.ErrKeyTooLarge) {
			t.Errorf("many keys up to a long end: %v, want ErrKeyTooLarge", err)
		}
		return nil
	}, put("k", "v")))
	if err != nil {
		t.Fatal(err)
	}
	if got := r.last(); got != "-a000 +k" {
		t.Errorf("the engine got %s, want -a000 +k", got)
	}
}

// TestDeletedKeysEndARun keeps transactions of one run from passing the keys that
// those before them have taken, again and again.
func TestDeletedKeysEndARun(t *testing.T) {
	r := newRecorder(t)
	db := openLocal(t, r)
	if err := db.Update(context.Background(), filled("a", 1000)); err != nil {
		t.Fatal(err)
	}
	r.rows = 0
	err := db.Sequence(context.Background(), func(s *txn.Seq) {
		for range 500 {
			if err := s.Do(takeFirst); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.rows > 500*30 {
		t.Errorf("500 rows taken from the front: %d rows passed", r.rows)
	}
}

// takeFirst deletes the first key of all.
func takeFirst(tx *txn.Tx) error {
	var first []byte
	err := tx.Walk(store.Span{}, store.Ascending, func(key []byte, _ txn.Row) bool {
		first = bytes.Clone(key)
		return false
	})
	if err != nil {
		return err
	}
	return tx.Delete(first)
}

// TestSpanIsCopied lets the caller reuse the memory of a prefix.
func TestSpanIsCopied(t *testing.T) {
	r := newRecorder(t)
	db := openLocal(t, r)
	if err := db.Update(context.Background(), steps(filled("a", 100), filled("c", 100))); err != nil {
		t.Fatal(err)
	}
	err := db.Update(context.Background(), func(tx *txn.Tx) error {
		prefix := []byte("a")
		err := tx.DeletePrefix(prefix)
		prefix[0] = 'c'
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := r.last(); got != "a-b" {
		t.Errorf("the engine got %s, want a-b", got)
	}
}

func TestSpanInAView(t *testing.T) {
	db := openLocal(t, newRecorder(t))
	if err := db.View(context.Background(), cleared("a")); !errors.Is(err, txn.ErrReadOnly) {
		t.Errorf("got %v, want ErrReadOnly", err)
	}
}
