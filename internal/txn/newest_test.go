package txn_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// Of what transactions that are staged together make of a row by PutNewest there is one version, at the last of them.
func TestPutNewest(t *testing.T) {
	put := func(key, value string) func(*txn.Tx) error {
		return func(tx *txn.Tx) error { return tx.Put([]byte(key), []byte(value), 0) }
	}
	newest := func(value string) func(*txn.Tx) error {
		return func(tx *txn.Tx) error { return tx.PutNewest([]byte("n"), []byte(value)) }
	}
	drop := func(*txn.Tx) error { return errDropped }
	remove := func(tx *txn.Tx) error { return tx.Delete([]byte("n")) }
	sweep := func(tx *txn.Tx) error { return tx.DeleteMany([]byte("n"), 1000) }
	for _, c := range []struct {
		name    string
		all     []func(*txn.Tx) error // a transaction each
		commits string                // what each has of the batch
		found   string                // what is there then
	}{
		{"the last one is kept", []func(*txn.Tx) error{steps(put("a", "1"), newest("1")), steps(put("b", "1"), newest("2")), steps(newest("3"), put("c", "1"))},
			"a=1|b=1|n=3 c=1", "3"},
		{"of one transaction, too", []func(*txn.Tx) error{steps(newest("1"), newest("2"), put("a", "1"))}, "n=2 a=1", "2"},
		{"one that is dropped does not count", []func(*txn.Tx) error{newest("1"), steps(newest("2"), drop), put("a", "1")}, "n=1|a=1", "1"},
		{"nothing is left of a transaction", []func(*txn.Tx) error{newest("1"), newest("2")}, "|n=2", "2"},
		{"every version that is put otherwise is kept", []func(*txn.Tx) error{put("n", "1"), newest("2"), put("n", "3"), newest("4"), newest("5")},
			"n=1|n=2|n=3||n=5", "5"},
		{"every deletion is kept, and what is behind it", []func(*txn.Tx) error{newest("1"), remove, newest("2"), newest("3")}, "n=1|-n||n=3", "3"},
		{"the same for a span", []func(*txn.Tx) error{newest("1"), sweep, newest("2"), newest("3")}, "n=1|[n-o)||n=3", "3"},
		{"what is deleted is gone", []func(*txn.Tx) error{newest("1"), newest("2"), remove}, "|n=2|-n", "-"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := newRecorder(t)
			db := openLocal(t, e)
			if err := db.Sequence(context.Background(), func(seq *txn.Seq) {
				for _, fn := range c.all {
					if err := seq.Do(fn); err != nil && !errors.Is(err, errDropped) {
						t.Error(err)
					}
				}
			}); err != nil {
				t.Fatal(err)
			}
			var commits []string
			for _, one := range e.commits {
				var all []string
				for _, span := range one.Deleted {
					all = append(all, fmt.Sprintf("[%s-%s)", span.Start, span.End))
				}
				for _, m := range one.Mutations {
					if m.Op == store.OpTypeDelete {
						all = append(all, "-"+string(m.Key))
					} else {
						all = append(all, string(m.Key)+"="+string(m.Value))
					}
				}
				commits = append(commits, strings.Join(all, " "))
			}
			if got := strings.Join(commits, "|"); got != c.commits {
				t.Errorf("the batch has %q, want %q", got, c.commits)
			}
			if err := db.View(context.Background(), func(tx *txn.Tx) error {
				if got := lookUp(tx, "n"); got != c.found {
					t.Errorf("then %q is found, want %q", got, c.found)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

var errDropped = errors.New("dropped")

// A moment between transactions that were staged together is one of the past, whenever it was; that behind the last one is not.
func TestPast(t *testing.T) {
	overEngines(t, func(t *testing.T, e store.Engine) {
		db := newDB(e, hlc.New(time.Now), txn.Options{})
		defer db.Close()
		ctx := context.Background()
		var at []uint64
		if err := db.Sequence(ctx, func(seq *txn.Seq) {
			for i := range 3 {
				if err := seq.Do(func(tx *txn.Tx) error {
					at = append(at, tx.Now())
					if tx.Past() {
						t.Error("an update reads the past")
					}
					return tx.PutNewest([]byte("n"), fmt.Append(nil, i))
				}); err != nil {
					t.Error(err)
				}
			}
		}); err != nil {
			t.Fatal(err)
		}
		db.Settled()
		check := func(ts uint64, want bool) {
			t.Helper()
			if err := db.ViewAt(ctx, ts, func(tx *txn.Tx) error {
				if tx.Past() != want {
					t.Errorf("at %d, where the last commits were at %v: past %v", ts, at, tx.Past())
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
		}
		check(at[0], true)
		check(at[1], true)
		check(at[2], false)
		if err := db.View(ctx, func(tx *txn.Tx) error {
			if tx.Past() {
				t.Error("a view of the present reads the past")
			}
			return nil
		}); err != nil {
			t.Error(err)
		}
	})
}
