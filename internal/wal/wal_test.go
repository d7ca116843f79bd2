package wal

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/elastickv/elastickv/internal/testkit/crashable"
)

// testLarge is from where on a record is a large one here.
const testLarge = 10 << 10

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newDisk returns a disk with the folder db.
func newDisk(t testing.TB) *vfs.MemFS {
	t.Helper()
	mem := vfs.NewCrashableMem()
	must(t, mem.MkdirAll("db", 0o755))
	must(t, syncFolder(mem, ""))
	return mem
}

// testLog is a log, and what is known of it.
type testLog struct {
	t   *testing.T
	mem *vfs.MemFS
	o   Options
	*Log
	needed atomic.Uint64

	records map[Position]string // by where they begin
	ends    map[Position]Position
	synced  Position
}

func newTestLog(t *testing.T, fileSize int64) *testLog {
	l := &testLog{t: t, mem: newDisk(t), records: map[Position]string{}, ends: map[Position]Position{}}
	l.o = Options{Dir: "db", New: true, FileSize: fileSize, Ahead: 100, large: testLarge, Needed: func() (Position, error) { return Position(l.needed.Load()), nil }}
	l.open()
	return l
}

// open opens the log. It has all records from needed on up to some of those that were not synced, and goes on behind them.
func (l *testLog) open() {
	l.t.Helper()
	at := Position(l.needed.Load())
	kept := map[Position]string{}
	l.o.FS = crashable.FS{MemFS: l.mem}
	var err error
	l.Log, err = Open(l.o, at, func(content []byte) error {
		if want, ok := l.records[at]; !ok || want != string(content) {
			l.t.Fatalf("at %d there is %q, want %q", at, content, want)
		}
		kept[at] = string(content)
		at = l.ends[at]
		return nil
	})
	must(l.t, err)
	if at < l.synced {
		l.t.Fatalf("the log ends at %d, and %d was durable", at, l.synced)
	}
	if got := l.End(); got != at {
		l.t.Fatalf("the next record would be at %d, want %d", got, at)
	}
	l.records, l.synced, l.o.New = kept, at, false
}

func (l *testLog) append(content string) {
	l.t.Helper()
	at := l.End()
	if got, want := l.EndWith(len(content)), at+headSize+Position(len(content)); got != want {
		l.t.Fatalf("the next one is said to end at %d, want %d", got, want)
	}
	end, err := l.Append([]byte(content))
	must(l.t, err)
	if end != at+headSize+Position(len(content)) || l.End() != end {
		l.t.Fatalf("a record of %d bytes from %d to %d, and the log ends at %d", len(content), at, end, l.End())
	}
	l.records[at], l.ends[at] = content, end
}

func (l *testLog) sync() {
	l.t.Helper()
	end := l.End()
	must(l.t, l.Sync(end))
	l.synced = max(l.synced, end)
}

// boundary returns where some record begins, or where the log ends.
func (l *testLog) boundary(rng *rand.Rand) Position {
	at := l.End()
	for begin := range l.records {
		if rng.IntN(3) == 0 && begin < at {
			at = begin
		}
	}
	return at
}

// Whatever happens to a log, and whenever, it has what was synced, in order, and of the rest what comes first.
func TestCrashes(t *testing.T) {
	for seed := range uint64(150) {
		rng := rand.New(rand.NewPCG(seed, 0))
		l := newTestLog(t, int64(200+rng.IntN(2000)))
		same := rng.IntN(2) == 0 // then records of files that are written again lie where new ones will
		for n := range 150 {
			switch rng.IntN(13) {
			case 0, 1, 2, 3, 4:
				size := 40
				if !same {
					size = 10 + rng.IntN(300)
				}
				if rng.IntN(100) == 0 {
					size = testLarge + rng.IntN(1000)
				}
				text := fmt.Sprintf("%08d", n)
				l.append(text + strings.Repeat("x", size-len(text)))
			case 5, 6:
				l.sync()
			case 7:
				l.SyncAhead()
			case 8, 9: // the engine has put something into tables, which may be more than the log has durable
				l.needed.Store(max(l.needed.Load(), uint64(l.boundary(rng))))
			case 10:
				crashed := l.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[rng.IntN(3)], RNG: rng})
				must(t, l.Close())
				l.mem = crashed
				l.open()
			case 11:
				must(t, l.Close())
				l.synced = l.End()
				l.open()
			case 12: // the process ends, and the machine does not
				l.mu.Lock()
				for l.busy {
					l.idle.Wait()
				}
				l.failed = errClosed
				close(l.ahead)
				l.mu.Unlock()
				l.open()
			}
			if t.Failed() {
				t.Fatalf("seed %d", seed)
			}
		}
		must(t, l.Close())
	}
}

