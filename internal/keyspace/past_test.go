package keyspace

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/txn"
)

// moment is what there was at one moment.
type moment struct {
	ts   uint64
	said string
}

// say writes all that is known of the keys of the test: lengths, orders, ranks, and the size of the database.
func say(s *Space) (string, error) {
	var out strings.Builder
	for _, key := range []string{"l", "k"} { // the second is empty or another's
		l, err := s.List([]byte(key))
		if err != nil {
			return "", err
		}
		fmt.Fprintf(&out, "%s has %d:", key, l.Len())
		for i := range l.Len() {
			v, ok, err := l.Index(i)
			if err != nil || !ok {
				return "", fmt.Errorf("element %d of %d: %v, %w", i, l.Len(), ok, err)
			}
			fmt.Fprintf(&out, " %s", v)
		}
		out.WriteByte('\n')
	}
	set, err := s.Set([]byte("s"))
	if err != nil {
		return "", err
	}
	n, err := set.Len()
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&out, "s has %d\n", n)
	h, err := s.Hash([]byte("h"))
	if err != nil {
		return "", err
	}
	if n, err = h.Len(); err != nil {
		return "", err
	}
	fmt.Fprintf(&out, "h has %d\n", n)
	z, err := s.ZSet([]byte("z"))
	if err != nil {
		return "", err
	}
	all, err := z.ByRank(0, -1, Window{})
	if err != nil {
		return "", err
	}
	if n, err = z.Len(); err != nil || n != int64(len(all)) {
		return "", fmt.Errorf("of %d members %d are found: %w", n, len(all), err)
	}
	for i, m := range all {
		r, ok, err := z.Rank(m.Member)
		if err != nil || !ok || r.Before != int64(i) || r.Behind != n-1-int64(i) {
			return "", fmt.Errorf("member %d of %d has %d before and %d behind, %v, %w", i, n, r.Before, r.Behind, ok, err)
		}
		one, err := z.ByRank(int64(i), int64(i), Window{})
		if err != nil || len(one) != 1 || string(one[0].Member) != string(m.Member) {
			return "", fmt.Errorf("at rank %d there is %v, not %s: %w", i, one, m.Member, err)
		}
		fmt.Fprintf(&out, "%s %v, ", m.Member, m.Score)
	}
	below, err := z.Count(ByScore(ScoreRange{Min: -1, Max: 20}))
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&out, "%d below 20\n", below)
	size, err := s.Size()
	if err != nil {
		return "", err
	}
	fmt.Fprintf(&out, "%d keys, %d expire, %d moved\n", size.Keys, size.Expires, size.Moved)
	return out.String(), nil
}

// What lengths, counts and sizes say of a moment of the past is true, although of those between two runs there is no version.
func TestPast(t *testing.T) {
	for seed := range uint64(5) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) { checkPast(t, seed) })
	}
}

func checkPast(t *testing.T, seed uint64) {
	w := newWorld()
	defer w.close()
	limits := DefaultLimits()
	limits.ZSetCounts = CountLimits{From: 8, Block: 4, Group: 3}
	rnd := seeded(seed)
	list := func(key string, fn func(*List) error) func(*Space) error {
		return func(s *Space) error {
			l, err := s.List([]byte(key))
			if err != nil {
				return err
			}
			return fn(l)
		}
	}
	zset := func(fn func(*ZSet) error) func(*Space) error {
		return func(s *Space) error {
			z, err := s.ZSet([]byte("z"))
			if err != nil {
				return err
			}
			return fn(z)
		}
	}
	name := func(n int64) []byte { return fmt.Append(nil, "m", rnd.below(n)) }
	steps := []func(*Space) error{
		list("l", func(l *List) error { return l.Push(Side(rnd.chance(.5)), name(100)) }),
		list("l", func(l *List) error { return l.Push(Side(rnd.chance(.5)), name(100), name(100)) }),
		list("l", func(l *List) error { _, err := l.Pop(Side(rnd.chance(.5)), 1+rnd.below(3)); return err }),
		func(s *Space) error { return s.StoreSet([]byte("s"), numbered("x", int(rnd.below(5)))) },
		func(s *Space) error {
			set, err := s.Set([]byte("s"))
			if err != nil {
				return err
			}
			_, err = set.Add(name(20), name(20))
			return err
		},
		func(s *Space) error {
			h, err := s.Hash([]byte("h"))
			if err != nil {
				return err
			}
			_, err = h.Set(name(20), []byte("v"))
			return err
		},
		func(s *Space) error {
			h, err := s.Hash([]byte("h"))
			if err != nil {
				return err
			}
			_, err = h.ExpireFields([][]byte{name(20), name(20)}, func(_ int, _ int64, there bool) (int64, bool) { return s.Now() + 1 + rnd.below(3000), there })
			return err
		},
		zset(func(z *ZSet) error { _, err := z.Set(name(60), float64(rnd.below(40))); return err }),
		zset(func(z *ZSet) error { _, err := z.Set(name(60), float64(rnd.below(40))); return err }),
		zset(func(z *ZSet) error { _, err := z.Delete(name(60)); return err }),
		zset(func(z *ZSet) error { _, err := z.RemoveByRank(0, rnd.below(3)); return err }),
		func(s *Space) error { _, err := s.Remove([]byte{"lszh"[rnd.below(4)]}); return err },
		func(s *Space) error { return s.SetString([]byte(fmt.Append(nil, "str", rnd.below(5))), []byte("v"), 0) },
		func(s *Space) error { _, err := s.Remove(fmt.Append(nil, "str", rnd.below(5))); return err },
	}
	var moments []moment
	for range 30 {
		w.now = w.now.Add(time.Second)
		err := w.db.Sequence(context.Background(), func(seq *txn.Seq) {
			for range 1 + rnd.below(30) {
				step := rnd.below(int64(len(steps)) + 10)
				if step >= int64(len(steps)) {
					step = 7 // so that the sorted set grows
				}
				var m moment
				err := seq.Do(func(tx *txn.Tx) (err error) {
					s := w.memory.Open(tx, 0, Env{Limits: &limits})
					if err = steps[step](s); err != nil {
						return err
					}
					m.ts = tx.Now()
					m.said, err = say(s)
					return err
				})
				if err != nil {
					t.Error(err)
				}
				moments = append(moments, m)
			}
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	counted := false
	for _, m := range moments {
		err := w.db.ViewAt(context.Background(), m.ts, func(tx *txn.Tx) error {
			s := Open(tx, 0, Env{Limits: &limits})
			z, err := s.ZSet([]byte("z"))
			if err != nil {
				return err
			}
			counted = counted || z.entry.counted()
			got, err := say(s)
			if err == nil && got != m.said {
				err = fmt.Errorf("said is\n%s, want\n%s", got, m.said)
			}
			return err
		})
		if err != nil {
			t.Fatalf("at %d: %v", m.ts, err)
		}
	}
	if !counted {
		t.Error("the sorted set has never had counts")
	}
}
