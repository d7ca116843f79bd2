package raftlog

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/raft/v3/raftpb"
	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/internal/watermark"
)

// The bytes of the row of the writes.
func TestWritesBytes(t *testing.T) {
	const want = "07000000000000000000000000000009" + "0000000000000102" + "0000000000000101" + "56f56d2e"
	if got := hex.EncodeToString(appendWrites(nil, watermark.ID{0: 7, 15: 9}, 258, 257)); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func FuzzParseWrites(f *testing.F) {
	f.Add(appendWrites(nil, watermark.ID{1}, 3, 2))
	f.Add([]byte("short"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if id, writes, synced, ok := parseWrites(b); ok && !bytes.Equal(appendWrites(nil, id, writes, synced), b[:rowSize]) {
			t.Errorf("%x is not what was written", b)
		}
	})
}

// Rows are found wherever they are, and nothing else is taken for one.
func TestHighestSynced(t *testing.T) {
	id := watermark.ID{1, 2, 3}
	row := appendWrites(nil, id, 9, 8)
	bad := bytes.Clone(row)
	bad[20] ^= 1
	for _, tc := range []struct {
		name string
		b    []byte
		want uint64
	}{
		{"nothing", nil, 0},
		{"a row", row, 8},
		{"a row that was changed", bad, 0},
		{"a row that is cut off", row[:rowSize-1], 0},
		{"a name alone, and a row", append(bytes.Clone(id[:]), row...), 8},
		{"the highest", slices.Concat(appendWrites(nil, id, 5, 4), []byte("xx"), row, bad, appendWrites(nil, id, 7, 6)), 8},
		{"that of another log", appendWrites(nil, watermark.ID{9}, 9, 8), 0},
		{"across the end of a piece", slices.Concat(make([]byte, 1<<20-rowSize/2), row, make([]byte, 2<<20)), 8},
		{"at the end of a piece", slices.Concat(make([]byte, 1<<20-rowSize), row), 8},
		{"behind three pieces", slices.Concat(make([]byte, 3<<20), row), 8},
	} {
		for _, r := range []io.Reader{bytes.NewReader(tc.b), iotest.DataErrReader(bytes.NewReader(tc.b))} {
			if got, err := highestSynced(r, id); got != tc.want || err != nil {
				t.Errorf("%s: %d, %v, want %d", tc.name, got, err, tc.want)
			}
		}
	}
	broken := errors.New("broken")
	if _, err := highestSynced(iotest.ErrReader(broken), id); !errors.Is(err, broken) {
		t.Errorf("an error of the disk: %v", err)
	}
}

func fatalf(t fataler, format string, args ...any) {
	t.Helper()
	t.Fatal(fmt.Sprintf(format, args...))
}

// disk is what a process has left: the state of its files, and the newest file of the engine's log.
type disk struct {
	fs     *vfs.MemFS
	newest string
	bytes  []byte
	used   int // up to where something is written
	opens  int
}

// leave returns what is left of a disk if so much of what was not synced is.
func leave(t fataler, fs *vfs.MemFS, unsynced int, rng *rand.Rand) *disk {
	t.Helper()
	d := &disk{fs: fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: unsynced, RNG: rng})}
	names, err := d.fs.List("log")
	must(t, err)
	for _, n := range names {
		if strings.HasSuffix(n, ".log") && n > d.newest {
			d.newest = n
		}
	}
	d.newest = "log/" + d.newest
	f, err := d.fs.Open(d.newest)
	must(t, err)
	d.bytes, err = io.ReadAll(f)
	must(t, errors.Join(err, f.Close()))
	d.used = len(bytes.TrimRight(d.bytes, "\x00"))
	return d
}

// with opens the log with other bytes in the newest file; nil: without the file. It leaves d as it is.
func (d *disk) with(t fataler, b []byte) (*Log, error) {
	t.Helper()
	fs := d.fs.CrashClone(vfs.CrashCloneCfg{})
	if b == nil {
		must(t, fs.Remove(d.newest))
	} else {
		f, err := fs.Create(d.newest, vfs.WriteCategoryUnspecified)
		must(t, err)
		_, err = f.Write(bytes.Clone(b)) // it may change what it is given
		must(t, errors.Join(err, f.Sync(), f.Close()))
	}
	l, err := Open("log", Options{FS: fs, TailBytes: 200, EngineBytes: 1})
	if d.opens++; err != nil && d.opens%8 == 0 {
		// It stays so: the engine has written its files anew.
		if _, again := Open("log", Options{FS: fs, EngineBytes: 1}); again == nil {
			fatalf(t, "refused at first, and then not: %v", err)
		}
	}
	return l, err
}

