package keyspace

import (
	"bytes"
	"slices"

	"github.com/elastickv/elastickv/store"
)

// ByRank returns the members from rank first to rank last, both included, in
// the order of the window, whose Skip and Limit do not count. Ranks below 0 are
// counted from the end. It walks from whichever end of the set is nearer.
func (z *ZSet) ByRank(first, last int64, w Window) ([]ScoredMember, error) {
	n, err := z.Len()
	if err != nil {
		return nil, err
	}
	if first < 0 {
		first = max(first+n, 0)
	}
	if last < 0 {
		last += n
	}
	if last = min(last, n-1); first > last {
		return nil, nil
	}
	w.Skip, w.Limit = first, last-first+1
	if behind := n - 1 - last; behind < first {
		w.Reverse, w.Skip = !w.Reverse, behind
		out, err := z.Slice(ZRange{}, w)
		slices.Reverse(out)
		return out, err
	}
	return z.Slice(ZRange{}, w)
}

// RemoveByRank removes the members that ByRank returns, and returns their number.
func (z *ZSet) RemoveByRank(first, last int64) (int, error) {
	out, err := z.ByRank(first, last, Window{})
	if err != nil {
		return 0, err
	}
	return len(out), z.deleteAll(out)
}

// Rank is the place of a member in the order of a sorted set.
type Rank struct {
	Before, Behind int64 // members
	Score          float64
}

// Rank returns the place of a member and whether it is in the set. It walks
// from both ends in turns, so it costs about what the nearer one does.
func (z *ZSet) Rank(member []byte) (Rank, bool, error) {
	score, ok, err := z.Score(member)
	if err != nil || !ok {
		return Rank{}, false, err
	}
	n, err := z.Len()
	if err != nil {
		return Rank{}, false, err
	}
	b := store.EncodeSortableFloat64(score)
	at := append(b[:], member...)
	front := tailCount{end: at}
	back := tailCount{start: append(bytes.Clone(at), 0), order: store.Descending}
	for step := int64(64); ; step *= 2 {
		if err := front.add(z, step); err != nil {
			return Rank{}, false, err
		}
		if front.done {
			return Rank{Before: front.n, Behind: n - 1 - front.n, Score: score}, true, nil
		}
		if err := back.add(z, step); err != nil {
			return Rank{}, false, err
		}
		if back.done {
			return Rank{Before: n - 1 - back.n, Behind: back.n, Score: score}, true, nil
		}
	}
}

// tailCount counts the index rows in [start, end), part by part.
type tailCount struct {
	start, end []byte // what has not been counted yet
	order      store.Order
	n          int64
	done       bool
}

// add counts at most limit rows more.
func (c *tailCount) add(z *ZSet, limit int64) error {
	var next []byte // the first row that was not counted
	err := z.walkTails(c.start, c.end, c.order, func(tail []byte) bool {
		if limit == 0 {
			next = bytes.Clone(tail)
			return false
		}
		limit--
		c.n++
		return true
	})
	switch {
	case next == nil:
		c.done = err == nil
	case c.order == store.Ascending:
		c.start = next
	default:
		c.end = append(next, 0)
	}
	return err
}
