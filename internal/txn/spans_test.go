package txn

import (
	"slices"
	"testing"

	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/store"
)

// points are keys in order. With every bound among them, the keys from one
// point to the next are all in a set or none is: they are a cell.
var points = []string{"", "a", "a\x00", "aa", "b", "b\xff", "c", "\xff", "\xff\xff"}

// cells are those from one to, but not with, another.
type cells struct{ from, to int }

func drawCells(rt *rapid.T) cells {
	return cells{
		from: rapid.IntRange(0, len(points)-1).Draw(rt, "from"),
		to:   rapid.IntRange(0, len(points)).Draw(rt, "to"),
	}
}

func (c cells) span() store.Span {
	span := store.Span{Start: []byte(points[c.from])}
	if c.from == 0 {
		span.Start = nil
	}
	if c.to < len(points) {
		span.End = []byte(points[c.to])
	}
	return span
}

// cellsOf returns which cells lie in spans.
func cellsOf(spans []store.Span) []bool {
	in := make([]bool, len(points))
	for i, p := range points {
		in[i] = slices.ContainsFunc(spans, func(s store.Span) bool { return s.Contains([]byte(p)) })
	}
	return in
}

// TestSpanSetModel compares a set of spans with a set of cells.
func TestSpanSetModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var set spanSet
		in := make([]bool, len(points))
		for range rapid.IntRange(0, 6).Draw(rt, "spans") {
			c := drawCells(rt)
			if c.from >= c.to {
				continue
			}
			near := slices.Contains(in[max(c.from-1, 0):min(c.to+1, len(in))], true)
			if got := set.touches(c.span()); got != near {
				rt.Fatalf("%q touches %q: %v", c.span(), set.spans(), got)
			}
			before := set.spans()
			set.takeBack(c.span(), set.add(c.span()))
			if !sameSpans(before, set.spans()) {
				rt.Fatalf("%q put in and taken back out of %q leaves %q", c.span(), before, set.spans())
			}
			set.add(c.span())
			for i := c.from; i < c.to; i++ {
				in[i] = true
			}
		}
		if got := cellsOf(set.spans()); !slices.Equal(got, in) {
			rt.Fatalf("%q is %v, want %v", set.spans(), got, in)
		}
		for i, p := range points {
			if set.contains([]byte(p)) != in[i] {
				rt.Fatalf("%q contains %q: %v", set.spans(), p, !in[i])
			}
		}
		checkApart(rt, set.spans())
		checkOutside(rt, &set, in, drawCells(rt))
	})
}

// checkApart holds spans to their order and to gaps between them.
func checkApart(rt *rapid.T, spans []store.Span) {
	for i, span := range spans {
		if isEmpty(span) {
			rt.Fatalf("%q has an empty span", spans)
		}
		if i > 0 && (spans[i-1].End == nil || string(spans[i-1].End) >= string(span.Start)) {
			rt.Fatalf("%q are not apart", spans)
		}
	}
}

// checkOutside compares the parts of c outside the set, in both directions, to
// the end and stopped early.
func checkOutside(rt *rapid.T, set *spanSet, in []bool, c cells) {
	if c.from >= c.to {
		return // nobody asks for the parts of an empty span
	}
	want := make([]bool, len(points))
	for i := c.from; i < c.to; i++ {
		want[i] = !in[i]
	}
	parts := func(order store.Order, most int) (all []store.Span) {
		set.outside(c.span(), order, func(part store.Span) bool {
			all = append(all, part)
			return len(all) < most
		})
		return all
	}
	up := parts(store.Ascending, len(points))
	checkApart(rt, up)
	if got := cellsOf(up); !slices.Equal(got, want) {
		rt.Fatalf("%q outside %q is %q", c.span(), set.spans(), up)
	}
	for most := 1; most <= len(up)+1; most++ {
		first := up[:min(most, len(up))]
		if got := parts(store.Ascending, most); !sameSpans(got, first) {
			rt.Fatalf("first %d parts of %q outside %q: %q", most, c.span(), set.spans(), got)
		}
		last := slices.Clone(up[max(len(up)-most, 0):])
		slices.Reverse(last)
		if got := parts(store.Descending, most); !sameSpans(got, last) {
			rt.Fatalf("last %d parts of %q outside %q: %q, all are %q", most, c.span(), set.spans(), got, up)
		}
	}
}

func sameSpans(a, b []store.Span) bool {
	return slices.EqualFunc(a, b, func(a, b store.Span) bool {
		return string(a.Start) == string(b.Start) && string(a.End) == string(b.End) && (a.End == nil) == (b.End == nil)
	})
}
