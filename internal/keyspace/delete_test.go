package keyspace

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// scales is an engine that weighs what it is asked for and given.
type scales struct {
	store.Engine
	read, written, spans int
}

func (e *scales) VersionAt(ctx context.Context, key []byte, ts uint64) (store.VersionedValue, bool, error) {
	e.read++
	return e.Engine.VersionAt(ctx, key, ts)
}

func (e *scales) WalkAt(ctx context.Context, span store.Span, order store.Order, ts uint64, fn func([]byte, store.VersionedValue) bool) error {
	return e.Engine.WalkAt(ctx, span, order, ts, func(key []byte, v store.VersionedValue) bool {
		e.read++
		return fn(key, v)
	})
}

func (e *scales) WalkKeeping(ctx context.Context, span store.Span, order store.Order, ts uint64, fn func([]byte, store.VersionedValue) (more, keep bool)) error {
	return e.Engine.WalkKeeping(ctx, span, order, ts, func(key []byte, v store.VersionedValue) (more, keep bool) {
		e.read++
		return fn(key, v)
	})
}

func (e *scales) Stage(ctx context.Context, commits []store.Commit) (store.Staged, error) {
	for _, c := range commits {
		e.written += len(c.Mutations)
		e.spans += len(c.Deleted)
	}
	return e.Engine.Stage(ctx, commits)
}

func newScaledWorld(t *testing.T) (*world, *scales) {
	t.Helper()
	e := &scales{Engine: store.NewMVCCStore().(store.Engine)}
	w := newWorldOver(e)
	t.Cleanup(w.close)
	return w, e
}

// makers make a key of n elements of each type that has rows, and say how many
// prefixes these have.
var makers = []struct {
	kind     Kind
	prefixes int
	make     func(s *Space, key []byte, n int) error
	len      func(s *Space, key []byte) (int64, error)
}{
	{KindHash, 1, func(s *Space, key []byte, n int) error {
		h, err := s.Hash(key)
		if err != nil {
			return err
		}
		var fields []Field
		for _, f := range numbers(0, n) {
			fields = append(fields, Field{f, f})
		}
		_, err = h.SetAll(fields...)
		return err
	}, func(s *Space, key []byte) (int64, error) {
		h, err := s.Hash(key)
		if err != nil {
			return 0, err
		}
		return h.Len()
	}},
	{KindSet, 1, func(s *Space, key []byte, n int) error { return s.StoreSet(key, numbers(0, n)) },
		func(s *Space, key []byte) (int64, error) {
			t, err := s.Set(key)
			if err != nil {
				return 0, err
			}
			return t.Len()
		}},
	{KindZSet, 2, func(s *Space, key []byte, n int) error {
		var members []ScoredMember
		for i, m := range numbers(0, n) {
			members = append(members, ScoredMember{m, float64(i)})
		}
		return s.StoreZSet(key, members)
	}, func(s *Space, key []byte) (int64, error) {
		z, err := s.ZSet(key)
		if err != nil {
			return 0, err
		}
		return z.Len()
	}},
	{KindList, 1, func(s *Space, key []byte, n int) error {
		l, err := s.List(key)
		if err != nil {
			return err
		}
		return l.Push(Right, numbers(0, n)...)
	}, func(s *Space, key []byte) (int64, error) {
		l, err := s.List(key)
		if err != nil {
			return 0, err
		}
		return l.Len(), nil
	}},
}

// TestCopyTooLarge says that a copy which does not fit into the transaction is refused before much of
// it has been read: at once, if that many rows can never fit.
func TestCopyTooLarge(t *testing.T) {
	const n = 2000
	for _, m := range makers {
		w, e := newScaledWorld(t)
		w.update(t, func(s *Space) error { return m.make(s, []byte("k"), n) })
		big := make([]byte, 1<<28-1<<18) // nobody ever touches it
		for _, c := range []struct {
			name string
			room int // bytes for each row beside what every row has
			most int // rows that may be read
		}{{"many rows", -1, 20}, {"many bytes", 1, n + 20}} {
			limits := DefaultLimits()
			err := w.db.Update(context.Background(), func(tx *txn.Tx) error {
				s := Open(tx, 0, Env{Limits: &limits})
				room := 1<<30 - 4*(len(big)+64+2)
				each := 64 + len(s.collectionPrefixes(m.kind, []byte("l"))[1]) + c.room
				for i := range 5 {
					name := fmt.Appendf(nil, "x%d", i)
					if i == 4 {
						big = big[:room-66-each*n]
					}
					if err := tx.Put(name, big, 0); err != nil {
						return err
					}
				}
				big = big[:cap(big)]
				e.read = 0
				return s.Copy([]byte("k"), s, []byte("l"))
			})
			if !errors.Is(err, txn.ErrTooLarge) {
				t.Errorf("%v: %s: %v", m.kind, c.name, err)
			}
			if e.read > c.most {
				t.Errorf("%v: %s: %d rows were read", m.kind, c.name, e.read)
			}
		}
	}
}

