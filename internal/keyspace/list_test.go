package keyspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// listBench is a database for tests of lists: it counts what the engine is
// asked for, and its clock moves only when told to.
type listBench struct {
	memory Memory // of updates
	store.Engine
	db     *txn.Local
	limits Limits
	wall   time.Time

	gets, walked, written int // rows looked up, walked over and written
}

func (b *listBench) VersionAt(ctx context.Context, key []byte, ts uint64) (store.VersionedValue, bool, error) {
	b.gets++
	return b.Engine.VersionAt(ctx, key, ts)
}

func (b *listBench) WalkAt(ctx context.Context, span store.Span, order store.Order, ts uint64, fn func([]byte, store.VersionedValue) bool) error {
	return b.Engine.WalkAt(ctx, span, order, ts, func(key []byte, v store.VersionedValue) bool {
		b.walked++
		return fn(key, v)
	})
}

func (b *listBench) Stage(ctx context.Context, commits []store.Commit) (store.Staged, error) {
	for _, c := range commits {
		b.written += len(c.Mutations)
	}
	return b.Engine.Stage(ctx, commits)
}

func newListBench() *listBench {
	b := &listBench{
		Engine: store.NewMVCCStore().(store.Engine),
		limits: DefaultLimits(),
		wall:   time.UnixMilli(1_700_000_000_000),
	}
	b.db = txn.NewLocal(b, hlc.New(func() time.Time { return b.wall }), txn.Options{})
	return b
}

func (b *listBench) close() {
	b.db.Close()
	b.Engine.Close()
}

// update runs fn in a transaction on one logical database.
func (b *listBench) update(t rapid.TB, db int, fn func(s *Space) error) {
	t.Helper()
	err := b.db.Update(context.Background(), func(tx *txn.Tx) error { return fn(b.memory.Open(tx, db, Env{Limits: &b.limits})) })
	var p *txn.PanicError
	if errors.As(err, &p) {
		panic(p.Value) // rapid's own, when it runs out of data
	}
	if err != nil {
		t.Fatal(err)
	}
}

func (b *listBench) view(t rapid.TB, db int, fn func(s *Space) error) {
	t.Helper()
	err := b.db.View(context.Background(), func(tx *txn.Tx) error { return fn(Open(tx, db, Env{Limits: &b.limits})) })
	if err != nil {
		t.Fatal(err)
	}
}

// fill makes the list at key of the numbers from 0 to n-1.
func (b *listBench) fill(t rapid.TB, key string, n int) {
	t.Helper()
	b.update(t, 0, func(s *Space) error {
		l, err := s.List([]byte(key))
		if err != nil {
			return err
		}
		return l.Push(Right, numbers(0, n)...)
	})
}

func numbers(from, to int) [][]byte {
	var out [][]byte
	for i := from; i < to; i++ {
		out = append(out, strconv.AppendInt(nil, int64(i), 10))
	}
	return out
}

func equalLists(a, b [][]byte) bool { return slices.EqualFunc(a, b, bytes.Equal) }

// listIn returns the elements of a list, read from both sides.
func listIn(s *Space, key string) ([][]byte, error) {
	l, err := s.List([]byte(key))
	if err != nil {
		return nil, err
	}
	all := ListRange{0, l.Len()}
	values, err := l.collect(all, Left)
	if err != nil {
		return nil, err
	}
	back, err := l.collect(all, Right)
	slices.Reverse(back)
	if err == nil && (!equalLists(values, back) || int64(len(values)) != l.Len()) {
		err = errors.New("a list reads differently from its two sides")
	}
	return values, err
}

// TestListCost holds every operation to the rows it needs in a list of a
// thousand elements: no work may grow with what is not concerned.
func TestListCost(t *testing.T) {
	const n = 1000
	// Opening a list looks up its entry and its meta row. The latter is written
	// by all but Set.
	const open, meta = 2, 1
	cases := []struct {
		name                  string
		do                    func(l *List) error
		gets, walked, written int
	}{
		{"index", func(l *List) error { _, _, err := l.Index(n / 2); return err }, open + 1, 0, 0},
		{"set", func(l *List) error { _, err := l.Set(n/2, []byte("x")); return err }, open, 0, 1},
		{"push left", func(l *List) error { return l.Push(Left, []byte("x")) }, open, 0, 1 + meta},
		{"push right", func(l *List) error { return l.Push(Right, []byte("x")) }, open, 0, 1 + meta},
		{"pop left", func(l *List) error { _, err := l.Pop(Left, 1); return err }, open + 1, 0, 1 + meta},
		{"pop right", func(l *List) error { _, err := l.Pop(Right, 1); return err }, open + 1, 0, 1 + meta},
		{"pop three", func(l *List) error { _, err := l.Pop(Right, 3); return err }, open, 3, 3 + meta},
		{"range", func(l *List) error {
			return l.Walk(ListRange{500, 510}, Left, func(int64, []byte) bool { return true })
		}, open, 10, 0},
		{"range, stopped", func(l *List) error {
			return l.Walk(ListRange{500, 600}, Right, func(i int64, _ []byte) bool { return i > 597 })
		}, open, 3, 0},
		{"insert near the left", func(l *List) error { return l.Insert(3, []byte("x")) }, open, 3, 4 + meta},
		{"insert near the right", func(l *List) error { return l.Insert(n-3, []byte("x")) }, open, 3, 4 + meta},
		{"trim", func(l *List) error { return l.Trim(ListRange{2, n - 1}) }, open, 0, 3 + meta},
		{"remove near the left", func(l *List) error { _, err := l.Remove([]byte("4"), 1); return err },
			open, 5 + 4, 5 + meta},
		{"remove near the right", func(l *List) error { _, err := l.Remove([]byte("995"), -1); return err },
			open, 5 + 4, 5 + meta},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := newListBench()
			defer b.close()
			b.fill(t, "l", n)
			b.gets, b.walked, b.written = 0, 0, 0
			b.update(t, 0, func(s *Space) error {
				l, err := s.List([]byte("l"))
				if err != nil {
					return err
				}
				return c.do(l)
			})
			got, want := [3]int{b.gets, b.walked, b.written}, [3]int{c.gets, c.walked, c.written}
			if got != want {
				t.Errorf("rows looked up, walked over, written: got %v, want %v", got, want)
			}
		})
	}
}

