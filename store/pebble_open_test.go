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

func openTest(t testing.TB, dir string, opts ...PebbleStoreOption) *pebbleStore {
	t.Helper()
	s, err := NewPebbleStore(dir, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	return s.(*pebbleStore)
}

func openMem(t testing.TB) *pebbleStore { return openTest(t, "db", WithFS(vfs.NewMem())) }

// skipUnderRace skips t under the race detector, where it takes many times as long and can find nothing: no two things of ours happen
// at the same time in it. It is testkit.Single, which needs this package and so cannot be called here.
func skipUnderRace(t testing.TB) {
	t.Helper()
	if RaceEnabled {
		t.Skip("nothing of ours runs beside anything else here: not under the race detector")
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// listing describes a folder: names, sizes and contents.
func listing(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	must(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			fmt.Fprintln(&b, path)
			return err
		}
		text, err := os.ReadFile(path)
		fmt.Fprintf(&b, "%s %q\n", path, text)
		return err
	}))
	return b.String()
}

func writeFile(t *testing.T, text string, elem ...string) {
	t.Helper()
	must(t, os.WriteFile(filepath.Join(elem...), []byte(text), 0o600))
}

func TestOpenCreatesFolder(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "a", "b")
	s := openTest(t, dir)
	for _, d := range []string{filepath.Join(root, "a"), dir} {
		info, err := os.Stat(d)
		must(t, err)
		if got := info.Mode().Perm(); got != folderMode {
			t.Errorf("%s: mode %o, want %o", d, got, folderMode)
		}
	}
	text, err := os.ReadFile(filepath.Join(dir, formatFile))
	must(t, err)
	if string(text) != "elastickv store\nformat 2\n" {
		t.Errorf("format file %q", text)
	}
	must(t, s.Close())
	must(t, s.Close())
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name string
		fill func(dir string)
		want error
	}{
		{"foreign files", func(dir string) { writeFile(t, "x", dir, "notes.txt") }, ErrForeignFolder},
		{"another engine's folder", func(dir string) {
			db, err := pebble.Open(dir, &pebble.Options{Logger: newEngineLogger(slog.New(slog.DiscardHandler))})
			must(t, err)
			must(t, db.Close())
		}, ErrForeignFolder},
		{"another program's format file", func(dir string) { writeFile(t, "opening hours\n", dir, formatFile) }, ErrForeignFolder},
		{"engine files beside another program's mark", func(dir string) {
			writeFile(t, "store.new is our shopping list\n", dir, creationFile)
			writeFile(t, "x", dir, "access.log")
		}, ErrForeignFolder},
		{"newer", func(dir string) { writeFile(t, "elastickv store\nformat 3\n", dir, formatFile) }, ErrNewerFormat},
		{"newer with more text", func(dir string) { writeFile(t, "elastickv store\nformat 17\nsealed\n", dir, formatFile) }, ErrNewerFormat},
		{"unreadable format", func(dir string) { writeFile(t, "elastickv store\nformat \x00\n", dir, formatFile) }, ErrDamagedFolder},
		{"cut format file", func(dir string) { writeFile(t, "elastickv store\nformat 1", dir, formatFile) }, ErrDamagedFolder},
		{"format file is a folder", func(dir string) { must(t, os.Mkdir(filepath.Join(dir, formatFile), 0o700)) }, ErrDamagedFolder},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			c.fill(dir)
			before := listing(t, dir)
			s, err := NewPebbleStore(dir)
			if !errors.Is(err, c.want) {
				t.Fatalf("got %v, %v, want %v", s, err, c.want)
			}
			if text := err.Error(); strings.Contains(text, "\n") || !strings.Contains(text, dir) {
				t.Errorf("not one line that names the folder: %q", text)
			}
			if after := listing(t, dir); after != before {
				t.Errorf("touched:\n%s\nbefore:\n%s", after, before)
			}
		})
	}
}

func TestOpenRefusesFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	writeFile(t, "x", path)
	for _, dir := range []string{"", path, filepath.Join(path, "below")} {
		if s, err := NewPebbleStore(dir); err == nil || strings.Contains(err.Error(), "\n") {
			t.Errorf("%q: got %v, %v", dir, s, err)
		}
	}
}

func TestOpenAcceptsFreshFolders(t *testing.T) {
	for _, name := range []string{lostAndFound, lockFile, creationFile} {
		dir := t.TempDir()
		writeFile(t, "", dir, name)
		must(t, openTest(t, dir).Close())
	}
}

// What a crash has left of a creation is cleared away; a stranger's file is not.
func TestOpenUnfinished(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, "elastickv store\nformat 2\n", dir, creationFile)
	for _, name := range []string{"MANIFEST-000001", "marker.manifest.000001.MANIFEST-000007", "000004.sst", "000002.log", "OPTIONS-000003"} {
		writeFile(t, "remains", dir, name)
	}
	writeFile(t, "x", dir, "notes.txt")
	before := listing(t, dir)
	if _, err := NewPebbleStore(dir); !errors.Is(err, ErrForeignFolder) {
		t.Fatalf("got %v", err)
	}
	if after := listing(t, dir); after != before {
		t.Errorf("touched:\n%s\nbefore:\n%s", after, before)
	}
	must(t, os.Remove(filepath.Join(dir, "notes.txt")))
	s := openTest(t, dir)
	must(t, s.PutAt(context.Background(), []byte("k"), []byte("v"), 1, 0))
	must(t, s.Close())
	wantValue(t, openTest(t, dir), "k", 1, "v")
	if _, err := os.Stat(filepath.Join(dir, creationFile)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("still marked as unfinished: %v", err)
	}
}

