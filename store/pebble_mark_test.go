package store

import (
	"context"
	"errors"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The highest timestamp is found again, whatever the last write was and whatever has
// become of the rows that had it.
func TestReopenFindsHighestTimestamp(t *testing.T) {
	ctx := context.Background()
	one := func(key string) Span { return Span{Start: []byte(key), End: []byte(key + "\x00")} }
	for name, write := range map[string]func(s *pebbleStore) error{
		"a put": func(s *pebbleStore) error { return s.PutAt(ctx, []byte("k"), nil, 100, 0) },
		"a put at 100, then one": func(s *pebbleStore) error {
			return errors.Join(s.DeleteAt(ctx, []byte("k"), 100), s.PutAt(ctx, []byte("k"), nil, 50, 0))
		},
		"nothing":               func(s *pebbleStore) error { return s.ApplyMutations(ctx, nil, nil, 0, 100) },
		"a deletion of nothing": func(s *pebbleStore) error { return s.DeletePrefixAt(ctx, []byte("x"), nil, 100) },
		"an empty span":         func(s *pebbleStore) error { return stageAndWait(s, Commit{TS: 100, Deleted: []Span{{End: []byte{}}}}) },
		"a span that a late write takes apart": func(s *pebbleStore) error {
			return errors.Join(stageAndWait(s, Commit{TS: 100, Deleted: []Span{one("k")}}), s.PutAt(ctx, []byte("k"), nil, 50, 0))
		},
		"a tombstone that is compacted away": func(s *pebbleStore) error {
			return errors.Join(s.DeleteAt(ctx, []byte("k"), 100), s.Compact(ctx, 200))
		},
		"a span that is compacted away": func(s *pebbleStore) error {
			return errors.Join(stageAndWait(s, Commit{TS: 100, Deleted: []Span{one("a")}}), s.Compact(ctx, 200))
		},
		"an older commit behind it in the same call": func(s *pebbleStore) error {
			return stageAndWait(s, Commit{TS: 100, Mutations: put("k", "v")}, Commit{TS: 60, Mutations: put("k", "w")}, Commit{TS: 70})
		},
	} {
		mem := vfs.NewMem()
		s := openTest(t, "db", WithFS(mem))
		must(t, s.PutAt(ctx, []byte("a"), []byte("v"), 10, 0))
		must(t, write(s))
		for i := range 2 {
			if got := s.LastCommitTS(); got != 100 {
				t.Errorf("%s, opened %d times: last commit %d, want 100", name, i+1, got)
			}
			must(t, s.Close())
			s = openTest(t, "db", WithFS(mem))
		}
	}
}
