package zerofill

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

const category = vfs.WriteCategoryUnspecified

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func create(t testing.TB, fs vfs.FS, name string) vfs.File {
	t.Helper()
	f, err := fs.Create(name, category)
	must(t, err)
	return f
}

func write(t testing.TB, f vfs.File, p []byte) {
	t.Helper()
	_, err := f.Write(bytes.Clone(p)) // a file may scramble what it is given
	must(t, err)
}

func size(t testing.TB, f vfs.File) int64 {
	t.Helper()
	info, err := f.Stat()
	must(t, err)
	return info.Size()
}

func content(t *testing.T, fs vfs.FS, name string) []byte {
	t.Helper()
	f, err := fs.Open(name)
	must(t, err)
	text, err := io.ReadAll(f)
	must(t, errors.Join(err, f.Close()))
	return text
}

// What was written is there, in a new file and in one that had something in it, and behind it nothing but zeros and what had been
// there before.
func TestContents(t *testing.T) {
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 0))
		random := func(n int) []byte {
			p := make([]byte, n)
			for i := range p {
				p[i] = byte(1 + rng.IntN(255))
			}
			return p
		}
		fs := FS{FS: vfs.NewMem(), Ahead: 1 + rng.IntN(3000)}
		var before []byte
		f := create(t, fs, "000001.log")
		if seed%2 == 1 {
			before = random(rng.IntN(20_000))
			write(t, f, before)
			must(t, f.Close())
			var err error
			f, err = fs.ReuseForWrite("000001.log", "000002.log", category)
			must(t, err)
		}
		var written []byte
		for range 100 {
			for range rng.IntN(4) {
				p := random(rng.IntN(500))
				write(t, f, p)
				written = append(written, p...)
			}
			if rng.IntN(2) == 0 {
				must(t, f.SyncData())
			} else {
				must(t, f.Sync())
			}
		}
		must(t, f.Close())
		name := "000001.log"
		if seed%2 == 1 {
			name = "000002.log"
		}
		got := content(t, fs, name)
		want := append(bytes.Clone(written), before[min(len(before), len(written)):]...)
		if len(got) < len(want) || len(got) > len(want)+fs.Ahead {
			t.Fatalf("seed %d: %d bytes of %d, filled by %d", seed, len(got), len(want), fs.Ahead)
		}
		if !bytes.Equal(got[:len(want)], want) || len(bytes.Trim(got[len(want):], "\x00")) > 0 {
			t.Fatalf("seed %d: the file is not what was written, and zeros", seed)
		}
	}
}

// Most syncs of small writes find a file as long as before. A file of the machine's disk is filled by default, and one of a disk in
// memory if that is asked for.
func TestSyncsFindFilesAsLong(t *testing.T) {
	for name, tc := range map[string]struct {
		fs     vfs.FS
		length int // of a write
		grown  int // of 100 syncs
	}{
		"disk":              {FS{FS: vfs.Default}, 10 << 10, 4},
		"in memory":         {FS{FS: vfs.NewMem()}, 10 << 10, 100},
		"asked for":         {FS{FS: vfs.NewMem(), Ahead: 100_000}, 10 << 10, 10},
		"too large":         {FS{FS: vfs.Default}, smallMost + 1, 100},
		"just small enough": {FS{FS: vfs.Default}, smallMost, 12},
	} {
		dir := ""
		if tc.fs.Unwrap() == vfs.Default {
			dir = t.TempDir()
		}
		f := create(t, tc.fs, filepath.Join(dir, "000001.log"))
		grown, was := 0, int64(0)
		for range 100 {
			write(t, f, make([]byte, tc.length))
			must(t, f.SyncData())
			if is := size(t, f); is != was {
				grown, was = grown+1, is
			}
		}
		must(t, f.Close())
		if grown != tc.grown {
			t.Errorf("%s: the file has grown in %d of 100 syncs, want %d", name, grown, tc.grown)
		}
	}
}

// A file that is written again is filled from where it ends.
func TestWrittenAgain(t *testing.T) {
	fs := FS{FS: vfs.NewMem(), Ahead: 1000}
	f := create(t, fs, "000001.log")
	write(t, f, make([]byte, 5000))
	must(t, f.Close())
	f, err := fs.ReuseForWrite("000001.log", "000002.log", category)
	must(t, err)
	write(t, f, make([]byte, 5000))
	must(t, f.SyncData())
	if got := size(t, f); got != 5000 {
		t.Errorf("%d bytes while there was room, want 5000", got)
	}
	write(t, f, make([]byte, 1))
	must(t, f.SyncData())
	if got := size(t, f); got != 6001 {
		t.Errorf("%d bytes behind that, want 6001", got)
	}
	must(t, f.Close())
}

// Files that are no logs are left alone.
func TestOtherFiles(t *testing.T) {
	fs := FS{FS: vfs.NewMem(), Ahead: 1000}
	for _, name := range []string{"000001.sst", "MANIFEST-000001", "log", "a.log"} {
		f := create(t, fs, name)
		write(t, f, []byte("x"))
		must(t, f.SyncData())
		if got := size(t, f); got != 1 {
			t.Errorf("%s has %d bytes, want 1", name, got)
		}
		must(t, f.Close())
	}
}

// failing is a disk in memory of which operations of a kind fail.
func failing(kind errorfs.OpKind, err error) vfs.FS {
	return errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == kind {
			return err
		}
		return nil
	}))
}

// A disk that has no room to fill a file still has what was written.
func TestNoRoomToFill(t *testing.T) {
	full := errors.New("no space left on device")
	fs := FS{FS: failing(errorfs.OpFileWriteAt, full), Ahead: 1000}
	f := create(t, fs, "000001.log")
	for range 3 {
		write(t, f, []byte("abc"))
		must(t, f.SyncData())
	}
	must(t, f.Close())
	if got := content(t, fs, "000001.log"); string(got) != "abcabcabc" {
		t.Errorf("the file has %q", got)
	}
}

// A file of which nobody can tell how long it is is not handed out.
func TestUnknownLength(t *testing.T) {
	broken := errors.New("input/output error")
	fs := FS{FS: failing(errorfs.OpFileStat, broken), Ahead: 1000}
	if f, err := fs.Create("000001.log", category); !errors.Is(err, broken) {
		t.Errorf("%v, %v", f, err)
	}
}
