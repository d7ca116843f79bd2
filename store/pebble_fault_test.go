package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"github.com/elastickv/elastickv/encryption"
	"github.com/elastickv/elastickv/internal/testkit/crashable"
)

// crashAtStep takes an image of the disk, as a crash would leave it, before
// the at-th operation that changes it.
type crashAtStep struct {
	mem     *vfs.MemFS
	at      int
	cfg     vfs.CrashCloneCfg
	mu      sync.Mutex
	steps   int
	crashed *vfs.MemFS
}

func (c *crashAtStep) wrap() vfs.FS {
	return errorfs.Wrap(crashable.FS{MemFS: c.mem}, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind.ReadOrWrite() == errorfs.OpIsRead {
			return nil
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.steps++; c.steps == c.at {
			c.crashed = c.mem.CrashClone(c.cfg)
		}
		return nil
	}))
}

// failAtStep lets the at-th of some operations fail; 0 lets none.
type failAtStep struct {
	mu       sync.Mutex
	relevant func(errorfs.Op) bool
	at       int
	steps    int
	failed   bool
}

func (f *failAtStep) op(op errorfs.Op) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.at == 0 || !f.relevant(op) {
		return nil
	}
	if f.steps++; f.steps != f.at {
		return nil
	}
	f.failed = true
	return fmt.Errorf("injected at step %d: %v of %s", f.at, op.Kind, op.Path)
}

func (f *failAtStep) arm(at int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at, f.steps, f.failed = at, 0, false
}

// hit reports whether the operation has failed, and lets no other fail.
func (f *failAtStep) hit() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.at = 0
	return f.failed
}

// describe returns everything that can be seen of a store.
func describe(t testing.TB, e MVCCStore) string {
	t.Helper()
	var cipher *encryption.Cipher
	if s, ok := e.(*pebbleStore); ok {
		cipher = s.seal.cipher
	}
	stream, err := openSnapshot(bytes.NewReader(imageOf(t, e)), cipher)
	must(t, err)
	h, entries, err := readEntries(stream)
	must(t, err)
	var text strings.Builder
	fmt.Fprintf(&text, "%+v, shows %d %d %d\n", h, e.LastCommitTS(), e.(Engine).MinRetainedTS(), e.(Engine).LastAppliedIndex())
	for _, entry := range entries {
		fmt.Fprintln(&text, entry)
	}
	return text.String()
}

// imageOf returns the bytes of a snapshot.
func imageOf(t testing.TB, e MVCCStore) []byte {
	t.Helper()
	image, err := e.Snapshot()
	must(t, err)
	var b bytes.Buffer
	_, err = image.WriteTo(&b)
	must(t, errors.Join(err, image.Close()))
	return b.Bytes()
}

// contents is describe for any store, however it keeps what it holds: the memory store
// has a tombstone for every key that a range tombstone deletes.
func contents(t testing.TB, e MVCCStore) string {
	t.Helper()
	memory := NewMVCCStore()
	must(t, memory.Restore(bytes.NewReader(imageOf(t, e))))
	return describe(t, memory)
}

// difference shows where two descriptions begin to differ.
func difference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	n := 0
	for n < len(g) && n < len(w) && g[n] == w[n] {
		n++
	}
	return fmt.Sprintf("line %d: got\n%s\nwant\n%s", n, strings.Join(g[n:min(n+5, len(g))], "\n"), strings.Join(w[n:min(n+5, len(w))], "\n"))
}

// sampleImage returns a snapshot of another store and its description.
func sampleImage(t testing.TB) (stream []byte, text string) {
	t.Helper()
	ctx := context.Background()
	other := openMem(t)
	for i := range 20 {
		must(t, other.PutAt(ctx, fmt.Appendf(nil, "new%d", i%7), fmt.Appendf(nil, "n%d", i), uint64(100+i), 0))
	}
	must(t, other.DeleteAt(ctx, []byte("new3"), 200))
	must(t, other.ApplyMutationsRaftAt(ctx, nil, nil, 0, 210, 21))
	must(t, other.Compact(ctx, 105))
	image, err := other.Snapshot()
	must(t, err)
	defer func() { must(t, image.Close()) }()
	var b bytes.Buffer
	n, err := image.WriteTo(&b)
	must(t, err)
	if n != int64(b.Len()) {
		t.Errorf("WriteTo returned %d of %d bytes", n, b.Len())
	}
	return b.Bytes(), describe(t, other)
}