// A crash before any operation that changes the disk leaves a log with all that was durable.
func TestCrashEverywhere(t *testing.T) {
	type image struct {
		disk           *vfs.MemFS
		op             string
		needed, synced Position
	}
	for seed := range uint64(20) {
		rng := rand.New(rand.NewPCG(seed, 0))
		l := &testLog{t: t, mem: newDisk(t), records: map[Position]string{}, ends: map[Position]Position{}}
		var images []image
		fs := errorfs.Wrap(crashable.FS{MemFS: l.mem}, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite {
				crashed := l.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: []int{0, 50, 100}[rng.IntN(3)], RNG: rng})
				images = append(images, image{crashed, fmt.Sprint(op), Position(l.needed.Load()), l.synced})
			}
			return nil
		}))
		needed := func() (Position, error) { return Position(l.needed.Load()), nil }
		var err error
		l.Log, err = Open(Options{FS: fs, Dir: "db", New: true, FileSize: 300, Needed: needed, large: testLarge}, 0, nil)
		must(t, err)
		for n := range 60 {
			l.append(fmt.Sprintf("%0*d", 40+rng.IntN(2)*testLarge/50*rng.IntN(50), n))
			if rng.IntN(2) == 0 {
				l.sync()
			}
			if rng.IntN(3) == 0 {
				l.needed.Store(max(l.needed.Load(), uint64(l.boundary(rng))))
			}
			if n%20 == 10 {
				must(t, l.Purge(func() error {
					l.needed.Store(uint64(l.End()))
					return nil
				}))
			}
		}
		must(t, l.Close())
		for _, image := range images {
			at := image.needed
			again, err := Open(Options{FS: image.disk, Dir: "db", New: image.synced == 0}, at, func(content []byte) error {
				if l.records[at] != string(content) {
					t.Fatalf("seed %d, %v: at %d there is %q", seed, image.op, at, content)
				}
				at = l.ends[at]
				return nil
			})
			if err != nil || at < image.synced {
				t.Fatalf("seed %d, %v: the log ends at %d of %d: %v", seed, image.op, at, image.synced, err)
			}
			must(t, again.Close())
		}
	}
}

// contents returns all files of a log.
func contents(t *testing.T, mem vfs.FS) (names []string, texts [][]byte) {
	t.Helper()
	begins, err := list(mem, "db")
	must(t, err)
	for _, begin := range begins {
		f, err := mem.Open("db/" + fileName(begin))
		must(t, err)
		text, err := io.ReadAll(f)
		must(t, errors.Join(err, f.Close()))
		names, texts = append(names, fileName(begin)), append(texts, text)
	}
	return names, texts
}

