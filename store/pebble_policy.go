package store

import (
	"bytes"
	"slices"

	"github.com/cockroachdb/pebble/v2"
)

// WithPointReads names spans of keys that are written often and looked up one by one, but hardly ever walked. It
// changes how fast they are written and walked, and nothing else.
//
// Tables keep the values of versions that are not the newest apart, so that walks over keys with many versions
// need not read them: over thirty of 100 bytes each they are more than twice as fast. But who writes a table takes a buffer of
// 32 KiB for every 8 KiB of such values, and keeps it until the table is finished. In these spans values
// stand beside their keys instead. Spans must not overlap.
func WithPointReads(spans ...Span) PebbleStoreOption {
	return func(s *pebbleStore) { s.points = spans }
}

// pointReadPolicy tells the engine how to keep the values of a table that begins at some key, and where the table has to end
// so that this is right for all of it.
func pointReadPolicy(spans []Span) pebble.SpanPolicyFunc {
	var edges [][]byte // where spans begin and end, by turns
	for _, span := range slices.SortedFunc(slices.Values(spans), func(a, b Span) int { return bytes.Compare(a.Start, b.Start) }) {
		if !span.empty() {
			lower, upper := appendSpanBounds(nil, span)
			edges = append(edges, lower, upper)
		}
	}
	return func(start []byte) (pebble.SpanPolicy, []byte, error) {
		next, at := slices.BinarySearchFunc(edges, start, compareKeys)
		if at {
			next++
		}
		policy := pebble.SpanPolicy{DisableValueSeparationBySuffix: next%2 == 1}
		if next == len(edges) {
			return policy, nil, nil
		}
		return policy, edges[next], nil
	}
}