func TestOpenLocked(t *testing.T) {
	dir := t.TempDir()
	s := openTest(t, dir)
	second, err := NewPebbleStore(dir)
	if !errors.Is(err, ErrFolderLocked) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("got %v, %v", second, err)
	}
	must(t, s.Close())
	must(t, openTest(t, dir).Close())

	mem := vfs.NewMem()
	openTest(t, "db", WithFS(mem))
	if second, err := NewPebbleStore("db", WithFS(mem)); !errors.Is(err, ErrFolderLocked) {
		t.Fatalf("in memory: got %v, %v", second, err)
	}
}

func TestOpenDamaged(t *testing.T) {
	ctx := context.Background()
	fill := func(t *testing.T) string {
		dir := t.TempDir()
		s := openTest(t, dir)
		must(t, s.PutAt(ctx, []byte("k"), noise(blobLeast), 10, 0))
		must(t, s.db.Flush())
		must(t, s.Close())
		return dir
	}
	for _, c := range []struct {
		glob   string
		damage func(path string) error
	}{
		{"MANIFEST-*", func(path string) error {
			return os.WriteFile(path, []byte("not a manifest, but long enough to be read"), 0o600)
		}},
		{"MANIFEST-*", os.Remove},
		{"*.sst", os.Remove},
		{"*.sst", func(path string) error { return os.Truncate(path, 10) }},
		{"*.blob", os.Remove},
		{"*.blob", func(path string) error { return os.Truncate(path, 10) }},
		{"*.blob", func(path string) error { return os.Truncate(path, 100) }},
		{"marker.*", func(path string) error {
			if strings.Contains(path, "format-version") {
				return os.Rename(path, filepath.Join(filepath.Dir(path), "marker.format-version.000099.999"))
			}
			return nil
		}},
	} {
		dir := fill(t)
		paths, err := filepath.Glob(filepath.Join(dir, c.glob))
		if err != nil || len(paths) == 0 {
			t.Fatalf("%s: %v, %v", c.glob, paths, err)
		}
		for _, path := range paths {
			must(t, c.damage(path))
		}
		s, err := NewPebbleStore(dir)
		if err == nil {
			_, err = s.GetAt(ctx, []byte("k"), 10)
			must(t, s.Close())
			if err == nil {
				t.Errorf("%s: damage goes unnoticed", c.glob)
			}
			continue
		}
		if !errors.Is(err, ErrDamagedFolder) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: got %v", c.glob, err)
		}
		// The lock is free again.
		if _, err := NewPebbleStore(dir); errors.Is(err, ErrFolderLocked) {
			t.Errorf("%s: got %v at the second attempt", c.glob, err)
		}
	}
}

func TestReopenKeepsMeta(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewMem()
	s := openTest(t, "db", WithFS(mem))
	must(t, s.PutAt(ctx, []byte("k"), []byte("v"), 100, 0))
	must(t, s.ApplyMutationsRaftAt(ctx, nil, nil, 0, 120, 7))
	must(t, s.ApplyMutationsRaftAt(ctx, nil, nil, 0, 90, 5))
	must(t, s.Compact(ctx, 50))
	s.SetMinRetainedTS(60)
	s.SetMinRetainedTS(40)
	for i := range 2 {
		if ts, floor, index := s.LastCommitTS(), s.MinRetainedTS(), s.LastAppliedIndex(); ts != 120 || floor != 60 || index != 7 {
			t.Errorf("opened %d times: last commit %d, floor %d, index %d; want 120, 60, 7", i+1, ts, floor, index)
		}
		must(t, mem.MkdirAll("db/"+restoreFolder, 0o700))
		must(t, s.Close())
		s = openTest(t, "db", WithFS(mem))
		if _, err := mem.Stat("db/" + restoreFolder); err == nil {
			t.Error("what a restore left behind is still there")
		}
	}
}

func TestFSMSyncMode(t *testing.T) {
	for _, c := range []struct {
		value  string
		synced bool
		warned bool
	}{
		{"", true, false}, {"sync", true, false}, {" SYNC\n", true, false}, {"nosync", false, false},
		{"\tNoSync ", false, false}, {"none", true, true}, {"no sync", true, true},
	} {
		var log bytes.Buffer
		logger := slog.New(slog.NewTextHandler(&log, nil))
		t.Setenv(fsmSyncModeVariable, c.value)
		s := openTest(t, "db", WithFS(vfs.NewMem()), WithPebbleLogger(logger))
		if s.fsmSync != c.synced || (log.Len() > 0) != c.warned {
			t.Errorf("%q: synced %t, log %q", c.value, s.fsmSync, log.String())
		}
		t.Setenv(fsmSyncModeVariable, "nosync")
		if s := openTest(t, "db", WithFS(vfs.NewMem()), WithFSMSyncMode(FSMSync)); !s.fsmSync {
			t.Error("the option does not override the variable")
		}
	}
}

func TestNilOptions(t *testing.T) {
	s := openTest(t, t.TempDir(), WithFS(nil), WithPebbleLogger(nil), WithCacheSize(0))
	if s.cacheSize != defaultCacheSize {
		t.Errorf("cache of %d bytes", s.cacheSize)
	}
	must(t, s.PutAt(context.Background(), nil, nil, 1, 0))
}
