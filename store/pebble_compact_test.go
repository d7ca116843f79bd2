package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// countRows returns how many versions the engine holds.
func countRows(t testing.TB, s *pebbleStore) int {
	t.Helper()
	iter, err := s.openSpan(Span{})
	must(t, err)
	n := 0
	for ok := iter.First(); ok; ok = iter.Next() {
		n++
	}
	must(t, iter.Close())
	return n
}

// fillVersions gives every key a version at 1, 2, … versions.
func fillVersions(t testing.TB, s *pebbleStore, keys, versions int) {
	t.Helper()
	for ts := 1; ts <= versions; ts++ {
		var m []*KVPairMutation
		for k := range keys {
			m = append(m, &KVPairMutation{Op: OpTypePut, Key: fmt.Appendf(nil, "k%05d", k), Value: fmt.Append(nil, ts)})
		}
		must(t, s.ApplyMutations(context.Background(), m, nil, maxTS, uint64(ts)))
	}
}

// endAfter is a context that ends after it has been looked at some times.
type endAfter struct {
	context.Context
	looks int
}

func (c *endAfter) Err() error {
	if c.looks--; c.looks < 0 {
		return context.Canceled
	}
	return nil
}

func TestCompactResumes(t *testing.T) {
	const keys, versions = 1500, 4
	mem := vfs.NewMem()
	s := openTest(t, "db", WithFS(mem))
	fillVersions(t, s, keys, versions)
	rows := countRows(t, s)
	if rows != keys*versions {
		t.Fatalf("%d rows", rows)
	}
	calls := 0
	for done := false; !done; calls++ {
		// Each call gets a few steps done; every other one is by a new process.
		err := s.Compact(&endAfter{Context: context.Background(), looks: 3}, versions)
		if done = err == nil; !done && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		if got := s.MinRetainedTS(); got != versions {
			t.Fatalf("floor %d", got)
		}
		now := countRows(t, s)
		if now > rows || !done && now == rows {
			t.Fatalf("call %d: %d rows, were %d", calls, now, rows)
		}
		rows = now
		if calls%2 == 0 {
			must(t, s.Close())
			s = openTest(t, "db", WithFS(mem))
		}
	}
	if rows != keys || calls < 3 {
		t.Errorf("%d rows after %d calls, want %d", rows, calls, keys)
	}
	if s.compaction.pass != nil {
		t.Errorf("unfinished pass %+v", s.compaction.pass)
	}
	if _, ok, err := s.metaRow(metaCompactionCursor); ok || err != nil {
		t.Errorf("cursor left behind: %t, %v", ok, err)
	}
}

// A pass to a higher floor takes in also what an unfinished one had done.
func TestCompactResumesHigher(t *testing.T) {
	const keys, versions = 1500, 6
	s := openMem(t)
	fillVersions(t, s, keys, versions)
	if err := s.Compact(&endAfter{Context: context.Background(), looks: 4}, 3); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	if s.compaction.pass == nil || len(s.compaction.pass.next) == 0 {
		t.Fatalf("pass %+v", s.compaction.pass)
	}
	must(t, s.Compact(context.Background(), 5))
	if got := countRows(t, s); got != 2*keys {
		t.Errorf("%d rows, want %d", got, 2*keys)
	}
	must(t, s.Compact(context.Background(), 5))
	must(t, s.Compact(context.Background(), 4))
}

func TestCompactManyVersionsOfOneKey(t *testing.T) {
	ctx := context.Background()
	s := openMem(t)
	for ts := uint64(1); ts <= 5*compactDeletesMost; ts += 100 {
		var commits []Commit
		for n := range uint64(100) {
			commits = append(commits, Commit{TS: ts + n, Mutations: put("k", fmt.Sprint(ts+n))})
		}
		staged, err := s.Stage(ctx, commits)
		must(t, err)
		must(t, staged.Wait())
	}
	must(t, s.DeleteAt(ctx, []byte("k"), 1e6))
	must(t, s.Compact(ctx, 100))
	wantValue(t, s, "k", 100, "100")
	wantValue(t, s, "k", 2000, "2000")
	must(t, s.Compact(ctx, 1e6))
	if got := countRows(t, s); got != 0 {
		t.Errorf("%d rows of a deleted key", got)
	}
}

