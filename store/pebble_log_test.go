package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/elastickv/elastickv/encryption"
	"github.com/elastickv/elastickv/internal/wal"
)

// smallLogs has the log begin a file after every few writes.
func smallLogs(s *pebbleStore) { s.logSize = 800 }

// logFiles returns the files of the log, oldest first, and what they have.
func logFiles(t *testing.T, mem vfs.FS) (names []string, contents [][]byte) {
	t.Helper()
	all, err := mem.List("db")
	must(t, err)
	slices.Sort(all)
	for _, n := range all {
		if _, ok := wal.IsFile(n); !ok {
			continue
		}
		f, err := mem.Open("db/" + n)
		must(t, err)
		content, err := io.ReadAll(f)
		must(t, errors.Join(err, f.Close()))
		names, contents = append(names, "db/"+n), append(contents, content)
	}
	return names, contents
}

// What the disk changes in an older file of the log is noticed, although all that comes later is whole, and so is that one is gone.
func TestDamagedOlderLog(t *testing.T) {
	skipUnderRace(t)
	ctx := context.Background()
	const last = 40
	mem := vfs.NewCrashableMem()
	s := openTest(t, "db", WithFS(mem), smallLogs)
	for ts := uint64(1); ts <= last; ts++ {
		must(t, s.PutAt(ctx, fmt.Append(nil, "key", ts), bytes.Repeat([]byte("v"), int(ts)), ts, 0))
	}
	must(t, s.Close())
	names, contents := logFiles(t, mem)
	if len(names) < 4 {
		t.Fatalf("the log has the files %v", names)
	}
	open := func(after *vfs.MemFS) error {
		s, err := NewPebbleStore("db", WithFS(after))
		if err != nil {
			return err
		}
		for ts := uint64(1); ts <= last; ts++ {
			if _, err := s.GetAt(ctx, fmt.Append(nil, "key", ts), last); err != nil {
				t.Fatalf("it is opened, and what was committed at %d is gone: %v", ts, err)
			}
		}
		return s.Close()
	}
	must(t, open(leftBehind(t, mem, "", nil)))
	wantRefused := func(what string, after *vfs.MemFS) {
		t.Helper()
		for range 2 {
			if err := open(after); !errors.Is(err, ErrDamagedFolder) || !errors.Is(err, wal.ErrCut) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("%s: %v", what, err)
			}
		}
	}
	for i, name := range names[:len(names)-1] {
		used := len(bytes.TrimRight(contents[i], "\x00"))
		for at := 0; at < used; at += 1 + at%3 {
			damaged := bytes.Clone(contents[i])
			damaged[at] ^= 1 << (at % 8)
			wantRefused(fmt.Sprintf("%s, byte %d of %d", name, at, used), leftBehind(t, mem, name, damaged))
			if at%40 == 0 {
				wantRefused(fmt.Sprintf("%s, cut off at %d of %d", name, at, used), leftBehind(t, mem, name, contents[i][:at]))
			}
		}
		after := leftBehind(t, mem, "", nil)
		must(t, after.Remove(name))
		wantRefused(name+" is gone", after)
	}
	after := leftBehind(t, mem, "", nil)
	for _, name := range names {
		must(t, after.Remove(name))
	}
	if err := open(after); !errors.Is(err, ErrDamagedFolder) || !errors.Is(err, wal.ErrGone) {
		t.Errorf("the whole log is gone: %v", err)
	}
}

// The log keeps no more files than the engine has rows for that are in no table, and a few to write again.
func TestLogKeepsItsSize(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewMem()
	opts := []PebbleStoreOption{WithFS(mem), WithTinyTables(), smallLogs}
	s := openTest(t, "db", opts...)
	most := int64(0)
	for ts := uint64(1); ts <= 4000; ts++ {
		must(t, s.PutAt(ctx, fmt.Append(nil, "key", ts%100), make([]byte, 100), ts, 0))
		most = max(most, s.Stats().WAL.Files)
	}
	memtables := int64(memTablesMost * 32 << 10)
	if limit := memtables/800 + 10; most > limit {
		t.Errorf("the log has had %d files, want %d at most", most, limit)
	}
	must(t, s.Close())
	// Nor does it get more by being opened.
	for ts := uint64(4001); ts < 4100; ts++ {
		s = openTest(t, "db", opts...)
		must(t, s.PutAt(ctx, []byte("k"), nil, ts, 0))
		must(t, s.Close())
	}
	if names, _ := logFiles(t, mem); len(names) > 2*logFilesKept {
		t.Errorf("%d files of a log that was opened often", len(names))
	}
}

// What was written to the registry of writers, which a restore leaves alone, survives a crash behind one, although the log is not needed up
// to there.
func TestRestoreKeepsUnflushedRegistry(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := openTest(t, "db", WithFS(mem))
	registry, err := WriterRegistryFor(s)
	must(t, err)
	image := imageOf(t, s)
	must(t, registry.PutWriterRow(encryption.WriterRow{KeyID: 7, NodeID: 3}))
	must(t, s.Restore(bytes.NewReader(image)))
	after := openTest(t, "db", WithFS(leftBehind(t, mem, "", nil)))
	registry, err = WriterRegistryFor(after)
	must(t, err)
	if _, ok, err := registry.WriterRow(7, 3); err != nil || !ok {
		t.Errorf("the row is there: %v, %v", ok, err)
	}
}
