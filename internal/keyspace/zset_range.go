package keyspace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// scoreSize is the width of the score that the tail of an index row begins with.
const scoreSize = 8

// ScoreRange is an interval of scores. An end that is open is not part of it.
type ScoreRange struct {
	Min, Max         float64
	MinOpen, MaxOpen bool
}

// ZRange is a stretch of the order of a sorted set. The zero value is all of it.
type ZRange struct {
	start, end []byte // tails of index rows, [start, end); nil: no bound
	// lex, if not nil, has to be applied to each member. It picks one run of
	// members, though not every member within its bounds: see ByLex.
	lex *LexRange
}

// emptyRange holds nothing.
func emptyRange() ZRange { return ZRange{end: []byte{}} }

// ByScore is the range of the members whose scores lie in r.
func ByScore(r ScoreRange) ZRange {
	if r.Min > r.Max || r.Min == r.Max && (r.MinOpen || r.MaxOpen) {
		return emptyRange()
	}
	var out ZRange
	if r.MinOpen || !math.IsInf(r.Min, -1) {
		out.start = scoreTail(r.Min, r.MinOpen)
	}
	if r.MaxOpen || !math.IsInf(r.Max, 1) {
		out.end = scoreTail(r.Max, !r.MaxOpen)
	}
	return out
}

// scoreTail is a bound at or, if so asked, right behind all members of one score.
func scoreTail(score float64, behind bool) []byte {
	b := store.EncodeSortableFloat64(score)
	n := binary.BigEndian.Uint64(b[:])
	if behind {
		n++ // never overflows: the bytes of a score are at most those of +Inf
	}
	return binary.BigEndian.AppendUint64(nil, n)
}

// Window says which members of a range are wanted, and how.
type Window struct {
	Reverse bool  // from the highest to the lowest
	Skip    int64 // members left out at the beginning; below 0, nothing is wanted
	Limit   int64 // members at most; below 0 there is no limit
	Scores  bool  // the sign of a zero matters
}

func (w Window) order() store.Order { return store.Order(w.Reverse) }

// Slice returns the members of a range that lie in a window.
func (z *ZSet) Slice(r ZRange, w Window) ([]ScoredMember, error) {
	if w.Skip < 0 || w.Limit == 0 {
		return nil, nil
	}
	r, skip, err := z.leap(r, w)
	if err != nil {
		return nil, err
	}
	var out []ScoredMember
	err = z.walk(r, w.order(), skip, func(member []byte, score float64) bool {
		out = append(out, ScoredMember{bytes.Clone(member), score})
		return w.Limit < 0 || int64(len(out)) < w.Limit
	})
	if err == nil && w.Scores {
		err = z.signZeros(out)
	}
	return out, err
}

// leap returns what is left of a range and of the members to be skipped behind the blocks that hold nothing
// but members that are left out.
func (z *ZSet) leap(r ZRange, w Window) (left ZRange, skip int64, err error) {
	if w.Skip == 0 || r.lex != nil || !z.counted() {
		return r, w.Skip, nil
	}
	n, err := z.Len()
	if err != nil || w.Skip <= z.countLimits().block(n) {
		return r, w.Skip, err
	}
	if w.Reverse {
		rank, err := z.before(r.end, n)
		if err != nil {
			return r, 0, err
		}
		if rank -= w.Skip; rank <= 0 {
			return emptyRange(), 0, nil
		}
		s, err := z.stretchAt(rank-1, n)
		if err != nil || s.end == nil || r.end != nil && bytes.Compare(r.end, s.end) <= 0 {
			return r, w.Skip, err
		}
		r.end = s.end
		return r, s.before + s.n - rank, nil
	}
	first := int64(0)
	if r.start != nil {
		if first, err = z.before(r.start, n); err != nil {
			return r, 0, err
		}
	}
	rank := first + w.Skip
	if rank < 0 || rank >= n { // the sum may be larger than a number can be
		return emptyRange(), 0, nil
	}
	s, err := z.stretchAt(rank, n)
	if err != nil || bytes.Compare(s.start, r.start) <= 0 {
		return r, w.Skip, err
	}
	r.start = s.start
	return r, rank - s.before, nil
}

// Walk calls fn for the members of a range, in ascending order, until fn returns false. A score
// of zero comes without its sign. fn must not write; member is valid only during the call.
func (z *ZSet) Walk(r ZRange, fn func(member []byte, score float64) bool) error {
	return z.walk(r, store.Ascending, 0, fn)
}

