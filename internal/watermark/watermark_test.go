package watermark

import (
	"bytes"
	"encoding/hex"
	"errors"
	"io"
	"io/fs"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newMark makes a watermark in a folder that is on the disk.
func newMark(t testing.TB) (*vfs.MemFS, *File) {
	t.Helper()
	fsys := vfs.NewCrashableMem()
	must(t, fsys.MkdirAll("dir", 0o755))
	root, err := fsys.OpenDir("/")
	must(t, err)
	must(t, errors.Join(root.Sync(), root.Close()))
	w, err := Create(fsys, "dir", "MARK")
	must(t, err)
	return fsys, w
}

func contents(t testing.TB, fsys vfs.FS) []byte {
	t.Helper()
	f, err := fsys.Open("dir/MARK")
	must(t, err)
	b, err := io.ReadAll(f)
	must(t, errors.Join(err, f.Close()))
	return b
}

func write(t testing.TB, fsys vfs.FS, b []byte) {
	t.Helper()
	f, err := fsys.Create("dir/MARK", vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = f.Write(bytes.Clone(b)) // it may change what it is given
	must(t, errors.Join(err, f.Close()))
}

// The bytes of the format.
func TestBytes(t *testing.T) {
	const want = "656c61737469636b76206d61726b2031" + "01000000000000000000000000000002" + "0000000000000309" + "c33f3264"
	if got := hex.EncodeToString(appendMark(nil, ID{0: 1, 15: 2}, 777)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// The end of the process loses nothing, and a power cut what was not synced, or a part of it.
func TestCrash(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		fsys, w := newMark(t)
		synced, raised := uint64(0), uint64(0)
		for range rng.IntN(6) {
			raised += rng.Uint64N(3)
			must(t, w.Raise(raised))
			if rng.IntN(3) == 0 {
				must(t, w.Sync())
				synced = raised
			}
		}
		must(t, w.Raise(0)) // is no news
		for _, tc := range []struct {
			unsynced    int
			least, most uint64
		}{{0, synced, synced}, {50, synced, raised}, {100, raised, raised}} {
			after, err := Open(fsys.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: tc.unsynced, RNG: rng}), "dir", "MARK")
			must(t, err)
			if got := after.At(); got < tc.least || got > tc.most {
				t.Errorf("with %d %% of what was not synced: %d, want %d to %d", tc.unsynced, got, tc.least, tc.most)
			}
			if after.ID() != w.ID() {
				t.Error("the name has changed")
			}
			must(t, after.Raise(raised+7))
			must(t, after.Close())
		}
		must(t, w.Close())
		if w, err := Open(fsys.CrashClone(vfs.CrashCloneCfg{}), "dir", "MARK"); err != nil || w.At() != raised {
			t.Errorf("closed at %d: %v", raised, err)
		}
	}
}

// A creation that a crash cuts short leaves no watermark, or a whole one.
func TestCreateIsCutShort(t *testing.T) {
	fsys, _ := newMark(t)
	must(t, fsys.Remove("dir/MARK"))
	if _, err := Open(fsys, "dir", "MARK"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("there is none: %v", err)
	}
	if names, err := fsys.List("dir"); err != nil || len(names) > 0 {
		t.Errorf("asking for it leaves %v, %v", names, err)
	}
	must(t, fsys.MkdirAll("dir", 0o755))
	f, err := fsys.Create("dir/MARK.new", vfs.WriteCategoryUnspecified)
	must(t, err)
	_, err = f.Write([]byte("half"))
	must(t, errors.Join(err, f.Close()))
	w, err := Create(fsys, "dir", "MARK")
	must(t, err)
	if w.At() != 0 || w.ID() == (ID{}) {
		t.Errorf("a new one is at %d, of %x", w.At(), w.ID())
	}
}

// Whoever raises it last, the file says the highest when all are done.
func TestRaiseTogether(t *testing.T) {
	fsys, w := newMark(t)
	var wg sync.WaitGroup
	for i := range uint64(8) {
		wg.Go(func() {
			for n := i; n < 2000; n += 8 {
				if err := w.Raise(n); err != nil {
					t.Error(err)
				}
				if n%500 == 0 {
					if err := w.Sync(); err != nil {
						t.Error(err)
					}
				}
			}
		})
	}
	wg.Wait()
	after, err := Open(fsys.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))}), "dir", "MARK")
	must(t, err)
	if got := after.At(); got != 1999 {
		t.Errorf("at %d, want 1999", got)
	}
}