// goings are the ways in which the rows of a key go, and what is there then.
var goings = []struct {
	name    string
	expired bool // the key's time has passed
	do      func(s *Space, key []byte) error
	left    Kind
}{
	{"DEL", false, func(s *Space, key []byte) error { return same(true)(s.Remove(key)) }, KindNone},
	{"SET", false, func(s *Space, key []byte) error { return s.SetString(key, []byte("v"), 0) }, KindString},
	{"SET KEEPTTL", false, func(s *Space, key []byte) error { return s.OverwriteString(key, []byte("v")) }, KindString},
	{"SET in the past", false, func(s *Space, key []byte) error { return s.SetString(key, []byte("v"), 1) }, KindNone},
	{"EXPIRE in the past", false, func(s *Space, key []byte) error { return same(true)(s.SetExpiry(key, s.Now()-1)) }, KindNone},
	{"SUNIONSTORE", false, func(s *Space, key []byte) error { return s.StoreSet(key, numbers(5, 7)) }, KindSet},
	{"SUNIONSTORE of nothing", false, func(s *Space, key []byte) error { return s.StoreSet(key, nil) }, KindNone},
	{"ZUNIONSTORE", false, func(s *Space, key []byte) error { return s.StoreZSet(key, []ScoredMember{{[]byte("m"), 1}}) }, KindZSet},
	{"ZUNIONSTORE of nothing", false, func(s *Space, key []byte) error { return s.StoreZSet(key, nil) }, KindNone},
	{"RENAME", false, func(s *Space, key []byte) error { return s.Rename([]byte("string"), key) }, KindString},
	{"COPY", false, func(s *Space, key []byte) error { return s.Copy([]byte("string"), s, key) }, KindString},
	{"COPY from another database", false, func(s *Space, key []byte) error { return s.DB(7).Copy([]byte("string"), s, key) }, KindString},
	{"a look", true, func(s *Space, key []byte) error {
		kind, err := s.Kind(key)
		return expect(err, "kind", kind, KindNone)
	}, KindNone},
	{"a search", true, func(s *Space, _ []byte) error {
		n, err := s.RemoveExpired(10)
		return expect(err, "removed", n, 1)
	}, KindNone},
	{"SET of an expired key", true, func(s *Space, key []byte) error { return s.SetString(key, []byte("v"), 0) }, KindString},
}

// TestDeletionCost lets keys of all types, with few elements and many, go in all
// ways. What is read and written for that must not grow with the elements; what
// is made anew under the name in the same transaction has nothing of the old;
// and the past keeps all.
func TestDeletionCost(t *testing.T) {
	for _, m := range makers {
		for _, g := range goings {
			for _, n := range []int{1, 64, 65, 2000} {
				for _, db := range []int{0, 3} {
					t.Run(fmt.Sprint(g.name, "/", m.kind, "/", n, "/", db), func(t *testing.T) {
						d := deletion{n: n, prefixes: m.prefixes, db: db}
						d.w, d.e = newScaledWorld(t)
						d.prepare(t, m.make, g.expired)
						d.run(t, func(s *Space) error {
							if err := g.do(s, gone); err != nil {
								return err
							}
							kind, err := s.Kind(gone)
							return expect(err, "kind", kind, g.left)
						})
						d.w.audit(t)
						d.checkPast(t, m.len)
					})
				}
			}
		}
	}
}

// deletion is a key that goes.
type deletion struct {
	w           *world
	e           *scales
	n, prefixes int // elements, and prefixes of their rows
	db          int
	before      uint64 // a moment at which it was there
}

var gone = []byte("key")

// prepare makes the key, and strings beside it and in another database.
func (d *deletion) prepare(t *testing.T, make func(s *Space, key []byte, n int) error, expired bool) {
	d.w.update(t, func(s *Space) error {
		s = s.DB(d.db)
		d.before = s.tx.Now()
		return errors.Join(
			make(s, gone, d.n),
			same(true)(s.SetExpiry(gone, s.Now()+10)),
			s.SetString([]byte("string"), []byte("v"), 0),
			s.DB(7).SetString([]byte("string"), []byte("v"), 0))
	})
	if expired {
		d.w.now = d.w.now.Add(10 * time.Millisecond)
	}
}

// run lets the key go and come back as a hash, in one transaction, and weighs that.
func (d *deletion) run(t *testing.T, do func(s *Space) error) {
	d.e.read, d.e.written, d.e.spans = 0, 0, 0
	d.w.together(t,
		func(s *Space) error {
			s = s.DB(d.db)
			if err := do(s); err != nil {
				return err
			}
			if _, err := s.Remove(gone); err != nil {
				return err
			}
			h, err := s.Hash(gone)
			if err != nil {
				return err
			}
			_, err = h.Set([]byte("new"), nil)
			return errors.Join(err, onlyField(s, "new"))
		},
		func(s *Space) error { return onlyField(s.DB(d.db), "new") })
	few, spans := d.prefixes*min(d.n, 65)+40, 0
	if d.n > 64 {
		spans = d.prefixes
	}
	// Walks over the new key pass what was deleted row by row, in both transactions.
	read := 3 * few
	if d.e.read > read || d.e.written > few || d.e.spans != spans {
		t.Errorf("%d rows read, %d rows and %d spans written; want at most %d, %d and exactly %d",
			d.e.read, d.e.written, d.e.spans, read, few, spans)
	}
}

