package txn_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// asked is an engine that counts the look-ups of single rows, and the rows that walks pass.
type asked struct {
	recorder
	lookups int
}

func (a *asked) VersionAt(ctx context.Context, key []byte, ts uint64) (store.VersionedValue, bool, error) {
	a.lookups++
	return a.Engine.VersionAt(ctx, key, ts)
}

// Who takes one row after the other has them read together, more and more, which costs the engine less than to look up each, whatever
// others do meanwhile.
func TestRowsInTurn(t *testing.T) {
	const n = 400
	name := func(i int) []byte { return fmt.Appendf(nil, "q%03d", i) }
	for _, c := range []struct {
		name           string
		order          store.Order
		pushed         int  // rows that are put in front, and taken, after every one that is taken
		gap            int  // of so many, the last two are deleted by somebody else when the first is taken
		runs           bool // each row is taken in a run of its own
		size           int  // of a value
		singly, walked int  // rows that the engine is asked for, at most
	}{
		{name: "from the front", singly: 1, walked: n},
		{name: "from the back", order: store.Descending, singly: 1, walked: n},
		{name: "each in a run of its own", runs: true, singly: 1, walked: n},
		{name: "large ones", size: 40 << 10, singly: 1, walked: n},
		{name: "larger ones", size: 100 << 10, singly: 1, walked: n},
		{name: "of which some have gone", gap: 10, singly: 80, walked: n},
		{name: "what was put in front a moment ago", runs: true, pushed: 1, singly: n / 2, walked: 2 * n},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := &asked{recorder: *newRecorder(t)}
			db := openLocal(t, e)
			value := func(i int) []byte { return fmt.Appendf(nil, "%0*d", max(c.size, 1), i) }
			do := func(all []func(*txn.Tx) error) {
				t.Helper()
				err := db.Sequence(context.Background(), func(seq *txn.Seq) {
					for _, fn := range all {
						if err := seq.Do(fn); err != nil {
							t.Error(err)
						}
					}
				})
				if err != nil {
					t.Fatal(err)
				}
			}
			put := func(i int) func(*txn.Tx) error {
				return func(tx *txn.Tx) error { return tx.Put(name(i), value(i), 0) }
			}
			last := 500 + n - 1
			if c.order == store.Descending {
				last = 0 // far beyond those that are there
			}
			take := func(i int) func(*txn.Tx) error {
				return func(tx *txn.Tx) error {
					r, ok, err := tx.GetInTurn(name(i), txn.Turn{Prefix: []byte("q"), Order: c.order, Most: n, Last: name(last)})
					if err != nil || !ok || string(r.Value) != string(value(i)) {
						return fmt.Errorf("row %d: %d bytes, %v, %v", i, len(r.Value), ok, err)
					}
					return tx.Delete(name(i))
				}
			}
			var fill, steps []func(*txn.Tx) error
			for i := range n {
				at := 500 + i
				fill = append(fill, put(at))
				if c.order == store.Descending {
					at = 500 + n - 1 - i
				}
				if c.gap > 0 && i%c.gap >= c.gap-2 {
					continue
				}
				steps = append(steps, take(at))
				if c.gap > 0 && i%c.gap == 0 {
					steps = append(steps, func(tx *txn.Tx) error { return errors.Join(tx.Delete(name(at+c.gap-2)), tx.Delete(name(at+c.gap-1))) })
				}
				for range c.pushed {
					steps = append(steps, put(499), take(499))
				}
			}
			do(fill)
			e.lookups, e.rows = 0, 0
			if c.runs {
				for _, step := range steps {
					do([]func(*txn.Tx) error{step})
				}
			} else {
				do(steps)
			}
			if e.lookups > c.singly || e.rows > c.walked {
				t.Errorf("the engine has looked up %d rows and walked over %d, want at most %d and %d", e.lookups, e.rows, c.singly, c.walked)
			}
		})
	}
}

// What lies behind the last of the rows in turn is not looked at, though some of those that are to come are not in the engine yet.
func TestRowsInTurnEnd(t *testing.T) {
	for _, order := range []store.Order{store.Ascending, store.Descending} {
		e := &asked{recorder: *newRecorder(t)}
		db := openLocal(t, e)
		name := func(i int) []byte {
			if order == store.Descending {
				i = 999 - i
			}
			return fmt.Appendf(nil, "q%03d", i)
		}
		put := func(from, to int) func(*txn.Tx) error {
			return func(tx *txn.Tx) error {
				for i := from; i < to; i++ {
					if err := tx.Put(name(i), nil, 0); err != nil {
						return err
					}
				}
				return nil
			}
		}
		for _, fn := range []func(*txn.Tx) error{put(0, 8), put(100, 200)} {
			if err := db.Update(context.Background(), fn); err != nil {
				t.Fatal(err)
			}
		}
		e.rows = 0
		err := db.Sequence(context.Background(), func(seq *txn.Seq) {
			err := seq.Do(put(8, 16))
			for i := 0; i < 16 && err == nil; i++ {
				err = seq.Do(func(tx *txn.Tx) error {
					_, ok, err := tx.GetInTurn(name(i), txn.Turn{Prefix: []byte("q"), Order: order, Most: int64(16 - i), Last: name(15)})
					if err != nil || !ok {
						return fmt.Errorf("row %d: %v, %v", i, ok, err)
					}
					return tx.Delete(name(i))
				})
			}
			if err != nil {
				t.Error(err)
			}
		})
		if err != nil || e.rows > 8 {
			t.Errorf("%v: walks have come by %d rows, want 8 at most: %v", order, e.rows, err)
		}
	}
}

