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
	z := &ZSet{s.collection(key, e)}
	bounds, err := z.countBounds()
	if err != nil {
		return fmt.Errorf("bounds of %q: %w", key, err)
	}
	length, err := z.Len()
	if err != nil {
		return err
	}
	totals, err := z.countTotals(length, len(bounds))
	if err != nil {
		return fmt.Errorf("totals of %q: %w", key, err)
	}
	a.owned[string(z.countName(countTotalsRow, nil))] = len(bounds) > 1
	var blocks []countBlock
	for i, bound := range bounds {
		for _, kind := range []byte{countBoundsRow, countMembersRow} {
			a.owned[string(z.countName(kind, bound))] = true
		}
		more, err := z.countGroup(bound)
		if err != nil {
			return fmt.Errorf("counts of %q from %q on: %w", key, bound, err)
		}
		if n := membersOf(more); n != totals[i] {
			return fmt.Errorf("counts of %q from %q on: %d members, in total %d", key, bound, n, totals[i])
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

// TestCountBytes has the bytes of the counts of a set of seven members, three to a block and two blocks to a group.
func TestCountBytes(t *testing.T) {
	w := newWorld()
	defer w.close()
	w.update(t, func(s *Space) error {
		s.shared.limits = &Limits{ZSetCounts: CountLimits{From: 2, Block: 4, Group: 3}}
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
			`"!zs|cnt|\x00\x00\x00\x01kb" 0010bff00000000000006d656d6265722033`,
			`"!zs|cnt|\x00\x00\x00\x01kb\xbf\xf0\x00\x00\x00\x00\x00\x00member 6" 10bff00000000000006d656d6265722036`,
			`"!zs|cnt|\x00\x00\x00\x01kg" 0000000600000001`,
			`"!zs|cnt|\x00\x00\x00\x01kn" 00030003`,
			`"!zs|cnt|\x00\x00\x00\x01kn\xbf\xf0\x00\x00\x00\x00\x00\x00member 6" 0001`,
		}
		if !slices.Equal(got, want) {
			t.Errorf("got\n%q\nwant\n%q", got, want)
		}
		return nil
	})
	w.audit(t)
}

// TestPointReads says that the rows of counts are among those that are only looked up, and that no others are, in any database.
func TestPointReads(t *testing.T) {
	w := newWorld()
	defer w.close()
	spans := PointReads()
	for _, db := range []int{0, 7} {
		w.update(t, func(s *Space) error {
			s = s.DB(db)
			s.shared.limits = &Limits{ZSetCounts: CountLimits{From: 2, Block: 4, Group: 3}}
			return s.StoreZSet([]byte("k"), []ScoredMember{{[]byte("a"), 1}, {[]byte("b"), 2}, {[]byte("c"), 3}})
		})
	}
	w.view(t, func(s *Space) error {
		return s.tx.Walk(store.Span{}, store.Ascending, func(name []byte, _ txn.Row) bool {
			inside := slices.ContainsFunc(spans, func(span store.Span) bool { return span.Contains(name) })
			if counts := bytes.Contains(name, []byte(countPrefix)); inside != counts {
				t.Errorf("row %q: inside is %v", name, inside)
			}
			return true
		})
	})
}

// TestDamagedCountsAreErrors has rows and bounds of counts that are missing or nonsense.
func TestDamagedCountsAreErrors(t *testing.T) {
	put := func(kind byte, row ...byte) func(*ZSet) error {
		return func(z *ZSet) error { return z.s.tx.Put(z.countName(kind, nil), row, 0) }
	}
	damages := map[string]func(z *ZSet) error{
		"no row":             func(z *ZSet) error { return z.s.tx.Delete(z.countName(countMembersRow, nil)) },
		"no row of bounds":   func(z *ZSet) error { return z.s.tx.Delete(z.countName(countBoundsRow, nil)) },
		"no blocks":          put(countMembersRow),
		"half a number":      put(countMembersRow, 0, 3, 0),
		"a block too few":    put(countMembersRow, 0, 3),
		"no members":         put(countMembersRow, 0, 0, 0, 0),
		"no bounds":          put(countBoundsRow),
		"half a bound":       put(countBoundsRow, 0, 7),
		"another's bounds":   put(countBoundsRow, 1, 0xf0, 1, 0xff),
		"no totals":          func(z *ZSet) error { return z.s.tx.Delete(z.countName(countTotalsRow, nil)) },
		"half a total":       put(countTotalsRow, 0, 0),
		"wrong totals":       put(countTotalsRow, 0, 0, 0, 3, 0, 0, 0, 20),
		"bounds of all rows": func(z *ZSet) error { z.entry.body = []byte{7}; return nil },
	}
	uses := map[string]func(z *ZSet) error{
		"rank":   func(z *ZSet) error { _, _, err := z.Rank([]byte("3")); return err },
		"range":  func(z *ZSet) error { _, err := z.ByRank(40, 40, Window{}); return err },
		"count":  func(z *ZSet) error { _, err := z.Count(ByScore(ScoreRange{Min: 1, Max: 50})); return err },
		"delete": func(z *ZSet) error { _, err := z.Delete([]byte("3")); return err },
		"move": func(z *ZSet) error {
			_, err := z.Set([]byte("3"), 47)
			return err
		},
	}
	limits := Limits{ZSetCounts: CountLimits{From: 2, Block: 40, Group: 3}}
	for damage, do := range damages {
		for use, fn := range uses {
			if !noticed(damage, use) {
				continue
			}
			w := newWorld()
			err := w.db.Update(context.Background(), func(tx *txn.Tx) error {
				s := Open(tx, 0, Env{Limits: &limits})
				var members []ScoredMember
				for i, m := range numbers(0, 80) {
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

// noticed reports whether a use of damaged counts needs what is damaged.
func noticed(damage, use string) bool {
	switch damage {
	case "a block too few", "wrong totals":
		return use != "delete" && use != "move" // which need one number
	}
	return true
}

// TestCountsOfSequences fills sets from one end: what is left behind is full, so that there are few blocks and groups.
func TestCountsOfSequences(t *testing.T) {
	const n, block, group = 4000, 16, 8
	for name, score := range map[string]func(i int) float64{
		"rising":  func(i int) float64 { return float64(i) },
		"falling": func(i int) float64 { return float64(-i) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			defer w.close()
			w.update(t, func(s *Space) error {
				s.shared.limits = &Limits{ZSetCounts: CountLimits{From: 2, Block: block, Group: group}}
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
					some, err := z.countGroup(b)
					if err != nil {
						return err
					}
					blocks += len(some)
				}
				if most := n / block * 5 / 4; blocks > most || len(bounds) > most/group*5/4 {
					t.Errorf("%d blocks in %d groups, want at most %d and %d", blocks, len(bounds), most, most/group*5/4)
				}
				return err
			})
			w.audit(t)
		})
	}
}

// FuzzCounts parses the rows of a group that may be anything. What is accepted means the same when it is written again.
func FuzzCounts(f *testing.F) {
	f.Add(encodeCountBounds([][]byte{{}, []byte("a"), []byte("ab")}), encodeCounts([]countBlock{{n: 300}, {n: 1}, {n: 65535}}), []byte("aa"))
	f.Add([]byte{1}, []byte{1}, []byte{})
	f.Fuzz(func(t *testing.T, list, row, tail []byte) {
		bounds, err := parseCountBounds(list, nil)
		if err != nil {
			return
		}
		again, err := parseCountBounds(encodeCountBounds(bounds), nil)
		if err != nil || !slices.EqualFunc(bounds, again, bytes.Equal) {
			t.Fatalf("%q again: %q, %v", bounds, again, err)
		}
		at := lastNotAbove(tail, len(bounds), func(i int) []byte { return bounds[i] })
		if found, bound, err := lastCountBound(list, tail); err != nil || found != at || !bytes.Equal(bound, bounds[at]) {
			t.Fatalf("bound of %q in %q: %q, the %d., %v", tail, bounds, bound, found, err)
		}
		blocks, err := parseCounts(row, bounds)
		if err != nil {
			return
		}
		if again := encodeCounts(blocks); !bytes.Equal(again, row) {
			t.Fatalf("%x again: %x", row, again)
		}
		changed, n, err := addCount(row, at, 1)
		if blocks[at].n == 1<<16-1 {
			if !errors.Is(err, errCounts) {
				t.Fatalf("one more than a number can be: %d, %v", n, err)
			}
			return
		}
		more, bad := parseCounts(changed, bounds)
		if err != nil || bad != nil || n != blocks[at].n+1 || membersOf(more) != membersOf(blocks)+1 {
			t.Fatalf("one more at %q: %d of %d, %v, %v", tail, n, membersOf(more), err, bad)
		}
	})
}
