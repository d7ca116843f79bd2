package raftlog

import (
	"bytes"
	"encoding/binary"
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
	logs   []string // the files of the engine's log, the newest last
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
		if strings.HasSuffix(n, ".log") {
			d.logs = append(d.logs, "log/"+n)
		}
	}
	slices.Sort(d.logs)
	d.newest = d.logs[len(d.logs)-1]
	d.bytes = d.read(t, d.newest)
	d.used = len(bytes.TrimRight(d.bytes, "\x00"))
	return d
}

func (d *disk) read(t fataler, name string) []byte {
	t.Helper()
	f, err := d.fs.Open(name)
	must(t, err)
	b, err := io.ReadAll(f)
	must(t, errors.Join(err, f.Close()))
	return b
}

// with opens the log with other bytes in the newest file; nil: without the file. It leaves d as it is.
func (d *disk) with(t fataler, b []byte) (*Log, error) {
	t.Helper()
	return d.withFile(t, d.newest, b)
}

// withFile is with for any file.
func (d *disk) withFile(t fataler, name string, b []byte) (*Log, error) {
	t.Helper()
	fs := d.fs.CrashClone(vfs.CrashCloneCfg{})
	if b == nil {
		must(t, fs.Remove(name))
	} else {
		f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
		must(t, err)
		_, err = f.Write(bytes.Clone(b)) // it may change what it is given
		must(t, errors.Join(err, f.Sync(), f.Close()))
	}
	l, err := Open("log", Options{FS: fs, TailBytes: 200, EngineBytes: roomy})
	if d.opens++; err != nil && d.opens%8 == 0 {
		// It stays so: the engine has written its files anew.
		if _, again := Open("log", Options{FS: fs, EngineBytes: roomy}); again == nil {
			fatalf(t, "refused at first, and then not: %v", err)
		}
	}
	return l, err
}

// promise is what others were told of a log of group 1: where it ends, and its term. For whom it has voted in that, the term says.
type promise struct{ last, term uint64 }

// hard returns the state of the term.
func (p promise) hard() *pb.HardState {
	if p.term == 5 {
		return hardState(5, 0, 10) // that of a new group
	}
	return hardState(p.term, 1+p.term%3, 10)
}

// refusedOrWhole fails unless the log is refused in the right words, or has all that was promised.
func refusedOrWhole(t fataler, what string, l *Log, err error, p promise) (refused bool) {
	t.Helper()
	if err != nil {
		if !errors.Is(err, ErrForgotten) && !errors.Is(err, ErrDamaged) {
			fatalf(t, "%s: refused as %v", what, err)
		}
		return true
	}
	g, err := l.Open(1, 10)
	if err != nil {
		fatalf(t, "%s: the log is opened, and its group is not: %v", what, err)
	}
	got := promise{g.lastIndex(), g.HardState().GetTerm()}
	if got.last < p.last || got.term < p.term {
		fatalf(t, "%s: the log is opened with %v, and %v was promised", what, got, p)
	}
	if vote := g.HardState().GetVote(); vote != got.hard().GetVote() {
		fatalf(t, "%s: in term %d it has voted for %d, and says %d", what, got.term, got.hard().GetVote(), vote)
	}
	must(t, l.Close())
	return false
}

// roomy is so much memory that the engine waits for no table in these tests.
const roomy = 400 << 20

// fill makes a log with entries of many sizes, each of them synced, from entry 11 on.
func fill(t fataler, fs vfs.FS, sizes ...int) (*Log, *Group) {
	t.Helper()
	l, err := Open("log", Options{FS: fs, TailBytes: 200, EngineBytes: roomy})
	must(t, err)
	g := newGroup(t, l, 1)
	for i, size := range sizes {
		must(t, l.Write([]Write{{Group: g, Entries: []*pb.Entry{entry(11+uint64(i), 5, strings.Repeat("x", size))}}}))
	}
	return l, g
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

// Random histories: any crash opens, with all that was promised. If the disk has changed something of that besides, the log is refused:
// if the process has ended by itself or the watermark was synced behind it, and always in an older file than that of the last synced write.
func TestPromisedModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rng := rand.New(rand.NewPCG(rapid.Uint64().Draw(t, "seed"), 1))
		fs := newHeldDisk(vfs.NewCrashableMem())
		l, g := fill(t, fs)
		must(t, l.Settle())
		fs.hold()
		last := promise{10, 5}
		promised, settled := last, last
		began := l.made.writes // those that are not in the newest file of the engine's log
		for range rapid.IntRange(1, 16).Draw(t, "steps") {
			switch rapid.IntRange(0, 12).Draw(t, "what") {
			case 0:
				must(t, l.Settle())
				settled = promised
			case 1:
				fs.release()
				must(t, l.db.Flush())
				fs.hold()
				began = l.made.writes
			case 2, 3:
				nextFile(t, l)
				began = l.made.writes
			case 4:
				// A crash takes back what nobody was promised, or not.
				left := rapid.SampledFrom([]int{0, 30, 70, 100}).Draw(t, "left")
				clone := newHeldDisk(fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: left, RNG: rng}))
				fs.release()
				must(t, l.Close())
				fs = clone
				var err error
				if l, err = Open("log", Options{FS: fs, TailBytes: 200, EngineBytes: roomy}); err != nil {
					fatalf(t, "after a crash: %v", err)
				}
				fs.hold()
				began = l.made.writes
				if g, err = l.Open(1, 10); err != nil {
					t.Fatal(err)
				}
				last = promise{g.lastIndex(), g.HardState().GetTerm()}
				if last.last < promised.last || last.term < promised.term {
					fatalf(t, "after a crash the log has %v, and %v was promised", last, promised)
				}
				promised, settled = last, last
				must(t, l.Settle())
			default:
				write, later := l.Write, rapid.Bool().Draw(t, "later")
				if later {
					write = l.WriteLater
				}
				w := Write{Group: g}
				if rapid.IntRange(0, 3).Draw(t, "vote") == 0 {
					last.term++
					w.Hard = last.hard()
				} else {
					last.last++
					size := rapid.SampledFrom([]int{0, 10, 500, 3000}).Draw(t, "size")
					w.Entries = []*pb.Entry{entry(last.last, 5, strings.Repeat("x", size))}
				}
				must(t, write([]Write{w}))
				if !later {
					promised = last
				}
			}
		}
		for _, end := range []struct {
			left int
			must promise
		}{{100, promised}, {0, settled}, {50, settled}} {
			d := leave(t, fs.MemFS, end.left, rng)
			name := rapid.SampledFrom(d.logs).Draw(t, "file")
			if name != d.newest && l.made.synced > began {
				end.must = promised
			}
			b := d.read(t, name)
			used := len(bytes.TrimRight(b, "\x00"))
			if used == 0 {
				continue
			}
			if at := chunks(t, b); name != d.newest && len(at) > 0 && rapid.Bool().Draw(t, "next") {
				number := b[rapid.SampledFrom(at).Draw(t, "chunk")+7:]
				binary.LittleEndian.PutUint32(number, binary.LittleEndian.Uint32(number)+1)
			} else {
				b[rapid.IntRange(0, used-1).Draw(t, "byte")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
			}
			after, err := d.withFile(t, name, b)
			refusedOrWhole(t, fmt.Sprintf("%s with %d %% of what was not synced", name, end.left), after, err, end.must)
		}
		fs.release()
		must(t, l.Close())
	})
}