// The files that are not needed are written again, in place of further ones.
func TestFilesAreWrittenAgain(t *testing.T) {
	l := newTestLog(t, 1000)
	for n := range 500 {
		l.append(fmt.Sprintf("%0100d", n))
		l.sync()
		l.needed.Store(uint64(max(n-30, 0)) * 116)
	}
	st := l.Stats()
	names, _ := contents(t, l.mem)
	if len(names) < 4 || len(names) > 5+sparesMost || st.Files != len(names) || st.Bytes > uint64(st.Files)*1200 || st.Written != 500*116 {
		t.Errorf("%d files, %+v", len(names), st)
	}
	l.needed.Store(uint64(l.End()))
	must(t, l.Close())
	l.synced = l.End()
	l.open()
	must(t, l.Close())
	// Nor are there more of those that are opened and hold nothing.
	for range 20 {
		l.open()
		must(t, l.Close())
	}
	if names, _ := contents(t, l.mem); len(names) > sparesMost+1 {
		t.Errorf("the files %v", names)
	}
}

// Once a log was purged nothing is in any file that was appended before, and not in one that is written again.
func TestPurge(t *testing.T) {
	l := newTestLog(t, 1000)
	for n := range 100 {
		l.append(fmt.Sprintf("secret%0100d", n))
		l.needed.Store(uint64(l.End()) / 2 / 122 * 122)
	}
	must(t, l.Purge(func() error {
		for n := range 100 { // meanwhile more is written
			l.append(fmt.Sprintf("sealed%0100d", n))
			l.needed.Store(uint64(l.End()))
		}
		l.sync()
		return nil
	}))
	l.append("sealed")
	must(t, l.Close())
	names, texts := contents(t, l.mem)
	for i, text := range texts {
		if bytes.Contains(text, []byte("secret")) {
			t.Errorf("%s has it still", names[i])
		}
	}
	l.synced = l.End()
	l.open()
	stop := errors.New("stop")
	if err := l.Purge(func() error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want what the flush has failed with", err)
	}
	must(t, l.Close())
}

// Records of any length are there as they were appended, and what they were appended from is as it was.
func TestLargeRecords(t *testing.T) {
	l := newTestLog(t, 1<<20)
	l.sync()
	must(t, l.Close())
	l.o.large = 0
	l.open()
	for _, size := range []int{largeSize - 1, largeSize, 4*largeSize - headSize, 4 * largeSize, 4*largeSize + 1} {
		text := make([]byte, size)
		for i := range text {
			text[i] = byte(i % 251)
		}
		at := l.End()
		end, err := l.Append(text)
		must(t, err)
		for i := range text {
			if text[i] != byte(i%251) {
				t.Fatalf("byte %d of %d was changed", i, size)
			}
		}
		l.records[at], l.ends[at] = string(text), end
	}
	l.sync()
	must(t, l.Close())
	l.open()
	must(t, l.Close())
	if len(l.records) != 5 {
		t.Errorf("%d records", len(l.records))
	}
}

// Many append and wait at once. Each finds what it has waited for.
func TestMany(t *testing.T) {
	mem := newDisk(t)
	o := Options{FS: crashable.FS{MemFS: mem}, Dir: "db", New: true, FileSize: 5000, large: testLarge}
	l, err := Open(o, 0, nil)
	must(t, err)
	var wg sync.WaitGroup
	var mu sync.Mutex
	durable := map[string]bool{}
	for w := range 8 {
		wg.Go(func() {
			for n := range 50 {
				text := fmt.Sprintf("%d of %d", n, w)
				if n%20 == 10 {
					text += strings.Repeat("x", testLarge)
				}
				end, err := l.Append([]byte(text))
				if n%3 == 0 {
					l.SyncAhead()
				}
				if err := errors.Join(err, l.Sync(end)); err != nil {
					t.Error(err)
				}
				mu.Lock()
				durable[text] = true
				mu.Unlock()
			}
		})
	}
	for range 20 {
		mu.Lock()
		want := len(durable)
		crashed := mem.CrashClone(vfs.CrashCloneCfg{})
		mu.Unlock()
		got := 0
		after, err := Open(Options{FS: crashed, Dir: "db"}, 0, func([]byte) error { got++; return nil })
		must(t, err)
		must(t, after.Close())
		if got < want {
			t.Fatalf("%d records after a crash, of %d that were durable", got, want)
		}
	}
	wg.Wait()
	st := l.Stats()
	if st.SyncsAll == 0 || st.SyncsAll > 400+st.Syncs[0] || st.Files < 2 {
		t.Errorf("%+v", st)
	}
	must(t, l.Close())
	must(t, l.Close())
	if _, err := l.Append([]byte("x")); !errors.Is(err, errClosed) {
		t.Errorf("appended to a closed log: %v", err)
	}
	got := map[string]int{}
	o.New = false
	l, err = Open(o, 0, func(content []byte) error { got[string(content)]++; return nil })
	must(t, err)
	must(t, l.Close())
	if len(got) != 400 {
		t.Errorf("%d records", len(got))
	}
}