// The floor is on the disk before the first version is gone.
func TestCompactRaisesFloorFirst(t *testing.T) {
	ctx := context.Background()
	const keys, versions = 700, 3
	for step := 1; ; step++ {
		rng := rand.New(rand.NewPCG(uint64(step), 0))
		mem := vfs.NewCrashableMem()
		recorder := &crashAtStep{mem: mem, cfg: vfs.CrashCloneCfg{UnsyncedDataPercent: 50, RNG: rng}}
		s := openTest(t, "db", WithFS(recorder.wrap()))
		fillVersions(t, s, keys, versions)
		recorder.mu.Lock()
		recorder.at = recorder.steps + step
		recorder.mu.Unlock()
		must(t, s.Compact(ctx, versions))
		must(t, s.db.Flush())
		must(t, s.Close())
		if recorder.crashed == nil {
			break
		}
		s = openTest(t, "db", WithFS(recorder.crashed))
		if rows, floor := countRows(t, s), s.MinRetainedTS(); rows < keys*versions && floor < versions {
			t.Fatalf("step %d: %d rows with a floor of %d", step, rows, floor)
		}
		must(t, s.Close())
	}
}

// Writes below the floor that come while a compaction looks at their keys are
// neither lost nor brought to light under a tombstone that goes.
func TestCompactWithWritesBelowTheFloor(t *testing.T) {
	ctx := context.Background()
	s := openMem(t)
	const keys = 400
	for round := uint64(1); round <= 20; round++ {
		base := round * 1000
		var deletes []*KVPairMutation
		for k := range keys {
			deletes = append(deletes, &KVPairMutation{Op: OpTypeDelete, Key: fmt.Appendf(nil, "k%d", k)})
		}
		must(t, s.ApplyMutations(ctx, deletes, nil, maxTS, base+100))
		var wg sync.WaitGroup
		wg.Go(func() {
			if err := s.Compact(ctx, base+500); err != nil {
				t.Error(err)
			}
		})
		wg.Go(func() {
			for k := range keys {
				// Over the tombstone: this one must be found ever after.
				if err := s.PutAt(ctx, fmt.Appendf(nil, "k%d", k), []byte("v"), base+100, 0); err != nil {
					t.Error(err)
				}
			}
		})
		wg.Wait()
		for k := range keys {
			wantValue(t, s, fmt.Sprintf("k%d", k), base+500, "v")
		}
	}
}

func TestCompactEndedByRestore(t *testing.T) {
	ctx := context.Background()
	stream, _ := sampleImage(t)
	s := openMem(t)
	fillVersions(t, s, 1500, 4)
	if err := s.Compact(&endAfter{Context: ctx, looks: 3}, 3); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	must(t, s.Restore(bytes.NewReader(stream)))
	want := describe(t, s)
	must(t, s.Compact(ctx, 3)) // below the floor that has come with the snapshot
	if got := describe(t, s); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	must(t, s.Compact(ctx, 150))
	wantValue(t, s, "new0", 150, "n14")
}

// hookContext runs a function when it is looked at for the n-th time.
type hookContext struct {
	context.Context
	looks int
	hook  func()
}

func (c *hookContext) Err() error {
	if c.looks--; c.looks == 0 {
		c.hook()
	}
	return nil
}