// refusedOrWhole fails unless the log is refused in the right words, or has all entries up to last.
func refusedOrWhole(t fataler, what string, l *Log, err error, last uint64) (refused bool) {
	t.Helper()
	if err != nil {
		if !errors.Is(err, ErrForgotten) && !errors.Is(err, ErrDamaged) {
			fatalf(t, "%s: refused as %v", what, err)
		}
		return true
	}
	g, err := l.Open(1, 10)
	must(t, err)
	if got, _ := g.LastIndex(); got < last {
		fatalf(t, "%s: the log is opened and ends at %d, and %d was promised", what, got, last)
	}
	must(t, l.Close())
	return false
}

// fill makes a log with entries of many sizes, each of them synced, from entry 11 on.
func fill(t fataler, fs *vfs.MemFS, sizes ...int) (*Log, *Group) {
	t.Helper()
	l, err := Open("log", Options{FS: fs, TailBytes: 200, EngineBytes: 1})
	must(t, err)
	g := newGroup(t, l, 1)
	for i, size := range sizes {
		must(t, l.Write([]Write{{Group: g, Entries: []*pb.Entry{entry(11+uint64(i), 5, strings.Repeat("x", size))}}}))
	}
	return l, g
}

// A process has ended, and the disk has changed something: whatever that is, and wherever, it is noticed, or nothing is lost.
func TestDamageBehindEndOfProcess(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 1))
	for _, closed := range []bool{false, true} {
		fs := vfs.NewCrashableMem()
		l, _ := fill(t, fs, 10, 0, 300, 40_000, 5, 33_000, 20, 20)
		const last = 18
		if closed {
			must(t, l.Close())
		}
		d := leave(t, fs, 100, rng)
		flip := func(i int, mask byte) []byte {
			b := bytes.Clone(d.bytes)
			b[i] ^= mask
			return b
		}
		refused := 0
		check := func(what string, b []byte) {
			l, err := d.with(t, b)
			if refusedOrWhole(t, what, l, err, last) {
				refused++
			}
		}
		// Bytes near the beginning, the end, and the headers of chunks; of the others few. The engine takes long over
		// damage in the middle of a large chunk.
		var at []int
		for i := range d.used {
			near := i < 64 || i > d.used-180 || i%(32<<10) < 24 || (32<<10)-i%(32<<10) < 8
			if near && i%3 == 0 || rng.IntN(20_000) == 0 {
				at = append(at, i)
			}
		}
		for _, i := range at {
			check(fmt.Sprintf("closed %v, byte %d", closed, i), flip(i, 1<<rng.IntN(8)))
		}
		for i := 0; i < d.used; i += 8192 {
			b := bytes.Clone(d.bytes)
			clear(b[i:min(len(b), i+4096)])
			check(fmt.Sprintf("closed %v, a page of zeros at %d", closed, i), b)
			check(fmt.Sprintf("closed %v, cut off at %d", closed, i), d.bytes[:i])
		}
		check("no file", nil)
		if least := len(at) / 2; refused < least {
			t.Errorf("closed %v: refused %d times of %d flips", closed, refused, len(at))
		}
		if l, err := d.with(t, d.bytes); err != nil || refusedOrWhole(t, "no damage", l, err, last) {
			t.Errorf("without damage: %v", err)
		}
	}
}

// The power goes before anything of the watermark was synced: still damage is noticed, but in the last write, of which nothing else
// knows. It says itself that the one before it was on the disk.
func TestDamageBehindPowerCut(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	fs := vfs.NewCrashableMem()
	fill(t, fs, 10, 300, 2000, 5, 20, 20)
	d := leave(t, fs, 0, rng)
	for i := range d.used {
		if i > 100 && i < d.used-300 && rng.IntN(10) > 0 {
			continue
		}
		b := bytes.Clone(d.bytes)
		b[i] ^= 1 << rng.IntN(8)
		l, err := d.with(t, b)
		refusedOrWhole(t, fmt.Sprintf("byte %d of %d", i, d.used), l, err, 15)
	}
}

// Settle has damage of the last write noticed after a power cut, too.
func TestSettle(t *testing.T) {
	fs := vfs.NewCrashableMem()
	l, _ := fill(t, fs, 10, 20)
	must(t, l.Settle())
	d := leave(t, fs, 0, nil)
	for i := range d.used {
		b := bytes.Clone(d.bytes)
		b[i] ^= 1 << (i % 8)
		l, err := d.with(t, b)
		refusedOrWhole(t, fmt.Sprintf("byte %d of %d", i, d.used), l, err, 12)
	}
}

func syncFolder(fs *vfs.MemFS) error {
	d, err := fs.OpenDir("log")
	return errors.Join(err, d.Sync(), d.Close())
}

