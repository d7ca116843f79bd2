package keyspace

import (
	"context"
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// meter is an engine that counts the rows handed out.
type meter struct {
	store.Engine
	rows int
}

func (m *meter) VersionAt(ctx context.Context, key []byte, ts uint64) (store.VersionedValue, bool, error) {
	m.rows++
	return m.Engine.VersionAt(ctx, key, ts)
}

func (m *meter) WalkAt(ctx context.Context, span store.Span, order store.Order, ts uint64, fn func([]byte, store.VersionedValue) bool) error {
	return m.Engine.WalkAt(ctx, span, order, ts, func(key []byte, v store.VersionedValue) bool {
		m.rows++
		return fn(key, v)
	})
}

// WalkBehind counts the rows that are left out, too: whoever has no pages passes them.
func (m *meter) WalkBehind(ctx context.Context, span store.Span, order store.Order, skip int64, ts uint64, fn func([]byte, store.VersionedValue) bool) error {
	return m.WalkAt(ctx, span, order, ts, func(key []byte, v store.VersionedValue) bool {
		skip--
		return skip >= 0 || fn(key, v)
	})
}

func (m *meter) CountAt(ctx context.Context, span store.Span, ts, moment uint64) (int64, error) {
	n, err := m.Engine.CountAt(ctx, span, ts, moment)
	m.rows += int(n)
	return n, err
}

const bigLen = 3000

func bigMember(i int) []byte { return fmt.Appendf(nil, "m%05d", i) }

// newBigWorld returns a world whose key "big" is a sorted set of bigLen members, the i-th
// with the score i, on an engine that counts.
func newBigWorld(t *testing.T) (*world, *meter) {
	return newWorldOf(t, bigLen)
}

// newWorldOf is newBigWorld with another number of members.
func newWorldOf(t *testing.T, n int) (*world, *meter) {
	t.Helper()
	m := &meter{Engine: store.NewMVCCStore().(store.Engine)}
	w := &world{engine: m, now: time.UnixMilli(1_700_000_000_000)}
	w.db = txn.NewLocal(m, hlc.New(func() time.Time { return w.now }), txn.Options{})
	t.Cleanup(w.close)
	w.update(t, func(s *Space) error {
		z, err := s.ZSet([]byte("big"))
		for i := 0; i < n && err == nil; i++ {
			_, err = z.Set(bigMember(i), float64(i))
		}
		return err
	})
	return w, m
}

// TestZSetCost holds operations on a few members of a large set to a few rows.
func TestZSetCost(t *testing.T) {
	w, m := newBigWorld(t)
	cost := func(name string, most int, fn func(s *Space, z *ZSet) error) {
		m.rows = 0
		w.update(t, func(s *Space) error {
			z, err := s.ZSet([]byte("big"))
			if err != nil {
				return err
			}
			return fn(s, z)
		})
		if m.rows > most {
			t.Errorf("%s: %d rows, want at most %d", name, m.rows, most)
		}
	}
	slice := func(r ZRange, w Window) func(*Space, *ZSet) error {
		return func(_ *Space, z *ZSet) error {
			got, err := z.Slice(r, w)
			if err == nil && int64(len(got)) != w.Limit {
				err = fmt.Errorf("%d members, want %d", len(got), w.Limit)
			}
			return err
		}
	}
	byRank := func(first, last int64, w Window) func(*Space, *ZSet) error {
		return func(_ *Space, z *ZSet) error { _, err := z.ByRank(first, last, w); return err }
	}
	rank := func(i int) func(*Space, *ZSet) error {
		return func(_ *Space, z *ZSet) error {
			r, ok, err := z.Rank(bigMember(i))
			if err == nil && (!ok || r.Before != int64(i) || r.Behind != int64(bigLen-1-i)) {
				err = fmt.Errorf("rank of %d: %+v, %v", i, r, ok)
			}
			return err
		}
	}
	cost("first ten", 13, byRank(0, 9, Window{Scores: true}))
	cost("last ten", 13, byRank(-10, -1, Window{}))
	cost("highest ten", 13, byRank(0, 9, Window{Reverse: true}))
	cost("lowest ten from above", 13, byRank(-10, -1, Window{Reverse: true}))
	cost("by score", 15, slice(ByScore(ScoreRange{Min: 1500, Max: 1509}), Window{Limit: 10}))
	cost("by score from above", 15, slice(ByScore(ScoreRange{Min: 0, Max: 2000, MaxOpen: true}), Window{Reverse: true, Limit: 10}))
	cost("rank of the first", 80, rank(0))
	cost("rank of the last", 150, rank(bigLen-1))
	for i := 0; i < bigLen; i += 100 {
		cost(fmt.Sprintf("rank of the member %d", i), 550, rank(i))
		cost(fmt.Sprintf("ten from rank %d", i), 280, byRank(int64(i), int64(i+9), Window{}))
	}
	cost("score", 4, func(_ *Space, z *ZSet) error { _, _, err := z.Score(bigMember(7)); return err })
	cost("length", 4, func(_ *Space, z *ZSet) error { _, err := z.Count(ZRange{}); return err })
	cost("by score from the middle to the end", 700, func(_ *Space, z *ZSet) error {
		n, err := z.Count(ByScore(ScoreRange{Min: 1000, Max: 1e9}))
		return expectZ(err, "members", n, bigLen-1000)
	})
	cost("new score", 8, func(_ *Space, z *ZSet) error { _, err := z.Set(bigMember(7), 7.5); return err })
	cost("new member", 8, func(_ *Space, z *ZSet) error { _, err := z.Set([]byte("new"), 1); return err })
	cost("delete", 8, func(_ *Space, z *ZSet) error { _, err := z.Delete([]byte("new")); return err })
	cost("common with a small one", 20, func(s *Space, _ *ZSet) error {
		if err := s.StoreZSet([]byte("small"), []ScoredMember{{bigMember(1), 1}, {[]byte("other"), 1}}); err != nil {
			return err
		}
		ops, err := operands(s, "big", "small")
		if err != nil {
			return err
		}
		n, err := InterLen(ops, 0)
		return expectZ(err, "common", n, 1)
	})
	cost("difference from a large one", 20, func(s *Space, _ *ZSet) error {
		ops, err := operands(s, "small", "big")
		if err != nil {
			return err
		}
		got, err := Diff(ops)
		return sameScored(err, got, []ScoredMember{{[]byte("other"), 1}})
	})
	cost("difference from a small one", bigLen+20, func(s *Space, _ *ZSet) error {
		ops, err := operands(s, "big", "small")
		if err != nil {
			return err
		}
		got, err := Diff(ops)
		return expectZ(err, "left", len(got), bigLen-1)
	})
}

func operands(s *Space, keys ...string) ([]Operand, error) {
	var out []Operand
	for _, key := range keys {
		o, err := s.Operand([]byte(key))
		if err != nil {
			return nil, err
		}
		out = append(out, o)
	}
	return out, nil
}

func TestBigZSetRanks(t *testing.T) {
	w, _ := newBigWorld(t)
	w.update(t, func(s *Space) error {
		z, err := s.ZSet([]byte("big"))
		if err != nil {
			return err
		}
		for i := 0; i < bigLen; i += 7 {
			r, ok, err := z.Rank(bigMember(i))
			if err != nil || !ok || r.Before != int64(i) || r.Behind != int64(bigLen-1-i) || r.Score != float64(i) {
				return fmt.Errorf("rank of %d: %+v, %v, %v", i, r, ok, err)
			}
		}
		for _, first := range []int64{0, 100, bigLen / 2, bigLen - 3} {
			got, err := z.ByRank(first, first+1, Window{})
			want := []ScoredMember{{bigMember(int(first)), float64(first)}, {bigMember(int(first) + 1), float64(first + 1)}}
			if err := sameScored(err, got, want); err != nil {
				t.Errorf("from %d: %v", first, err)
			}
		}
		return nil
	})
}

// TestBigZSetsTogether has operands of several pages.
func TestBigZSetsTogether(t *testing.T) {
	w, _ := newBigWorld(t)
	w.update(t, func(s *Space) error {
		var odd []ScoredMember
		for i := 1; i < 2*bigLen; i += 2 {
			odd = append(odd, ScoredMember{bigMember(i), 0.5})
		}
		if err := s.StoreZSet([]byte("odd"), odd); err != nil {
			return err
		}
		ops, err := operands(s, "odd", "big")
		if err != nil {
			return err
		}
		common, err := Inter(ops, Sum)
		if err != nil || len(common) != bigLen/2 {
			return fmt.Errorf("%d common members, %v", len(common), err)
		}
		for i, m := range common {
			if want := float64(2*i) + 1.5; m.Score != want || string(m.Member) != string(bigMember(2*i+1)) {
				return fmt.Errorf("common member %d is %q with %v", i, m.Member, m.Score)
			}
		}
		n, err := InterLen(ops, 1200)
		if err := expectZ(err, "limited", n, 1200); err != nil {
			t.Error(err)
		}
		all, err := Union(ops, Max)
		if err := expectZ(err, "union", len(all), bigLen+bigLen/2); err != nil {
			t.Error(err)
		}
		rest, err := Diff(ops)
		return expectZ(err, "difference", len(rest), bigLen/2)
	})
}

func TestBigZSetIsRemovedAsAWhole(t *testing.T) {
	w, _ := newBigWorld(t)
	w.update(t, func(s *Space) error {
		z, err := s.ZSet([]byte("big"))
		if err != nil {
			return err
		}
		got, err := z.RemoveRange(ByScore(ScoreRange{Min: math.Inf(-1), Max: math.Inf(1)}), Window{Limit: -1})
		if err := expectZ(err, "removed", len(got), bigLen); err != nil || z.Exists() {
			t.Errorf("there: %v, %v", z.Exists(), err)
		}
		_, err = z.Set([]byte("again"), 1)
		n, _ := z.Len()
		return expectZ(err, "length", n, 1)
	})
	w.audit(t)
}

func TestZSetRefusesNaN(t *testing.T) {
	w := newWorld()
	defer w.close()
	w.update(t, func(s *Space) error {
		z, err := s.ZSet([]byte("z"))
		if err != nil {
			return err
		}
		if _, err := z.Set([]byte("a"), math.NaN()); !errors.Is(err, ErrNaN) {
			t.Errorf("Set: %v, want ErrNaN", err)
		}
		if err := s.StoreZSet([]byte("z"), []ScoredMember{{[]byte("a"), math.NaN()}}); !errors.Is(err, ErrNaN) {
			t.Errorf("StoreZSet: %v, want ErrNaN", err)
		}
		_, err = s.ZSet([]byte("z"))
		return err
	})
	w.audit(t)
}

// TestDamagedZSetRowsAreErrors has a score of the wrong size, and an index row
// too short to hold one.
func TestDamagedZSetRowsAreErrors(t *testing.T) {
	w := newWorld()
	defer w.close()
	key := []byte("z")
	set := func(t *testing.T, damage func(tx *txn.Tx) error, read func(z *ZSet) error) {
		t.Helper()
		err := w.db.Update(context.Background(), func(tx *txn.Tx) error {
			s := Open(tx, 0, Env{Limits: &zsetModelLimits})
			z, err := s.ZSet(key)
			if err != nil {
				return err
			}
			if _, err := z.Set([]byte("a"), 1); err != nil {
				return err
			}
			if err := damage(tx); err != nil {
				return err
			}
			return read(z)
		})
		if err == nil || errors.Is(err, ErrWrongType) {
			t.Errorf("got %v, want an error that says what is wrong", err)
		}
	}
	badScore := func(tx *txn.Tx) error { return tx.Put(store.ZSetMemberKey(key, []byte("a")), []byte{1, 2}, 0) }
	badIndex := func(tx *txn.Tx) error { return tx.Put(append(store.ZSetScoreScanPrefix(key), 0, 1), nil, 0) }
	walkNames := func(z *ZSet) error { return z.WalkNames(nil, func([]byte, float64) bool { return true }) }
	set(t, badScore, func(z *ZSet) error { _, _, err := z.Score([]byte("a")); return err })
	set(t, badScore, walkNames)
	set(t, badIndex, func(z *ZSet) error { _, err := z.Slice(ZRange{}, Window{Limit: -1}); return err })
	set(t, badIndex, func(z *ZSet) error {
		_, err := z.ByLex(LexRange{Min: LexBound{Member: key}, Max: LexBound{Beyond: 1}})
		return err
	})
}

func TestZSetRandom(t *testing.T) {
	w, _ := newBigWorld(t)
	var state uint64 = 1
	rnd := Random(func() uint64 { // an xorshift generator with a fixed seed
		state ^= state << 13
		state ^= state >> 7
		state ^= state << 17
		return state * 0x2545F4914F6CDD1D
	})
	w.update(t, func(s *Space) error {
		z, err := s.ZSet([]byte("big"))
		if err != nil {
			return err
		}
		right := func(m ScoredMember) error {
			score, ok, err := z.Score(m.Member)
			if err != nil || !ok || score != m.Score {
				return fmt.Errorf("%q with %v is not in the set: %v, %v, %v", m.Member, m.Score, score, ok, err)
			}
			return nil
		}
		one, ok, err := z.Random(rnd)
		if err := errors.Join(err, right(one)); err != nil || !ok {
			t.Errorf("Random: %v, %v", ok, err)
		}
		for _, k := range []int64{0, 1, 10, bigLen, bigLen + 1} {
			got, err := z.Sample(k, rnd)
			seen := map[string]bool{}
			for _, m := range got {
				seen[string(m.Member)] = true
				err = errors.Join(err, right(m))
			}
			if want := int(min(k, bigLen)); err != nil || len(got) != want || len(seen) != want {
				t.Errorf("Sample(%d): %d members, %d different, %v", k, len(got), len(seen), err)
			}
		}
		drawn := 0
		err = z.Draw(5000, rnd, func(m ScoredMember) error { drawn++; return right(m) })
		return expectZ(err, "drawn", drawn, 5000)
	})
}

// TestZSetCounts grows sets to several groups of counts, of the sizes that servers have, and takes them apart again
// in different ways.
func TestZSetCounts(t *testing.T) {
	n := 40_000
	if testing.Short() {
		n = 12_000
	}
	name := func(i int) []byte { return bigMember(i * 7919 % n) } // not in the order of scores
	ways := []struct {
		name string
		step func(z *ZSet) (int, error) // removes some members and says how many
	}{
		{"from the front", func(z *ZSet) (int, error) {
			out, err := z.RemoveRange(ZRange{}, Window{Limit: 97})
			return len(out), err
		}},
		{"from the end", func(z *ZSet) (int, error) {
			out, err := z.RemoveRange(ZRange{}, Window{Limit: 501, Reverse: true})
			return len(out), err
		}},
		{"from the middle", func(z *ZSet) (int, error) {
			n, err := z.Len()
			if err != nil {
				return 0, err
			}
			return z.RemoveByRank(n/2, n/2+2000)
		}},
		{"here and there", func(z *ZSet) (int, error) {
			removed := 0
			err := z.s.Atomically(func() error {
				all, err := z.Slice(ZRange{}, Window{Limit: -1})
				for i := 0; i < len(all) && err == nil; i += 3 {
					_, err = z.Delete(all[i].Member)
					removed++
				}
				return err
			})
			return removed, err
		}},
	}
	for _, way := range ways {
		t.Run(way.name, func(t *testing.T) {
			w, _ := newWorldOf(t, n)
			w.audit(t)
			w.update(t, func(s *Space) error { // from scores in the order of names to others
				z, err := s.ZSet([]byte("big"))
				for i := 0; i < n && err == nil; i += 2 {
					_, err = z.Set(name(i), float64(i))
				}
				return err
			})
			w.audit(t)
			for left := n; left > 0; {
				for range 10 {
					w.update(t, func(s *Space) error {
						z, err := s.ZSet([]byte("big"))
						if err != nil {
							return err
						}
						gone, err := way.step(z)
						left -= gone
						if got, _ := z.Len(); got != int64(left) {
							t.Fatalf("%d members, want %d", got, left)
						}
						return err
					})
				}
				w.audit(t)
			}
		})
	}
}

// TestCopiedCounts copies and renames a set with counts, within a database and to another.
func TestCopiedCounts(t *testing.T) {
	w, m := newBigWorld(t)
	w.update(t, func(s *Space) error {
		return errors.Join(
			s.Copy([]byte("big"), s, []byte("copy")),
			s.Copy([]byte("big"), s.DB(3), []byte("big")),
			s.Rename([]byte("copy"), []byte("renamed")))
	})
	w.audit(t)
	w.update(t, func(s *Space) error {
		for _, of := range []struct {
			s   *Space
			key string
		}{{s, "renamed"}, {s.DB(3), "big"}} {
			z, err := of.s.ZSet([]byte(of.key))
			if err != nil {
				return err
			}
			m.rows = 0
			r, ok, err := z.Rank(bigMember(1500))
			if err != nil || !ok || r.Before != 1500 || m.rows > 550 {
				t.Errorf("%q: %+v, %v, %v in %d rows", of.key, r, ok, err, m.rows)
			}
			if _, err := z.Set([]byte("new"), 1500.5); err != nil {
				return err
			}
		}
		return nil
	})
	w.audit(t)
	w.update(t, func(s *Space) error { return errors.Join(s.Flush(), s.DB(3).Flush()) })
	w.audit(t)
}