// A compaction that a restore overtakes must not go on to drop versions that
// the restored store still promises.
func TestCompactOvertakenByRestore(t *testing.T) {
	other := openMem(t)
	fillVersions(t, other, 1500, 4)
	image, err := other.Snapshot()
	must(t, err)
	var stream bytes.Buffer
	_, err = image.WriteTo(&stream)
	must(t, err)
	must(t, image.Close())

	s := openMem(t)
	fillVersions(t, s, 1500, 4)
	ctx := &hookContext{Context: context.Background(), looks: 3, hook: func() { must(t, s.Restore(&stream)) }}
	if err := s.Compact(ctx, 4); !errors.Is(err, errRestored) {
		t.Errorf("got %v", err)
	}
	if floor, rows := s.MinRetainedTS(), countRows(t, s); floor != 0 || rows != 1500*4 {
		t.Errorf("floor %d, %d rows", floor, rows)
	}
	must(t, s.Compact(context.Background(), 4))
	if rows := countRows(t, s); rows != 1500 {
		t.Errorf("%d rows after the next compaction", rows)
	}
}

func TestCompactFloorNotDurable(t *testing.T) {
	ctx := context.Background()
	gate := newLogGate()
	s := openTest(t, "db", WithFS(gate.wrap(vfs.NewMem())))
	fillVersions(t, s, 5, 3)
	gate.set(false, errorfs.ErrInjected)
	if err := s.Compact(ctx, 3); !errors.Is(err, ErrLogFailed) {
		t.Errorf("got %v", err)
	}
	if floor, rows := s.MinRetainedTS(), countRows(t, s); floor != 0 || rows != 15 {
		t.Errorf("floor %d, %d rows", floor, rows)
	}
}

func TestCompactionPassRow(t *testing.T) {
	for _, p := range []compactionPass{
		{floor: 5, begin: []byte{}, next: []byte{}},
		{floor: maxTS, begin: []byte("b"), next: []byte("a\x00"), wrapped: true},
		{floor: 1, begin: []byte(strings.Repeat("k", maxKeySize)), next: []byte{}},
	} {
		row := p.append(nil)
		got, err := parseCompactionPass(row)
		if err != nil || got.floor != p.floor || !bytes.Equal(got.begin, p.begin) || !bytes.Equal(got.next, p.next) || got.wrapped != p.wrapped {
			t.Errorf("got %+v, %v", got, err)
		}
		for n := range min(len(row), 20) {
			if got, err := parseCompactionPass(row[:n]); err == nil && n < 29+len(p.begin) {
				t.Errorf("cut at %d: got %+v", n, got)
			}
		}
	}
}

// TestCompactHotKey compacts a key with very many versions: they go in few
// deletions, and the version that reads at the floor see stays.
func TestCompactHotKey(t *testing.T) {
	s := openTest(t, "db", WithFS(vfs.NewMem()))
	ctx := context.Background()
	const versions = 10_000 // in one batch, which goes into a memtable
	var commits []Commit
	for ts := uint64(1); ts <= versions; ts++ {
		commits = append(commits, Commit{TS: ts, Mutations: []*KVPairMutation{{Key: []byte("hot"), Value: fmt.Append(nil, ts)}}})
	}
	commits = append(commits, Commit{TS: versions + 1, Mutations: []*KVPairMutation{{Key: []byte("hot\x00"), Value: []byte("other")}}})
	staged, err := s.Stage(ctx, commits)
	must(t, err)
	must(t, staged.Wait())
	logged := func() int64 { return int64(s.db.Metrics().WAL.BytesWritten) } // less for a moment while the engine changes its log
	before := logged()
	must(t, s.Compact(ctx, versions-10))
	if wrote := logged() - before; wrote > 64<<10 {
		t.Errorf("compaction wrote %d bytes to the log for one key", wrote)
	}
	for ts, want := range map[uint64]string{versions - 10: fmt.Sprint(versions - 10), versions: fmt.Sprint(versions), versions + 1: fmt.Sprint(versions)} {
		got, err := s.GetAt(ctx, []byte("hot"), ts)
		if err != nil || string(got) != want {
			t.Errorf("at %d: %q, %v; want %q", ts, got, err, want)
		}
	}
	if got, err := s.GetAt(ctx, []byte("hot\x00"), maxTS); err != nil || string(got) != "other" {
		t.Errorf("the next key: %q, %v", got, err)
	}
	if rows := countRows(t, s); rows != 12 {
		t.Errorf("%d rows are left, want 12", rows)
	}
}
