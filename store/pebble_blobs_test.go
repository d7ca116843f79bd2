package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Large values stand in blob files, small ones in tables.
func TestLargeValuesStandInBlobs(t *testing.T) {
	ctx := context.Background()
	for _, test := range []struct {
		size int
		blob bool
	}{{100, false}, {blobLeast / 2, false}, {blobLeast, true}, {100 << 10, true}} {
		mem := vfs.NewMem()
		s := openTest(t, "db", WithFS(mem), WithVersionCacheSize(-1))
		value := noise(test.size)
		must(t, s.PutAt(ctx, []byte("k"), value, 1, 0))
		must(t, s.db.Flush())
		wantValue(t, s, "k", 1, string(value))
		must(t, s.Close())
		inBlobs := 0
		for name, text := range readFolder(t, mem, "db") {
			if strings.HasSuffix(name, ".blob") {
				inBlobs += len(text)
			}
		}
		if test.blob != (inBlobs >= test.size) {
			t.Errorf("of a value of %d bytes there are %d in blob files", test.size, inBlobs)
		}
	}
}

// A compaction moves keys, and leaves large values where they are.
func TestCompactionsLeaveLargeValues(t *testing.T) {
	const rows, size = 200, 8 << 10
	ctx := context.Background()
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithVersionCacheSize(-1))
	value := noise(size)
	for ts := range uint64(5) { // of the last level, and of four tables above it
		for i := range rows {
			must(t, s.PutAt(ctx, fmt.Appendf(nil, "k%03d", i), value, ts+1, 0))
		}
		must(t, s.db.Flush())
		if ts == 0 {
			must(t, CompactEngine(s))
		}
	}
	before := s.Stats().Compactions
	must(t, CompactEngine(s))
	after := s.Stats().Compactions
	if after.Count == before.Count {
		t.Fatal("nothing was compacted")
	}
	if wrote := after.Written - before.Written; wrote > rows*size {
		t.Errorf("to bring five versions of %d values of %d bytes together %d bytes were written", rows, size, wrote)
	}
	for i := range rows {
		for ts := range uint64(5) {
			wantValue(t, s, fmt.Sprintf("k%03d", i), ts+1, string(value))
		}
	}
}

// Values that are dropped give their place on the disk back: with the files that lose all of theirs, and by writing
// others anew.
func TestDroppedLargeValuesGiveSpaceBack(t *testing.T) {
	skipUnderRace(t)
	const rows, rounds, size = 100, 30, 8 << 10
	ctx := context.Background()
	mem := vfs.NewMem()
	rewritten := make(chan struct{}, 100)
	s := openTest(t, "db", WithFS(mem), WithVersionCacheSize(-1), func(s *pebbleStore) {
		s.blobs.policy.RewriteMinimumAge = 0
		s.tune = func(o *pebble.Options) {
			o.EventListener.BlobFileRewriteEnd = func(i pebble.BlobFileRewriteInfo) {
				if i.Err == nil {
					rewritten <- struct{}{}
				}
			}
		}
	})
	value := noise(size)
	for ts := range uint64(rounds) {
		for i := range rows {
			must(t, s.PutAt(ctx, fmt.Appendf(nil, "k%03d", i), value, ts+1, 0))
		}
	}
	must(t, s.db.Flush())
	must(t, s.Compact(ctx, rounds))
	must(t, CompactEngine(s))
	for m := s.db.Metrics().BlobFiles; m.ReferencedValueSize*10 < m.ValueSize*7; m = s.db.Metrics().BlobFiles {
		<-rewritten // the files that have newest versions have older ones, too
	}
	for i := range rows {
		wantValue(t, s, fmt.Sprintf("k%03d", i), rounds, string(value))
	}
	must(t, s.Close())
	left := 0
	for name, text := range readFolder(t, mem, "db") {
		if strings.HasSuffix(name, ".blob") {
			left += len(text)
		}
	}
	if left > 2*rows*size {
		t.Errorf("%d bytes are left of values of %d, after %d versions", left, rows*size, rounds)
	}
}

// Blob files that are gone or cut short while the store is open are errors of those who read them, and of nobody else.
func TestLostBlobs(t *testing.T) {
	ctx := context.Background()
	for name, lose := range map[string]func(path string) error{
		"gone":  os.Remove,
		"cut":   func(path string) error { return os.Truncate(path, 1000) },
		"empty": func(path string) error { return os.Truncate(path, 0) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			var log bytes.Buffer
			opts := []PebbleStoreOption{WithVersionCacheSize(-1), WithPebbleLogger(slog.New(slog.NewTextHandler(&log, nil)))}
			s := openTest(t, dir, opts...)
			must(t, s.PutAt(ctx, []byte("large"), noise(2*blobLeast), 10, 0))
			must(t, s.PutAt(ctx, []byte("small"), []byte("v"), 11, 0))
			must(t, s.db.Flush())
			must(t, s.Close())
			s = openTest(t, dir, opts...)
			paths, err := filepath.Glob(filepath.Join(dir, "*.blob"))
			if err != nil || len(paths) != 1 {
				t.Fatalf("%v, %v", paths, err)
			}
			must(t, lose(paths[0]))
			for range 2 {
				if v, err := s.GetAt(ctx, []byte("large"), 20); err == nil || errors.Is(err, ErrKeyNotFound) ||
					!strings.Contains(err.Error(), filepath.Base(paths[0])) {
					t.Errorf("got %d bytes, %v", len(v), err)
				}
				wantValue(t, s, "small", 20, "v")
			}
			if !strings.Contains(log.String(), "a file is damaged") || !strings.Contains(log.String(), filepath.Base(paths[0])) {
				t.Errorf("the log does not name the file: %s", log.String())
			}
		})
	}
}