// signZeros gives scores of zero, as the index has them, the sign that the
// members' own rows know. Hardly any set has had a minus zero.
func (z *ZSet) signZeros(members []ScoredMember) error {
	if z.entry.enc < encSigned {
		return nil
	}
	for i := range members {
		m := &members[i]
		if m.Score != 0 {
			continue
		}
		var err error
		if m.Score, _, err = z.Score(m.Member); err != nil {
			return err
		}
	}
	return nil
}

// walk calls fn for the members of a range, but for the first ones, as many as skip says, until it returns false. A score of
// zero comes without its sign; member is valid only during the call.
func (z *ZSet) walk(r ZRange, order store.Order, skip int64, fn func(member []byte, score float64) bool) error {
	if r.lex != nil {
		fn, skip = r.lex.among(order, skip, fn), 0
	}
	var bad error
	err := z.walkTailsBehind(r.start, r.end, order, skip, func(tail []byte) bool {
		if len(tail) < scoreSize {
			bad = errIndexRow(tail)
			return false
		}
		return fn(tail[scoreSize:], store.DecodeSortableFloat64([scoreSize]byte(tail)))
	})
	return errors.Join(err, bad)
}

func errIndexRow(tail []byte) error {
	return fmt.Errorf("keyspace: index row of a sorted set has %d bytes behind its key", len(tail))
}

// walkTails calls fn with what the index rows have behind the set's key.
func (z *ZSet) walkTails(start, end []byte, order store.Order, fn func(tail []byte) bool) error {
	return z.walkTailsBehind(start, end, order, 0, fn)
}

// walkTailsBehind is walkTails but for the first rows, as many as skip says. None of them expires.
func (z *ZSet) walkTailsBehind(start, end []byte, order store.Order, skip int64, fn func(tail []byte) bool) error {
	if !z.Exists() || end != nil && bytes.Compare(start, end) >= 0 {
		return nil
	}
	span, prefix := z.tailSpan(start, end)
	show := func(name []byte, _ txn.Row) bool { return fn(name[prefix:]) }
	if skip == 0 {
		return z.s.tx.Walk(span, order, show)
	}
	return z.s.tx.WalkBehind(span, order, skip, show)
}

// countTails returns how many index rows have tails in [start, end).
func (z *ZSet) countTails(start, end []byte) (int64, error) {
	if !z.Exists() || end != nil && bytes.Compare(start, end) >= 0 {
		return 0, nil
	}
	span, _ := z.tailSpan(start, end)
	return z.s.tx.Count(span)
}

// tailSpan is the span of the index rows with tails in [start, end), and the length of what their names have before those.
func (z *ZSet) tailSpan(start, end []byte) (span store.Span, prefixLen int) {
	prefix := z.s.withPrefix(store.ZSetScoreScanPrefix(z.home))
	span = store.PrefixSpan(prefix)
	if start != nil {
		span.Start = slices.Concat(prefix, start)
	}
	if end != nil {
		span.End = slices.Concat(prefix, end)
	}
	return span, len(prefix)
}

// Count returns the number of members in a range.
func (z *ZSet) Count(r ZRange) (int64, error) {
	all, err := z.Len()
	if err != nil || r.start == nil && r.end == nil && r.lex == nil {
		return all, err
	}
	if r.lex != nil {
		var n int64
		err := z.walk(r, store.Ascending, 0, func([]byte, float64) bool { n++; return true })
		return n, err
	}
	c := tailCount{start: r.start, end: r.end}
	// A part of a block is walked in the time that it takes to find two.
	if err := c.add(z, z.countLimits().block(all)/4); err != nil || c.done {
		return c.n, err
	}
	if !z.counted() {
		err := c.add(z, math.MaxInt64)
		return c.n, err
	}
	low, err := z.before(append([]byte{}, r.start...), all)
	if err != nil {
		return 0, err
	}
	high, err := z.before(r.end, all)
	return high - low, err
}

// RemoveRange removes the members of a range that lie in a window and returns them.
func (z *ZSet) RemoveRange(r ZRange, w Window) ([]ScoredMember, error) {
	out, err := z.Slice(r, w)
	if err != nil {
		return nil, err
	}
	return out, z.deleteAll(out)
}
