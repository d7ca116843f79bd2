package store

import (
	"bytes"
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

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