// A log that cannot write or sync once says so to everybody from then on, and writes nothing more.
func TestFailures(t *testing.T) {
	broken := errors.New("input/output error")
	for _, kind := range []errorfs.OpKind{errorfs.OpFileWrite, errorfs.OpFileSyncData, errorfs.OpCreate, errorfs.OpReuseForWrite} {
		mem := newDisk(t)
		var fails atomic.Bool
		fs := errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == kind && fails.Load() {
				return broken
			}
			return nil
		}))
		var l *Log
		var end Position
		var err error
		o := Options{FS: fs, Dir: "db", New: true, FileSize: 300, Needed: func() (Position, error) {
			if kind == errorfs.OpReuseForWrite {
				return end, nil
			}
			return 0, nil
		}}
		l, err = Open(o, 0, nil)
		must(t, err)
		add := func() error {
			at, err := l.Append(make([]byte, 100))
			if err == nil {
				err = l.Sync(at)
			}
			if err == nil {
				end = at
			}
			return err
		}
		for range 20 {
			must(t, add())
		}
		fails.Store(true)
		for i := 0; err == nil && i < 20; i++ {
			err = add()
		}
		if !errors.Is(err, broken) {
			t.Fatalf("%v: %v", kind, err)
		}
		fails.Store(false)
		_, before := contents(t, mem)
		if err := add(); !errors.Is(err, broken) {
			t.Errorf("%v: afterwards %v", kind, err)
		}
		if err := l.Purge(func() error { return nil }); !errors.Is(err, broken) {
			t.Errorf("%v: purged, %v", kind, err)
		}
		if err := l.Close(); !errors.Is(err, broken) {
			t.Errorf("%v: closed, %v", kind, err)
		}
		if _, after := contents(t, mem); !bytes.Equal(bytes.Join(before, nil), bytes.Join(after, nil)) {
			t.Errorf("%v: something was written behind the failure", kind)
		}
		n := 0
		needed, _ := o.Needed()
		again, err := Open(Options{FS: mem, Dir: "db"}, needed, func([]byte) error { n++; return nil })
		must(t, err)
		must(t, again.Close())
		if needed == 0 && n < 20 {
			t.Errorf("%v: %d records are left", kind, n)
		}
	}
}