// onlyField checks that the key is a hash with one field.
func onlyField(s *Space, name string) error {
	h, err := s.Hash(gone)
	if err != nil {
		return err
	}
	if err := wantCount(1)(h.Len()); err != nil {
		return err
	}
	var got []string
	err = h.Walk(nil, func(field, _ []byte) bool {
		got = append(got, string(field))
		return true
	})
	return expect(err, "fields", fmt.Sprint(got), fmt.Sprint([]string{name}))
}

func (d *deletion) checkPast(t *testing.T, length func(s *Space, key []byte) (int64, error)) {
	err := d.w.db.ViewAt(context.Background(), d.before, func(tx *txn.Tx) error {
		return wantCount(int64(d.n))(length(Open(tx, d.db, Env{Limits: &Limits{}}), gone))
	})
	if err != nil {
		t.Errorf("at a moment before the deletion: %v", err)
	}
}

// together runs functions in transactions of one run.
func (w *world) together(t *testing.T, all ...func(s *Space) error) {
	t.Helper()
	limits := DefaultLimits()
	err := w.db.Sequence(context.Background(), func(seq *txn.Seq) {
		for _, fn := range all {
			err := seq.Do(func(tx *txn.Tx) error { return fn(w.memory.Open(tx, 0, Env{Limits: &limits, Samples: w.samples})) })
			if err != nil {
				t.Error(err)
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}

// BenchmarkDelete deletes hashes in the engine that servers use, each in a
// transaction of its own. Filling them takes much longer, so give the number of
// deletions: -bench Delete -benchtime 10x.
func BenchmarkDelete(b *testing.B) {
	for _, n := range []int{10, 1000, 100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkDelete(b, n) })
	}
}

func benchmarkDelete(b *testing.B, n int) {
	engine, err := store.NewPebbleStore(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer engine.Close()
	db := txn.NewLocal(engine.(store.Engine), hlc.New(time.Now), txn.Options{})
	defer db.Close()
	limits := DefaultLimits()
	do := func(fn func(s *Space) error) {
		err := db.Update(b.Context(), func(tx *txn.Tx) error { return fn(Open(tx, 0, Env{Limits: &limits})) })
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		b.StopTimer()
		const most = 10_000 // fields of one transaction
		for from := 0; from < n; from += most {
			do(func(s *Space) error {
				h, err := s.Hash(gone)
				if err != nil {
					return err
				}
				fields := make([]Field, 0, most)
				for _, f := range numbers(from, min(from+most, n)) {
					fields = append(fields, Field{f, f})
				}
				_, err = h.SetAll(fields...)
				return err
			})
		}
		b.StartTimer()
		do(func(s *Space) error { return same(true)(s.Remove(gone)) })
	}
}

// TestRemoveLooksAtNoElements says that what is known to have many elements is deleted without a look at any, and
// a sorted set without one at its counts.
func TestRemoveLooksAtNoElements(t *testing.T) {
	for _, m := range makers {
		w, e := newScaledWorld(t)
		w.update(t, func(s *Space) error { return m.make(s, gone, 3000) })
		e.read = 0
		w.update(t, func(s *Space) error { return same(true)(s.Remove(gone)) })
		if e.read > 6 {
			t.Errorf("%v: %d rows were read", m.kind, e.read)
		}
		w.audit(t)
	}
}

// TestRemoveContradictions removes keys whose length is missing or nonsense, and sorted sets whose counts are: all rows go.
func TestRemoveContradictions(t *testing.T) {
	for _, m := range makers {
		for _, n := range []int{3, 3000} {
			for _, length := range [][]byte{nil, []byte("nonsense")} {
				w, _ := newScaledWorld(t)
				w.update(t, func(s *Space) error {
					if err := m.make(s, gone, n); err != nil {
						return err
					}
					e, _, err := s.find(gone)
					if err != nil {
						return err
					}
					if name := s.collectionPrefixes(m.kind, gone)[0]; length == nil {
						err = s.tx.Delete(name)
					} else {
						err = s.tx.Put(name, length, 0)
					}
					if err != nil || !e.counted() {
						return err
					}
					e.body = []byte{7} // no bound is so long
					return s.tx.Put(s.entryName(gone), s.encode(e), 0)
				})
				w.update(t, func(s *Space) error { return same(true)(s.Remove(gone)) })
				w.audit(t)
			}
		}
	}
}
