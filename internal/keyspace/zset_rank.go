package keyspace

import (
	"bytes"
	"slices"

	"github.com/elastickv/elastickv/store"
)

// ByRank returns the members from rank first to rank last, both included, in
// the order of the window, whose Skip and Limit do not count. Ranks below 0 are
// counted from the end. It walks from the nearer end of the set, or of the blocks
// that the first and the last are in.
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
	w.Limit = last - first + 1
	if w.Reverse {
		first, last = n-1-last, n-1-first
	}
	low := stretch{n: n}
	if min(first, n-first) > nearEnd {
		if low, err = z.stretchAt(first, n); err != nil {
			return nil, err
		}
	}
	high := low
	if last >= low.before+low.n {
		if high, err = z.stretchAt(last, n); err != nil {
			return nil, err
		}
	}
	wanted, r := w.Reverse, ZRange{start: low.start}
	w.Reverse, w.Skip = false, first-low.before
	if behind := high.before + high.n - 1 - last; behind < w.Skip/backwardCost {
		w.Reverse, w.Skip, r = true, behind, ZRange{end: high.end}
	}
	out, err := z.Slice(r, w)
	if w.Reverse != wanted {
		slices.Reverse(out)
	}
	return out, err
}

// nearEnd is how many members are passed in about the time that it takes to look up counts.
const nearEnd = 32

// backwardCost is in how many steps forwards a walk takes the time of one backwards.
const backwardCost = 2

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

// Rank returns the place of a member and whether it is in the set. Within the
// member's block, or in a set without counts, it costs about what the way from the
// nearer end does.
func (z *ZSet) Rank(member []byte) (Rank, bool, error) {
	score, ok, err := z.Score(member)
	if err != nil || !ok {
		return Rank{}, false, err
	}
	n, err := z.Len()
	if err != nil {
		return Rank{}, false, err
	}
	before, err := z.before(indexTail(member, score), n)
	return Rank{Before: before, Behind: n - 1 - before, Score: score}, err == nil, err
}

// before returns how many of the n members stand before tail; nil is the end.
func (z *ZSet) before(tail []byte, n int64) (int64, error) {
	if tail == nil {
		return n, nil
	}
	s, err := z.stretchOf(tail, n)
	if err != nil {
		return 0, err
	}
	k, err := s.below(z, tail)
	return s.before + k, err
}

// stretch is a part of the order of a sorted set.
type stretch struct {
	start, end []byte // tails of index rows, [start, end); an end that is nil is no bound
	n          int64  // members
	before     int64  // members before it
}

func (s stretch) holds(tail []byte) bool {
	return bytes.Compare(s.start, tail) <= 0 && (s.end == nil || bytes.Compare(tail, s.end) < 0)
}

// below returns how many members of s, which holds tail, stand before it. In a set without counts, and at
// the end of any, it walks from both ends in turns, so that the nearer one counts. A block within is
// walked from its start: each walk begins with a search, and one backwards takes twice as long.
func (s stretch) below(z *ZSet, tail []byte) (int64, error) {
	if s.end != nil {
		return z.countTails(s.start, tail)
	}
	front := tailCount{start: s.start, end: tail}
	back := tailCount{start: tail, end: s.end, order: store.Descending}
	for step := int64(64); ; step *= 2 {
		if err := front.add(z, step); err != nil || front.done {
			return front.n, err
		}
		if err := back.add(z, step); err != nil || back.done {
			return s.n - back.n, err
		}
	}
}

// stretchOf returns the block that tail lies in, of a set of n members.
func (z *ZSet) stretchOf(tail []byte, n int64) (stretch, error) {
	bounds, err := z.countBounds()
	if err != nil || bounds == nil {
		return stretch{n: n}, err
	}
	return z.find(n, bounds, func(s stretch) bool { return s.holds(tail) })
}

// stretchAt returns the block with the member of the given rank, of a set of n.
func (z *ZSet) stretchAt(rank, n int64) (stretch, error) {
	bounds, err := z.countBounds()
	if err != nil || bounds == nil {
		return stretch{n: n}, err
	}
	return z.find(n, bounds, func(s stretch) bool { return s.before <= rank && rank < s.before+s.n })
}

// find returns the block that fits, of a set of n members whose groups have the given bounds. The group with it fits, too.
func (z *ZSet) find(n int64, bounds [][]byte, fits func(stretch) bool) (stretch, error) {
	totals, err := z.countTotals(n, len(bounds))
	if err != nil {
		return stretch{}, err
	}
	s := stretch{}
	for i, bound := range bounds {
		s.start, s.end, s.n = bound, nil, totals[i]
		if i+1 < len(bounds) {
			s.end = bounds[i+1]
		}
		if fits(s) {
			return s.block(z, fits)
		}
		s.before += s.n
	}
	return stretch{}, errCounts
}

// block returns the block of a group, which s is, that fits.
func (s stretch) block(z *ZSet, fits func(stretch) bool) (stretch, error) {
	blocks, err := z.countGroup(s.start)
	if err != nil {
		return stretch{}, err
	}
	if membersOf(blocks) != s.n {
		return stretch{}, errCounts
	}
	b := stretch{before: s.before}
	for i := range blocks {
		b.start, b.end, b.n = blocks[i].bound, s.end, blocks[i].n
		if i+1 < len(blocks) {
			b.end = blocks[i+1].bound
		}
		if fits(b) {
			return b, nil
		}
		b.before += b.n
	}
	return stretch{}, errCounts
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