// Of many who take rows in turn, and leave most of what was read for them, none has much read ahead again.
func TestRowsThatNobodyTakes(t *testing.T) {
	const queues, n = 200, 100
	e := &asked{recorder: *newRecorder(t)}
	db := openLocal(t, e)
	name := func(q, i int) []byte { return fmt.Appendf(nil, "q%03d:%03d", q, i) }
	err := db.Sequence(context.Background(), func(seq *txn.Seq) {
		for q := range queues {
			if err := seq.Do(func(tx *txn.Tx) error {
				for i := range n {
					if err := tx.Put(name(q, i), make([]byte, 1<<10), 0); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	taken := 0
	for i := range n {
		for q := range queues {
			if err := db.Update(context.Background(), func(tx *txn.Tx) error {
				_, ok, err := tx.GetInTurn(name(q, i), txn.Turn{Prefix: fmt.Appendf(nil, "q%03d:", q), Most: int64(n - i), Last: name(q, n-1)})
				if err == nil && !ok {
					err = fmt.Errorf("queue %d has no row %d", q, i)
				}
				taken++
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if most := 3 * taken; e.rows+e.lookups > most {
		t.Errorf("for %d rows the engine was asked for %d, want at most %d", taken, e.rows+e.lookups, most)
	}
}

// What is written while rows have been read ahead is what is found, whoever writes it, and whether it has been staged or not.
func TestRowsInTurnThatChange(t *testing.T) {
	name := func(i int) []byte { return fmt.Appendf(nil, "q%d", i) }
	change := func(tx *txn.Tx) error {
		if err := tx.Put(name(5), []byte("new"), 0); err != nil {
			return err
		}
		return tx.Delete(name(6))
	}
	ctx := context.Background()
	for _, c := range []struct {
		name   string
		change func(db *txn.Local, seq *txn.Seq) error // seq or, in a run of its own, db
		alone  bool
	}{
		{"in the same run", func(_ *txn.Local, seq *txn.Seq) error { return seq.Do(change) }, false},
		{"in another run", func(db *txn.Local, _ *txn.Seq) error { return db.Update(ctx, change) }, true},
		{"optimistically", func(db *txn.Local, _ *txn.Seq) error {
			tx, err := db.Begin(ctx)
			if err == nil {
				err = change(tx)
			}
			if err == nil {
				err = db.Commit(ctx, tx)
			}
			return err
		}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			overEngines(t, func(t *testing.T, e store.Engine) {
				db := openLocal(t, e)
				row := func(seq *txn.Seq, i int, inTurn bool) (got string) {
					t.Helper()
					if err := seq.Do(func(tx *txn.Tx) error {
						r, ok, err := tx.Get(name(i))
						if inTurn {
							r, ok, err = tx.GetInTurn(name(i), txn.Turn{Prefix: []byte("q"), Most: int64(10 - i), Last: name(9)})
						}
						if got = string(r.Value); !ok {
							got = "none"
						}
						return err
					}); err != nil {
						t.Error(err)
					}
					return got
				}
				before := func(seq *txn.Seq) {
					for i := range 4 { // one, then two, then four of which one is taken
						if got := row(seq, i, true); got != "old" {
							t.Errorf("row %d is %q", i, got)
						}
					}
				}
				after := func(seq *txn.Seq) {
					for i, want := range []string{4: "old", 5: "new", 6: "none", 7: "old"} {
						if want == "" {
							continue
						}
						if got := row(seq, i, false); got != want {
							t.Errorf("row %d is %q, want %q", i, got, want)
						}
						if got := row(seq, i, true); got != want {
							t.Errorf("row %d is %q in its turn, want %q", i, got, want)
						}
					}
				}
				sequence := func(fn func(*txn.Seq)) {
					t.Helper()
					if err := db.Sequence(ctx, fn); err != nil {
						t.Fatal(err)
					}
				}
				if err := db.Update(ctx, func(tx *txn.Tx) error {
					for i := range 10 {
						if err := tx.Put(name(i), []byte("old"), 0); err != nil {
							return err
						}
					}
					return nil
				}); err != nil {
					t.Fatal(err)
				}
				if c.alone {
					sequence(before)
					if err := c.change(db, nil); err != nil {
						t.Fatal(err)
					}
					sequence(after)
				} else {
					sequence(func(seq *txn.Seq) {
						before(seq)
						if err := c.change(db, seq); err != nil {
							t.Error(err)
						}
						after(seq)
					})
				}
				sequence(after)
			})
		})
	}
}
