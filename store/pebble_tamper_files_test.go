package store

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// readFolder returns the files of a store that is closed.
func readFolder(t *testing.T, fs vfs.FS, dir string) map[string][]byte {
	t.Helper()
	names, err := fs.List(dir)
	must(t, err)
	files := map[string][]byte{}
	for _, name := range names {
		f, err := fs.Open(fs.PathJoin(dir, name))
		must(t, err)
		files[name], err = io.ReadAll(f)
		must(t, firstError(err, f.Close()))
	}
	return files
}

// writeFolder returns a file system with such files.
func writeFolder(t *testing.T, dir string, files map[string][]byte) vfs.FS {
	t.Helper()
	fs := vfs.NewMem()
	must(t, fs.MkdirAll(dir, folderMode))
	for name, text := range files {
		f, err := fs.Create(fs.PathJoin(dir, name), vfs.WriteCategoryUnspecified)
		must(t, err)
		_, err = f.Write(text)
		must(t, firstError(err, f.Close()))
	}
	return fs
}

// Every byte of every table, of every blob file and of the list of tables is changed by itself: the store then
// answers as before or says that something is wrong, and goes on running.
func TestTamperEveryByteOfFiles(t *testing.T) {
	if testing.Short() || RaceEnabled {
		t.Skip("opens a store for every byte")
	}
	sealed, mem := newSealer(t), vfs.NewMem()
	s := openTampered(t, sealed, WithFS(mem), WithTinyBlobs())
	must(t, s.db.Flush())
	want := describe(t, s)
	must(t, s.Close())
	files := readFolder(t, mem, "db")
	outcomes, blobs := map[string]int{}, 0
	for name, text := range files {
		if strings.HasSuffix(name, ".blob") {
			blobs++
		} else if !strings.HasSuffix(name, ".sst") && !strings.HasPrefix(name, "MANIFEST") {
			continue
		}
		for i := range text {
			text[i] ^= 1 << (i % 8)
			outcome := readTampered(t, writeFolder(t, "db", files), sealed, want)
			text[i] ^= 1 << (i % 8)
			if outcomes[outcome]++; outcome == "wrong" {
				t.Errorf("%s, byte %d: the store answers as if nothing was wrong", name, i)
			}
		}
	}
	if outcomes["refused"] < 500 || outcomes["same"] == 0 || blobs == 0 {
		t.Errorf("outcomes %v, of %d blob files", outcomes, blobs)
	}
}

// readTampered opens a store and reads all of it.
func readTampered(t *testing.T, fs vfs.FS, sealed *sealer, want string) string {
	t.Helper()
	s, err := NewPebbleStore("db", append(sealed.options(), WithFS(fs), WithVersionCacheSize(-1))...)
	if err != nil {
		return "refused"
	}
	defer func() { _ = s.Close() }()
	if _, err := readings["Snapshot"](s.(*pebbleStore), nil, 0); err != nil {
		return "refused"
	}
	if describe(t, s) != want {
		return "wrong"
	}
	return "same"
}

// secrets are values that no file may show, none like another, so that compression leaves
// them as they are.
func secrets() (values []string) {
	for i := range 40 {
		values = append(values, fmt.Sprintf("secret-%x-of-number-%x", uint64(i+1)*0x9e3779b97f4a7c15, uint64(i+7)*0xc2b2ae3d27d4eb4f))
	}
	return values
}

// shownSecrets counts the values that can be read in the files of a folder.
func shownSecrets(t *testing.T, dir string) (n int) {
	t.Helper()
	shown := map[string]bool{}
	must(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if os.IsNotExist(err) {
			return nil // the engine removes files in the background
		}
		if err != nil || info.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			return nil
		}
		for _, secret := range secrets() {
			if bytes.Contains(text, []byte(secret)) {
				shown[secret] = true
			}
		}
		return err
	}))
	return len(shown)
}

// The folder of a sealed store shows no value: not in the log, not in tables, not after a
// restore. That of a clear one shows them all, so the search would find them.
func TestSealedFolderShowsNoValue(t *testing.T) {
	ctx := context.Background()
	for name, opts := range map[string][]PebbleStoreOption{"clear": nil, "sealed": newSealer(t).options()} {
		least, most := 0, 0
		if name == "clear" {
			least, most = len(secrets())/2, len(secrets()) // some may be compressed after all
		}
		dir := t.TempDir()
		look := func(when string) {
			t.Helper()
			if got := shownSecrets(t, dir); got < least || got > most {
				t.Errorf("%s: %d values %s", name, got, when)
			}
		}
		s := openTest(t, dir, opts...)
		for i, secret := range secrets() {
			must(t, s.PutAt(ctx, fmt.Appendf(nil, "k%d", i), []byte(secret), uint64(i+1), 0))
		}
		look("in the log")
		must(t, s.db.Flush())
		look("after a flush")
		image, err := s.Snapshot()
		must(t, err)
		var b bytes.Buffer
		_, err = image.WriteTo(&b)
		must(t, firstError(err, image.Close()))
		must(t, s.Restore(&b))
		must(t, s.Compact(ctx, 20))
		must(t, s.Close())
		look("after a restore")
	}
}
