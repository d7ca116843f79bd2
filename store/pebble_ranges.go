package store

import (
	"bytes"
	"slices"
	"sort"

	"github.com/tidwall/btree"
)

// rangeTombstone deletes every key of a span at one timestamp, at the cost of one
// row. It deletes what is older than ts and nothing that is written later; a write
// at exactly ts stands above it. It is a version of exactly those keys that it finds
// alive: at another key it leaves no trace.
type rangeTombstone struct {
	span    Span // not empty
	ts      uint64
	expired bool // what has expired by ts counts as alive, too
}

// rangeMark is a range tombstone as one fragment of the keys has it.
type rangeMark struct {
	ts      uint64
	expired bool
}

// rangeFragment is a span of keys that the same range tombstones cover.
type rangeFragment struct {
	span Span
	// marks are strictly rising by ts, and never modified. None: nothing covers the span.
	// Behind its end an index may have more of the same fragment, which is why only the newest
	// index adds to them, and why no two fragments of one share the room behind.
	marks []rangeMark
}

// over returns what a read at ts sees of a key in f whose newest version at or below
// ts is v: v, or the tombstone that has come over it. That is the lowest
// one above v, because a key that is deleted once is not deleted again.
func (f rangeFragment) over(v VersionedValue, ts uint64) VersionedValue {
	if v.Tombstone {
		return v
	}
	i := sort.Search(len(f.marks), func(i int) bool { return f.marks[i].ts > v.TS })
	for ; i < len(f.marks) && f.marks[i].ts <= ts; i++ {
		if m := f.marks[i]; m.expired || shown(v, m.ts) {
			return VersionedValue{TS: m.ts, Tombstone: true}
		}
	}
	return v
}

// highest returns the highest timestamp, at or below ts, of a tombstone that leaves
// nothing below it: neither a value nor, if expired is set, one that has expired.
func (f rangeFragment) highest(ts uint64, expired bool) (uint64, bool) {
	for i := len(f.marks) - 1; i >= 0; i-- {
		if m := f.marks[i]; m.ts <= ts && (m.expired || !expired) {
			return m.ts, true
		}
	}
	return 0, false
}

// rangeIndex holds all range tombstones, cut into fragments that do not overlap.
// It never changes: with adds to a copy, and only to the newest one. A nil index is one without tombstones.
//
// It is in memory, and not left to the engine's range keys, because reads are served by
// the cache of newest versions, which has to know them too; because an iterator over
// range keys costs every read something as soon as there is one; and
// because there are few: a prefix with few keys is deleted key by key.
type rangeIndex struct {
	fragments *btree.BTreeG[rangeFragment] // by start; every one has a mark
	low, high uint64                       // lowest and highest timestamp
}

func newRangeTree() *btree.BTreeG[rangeFragment] {
	return btree.NewBTreeGOptions(func(a, b rangeFragment) bool { return bytes.Compare(a.span.Start, b.span.Start) < 0 },
		btree.Options{NoLocks: true})
}

// with returns an index that has fresh tombstones besides.
func (x *rangeIndex) with(fresh []rangeTombstone) *rangeIndex {
	if len(fresh) == 0 {
		return x
	}
	next := &rangeIndex{low: maxTS}
	if x == nil {
		next.fragments = newRangeTree()
	} else {
		next.fragments = x.fragments.Copy()
		next.low, next.high = x.low, x.high
	}
	for _, t := range fresh {
		next.add(t)
	}
	return next
}

// len returns the number of fragments.
func (x *rangeIndex) len() int {
	if x == nil {
		return 0
	}
	return x.fragments.Len()
}

// newerThan reports whether there is any tombstone above ts.
func (x *rangeIndex) newerThan(ts uint64) bool { return x != nil && x.high > ts }

// marksAbove reports whether a tombstone above ts covers some of span.
func (x *rangeIndex) marksAbove(span Span, ts uint64) (found bool) {
	if !x.newerThan(ts) {
		return false
	}
	x.each(span, func(f rangeFragment) bool {
		found = f.marks[len(f.marks)-1].ts > ts
		return !found
	})
	return found
}

