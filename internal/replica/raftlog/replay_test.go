package raftlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/testkit/crashable"
	"github.com/elastickv/elastickv/internal/zerofill"
)

// heldDisk is a disk on which tables can be held up: while they are, the engine keeps every file of its log.
type heldDisk struct {
	crashable.FS
	mu   sync.Mutex
	free chan struct{} // closed while nothing is held up
}

func newHeldDisk(fs *vfs.MemFS) *heldDisk {
	h := &heldDisk{FS: crashable.FS{MemFS: fs}, free: make(chan struct{})}
	close(h.free)
	return h
}

func (h *heldDisk) hold() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.free = make(chan struct{})
}

func (h *heldDisk) release() {
	h.mu.Lock()
	defer h.mu.Unlock()
	close(h.free)
}

// Create implements vfs.FS.
func (h *heldDisk) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	if strings.HasSuffix(name, ".sst") {
		h.mu.Lock()
		free := h.free
		h.mu.Unlock()
		<-free
	}
	return h.FS.Create(name, c)
}

// nextFile has the engine begin a new file of its log.
func nextFile(t fataler, l *Log) {
	t.Helper()
	_, err := l.db.AsyncFlush()
	must(t, err)
}

// chunks returns where the chunks of a file of the engine's log are:
//
//	| CRC (4) | length (2) | kind (1) | number of the log (4) | … |     kinds 5 to 8
//	| CRC (4) | length (2) | kind (1) | number of the log (4) | up to where it is synced (8) | … |     kinds 9 to 12
//
// It ends in one of kind 5 and nothing else, and no chunk crosses the end of a block.
func chunks(t fataler, b []byte) (at []int) {
	t.Helper()
	const block, least, most = 32 << 10, 11, 19
	for i := 0; i+least <= len(b); {
		kind, length := b[i+6], int(binary.LittleEndian.Uint16(b[i+4:]))
		switch rest := block - i%block; {
		case kind == 0 && rest < most:
			i += rest
			continue
		case kind == 0 || length == 0:
			return at
		}
		at = append(at, i)
		i += length + least
		if kind > 8 {
			i += most - least
		}
	}
	return at
}

// The engine has begun new files of its log, and still needs the ones before. What the disk changes there is noticed wherever it is, be it
// that the rest looks like no part of the file any more, and although all that comes later is whole.
func TestDamageInOlderFile(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	fs := newHeldDisk(vfs.NewCrashableMem())
	l, err := Open("log", Options{FS: fs, TailBytes: 200, EngineBytes: roomy})
	must(t, err)
	defer func() {
		fs.release()
		must(t, l.Close())
	}()
	fs.hold()
	g := newGroup(t, l, 1)
	want := promise{10, 5}
	for _, sizes := range [][]int{{10, 2000, 3}, {0, 300}, {10, 40_000}, {5}} {
		for _, size := range sizes {
			want.last++
			must(t, l.Write([]Write{{Group: g, Entries: []*pb.Entry{entry(want.last, 5, strings.Repeat("x", size))}}}))
		}
		if len(sizes) > 1 { // its vote is the last in the file
			want.term++
			must(t, l.Write([]Write{{Group: g, Hard: want.hard()}}))
		}
		nextFile(t, l)
	}
	want.last++
	must(t, l.Write([]Write{{Group: g, Entries: []*pb.Entry{entry(want.last, 5, "the newest")}}}))

	d := leave(t, fs.MemFS, 0, rng)
	if len(d.logs) < 5 {
		t.Fatalf("the log has the files %v", d.logs)
	}
	for _, name := range d.logs[:len(d.logs)-1] {
		whole := d.read(t, name)
		check := func(what string, b []byte) bool {
			l, err := d.withFile(t, name, b)
			return refusedOrWhole(t, fmt.Sprintf("%s, %s", name, what), l, err, want)
		}
		at := chunks(t, whole)
		if len(at) == 0 {
			t.Fatalf("%s has no chunks", name)
		}
		for _, i := range at {
			b := bytes.Clone(whole)
			number := b[i+7 : i+11]
			binary.LittleEndian.PutUint32(number, binary.LittleEndian.Uint32(number)+1)
			if !check(fmt.Sprintf("the chunk at %d of the next file", i), b) {
				t.Errorf("%s, the chunk at %d of the next file: it is opened", name, i)
			}
			for bit := 7 * 8; bit < 11*8; bit++ {
				b := bytes.Clone(whole)
				b[i+bit/8] ^= 1 << (bit % 8)
				check(fmt.Sprintf("bit %d of the chunk at %d", bit, i), b)
			}
			if !check(fmt.Sprintf("cut off at %d", i), whole[:i]) {
				t.Errorf("%s is cut off at %d and opened", name, i)
			}
		}
		for range 200 {
			b, i := bytes.Clone(whole), rng.IntN(at[len(at)-1]+40)
			if len(whole) > 30<<10 && i > at[0]+19 {
				continue // the engine takes long over damage in the middle of a large chunk
			}
			b[i] ^= 1 << rng.IntN(8)
			check(fmt.Sprintf("byte %d of %d", i, len(b)), b)
		}
		if !check("no file", nil) {
			t.Errorf("%s is gone, and the log is opened", name)
		}
	}
	if l, err := d.with(t, d.bytes); err != nil || refusedOrWhole(t, "no damage", l, err, want) {
		t.Errorf("without damage: %v", err)
	}
}

