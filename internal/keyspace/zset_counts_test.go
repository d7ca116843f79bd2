package keyspace

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// counts checks that the counts of a sorted set, if it has any, are those of its index: each block has
// as many members as it says and none is empty.
func (a *auditor) counts(s *Space, key []byte, e entry) error {
	if !e.counted() {
		return nil
	}
	z := &ZSet{collection{s: s, key: key, entry: e}}
	bounds, err := z.countBounds()
	if err != nil {
		return fmt.Errorf("bounds of %q: %w", key, err)
	}
	var blocks []countBlock
	for _, bound := range bounds {
		name := z.countName(bound)
		a.owned[string(name)] = true
		row, err := z.counts(name)
		if err != nil {
			return fmt.Errorf("counts of %q from %q on: %w", key, bound, err)
		}
		more, err := parseCounts(row, bound)
		if err != nil {
			return fmt.Errorf("counts of %q from %q on: %w", key, bound, err)
		}
		blocks = append(blocks, more...)
	}
	for i, b := range blocks {
		var end []byte
		if i+1 < len(blocks) {
			end = blocks[i+1].bound
		}
		if end != nil && bytes.Compare(b.bound, end) >= 0 {
			return fmt.Errorf("counts of %q: a block from %q to %q", key, b.bound, end)
		}
		var n int64
		if err := z.walkTails(b.bound, end, store.Ascending, func([]byte) bool { n++; return true }); err != nil {
			return err
		}
		if n != b.n || n == 0 {
			return fmt.Errorf("counts of %q: %d members from %q to %q, counted %d", key, n, b.bound, end, b.n)
		}
	}
	return nil
}

// TestCountBytes has the bytes of the counts of a set of seven members, three to a block and two blocks to a row.
func TestCountBytes(t *testing.T) {
	w := newWorld()
	defer w.close()
	w.update(t, func(s *Space) error {
		s.shared.limits = &Limits{ZSetCounts: CountLimits{From: 2, Block: 4, Row: 3}}
		var members []ScoredMember
		for i := range 7 {
			members = append(members, ScoredMember{fmt.Appendf(nil, "member %d", i), 1})
		}
		return s.StoreZSet([]byte("k"), members)
	})
	w.view(t, func(s *Space) error {
		var got []string
		for _, prefix := range []string{entryPrefix, countPrefix} {
			err := s.tx.Walk(store.PrefixSpan([]byte(prefix)), store.Ascending, func(name []byte, r txn.Row) bool {
				got = append(got, fmt.Sprintf("%q %s", name, hex.EncodeToString(r.Value)))
				return true
			})
			if err != nil {
				return err
			}
		}
		want := []string{
			`"!redis|key|k" 240010bff00000000000006d656d6265722036`,
			`"!zs|cnt|\x00\x00\x00\x01k" 030010bff00000000000006d656d626572203303`,
			`"!zs|cnt|\x00\x00\x00\x01k\xbf\xf0\x00\x00\x00\x00\x00\x00member 6" 01`,
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%q\nwant\n%q", got, want)
		}
		return nil
	})
	w.audit(t)
}

// TestDamagedCountsAreErrors has rows and bounds of counts that are missing or nonsense.
func TestDamagedCountsAreErrors(t *testing.T) {
	damages := map[string]func(z *ZSet) error{
		"no row":     func(z *ZSet) error { return z.s.tx.Delete(z.countName(nil)) },
		"no blocks":  func(z *ZSet) error { return z.s.tx.Put(z.countName(nil), nil, 0) },
		"half a row": func(z *ZSet) error { return z.s.tx.Put(z.countName(nil), []byte{1, 0, 9}, 0) },
		"no members": func(z *ZSet) error { return z.s.tx.Put(z.countName(nil), []byte{0}, 0) },
		"bounds":     func(z *ZSet) error { z.entry.body = []byte{7}; return nil },
	}
	uses := map[string]func(z *ZSet) error{
		"rank":   func(z *ZSet) error { _, _, err := z.Rank([]byte("3")); return err },
		"range":  func(z *ZSet) error { _, err := z.ByRank(3, 3, Window{}); return err },
		"count":  func(z *ZSet) error { _, err := z.Count(ByScore(ScoreRange{Min: 1, Max: 8})); return err },
		"delete": func(z *ZSet) error { _, err := z.Delete([]byte("3")); return err },
		"move": func(z *ZSet) error {
			_, err := z.Set([]byte("3"), 7)
			return err
		},
	}
	limits := Limits{ZSetCounts: CountLimits{From: 2, Block: 4, Row: 3}}
	for damage, do := range damages {
		for use, fn := range uses {
			if damage == "no members" && use != "delete" && use != "move" {
				continue // nothing tells that the number is wrong
			}
			w := newWorld()
			err := w.db.Update(context.Background(), func(tx *txn.Tx) error {
				s := Open(tx, 0, Env{Limits: &limits})
				var members []ScoredMember
				for i, m := range numbers(0, 10) {
					members = append(members, ScoredMember{m, float64(i)})
				}
				if err := s.StoreZSet([]byte("k"), members); err != nil {
					return err
				}
				z, err := s.ZSet([]byte("k"))
				if err != nil {
					return err
				}
				if err := do(z); err != nil {
					return err
				}
				return fn(z)
			})
			if !errors.Is(err, errCounts) {
				t.Errorf("%s: %s: %v, want an error that says what is wrong", damage, use, err)
			}
			w.close()
		}
	}
}