func fillOld(t testing.TB, s *pebbleStore) {
	t.Helper()
	ctx := context.Background()
	for i := range 10 {
		must(t, s.PutAt(ctx, fmt.Appendf(nil, "old%d", i%3), fmt.Appendf(nil, "o%d", i), uint64(300+i), 0))
	}
	must(t, s.Compact(ctx, 303))
	must(t, s.ApplyMutationsRaftAt(ctx, nil, nil, 0, 310, 31))
}

func TestRestoreReplacesEverything(t *testing.T) {
	stream, want := sampleImage(t)
	mem := vfs.NewCrashableMem()
	s := openTest(t, "db", WithFS(mem))
	fillOld(t, s)
	must(t, s.db.Flush())
	must(t, s.PutAt(context.Background(), []byte("old-in-memtable"), nil, 311, 0))
	before := describe(t, s)
	image, err := s.Snapshot()
	must(t, err)
	must(t, s.Restore(bytes.NewReader(stream)))
	if got := describe(t, s); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	// The image from before does not notice.
	var b bytes.Buffer
	_, err = image.WriteTo(&b)
	must(t, err)
	must(t, image.Close())
	back := openMem(t)
	must(t, back.Restore(&b))
	if got := describe(t, back); got != before {
		t.Errorf("image from before: got\n%s\nwant\n%s", got, before)
	}
	// A crash does not take it back, and nothing is left on the disk.
	crashed := mem.CrashClone(vfs.CrashCloneCfg{})
	if names, err := mem.List(path.Join("db", restoreFolder)); err == nil {
		t.Errorf("left behind: %v", names)
	}
	again := openTest(t, "db", WithFS(crashed))
	if got := describe(t, again); got != want {
		t.Errorf("after a crash: got\n%s\nwant\n%s", got, want)
	}
	must(t, again.PutAt(context.Background(), []byte("later"), nil, 400, 0))
}

// A batch that was staged before a restore is gone; to wait for it must not
// bring back its timestamp.
func TestRestoreOvertakesStaged(t *testing.T) {
	ctx := context.Background()
	stream, want := sampleImage(t)
	s := openMem(t)
	staged, err := s.Stage(ctx, []Commit{{TS: 5000, Mutations: put("k", "v")}})
	must(t, err)
	must(t, s.Restore(bytes.NewReader(stream)))
	must(t, staged.Wait())
	if got := describe(t, s); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func TestRestoreOfDamagedStreamChangesNothing(t *testing.T) {
	stream, _ := sampleImage(t)
	s := openMem(t)
	fillOld(t, s)
	want := describe(t, s)
	check := func(what string, bad []byte) {
		t.Helper()
		if err := s.Restore(bytes.NewReader(bad)); err == nil {
			t.Fatalf("%s: no error", what)
		}
	}
	for n := range stream {
		check(fmt.Sprintf("cut at %d", n), stream[:n])
		bad := bytes.Clone(stream)
		bad[n] ^= 0x10
		check(fmt.Sprintf("flipped at %d", n), bad)
	}
	check("byte too many", append(bytes.Clone(stream), 0))
	if got := describe(t, s); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	must(t, s.PutAt(context.Background(), []byte("k"), []byte("v"), 400, 0))
	wantValue(t, s, "k", 400, "v")
}

// A disk that fails at any step of a restore leaves the old store or the new one.
func TestRestoreWithFailingDisk(t *testing.T) {
	stream, want := sampleImage(t)
	faults := &failAtStep{relevant: func(op errorfs.Op) bool { return strings.Contains(op.Path, restoreFolder) }}
	s := openTest(t, "db", WithFS(errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(faults.op))))
	fillOld(t, s)
	old := describe(t, s)
	failures := 0
	for step := 1; ; step++ {
		faults.arm(step)
		err := s.Restore(bytes.NewReader(stream))
		if !faults.hit() {
			must(t, err)
			break
		}
		if err != nil {
			failures++
			if got := describe(t, s); got != old {
				t.Fatalf("step %d, %v: got\n%s\nwant\n%s", step, err, got, old)
			}
			continue
		}
		if got := describe(t, s); got != want {
			t.Fatalf("step %d, no error: got\n%s\nwant\n%s", step, got, want)
		}
		must(t, s.Close())
		s = openTest(t, "db", WithFS(errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(faults.op))))
		fillOld(t, s)
	}
	if failures < 5 {
		t.Errorf("only %d failures", failures)
	}
	if got := describe(t, s); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A crash at any step of a restore leaves the old store or the new one.
