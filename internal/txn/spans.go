package txn

import (
	"bytes"

	"github.com/tidwall/btree"

	"github.com/elastickv/elastickv/store"
)

// spanSet is a set of keys, kept as spans. The zero set is empty.
type spanSet struct {
	tree *btree.BTreeG[store.Span] // by start; no two overlap or touch; nil if there never was one
}

// add puts every key of span, which must not be empty, into the set. It returns
// the spans of the set that have become one with it, for takeBack.
func (s *spanSet) add(span store.Span) (joined []store.Span) {
	if s.tree == nil {
		s.tree = btree.NewBTreeGOptions(func(a, b store.Span) bool { return bytes.Compare(a.Start, b.Start) < 0 },
			btree.Options{NoLocks: true})
	}
	s.touching(span, func(o store.Span) bool {
		joined = append(joined, o)
		return true
	})
	for _, o := range joined {
		s.tree.Delete(o)
		if bytes.Compare(o.Start, span.Start) < 0 {
			span.Start = o.Start
		}
		if span.End != nil && (o.End == nil || bytes.Compare(o.End, span.End) > 0) {
			span.End = o.End
		}
	}
	s.tree.Set(span)
	return joined
}

// takeBack undoes an add of span that has returned joined, if no other came after it.
func (s *spanSet) takeBack(span store.Span, joined []store.Span) {
	s.tree.Delete(s.floor(span.Start))
	for _, o := range joined {
		s.tree.Set(o)
	}
}

// contains reports whether key is in the set.
func (s *spanSet) contains(key []byte) bool { return s.floor(key).Contains(key) }

// touches reports whether span, which must not be empty, overlaps or adjoins the set.
func (s *spanSet) touches(span store.Span) (found bool) {
	s.touching(span, func(store.Span) bool {
		found = true
		return false
	})
	return found
}

// floor returns the last span that begins at or before key, or an empty one at key.
func (s *spanSet) floor(key []byte) store.Span {
	found := store.Span{Start: key, End: []byte{}}
	if s.tree != nil {
		s.tree.Descend(store.Span{Start: key}, func(o store.Span) bool {
			found = o
			return false
		})
	}
	return found
}

// touching calls fn with the spans that overlap or adjoin span, in ascending
// order, until it returns false. fn must not change the set.
func (s *spanSet) touching(span store.Span, fn func(store.Span) bool) {
	if s.tree == nil {
		return
	}
	s.tree.Ascend(s.floor(span.Start), func(o store.Span) bool {
		switch {
		case span.End != nil && bytes.Compare(o.Start, span.End) > 0:
			return false
		case o.End != nil && bytes.Compare(o.End, span.Start) < 0:
			return true
		}
		return fn(o)
	})
}

// outside calls fn with the parts of span that are not in the set, in the given
// order, until it returns false. fn must not change the set.
func (s *spanSet) outside(span store.Span, order store.Order, fn func(store.Span) bool) {
	switch {
	case s.tree == nil:
		fn(span)
	case order == store.Ascending:
		s.outsideUp(span, fn)
	default:
		s.outsideDown(span, fn)
	}
}

func (s *spanSet) outsideUp(span store.Span, fn func(store.Span) bool) {
	more := true
	s.touching(span, func(o store.Span) bool {
		if bytes.Compare(o.Start, span.Start) > 0 && !fn(store.Span{Start: span.Start, End: o.Start}) {
			more = false
			return false
		}
		span.Start, more = o.End, o.End != nil // behind an unbounded span there is nothing
		return more
	})
	if more && !isEmpty(span) {
		fn(span)
	}
}

func (s *spanSet) outsideDown(span store.Span, fn func(store.Span) bool) {
	more := true
	down := func(o store.Span) bool {
		if o.End != nil && bytes.Compare(o.End, span.Start) <= 0 {
			return false
		}
		above := store.Span{Start: o.End, End: span.End}
		if o.End != nil && !isEmpty(above) && !fn(above) {
			more = false
			return false
		}
		span.End, more = o.Start, len(o.Start) > 0 // a nil end would be unbounded
		return more
	}
	if span.End == nil {
		s.tree.Reverse(down)
	} else {
		s.tree.Descend(store.Span{Start: span.End}, down)
	}
	if more && !isEmpty(span) {
		fn(span)
	}
}

// spans returns the set as spans in ascending order.
func (s *spanSet) spans() []store.Span {
	if s.tree == nil {
		return nil
	}
	return s.tree.Items()
}

// isEmpty reports whether no key lies in span.
func isEmpty(span store.Span) bool {
	return span.End != nil && bytes.Compare(span.Start, span.End) >= 0
}