// TestCountsOfSequences fills sets from one end: what is left behind is full, so that there are few blocks and rows.
func TestCountsOfSequences(t *testing.T) {
	const n, block, row = 4000, 16, 8
	for name, score := range map[string]func(i int) float64{
		"rising":  func(i int) float64 { return float64(i) },
		"falling": func(i int) float64 { return float64(-i) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			defer w.close()
			w.update(t, func(s *Space) error {
				s.shared.limits = &Limits{ZSetCounts: CountLimits{From: 2, Block: block, Row: row}}
				z, err := s.ZSet([]byte("k"))
				if err != nil {
					return err
				}
				for i := range n {
					if _, err := z.Set(fmt.Appendf(nil, "%08d", i), score(i)); err != nil {
						return err
					}
				}
				bounds, err := z.countBounds()
				blocks := 0
				for _, b := range bounds {
					r, err := z.counts(z.countName(b))
					if err != nil {
						return err
					}
					some, err := parseCounts(r, b)
					if err != nil {
						return err
					}
					blocks += len(some)
				}
				if most := n / block * 5 / 4; blocks > most || len(bounds) > most/row*5/4 {
					t.Errorf("%d blocks in %d rows, want at most %d and %d", blocks, len(bounds), most, most/row*5/4)
				}
				return err
			})
			w.audit(t)
		})
	}
}

// FuzzCounts parses rows and bounds that may be anything. What is accepted means the same when it is written again.
func FuzzCounts(f *testing.F) {
	f.Add(encodeCounts([]countBlock{{[]byte{}, 300}, {[]byte("ab"), 1}, {[]byte("abc"), 5}, {[]byte("b"), 2}}), []byte("ac"))
	f.Add(encodeCountBounds([][]byte{{}, []byte("a"), []byte("ab")}), []byte("aa"))
	f.Fuzz(func(t *testing.T, b, tail []byte) {
		if bounds, err := parseCountBounds(b); err == nil {
			again, err := parseCountBounds(encodeCountBounds(bounds))
			if err != nil || !slices.EqualFunc(bounds, again, bytes.Equal) {
				t.Fatalf("%q again: %q, %v", bounds, again, err)
			}
			found, err := countBoundOf(b, tail)
			if want := bounds[lastNotAbove(tail, len(bounds), func(i int) []byte { return bounds[i] })]; err != nil || !bytes.Equal(found, want) {
				t.Fatalf("bound of %q in %q: %q, %v", tail, bounds, found, err)
			}
		}
		blocks, err := parseCounts(b, nil)
		sum, bad := sumCounts(b) // of what is no row it may make anything
		if err != nil {
			return
		}
		var all int64
		for _, block := range blocks {
			all += block.n
		}
		if bad != nil || sum != all {
			t.Fatalf("summed: %d, %v, want %d", sum, bad, all)
		}
		at := lastNotAbove(tail, len(blocks), func(i int) []byte { return blocks[i].bound })
		changed, n, err := addCount(b, nil, tail, 1)
		more, again := sumCounts(changed)
		if err != nil || again != nil || n != blocks[at].n+1 || more != sum+1 {
			t.Fatalf("one more at %q: %d of %d, %v, %v", tail, n, more, err, again)
		}
		blocks[at].n++
		same, err := parseCounts(changed, nil)
		if err != nil || !slices.EqualFunc(same, blocks, func(a, b countBlock) bool { return a.n == b.n && bytes.Equal(a.bound, b.bound) }) {
			t.Fatalf("got %v, want %v", same, blocks)
		}
	})
}
