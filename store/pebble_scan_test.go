package store

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestScanManyVersions scans keys with one version and with many, at every
// timestamp and in both directions, in the memtable and in tables.
func TestScanManyVersions(t *testing.T) {
	ctx := context.Background()
	const versionsMost = 4 * scanStepsMost
	s := openMem(t)
	// Key n has versions at 10, 20, … up to n times; every fifth is a tombstone.
	keyAt := func(n int) string { return fmt.Sprintf("k%02d", n) }
	for n := 1; n <= versionsMost; n++ {
		for v := 1; v <= n; v++ {
			if v%5 == 0 {
				must(t, s.DeleteAt(ctx, []byte(keyAt(n)), uint64(v*10)))
			} else {
				must(t, s.PutAt(ctx, []byte(keyAt(n)), fmt.Append(nil, v), uint64(v*10), 0))
			}
		}
	}
	check := func() {
		t.Helper()
		for ts := 0; ts <= versionsMost*10+10; ts += 5 {
			var want []string
			for n := 1; n <= versionsMost; n++ {
				if v := min(n, ts/10); v > 0 && v%5 != 0 {
					want = append(want, fmt.Sprintf("%s=%d@%d", keyAt(n), v, v*10))
				}
			}
			for _, order := range []Order{Ascending, Descending} {
				var got []string
				err := s.WalkAt(ctx, Span{}, order, uint64(ts), func(key []byte, v VersionedValue) bool {
					got = append(got, fmt.Sprintf("%s=%s@%d", key, v.Value, v.TS))
					return true
				})
				must(t, err)
				if order == Descending {
					slices.Reverse(got)
				}
				if !slices.Equal(got, want) {
					t.Fatalf("at %d, descending %t: got %v, want %v", ts, order, got, want)
				}
			}
		}
	}
	check()
	must(t, s.db.Flush())
	check()
}

// TestPointReadsAllocateOnlyTheirResult keeps the read path free of garbage.
func TestPointReadsAllocateOnlyTheirResult(t *testing.T) {
	if RaceEnabled {
		t.Skip("the race detector makes pools forget")
	}
	ctx := context.Background()
	s := openMem(t)
	key := []byte("key")
	must(t, s.PutAt(ctx, key, []byte("value"), 10, 0))
	for name, c := range map[string]struct {
		read func()
		most float64
	}{
		"GetAt":          {func() { _, _ = s.GetAt(ctx, key, 20) }, 1},
		"ExistsAt":       {func() { _, _ = s.ExistsAt(ctx, key, 20) }, 0},
		"LatestCommitTS": {func() { _, _, _ = s.LatestCommitTS(ctx, key) }, 0},
	} {
		// A garbage collection may empty a pool once.
		if got := testing.AllocsPerRun(500, c.read); got > c.most+0.5 {
			t.Errorf("%s: %v allocations, want %v", name, got, c.most)
		}
	}
}

// A scan passes over what a range tombstone has left of expired values; a walk, which shows
// them, does not rely on what the scan has found to be empty.
func TestWalkShowsExpiredAfterScan(t *testing.T) {
	ctx := context.Background()
	const keys = 10 * leapAfter
	for _, order := range []Order{Ascending, Descending} {
		s := openTest(t, "db", WithFS(vfs.NewMem()), WithEagerRanges(), WithEagerGaps())
		var m []*KVPairMutation
		for i := range keys {
			m = append(m, &KVPairMutation{Key: fmt.Appendf(nil, "k%04d", i)})
		}
		m[keys/2].ExpireAt = 15
		must(t, s.ApplyMutations(ctx, m, nil, maxTS, 10))
		must(t, s.DeletePrefixAt(ctx, nil, nil, 20))
		must(t, s.PutAt(ctx, []byte("a"), nil, 21, 0))
		must(t, s.PutAt(ctx, []byte("z"), nil, 22, 0))
		for range 3 {
			rows, err := s.scan(ctx, Span{}, order, keys, 30)
			if err != nil || len(rows) != 2 {
				t.Fatalf("scan: %d rows, %v", len(rows), err)
			}
			var got []string
			must(t, s.WalkAt(ctx, PrefixSpan([]byte("k")), order, 30, func(key []byte, v VersionedValue) bool {
				got = append(got, fmt.Sprintf("%s !%d", key, v.ExpireAt))
				return true
			}))
			if want := fmt.Sprintf("k%04d !15", keys/2); len(got) != 1 || got[0] != want {
				t.Errorf("order %v: the walk shows %q, want %q", order, got, want)
			}
		}
	}
}