// A crash before any operation that changes the disk, those of opening a log whose engine has several files to replay included, leaves a log that
// opens with all that was promised, and so does the next crash.
func TestCrashEverywhere(t *testing.T) {
	type image struct {
		fs   *vfs.MemFS
		want promise
		op   string
	}
	rng, chance := rand.New(rand.NewPCG(4, 4)), rand.New(rand.NewPCG(4, 5))
	histories := 4
	if testing.Short() {
		histories = 1
	}
	for range histories {
		mem := newHeldDisk(vfs.NewCrashableMem())
		var mu sync.Mutex
		var images []image
		promised, opening := promise{10, 5}, false
		crashing := zerofill.FS{Ahead: 300, FS: errorfs.Wrap(mem, errorfs.InjectorFunc(func(op errorfs.Op) error {
			mu.Lock()
			defer mu.Unlock()
			if op.Kind.ReadOrWrite() == errorfs.OpIsWrite && op.Kind != errorfs.OpFileClose && promised.last > 10 {
				left := []int{0, 100, 30, 70}
				if opening { // the engine relies on the order in which files come into the folder
					left = left[:2]
				}
				clone := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: left[chance.IntN(len(left))], RNG: chance})
				images = append(images, image{clone, promised, fmt.Sprint(op.Kind, " of ", op.Path)})
			}
			return nil
		}))}
		setOpening := func(is bool) {
			mu.Lock()
			defer mu.Unlock()
			opening = is
		}
		l, g := fill(t, crashing)
		write := func(n int) {
			for range n {
				w := Write{Group: g}
				p := promised
				if rng.IntN(3) == 0 {
					p.term++
					w.Hard = p.hard()
				} else {
					p.last++
					w.Entries = []*pb.Entry{entry(p.last, 5, strings.Repeat("x", rng.IntN(50)))}
				}
				must(t, l.Write([]Write{w}))
				mu.Lock()
				promised = p
				mu.Unlock()
			}
		}
		for range 3 {
			mem.hold()
			write(2)
			nextFile(t, l)
			write(2)
			nextFile(t, l)
			write(1)
			left := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng})
			mem.release()
			must(t, l.Close())
			mem.MemFS = left // three files are to be replayed
			setOpening(true)
			var err error
			l, err = Open("log", Options{FS: crashing, TailBytes: 200, EngineBytes: roomy})
			setOpening(false)
			must(t, err)
			g, err = l.Open(1, 10)
			must(t, err)
		}
		must(t, l.Close())
		if len(images) < 100 {
			t.Errorf("%d crashes only", len(images))
		}
		for _, i := range images {
			for again := range 2 {
				l, err := Open("log", Options{FS: i.fs, TailBytes: 200, EngineBytes: roomy})
				if err != nil {
					t.Fatalf("after %d crashes, the first before %s: %v", again+1, i.op, err)
				}
				next := i.fs.CrashClone(vfs.CrashCloneCfg{})
				refusedOrWhole(t, i.op, l, nil, i.want)
				i.fs = next
			}
		}
	}
}