// add is for with alone.
func (x *rangeIndex) add(t rangeTombstone) {
	start := t.span.Start
	if start == nil {
		start = []byte{}
	}
	x.split(start)
	if t.span.End != nil {
		x.split(t.span.End)
	}
	var inside []rangeFragment
	x.fragments.Ascend(rangeFragment{span: Span{Start: start}}, func(f rangeFragment) bool {
		if t.span.End != nil && bytes.Compare(f.span.Start, t.span.End) >= 0 {
			return false
		}
		inside = append(inside, f)
		return true
	})
	mark := rangeMark{t.ts, t.expired}
	at := start
	for _, f := range inside {
		if bytes.Compare(at, f.span.Start) < 0 {
			x.fragments.Set(rangeFragment{Span{at, f.span.Start}, []rangeMark{mark}})
		}
		x.fragments.Set(rangeFragment{f.span, withMark(f.marks, mark)})
		if at = f.span.End; at == nil {
			break
		}
	}
	if at != nil && (t.span.End == nil || bytes.Compare(at, t.span.End) < 0) {
		x.fragments.Set(rangeFragment{Span{at, t.span.End}, []rangeMark{mark}})
	}
	x.low, x.high = min(x.low, t.ts), max(x.high, t.ts)
}

// withMark returns marks with m in its place, which is mostly behind all others: a key that is
// overwritten all the time has many.
func withMark(marks []rangeMark, m rangeMark) []rangeMark {
	if marks[len(marks)-1].ts < m.ts {
		return append(marks, m)
	}
	i := sort.Search(len(marks), func(i int) bool { return marks[i].ts >= m.ts })
	out := append(make([]rangeMark, 0, len(marks)+1), marks[:i]...)
	if i < len(marks) && marks[i].ts == m.ts {
		m.expired = m.expired || marks[i].expired
		i++
	}
	return append(append(out, m), marks[i:]...)
}

// split makes key a boundary of fragments.
func (x *rangeIndex) split(key []byte) {
	f := x.at(key)
	if len(f.marks) == 0 || bytes.Equal(f.span.Start, key) {
		return
	}
	marks := slices.Clip(f.marks)
	x.fragments.Set(rangeFragment{Span{f.span.Start, key}, marks})
	x.fragments.Set(rangeFragment{Span{key, f.span.End}, marks})
}

// at returns the fragment that key lies in, be it one without marks.
func (x *rangeIndex) at(key []byte) rangeFragment {
	if x == nil {
		return rangeFragment{span: Span{Start: []byte{}}}
	}
	// The copy is for the tree, so that callers without range tombstones keep key on their stack.
	pivot := rangeFragment{span: Span{Start: cloneBytes(key)}}
	below := rangeFragment{span: Span{Start: []byte{}, End: []byte{}}}
	x.fragments.Descend(pivot, func(f rangeFragment) bool {
		below = f
		return false
	})
	if below.span.End == nil || bytes.Compare(key, below.span.End) < 0 {
		return below
	}
	free := rangeFragment{span: Span{Start: below.span.End}}
	x.fragments.Ascend(pivot, func(f rangeFragment) bool {
		free.span.End = f.span.Start
		return false
	})
	return free
}

// over is rangeFragment.over for the fragment of key.
func (x *rangeIndex) over(key []byte, v VersionedValue, ts uint64) VersionedValue {
	if !x.newerThan(v.TS) || v.Tombstone || ts < x.low {
		return v
	}
	return x.at(key).over(v, ts)
}

// each calls fn for the fragments that have something in common with span, lowest
// first, until it returns false.
func (x *rangeIndex) each(span Span, fn func(f rangeFragment) bool) {
	if x == nil || span.empty() {
		return
	}
	from := rangeFragment{span: Span{Start: span.Start}}
	if f := x.at(span.Start); len(f.marks) > 0 {
		from.span.Start = f.span.Start
	}
	x.fragments.Ascend(from, func(f rangeFragment) bool {
		return (span.End == nil || bytes.Compare(f.span.Start, span.End) < 0) && fn(f)
	})
}

// rangeCursor remembers the fragment of the last key: walks ask for one key after the other.
type rangeCursor struct {
	index *rangeIndex
	at    rangeFragment
	known bool
}

// fragment returns the fragment of key.
func (c *rangeCursor) fragment(key []byte) rangeFragment {
	if !c.known || !c.at.span.Contains(key) {
		c.at, c.known = c.index.at(key), true
	}
	return c.at
}

// over is rangeIndex.over.
func (c *rangeCursor) over(key []byte, v VersionedValue, ts uint64) VersionedValue {
	if !c.index.newerThan(v.TS) || v.Tombstone || ts < c.index.low {
		return v
	}
	return c.fragment(key).over(v, ts)
}
