package keyspace

import (
	"bytes"
	"slices"

	"github.com/elastickv/elastickv/store"
)

// LexBound is one end of a LexRange.
type LexBound struct {
	Member []byte
	Open   bool // Member is not part of the range
	// Beyond says that the bound lies, whatever Member is, before all members
	// (below 0) or behind all of them (above 0).
	Beyond int
}

// LexRange is an interval of names.
type LexRange struct{ Min, Max LexBound }

// ByLex is the range of the members whose names lie in r, for a set whose
// members all have one score. In any other set a range of names is no stretch
// of the order; then it holds what Redis answers for a small set: from the
// first member that is not below r, in the direction of the walk, up to the
// first one that is above.
func (z *ZSet) ByLex(r LexRange) (ZRange, error) {
	if r.empty() {
		return emptyRange(), nil
	}
	if r.Min.Beyond < 0 && r.Max.Beyond > 0 {
		return ZRange{}, nil
	}
	first, err := z.end(store.Ascending)
	if err != nil || first == nil {
		return emptyRange(), err
	}
	last, err := z.end(store.Descending)
	if err != nil {
		return emptyRange(), err
	}
	if score := first[:scoreSize]; bytes.Equal(score, last[:scoreSize]) {
		return r.within(score), nil
	}
	if r.passed(first[scoreSize:], store.Ascending) || r.passed(last[scoreSize:], store.Descending) {
		return emptyRange(), nil
	}
	return ZRange{lex: &r}, nil
}

// end returns the tail of the first index row in an order, nil if there is none.
func (z *ZSet) end(order store.Order) ([]byte, error) {
	var tail []byte
	err := z.walkTails(nil, nil, order, func(t []byte) bool {
		tail = bytes.Clone(t)
		return false
	})
	if err == nil && tail != nil && len(tail) < scoreSize {
		return nil, errIndexRow(tail)
	}
	return tail, err
}

func (r *LexRange) empty() bool {
	if r.Min.Beyond > 0 || r.Max.Beyond < 0 {
		return true
	}
	if r.Min.Beyond < 0 || r.Max.Beyond > 0 {
		return false
	}
	c := bytes.Compare(r.Min.Member, r.Max.Member)
	return c > 0 || c == 0 && (r.Min.Open || r.Max.Open)
}

// within is the range among the members of one score.
func (r *LexRange) within(score []byte) ZRange {
	zero := []byte{0} // what follows a name directly is the name with a zero behind it
	out := ZRange{start: score, end: scoreTail(store.DecodeSortableFloat64([scoreSize]byte(score)), true)}
	switch {
	case r.Min.Beyond < 0:
	case r.Min.Open:
		out.start = slices.Concat(score, r.Min.Member, zero)
	default:
		out.start = slices.Concat(score, r.Min.Member)
	}
	switch {
	case r.Max.Beyond > 0:
	case r.Max.Open:
		out.end = slices.Concat(score, r.Max.Member)
	default:
		out.end = slices.Concat(score, r.Max.Member, zero)
	}
	return out
}

// among returns a function for a walk over all members in an order that calls fn for those of the range, but for as many of the first as skip says.
func (r *LexRange) among(order store.Order, skip int64, fn func(member []byte, score float64) bool) func(member []byte, score float64) bool {
	inRun := false
	return func(member []byte, score float64) bool {
		if !inRun && !r.reached(member, order) {
			return true
		}
		inRun = true
		if r.passed(member, order) {
			return false
		}
		skip--
		return skip >= 0 || fn(member, score)
	}
}

// reached reports whether member is not before the range, seen in an order.
func (r *LexRange) reached(member []byte, order store.Order) bool {
	if order == store.Descending {
		return r.Max.admits(bytes.Compare(r.Max.Member, member))
	}
	return r.Min.admits(bytes.Compare(member, r.Min.Member))
}

// passed reports whether member is behind the range, seen in an order.
func (r *LexRange) passed(member []byte, order store.Order) bool {
	return !r.reached(member, !order)
}

// admits takes the comparison of a member with the bound, positive on the
// side of the range. Only for bounds of a range that is not empty.
func (b LexBound) admits(cmp int) bool { return b.Beyond != 0 || cmp > 0 || cmp == 0 && !b.Open }