// TestTrimCost trims a long list from both ends: that costs a few rows, and the
// elements that stay keep their places.
func TestTrimCost(t *testing.T) {
	const n = 10_000
	for _, r := range []ListRange{{0, n / 2}, {n / 2, n}, {3000, 7000}, {4000, 4001}, {5, n - 5}, {1024, n}, {1025, n - 1025}, {7, 7}} {
		t.Run(fmt.Sprint(r), func(t *testing.T) {
			w, e := newScaledWorld(t)
			w.update(t, func(s *Space) error {
				l, err := s.List([]byte("l"))
				if err != nil {
					return err
				}
				return l.Push(Right, numbers(0, n)...)
			})
			e.read, e.written, e.spans = 0, 0, 0
			w.together(t, func(s *Space) error {
				l, err := s.List([]byte("l"))
				if err != nil {
					return err
				}
				if err := l.Trim(r); err != nil || r.From == r.To {
					return err
				}
				return l.Push(Left, []byte("pushed"))
			})
			singly, spans := int64(0), 0
			for _, k := range []int64{r.From, n - r.To} {
				switch {
				case r.From == r.To: // the whole key goes
					spans = 1
				case k > dropSingly:
					spans++
				default:
					singly += k
				}
			}
			if e.read > 2*65+10 || int64(e.written) > singly+10 || e.spans != spans {
				t.Errorf("%d rows read, %d rows and %d spans written; want few, few more than %d, and %d", e.read, e.written, e.spans, singly, spans)
			}
			w.audit(t)
			w.update(t, func(s *Space) error {
				got, err := listIn(s, "l")
				want := append([][]byte{[]byte("pushed")}, numbers(int(r.From), int(r.To))...)
				if r.From == r.To {
					want = nil
				}
				return expect(err, "elements", fmt.Sprintf("%q", got), fmt.Sprintf("%q", want))
			})
		})
	}
}

func TestCheapestPart(t *testing.T) {
	cases := []struct {
		gone []int64
		n    int64
		want int
	}{
		{[]int64{0}, 10, 1},
		{[]int64{9}, 10, 0},
		{[]int64{2}, 10, 1},
		{[]int64{7}, 10, 0},
		{[]int64{1, 8}, 10, 1},
		{[]int64{0, 1, 2, 9}, 10, 3},
		{[]int64{4, 5}, 7, 0},
	}
	for _, c := range cases {
		if got := cheapestPart(c.gone, c.n); got != c.want {
			t.Errorf("cheapestPart(%v, %d) = %d, want %d", c.gone, c.n, got, c.want)
		}
	}
}

// listAt makes a list of two elements whose first has the given sequence number.
func (b *listBench) listAt(t *testing.T, head int64) {
	t.Helper()
	b.update(t, 0, func(s *Space) error {
		l, err := s.List([]byte("l"))
		if err != nil {
			return err
		}
		l.head = head
		return l.Push(Right, []byte("a"), []byte("b"))
	})
}

func TestListFull(t *testing.T) {
	cases := []struct {
		name   string
		head   int64
		side   Side
		room   int
		insert int64 // where there is no room either, once the side is full
	}{
		{"left", math.MinInt64 + 2, Left, 2, 1},
		{"right", math.MaxInt64 - 4, Right, 2, 3},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := newListBench()
			defer b.close()
			b.listAt(t, c.head)
			try := func(fn func(l *List) error) error {
				return b.db.Update(context.Background(), func(tx *txn.Tx) error {
					l, err := Open(tx, 0, Env{Limits: &b.limits}).List([]byte("l"))
					if err != nil {
						return err
					}
					return fn(l)
				})
			}
			if err := try(func(l *List) error { return l.Push(c.side, numbers(0, c.room+1)...) }); !errors.Is(err, ErrListFull) {
				t.Errorf("push of one too many: got %v, want ErrListFull", err)
			}
			if err := try(func(l *List) error { return l.Push(c.side, numbers(0, c.room)...) }); err != nil {
				t.Errorf("push that fits: %v", err)
			}
			if err := try(func(l *List) error { return l.Insert(c.insert, []byte("x")) }); !errors.Is(err, ErrListFull) {
				t.Errorf("insert: got %v, want ErrListFull", err)
			}
			b.view(t, 0, func(s *Space) error {
				got, err := listIn(s, "l")
				if err == nil && len(got) != 4 {
					t.Errorf("got %q, want four elements", got)
				}
				return err
			})
		})
	}
}

