package store

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Files are what they are, and reads count that the machine cannot answer from memory, as far as it says.
func TestDiskWatch(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 4096)
	path := filepath.Join(t.TempDir(), "file")
	must(t, os.WriteFile(path, content, 0o600))
	mem := vfs.NewMem()
	f, err := mem.Create("file", vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = f.Write(bytes.Clone(content)) // which owns it from now on
	must(t, firstError(err, f.Close()))
	for _, c := range []struct {
		name, path string
		fs         vfs.FS
		tells      bool
	}{{"disk", path, vfs.Default, true}, {"nobody can tell", "file", mem, false}} {
		t.Run(c.name, func(t *testing.T) {
			var waits atomic.Uint64
			w := diskWatch{c.fs, &waits}
			f, err := w.Open(c.path, vfs.RandomReadsOption)
			must(t, err)
			defer f.Close()
			reads := uint64(0)
			for _, at := range []int{0, 1, 4095, 4096, len(content) - 8192} {
				b := make([]byte, 8192)
				n, err := f.ReadAt(b, int64(at))
				if err != nil || !bytes.Equal(b[:n], content[at:at+8192]) {
					t.Fatalf("at %d: %d bytes, %v", at, n, err)
				}
				reads++
			}
			got := waits.Load()
			if watched := f.(*watchedFile); !watched.blind.Load() && c.tells {
				reads = 0
			}
			if got != reads {
				t.Errorf("%d reads count, want %d", got, reads)
			}
			b := make([]byte, 100)
			if n, err := f.ReadAt(b, int64(len(content)-60)); n != 60 || !errors.Is(err, io.EOF) || !bytes.Equal(b[:n], content[len(content)-60:]) {
				t.Errorf("over the end: %d bytes, %v", n, err)
			}
			if n, err := f.ReadAt(nil, 0); n != 0 || err != nil {
				t.Errorf("nothing: %d, %v", n, err)
			}
			if vfs.Root(w) != c.fs {
				t.Error("the file system below is not found")
			}
		})
	}
	var waits atomic.Uint64
	if _, err := (diskWatch{vfs.Default, &waits}).Open(path+"x", vfs.RandomReadsOption); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no such file: %v", err)
	}
}