// A log that has been told that it has lost something is opened no more, and one whose watermark is lost or of another log neither.
func TestCondemned(t *testing.T) {
	for _, tc := range []struct {
		name string
		harm func(l *Log, fs *vfs.MemFS) error
		want error
	}{
		{"whole", func(*Log, *vfs.MemFS) error { return nil }, nil},
		{"condemned", func(l *Log, _ *vfs.MemFS) error { return l.Condemn() }, ErrForgotten},
		{"without its watermark", func(_ *Log, fs *vfs.MemFS) error { return fs.Remove("log/" + markFile) }, ErrDamaged},
		{"with a watermark that is none", func(_ *Log, fs *vfs.MemFS) error {
			f, err := fs.Create("log/"+markFile, vfs.WriteCategoryUnspecified)
			return errors.Join(err, f.Close())
		}, ErrDamaged},
		{"with that of another log", func(_ *Log, fs *vfs.MemFS) error {
			w, err := watermark.Create(fs, "log", markFile)
			return errors.Join(err, w.Close())
		}, ErrDamaged},
	} {
		fs := vfs.NewCrashableMem()
		l, _ := fill(t, fs, 10)
		must(t, errors.Join(tc.harm(l, fs), syncFolder(fs)))
		after, err := Open("log", Options{FS: fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})})
		if !errors.Is(err, tc.want) || (err == nil) != (tc.want == nil) {
			t.Errorf("%s: got %v, want %v", tc.name, err, tc.want)
		}
		if err == nil {
			must(t, after.Close())
		}
	}
}

// A log of a release that did not count is opened, and counts from then on.
func TestBeginsToCount(t *testing.T) {
	fs := vfs.NewCrashableMem()
	l, _ := fill(t, fs, 10)
	must(t, l.db.Delete(writesKey, pebble.Sync))
	must(t, errors.Join(fs.Remove("log/"+markFile), syncFolder(fs)))
	for n := range uint64(3) {
		fs = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, n))})
		l, err := Open("log", Options{FS: fs})
		must(t, err)
		g, err := l.Open(1, 10)
		must(t, err)
		must(t, l.Write([]Write{{Group: g, Entries: []*pb.Entry{entry(12+n, 5, "x")}}}))
		if l.made.writes != n+1 || l.made.mark.At() != n+1 {
			t.Errorf("%d writes, of which %d are said to be on the disk, want %d", l.made.writes, l.made.mark.At(), n+1)
		}
	}
}

// Random histories: any crash opens, with all that was promised. If the disk has changed something of that besides, the log is refused,
// if the process has ended by itself or the watermark was synced behind it.
func TestPromisedModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		fs := vfs.NewCrashableMem()
		l, g := fill(t, fs)
		must(t, l.Settle())
		last, promised, settled := uint64(10), uint64(10), uint64(10)
		for range rapid.IntRange(1, 12).Draw(t, "steps") {
			switch rapid.IntRange(0, 9).Draw(t, "what") {
			case 0:
				if err := l.Settle(); err != nil {
					t.Fatal(err)
				}
				settled = promised
			case 1:
				if err := l.db.Flush(); err != nil { // the engine begins a new file
					t.Fatal(err)
				}
			case 2:
				// A crash takes back what nobody was promised, or not.
				clone := fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rapid.SampledFrom([]int{0, 30, 70, 100}).Draw(t, "left"), RNG: rng})
				if err := l.Close(); err != nil {
					t.Fatal(err)
				}
				fs = clone
				var err error
				if l, err = Open("log", Options{FS: fs, TailBytes: 200, EngineBytes: 1}); err != nil {
					fatalf(t, "after a crash: %v", err)
				}
				if g, err = l.Open(1, 10); err != nil {
					t.Fatal(err)
				}
				if last = g.lastIndex(); last < promised {
					fatalf(t, "after a crash the log ends at %d, and %d was promised", last, promised)
				}
				promised, settled = last, last
				if err := l.Settle(); err != nil {
					t.Fatal(err)
				}
			default:
				write, later := l.Write, rapid.Bool().Draw(t, "later")
				if later {
					write = l.WriteLater
				}
				size := rapid.SampledFrom([]int{0, 10, 500, 3000}).Draw(t, "size")
				if err := write([]Write{{Group: g, Entries: []*pb.Entry{entry(last+1, 5, strings.Repeat("x", size))}}}); err != nil {
					t.Fatal(err)
				}
				last++
				if !later {
					promised = last
				}
			}
		}
		for _, end := range []struct {
			left int
			must uint64
		}{{100, promised}, {0, settled}, {50, settled}} {
			d := leave(t, fs, end.left, rng)
			if d.used == 0 {
				continue
			}
			b := bytes.Clone(d.bytes)
			b[rapid.IntRange(0, d.used-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			after, err := d.with(t, b)
			refusedOrWhole(t, fmt.Sprintf("with %d %% of what was not synced", end.left), after, err, end.must)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	})
}
