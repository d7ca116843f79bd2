package store

import (
	"bytes"
	"slices"
	"sort"

	"github.com/cockroachdb/pebble/v2"
)

// WithPointReads names spans of keys that are written often and looked up one by one, but hardly ever walked. It
// changes how fast they are written and walked, and nothing else.
//
// Tables keep the values of versions that are not the newest apart, so that walks over keys with many versions
// need not read them: over thirty of 100 bytes each they are more than twice as fast. But who writes a table takes a buffer of
// 32 KiB for every 8 KiB of such values, and keeps it until the table is finished. In these spans values
// stand beside their keys instead. A table ends where such a span begins or ends, so they are to be few.
func WithPointReads(spans ...Span) PebbleStoreOption {
	return func(s *pebbleStore) { s.points = spans }
}

// pointReadPolicy tells the engine how to keep the values of a table that begins at some key, and where the table has to end
// so that this is right for all of it.
func pointReadPolicy(spans []Span) pebble.SpanPolicyFunc {
	var edges [][]byte // where spans begin and end, by turns
	for _, span := range slices.SortedFunc(slices.Values(spans), func(a, b Span) int { return bytes.Compare(a.Start, b.Start) }) {
		if span.empty() {
			continue
		}
		lower, upper := appendSpanBounds(nil, span)
		if n := len(edges); n == 0 || compareKeys(edges[n-1], lower) < 0 {
			edges = append(edges, lower, upper)
		} else if compareKeys(edges[n-1], upper) < 0 { // those that touch are one
			edges[n-1] = upper
		}
	}
	return func(start []byte) (pebble.SpanPolicy, []byte, error) {
		next := sort.Search(len(edges), func(i int) bool { return compareKeys(edges[i], start) > 0 })
		policy := pebble.SpanPolicy{DisableValueSeparationBySuffix: next%2 == 1}
		if next == len(edges) {
			return policy, nil, nil
		}
		return policy, edges[next], nil
	}
}