// TestListDamage makes sure that a list whose rows do not agree is an error,
// never a shorter list.
func TestListDamage(t *testing.T) {
	name := []byte("\x00\x00\x00\x01l")
	damages := map[string]func(tx *txn.Tx) error{
		"an element is missing":   func(tx *txn.Tx) error { return tx.Delete(store.ListItemKey(name, 1)) },
		"the last is missing":     func(tx *txn.Tx) error { return tx.Delete(store.ListItemKey(name, 2)) },
		"the meta row is missing": func(tx *txn.Tx) error { return tx.Delete(store.ListMetaKey(name)) },
		"the meta row is cut":     func(tx *txn.Tx) error { return tx.Put(store.ListMetaKey(name), []byte("x"), 0) },
		"the meta row says empty": func(tx *txn.Tx) error { return tx.Put(store.ListMetaKey(name), make([]byte, 24), 0) },
	}
	for what, damage := range damages {
		t.Run(what, func(t *testing.T) {
			b := newListBench()
			defer b.close()
			b.fill(t, "l", 3)
			if err := b.db.Update(context.Background(), damage); err != nil {
				t.Fatal(err)
			}
			err := b.db.View(context.Background(), func(tx *txn.Tx) error {
				got, err := listIn(Open(tx, 0, Env{Limits: &b.limits}), "l")
				if err == nil {
					t.Errorf("got %q, want an error", got)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestListEncoding(t *testing.T) {
	big := bytes.Repeat([]byte("x"), 8000)
	cases := []struct {
		name    string
		setting int
		values  [][]byte
		want    string
	}{
		{"few", -2, numbers(0, 3), "listpack"},
		{"up to 8 KiB", -2, [][]byte{big, make([]byte, 174)}, "listpack"}, // 7 + 8000+5+2 + 174+2+2
		{"over 8 KiB", -2, [][]byte{big, make([]byte, 175)}, "quicklist"},
		{"4 KiB", -1, [][]byte{big}, "quicklist"},
		{"64 KiB", -5, [][]byte{big, big}, "listpack"},
		{"class out of range", -100, [][]byte{big, big}, "listpack"},
		{"entries", 3, numbers(0, 3), "listpack"},
		{"one entry more", 3, numbers(0, 4), "quicklist"},
		{"few large entries", 3, [][]byte{big, big}, "quicklist"},
		{"0 entries are 1", 0, numbers(0, 1), "listpack"},
		{"0 entries are not 2", 0, numbers(0, 2), "quicklist"},
		{"many short ones", -1, numbers(0, 1406), "quicklist"},
		{"fewer short ones", -1, numbers(0, 1405), "listpack"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			b := newListBench()
			defer b.close()
			b.limits.ListMaxListpackSize = c.setting
			b.update(t, 0, func(s *Space) error {
				l, err := s.List([]byte("l"))
				if err != nil {
					return err
				}
				if err := l.Push(Right, c.values...); err != nil {
					return err
				}
				got, _, err := s.Encoding([]byte("l"))
				if got != c.want {
					t.Errorf("got %s, want %s", got, c.want)
				}
				return err
			})
		})
	}
}

// The sizes are those that redis-server 7.0.15 reports with DEBUG LISTPACK.
func TestListpackEntrySize(t *testing.T) {
	cases := []struct {
		value string
		want  int64
	}{
		{"0", 2}, {"127", 2}, {"128", 3}, {"4095", 3}, {"4096", 4}, {"-1", 3}, {"-4096", 3}, {"-4097", 4},
		{"32767", 4}, {"32768", 5}, {"-32769", 5}, {"8388607", 5}, {"8388608", 6}, {"-8388609", 6},
		{"2147483647", 6}, {"2147483648", 10}, {"9223372036854775807", 10}, {"-9223372036854775808", 10},
		{"9223372036854775808", 21}, {"007", 5}, {"abc", 5}, {"", 2},
		{strings.Repeat("x", 64), 67}, {strings.Repeat("x", 125), 128},
		{strings.Repeat("x", 4095), 4099}, {strings.Repeat("x", 4096), 4103}, {strings.Repeat("x", 16380), 16388},
	}
	for _, c := range cases {
		if got := listpackEntrySize([]byte(c.value)); got != c.want {
			t.Errorf("%.30q of %d bytes: got %d, want %d", c.value, len(c.value), got, c.want)
		}
	}
}