// To lower it takes effect, or none, whatever is interrupted.
func TestLower(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for n := range 12 {
		fsys, w := newMark(t)
		for i := range n%3 + 2 {
			must(t, w.Raise(uint64(40+i)))
		}
		must(t, w.Sync())
		must(t, w.Lower(7))
		must(t, w.Close())
		cut := fsys.CrashClone(vfs.CrashCloneCfg{})
		after, err := Open(cut, "dir", "MARK")
		must(t, err)
		if after.At() != 7 {
			t.Errorf("at %d, want 7", after.At())
		}
		must(t, after.Raise(9))
		if again, err := Open(cut.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rng}), "dir", "MARK"); err != nil || again.At() != 9 {
			t.Errorf("raised again: %v, %v", again, err)
		}
	}
}

// Damage makes it weaker, or is noticed; what it says is never more than was true.
func TestDamage(t *testing.T) {
	fsys, w := newMark(t)
	must(t, w.Raise(40))
	must(t, w.Raise(41))
	must(t, w.Close())
	whole := contents(t, fsys)
	for i := range len(whole) * 8 {
		b := bytes.Clone(whole)
		b[i/8] ^= 1 << (i % 8)
		write(t, fsys, b)
		if w, err := Open(fsys, "dir", "MARK"); err != nil || w.At() < 40 || w.At() > 41 || w.ID() != w.id {
			t.Fatalf("bit %d: %v, %v", i, w, err)
		}
	}
	for _, b := range [][]byte{nil, whole[:20], make([]byte, len(whole)), bytes.Repeat([]byte{0xff}, len(whole))} {
		write(t, fsys, b)
		if _, err := Open(fsys, "dir", "MARK"); !errors.Is(err, ErrDamaged) {
			t.Errorf("%d bytes: %v", len(b), err)
		}
	}
	write(t, fsys, whole[:placeSize+markSize-1])
	if w, err := Open(fsys, "dir", "MARK"); err != nil || w.At() < 40 {
		t.Errorf("cut off: %v", err)
	}
}

// slowDisk is a file whose sync takes until it is told to end.
type slowDisk struct {
	vfs.File
	began, end chan struct{}
}

func (s slowDisk) SyncData() error {
	s.began <- struct{}{}
	<-s.end
	return s.File.SyncData()
}

// A sync is in nobody's way, and what is raised meanwhile is not forgotten.
func TestRaiseDuringSync(t *testing.T) {
	fsys, w := newMark(t)
	slow := slowDisk{w.f, make(chan struct{}), make(chan struct{})}
	w.f = slow
	must(t, w.Raise(1))
	synced := make(chan error)
	go func() { synced <- w.Sync() }()
	<-slow.began
	must(t, w.Raise(3))
	must(t, w.Raise(2))
	if got := w.At(); got != 3 {
		t.Errorf("at %d, want 3", got)
	}
	close(slow.end)
	must(t, <-synced)
	after, err := Open(fsys.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))}), "dir", "MARK")
	must(t, err)
	if got := after.At(); got != 3 {
		t.Errorf("a process that ends leaves %d, want 3", got)
	}
}

func FuzzParseMark(f *testing.F) {
	f.Add(appendMark(nil, ID{1}, 2))
	f.Add([]byte(head))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, n, ok := parseMark(b); ok && !bytes.Equal(appendMark(nil, id, n), b[:markSize]) {
			t.Errorf("%x is not what was written", b)
		}
	})
}
