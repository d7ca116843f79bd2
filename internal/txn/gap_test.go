package txn

import (
	"fmt"
	"testing"

	"github.com/elastickv/elastickv/store"
)

// full is a layer of so many rows.
type full int

func (full) name(i int) []byte { return fmt.Appendf(nil, "k%05d", i) }

func (f full) row([]byte) (Row, bool, error) { return Row{}, true, nil }

func (f full) rowInTurn(key []byte, _ Turn) (Row, bool, error) { return f.row(key) }

func (full) prefetch([][]byte) {}

func (full) keep(*bool) {}

func (full) walkBehind(store.Span, store.Order, int64, func([]byte, Row) bool) error {
	panic("not walked here")
}

func (full) count(store.Span, uint64) (int64, error) { panic("not counted here") }

func (f full) walk(span store.Span, order store.Order, _ uint64, fn func(key []byte, r Row) bool) error {
	for i := range int(f) {
		if order == store.Descending {
			i = int(f) - 1 - i
		}
		if key := f.name(i); span.Contains(key) && !fn(key, Row{}) {
			return nil
		}
	}
	return nil
}

// TestTakingFromAnEnd takes one row after the other: to find the next one does not cost more the more have been taken. What is
// put among those that were taken is found, and what comes back is too.
func TestTakingFromAnEnd(t *testing.T) {
	const n = 400
	for _, c := range []struct {
		order store.Order
		span  store.Span
	}{
		{store.Ascending, store.PrefixSpan([]byte("k"))},
		{store.Descending, store.PrefixSpan([]byte("k"))},
		{store.Ascending, store.Span{}},
		{store.Descending, store.Span{End: []byte("l")}},
	} {
		o, order := overlay{base: full(n)}, c.order
		next := func() (found string) {
			t.Helper()
			if err := o.walk(c.span, order, 0, func(key []byte, _ Row) bool {
				found = string(key)
				return false
			}); err != nil {
				t.Fatal(err)
			}
			return found
		}
		at := func(i int) string {
			if order == store.Descending {
				i = n - 1 - i
			}
			return string(full(n).name(i))
		}
		for i := range n {
			if got := next(); got != at(i) {
				t.Fatalf("descending %v: element %d is %q, want %q", order, i, got, at(i))
			}
			o.add(write{key: []byte(at(i)), deleted: true})
			switch i {
			case 100:
				o.add(write{key: []byte(at(50))})
				if got := next(); got != at(50) {
					t.Fatalf("descending %v: %q is found, not %q, which has been put", order, got, at(50))
				}
				o.add(write{key: []byte(at(50)), deleted: true})
			case 200:
				o.sweep(store.Span{Start: []byte("k"), End: []byte("l")})
				if got := next(); got != "" {
					t.Fatalf("descending %v: %q is found after all has been deleted", order, got)
				}
				o.undoSweep()
			case 250:
				o.dropWrites(store.Span{Start: []byte("k"), End: []byte("l")})
				if got := next(); got != at(0) {
					t.Fatalf("descending %v: %q is found, not %q, when nothing is deleted any more", order, got, at(0))
				}
				o.undoSweep()
			case 300:
				back := Savepoint{writes: len(o.log)}
				o.mark = len(o.log)
				o.add(write{key: []byte(at(301)), deleted: true})
				if got := next(); got != at(302) {
					t.Fatalf("descending %v: %q is found, want %q", order, got, at(302))
				}
				o.truncate(back)
			}
		}
		if got := next(); got != "" {
			t.Fatalf("descending %v: %q is found when all have been taken", order, got)
		}
		if o.passed > 4*n {
			t.Errorf("descending %v: to take %d elements %d were passed", order, n, o.passed)
		}
	}
}