func TestRestoreCrash(t *testing.T) {
	stream, want := sampleImage(t)
	seen := map[string]int{}
	for step := 1; ; step++ {
		mem := vfs.NewCrashableMem()
		recorder := &crashAtStep{mem: mem}
		s := openTest(t, "db", WithFS(recorder.wrap()))
		fillOld(t, s)
		old := describe(t, s)
		recorder.mu.Lock()
		recorder.at = recorder.steps + step
		recorder.mu.Unlock()
		must(t, s.Restore(bytes.NewReader(stream)))
		must(t, s.Close())
		if recorder.crashed == nil {
			break
		}
		got := describe(t, openTest(t, "db", WithFS(recorder.crashed)))
		if got != old && got != want {
			t.Fatalf("crash at step %d: got\n%s\nwant\n%s\nor\n%s", step, got, old, want)
		}
		seen[got]++
	}
	if len(seen) != 2 {
		t.Errorf("crashes left %d states, want the old one and the new one", len(seen))
	}
}

// A read that fails on the disk is an error, never a missing key, whether a table cannot be read or a blob file.
func TestReadErrorIsNotMissing(t *testing.T) {
	t.Run("tables", func(t *testing.T) { testReadErrorIsNotMissing(t, ".sst", "v") })
	t.Run("blob files", func(t *testing.T) { testReadErrorIsNotMissing(t, ".blob", string(noise(blobLeast))) })
}

func testReadErrorIsNotMissing(t *testing.T, kind, value string) {
	ctx := context.Background()
	var broken atomic.Bool // every read of a file of the kind fails
	faults := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if broken.Load() && strings.HasSuffix(op.Path, kind) && op.Kind == errorfs.OpFileReadAt {
			return errorfs.ErrInjected
		}
		return nil
	})
	mem := vfs.NewMem()
	s := openTest(t, "db", WithFS(mem))
	var rows []*KVPairMutation // of many blocks: opening the store reads the first
	for i := range 5000 {
		rows = append(rows, &KVPairMutation{Key: fmt.Appendf(nil, "k%04d", i), Value: []byte(value)})
	}
	must(t, s.ApplyMutations(ctx, rows, nil, maxTS, 10))
	must(t, s.db.Flush())
	must(t, s.Close())
	s = openTest(t, "db", WithFS(errorfs.Wrap(mem, faults)))
	broken.Store(true)
	for i := 1000; i < 5000; i += 100 {
		if v, err := s.GetAt(ctx, fmt.Appendf(nil, "k%04d", i), 20); err == nil || errors.Is(err, ErrKeyNotFound) {
			t.Fatalf("key %d on a broken disk: got %q, %v", i, v, err)
		}
	}
	if pairs, err := s.ScanAt(ctx, nil, nil, 5000, 20); err == nil {
		t.Errorf("a scan of a broken disk returns %d rows and no error", len(pairs))
	}
	if err := s.Compact(ctx, 20); err == nil && kind == ".sst" {
		t.Error("history is dropped from a broken disk")
	}
	broken.Store(false)
	wantValue(t, s, "k2500", 20, value)
}

// The engine does not try again at once what has failed in the background.
func TestFailingFlushPauses(t *testing.T) {
	const failures = 3
	var failed atomic.Int64
	var log bytes.Buffer
	faults := errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") && failed.Add(1) <= failures {
			return errorfs.ErrInjected
		}
		return nil
	})
	logger := slog.New(slog.NewTextHandler(&log, nil))
	s := openTest(t, "db", WithFS(errorfs.Wrap(vfs.NewMem(), faults)), WithPebbleLogger(logger))
	must(t, s.PutAt(context.Background(), []byte("k"), []byte("v"), 1, 0))
	start := time.Now()
	must(t, s.db.Flush())
	if took := time.Since(start); took < failures*backgroundPause {
		t.Errorf("%d failures took %v, want a pause of %v after each", failures, took, backgroundPause)
	}
	wantValue(t, s, "k", 1, "v")
	must(t, s.Close())
	if n := strings.Count(log.String(), "background work failed"); n != failures {
		t.Errorf("%d lines in the log, want %d: %s", n, failures, log.String())
	}
}
