package store

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestPointReadPolicy has spans that touch, overlap, hold nothing or have no end, in any order.
func TestPointReadPolicy(t *testing.T) {
	span := func(start, end string) Span { return Span{Start: []byte(start), End: []byte(end)} }
	policy := pointReadPolicy([]Span{span("m", "n"), span("d", "f"), span("b", "c"), span("c", "d"), span("e", "e"), span("b", "bb"), {Start: []byte("x")}})
	for _, want := range []struct {
		start, end string
		point      bool
	}{
		{"", "b", false}, {"a", "b", false}, {"b", "f", true}, {"c", "f", true}, {"ez", "f", true}, {"f", "m", false},
		{"m", "n", true}, {"n", "x", false}, {"x", "end", true}, {"zz", "end", true},
	} {
		for _, start := range [][]byte{appendKeyBound(nil, []byte(want.start)), appendVersionKey(nil, []byte(want.start), 7)} {
			got, end, err := policy(start)
			wantEnd := appendKeyBound(nil, []byte(want.end))
			if want.end == "end" {
				wantEnd = appendDataEnd(nil)
			}
			if err != nil || got.DisableValueSeparationBySuffix != want.point || !bytes.Equal(end, wantEnd) || compareKeys(start, end) >= 0 {
				t.Errorf("from %q on: %+v up to %q, %v; want %v up to %q", want.start, got, end, err, want.point, want.end)
			}
		}
	}
	if got, end, err := policy(appendDataEnd(nil)); err != nil || end != nil || got != (pebble.SpanPolicy{}) {
		t.Errorf("behind all: %+v up to %q, %v", got, end, err)
	}
	if got, end, err := pointReadPolicy(nil)([]byte{1}); err != nil || end != nil || got != (pebble.SpanPolicy{}) {
		t.Errorf("without spans: %+v up to %q, %v", got, end, err)
	}
}

// TestPointReads writes many versions of keys inside and outside of spans that are read by the key alone: only outside are old
// values kept apart, in whatever table, and all can be read.
func TestPointReads(t *testing.T) {
	ctx := context.Background()
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithVersionCacheSize(-1),
		WithPointReads(PrefixSpan([]byte("p|")), PrefixSpan([]byte("e|")), Span{Start: []byte("x"), End: []byte("x")}))
	keys := []string{"a|1", "e|1", "e|2", "f", "p|1", "p|2", "x", "z|1"}
	const versions = 50
	value := func(key string, ts uint64) []byte { return fmt.Appendf(nil, "%s at %d", key, ts) }
	for ts := uint64(1); ts <= versions; ts++ {
		for _, key := range keys {
			if err := s.PutAt(ctx, []byte(key), value(key, ts), ts, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	check := func(t *testing.T) {
		t.Helper()
		levels, err := s.db.SSTables(pebble.WithProperties())
		if err != nil {
			t.Fatal(err)
		}
		tables := map[bool]int{}
		for _, level := range levels {
			for _, table := range level {
				first, _, err := parseVersionKey(table.Smallest.UserKey)
				if err != nil {
					continue // of the engine's own rows
				}
				last, _, err := parseVersionKey(table.Largest.UserKey)
				if err != nil {
					t.Fatal(err)
				}
				point := first[0] == 'p' || first[0] == 'e'
				if point && first[0] != last[0] {
					t.Errorf("a table from %q to %q", first, last)
				}
				if apart := table.Properties.NumValuesInValueBlocks > 0; apart == point {
					t.Errorf("table from %q to %q: %d values are kept apart", first, last, table.Properties.NumValuesInValueBlocks)
				}
				tables[point]++
			}
		}
		if tables[true] < 2 || tables[false] < 2 {
			t.Errorf("%d tables of such spans and %d others", tables[true], tables[false])
		}
		for _, key := range keys {
			for ts := uint64(1); ts <= versions; ts++ {
				if got, err := s.GetAt(ctx, []byte(key), ts); err != nil || !bytes.Equal(got, value(key, ts)) {
					t.Fatalf("%s at %d: %q, %v", key, ts, got, err)
				}
			}
		}
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	t.Run("flushed", check)
	lower, upper := appendSpanBounds(nil, Span{})
	if err := s.db.Compact(ctx, lower, upper, false); err != nil {
		t.Fatal(err)
	}
	t.Run("compacted", check)
}