// What is not there, or not whole, is refused where something behind it would be kept.
func TestDamage(t *testing.T) {
	l := newTestLog(t, 300)
	for n := range 20 {
		l.append(fmt.Sprintf("%050d", n))
		l.sync()
	}
	must(t, l.Close())
	names, texts := contents(t, l.mem)
	if len(names) < 3 {
		t.Fatalf("the files %v", names)
	}
	open := func(needed Position, change func(mem *vfs.MemFS)) (records int, err error) {
		mem := l.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
		change(mem)
		before, _ := contents(t, mem)
		again, err := Open(Options{FS: mem, Dir: "db"}, needed, func([]byte) error { records++; return nil })
		if err != nil {
			if after, _ := contents(t, mem); fmt.Sprint(before) != fmt.Sprint(after) {
				t.Errorf("it was not opened, and the files are %v, not %v", after, before)
			}
			return records, err
		}
		return records, again.Close()
	}
	rewrite := func(name string, text []byte) func(*vfs.MemFS) {
		return func(mem *vfs.MemFS) {
			f, err := mem.Create("db/"+name, vfs.WriteCategoryUnspecified)
			must(t, err)
			_, err = f.Write(bytes.Clone(text))
			must(t, errors.Join(err, f.Close()))
		}
	}
	remove := func(names ...string) func(*vfs.MemFS) {
		return func(mem *vfs.MemFS) {
			for _, name := range names {
				must(t, mem.Remove("db/"+name))
			}
		}
	}
	if n, err := open(0, func(*vfs.MemFS) {}); n != 20 || err != nil {
		t.Fatalf("%d records, %v", n, err)
	}
	for i, name := range names[:len(names)-1] {
		if _, err := open(0, remove(name)); !errors.Is(err, ErrCut) {
			t.Errorf("without %s: %v", name, err)
		}
		for at := range bytes.TrimRight(texts[i], "\x00") {
			damaged := bytes.Clone(texts[i])
			damaged[at] ^= 1
			if _, err := open(0, rewrite(name, damaged)); !errors.Is(err, ErrCut) {
				t.Errorf("byte %d of %s: %v", at, name, err)
			}
			if _, err := open(0, rewrite(name, texts[i][:at])); !errors.Is(err, ErrCut) {
				t.Errorf("%s cut at byte %d: %v", name, at, err)
			}
		}
	}
	if _, err := open(0, remove(names...)); !errors.Is(err, ErrGone) {
		t.Errorf("without any file: %v", err)
	}
	if _, err := open(l.End()+100, func(*vfs.MemFS) {}); err != nil { // the engine had more than the log
		t.Errorf("needed from behind its end on: %v", err)
	}
	newest, text := names[len(names)-1], texts[len(texts)-1]
	whole := 20 - bytes.Count(text, []byte("000000"+"0000000000000000000000000000000000000000"))
	for at := range bytes.TrimRight(text, "\x00") {
		damaged := bytes.Clone(text)
		damaged[at] ^= 1
		if n, err := open(0, rewrite(newest, damaged)); err != nil || n != whole+at/66 {
			t.Fatalf("byte %d of the newest file: %d records, want %d, %v", at, n, whole+at/66, err)
		}
	}
	stop := errors.New("stop")
	mem := l.mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
	if _, err := Open(Options{FS: mem, Dir: "db"}, 0, func([]byte) error { return stop }); !errors.Is(err, stop) {
		t.Errorf("got %v, want what the replay has failed with", err)
	}
}

// Syncs are counted by how long they take.
func TestSyncTimes(t *testing.T) {
	now := time.Unix(0, 0)
	l := newTestLog(t, 0)
	must(t, l.Close())
	l.o.Now = func() time.Time { now = now.Add(2 * time.Millisecond); return now }
	l.open()
	for range 3 {
		l.append("x")
		l.sync()
		l.sync() // there is nothing to sync
	}
	st := l.Stats()
	if st.SyncsAll != 3 || st.SyncTime != 6*time.Millisecond {
		t.Errorf("%d syncs, of %v", st.SyncsAll, st.SyncTime)
	}
	for i, bound := range SyncBounds {
		want := uint64(0)
		if bound >= 2*time.Millisecond {
			want = 3
		}
		if st.Syncs[i] != want {
			t.Errorf("%d up to %v, want %d", st.Syncs[i], bound, want)
		}
	}
	must(t, l.Close())
}

// Only names that a log gives are those of its files.
func TestNames(t *testing.T) {
	for name, want := range map[string]bool{
		"wal-0000000000a3c01f.log": true, "wal-0000000000000000.log": true, "wal-ffffffffffffffff.log": true,
		"wal-0000000000A3c01f.log": false, "wal-a3c01f.log": false, "000001.log": false, "wal-00000000000000000.log": false, "wal-0000000000a3c01f": false,
	} {
		if begin, ok := IsFile(name); ok != want || ok && fileName(begin) != name {
			t.Errorf("%s: %x, %v", name, uint64(begin), ok)
		}
	}
}
