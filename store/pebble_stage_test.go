package store

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// logGate is a disk on which syncs of the write-ahead log can be held up and
// made to fail.
type logGate struct {
	mu     sync.Mutex
	cond   *sync.Cond
	held   bool
	syncs  int // finished
	failed error
}

func newLogGate() *logGate {
	g := &logGate{}
	g.cond = sync.NewCond(&g.mu)
	return g
}

func (g *logGate) wrap(fs vfs.FS) vfs.FS { return errorfs.Wrap(fs, errorfs.InjectorFunc(g.op)) }

func (g *logGate) op(op errorfs.Op) error {
	if !strings.HasSuffix(op.Path, ".log") {
		return nil
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		for g.held {
			g.cond.Wait()
		}
		g.syncs++
		return g.failed
	}
	return nil
}

func (g *logGate) set(held bool, failed error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.held, g.failed = held, failed
	g.cond.Broadcast()
}

func put(key, value string) []*KVPairMutation {
	return []*KVPairMutation{{Op: OpTypePut, Key: []byte(key), Value: []byte(value)}}
}

func stageAndWait(e Engine, commits ...Commit) error {
	staged, err := e.Stage(context.Background(), commits)
	if err != nil {
		return err
	}
	return staged.Wait()
}

func wantValue(t testing.TB, s MVCCStore, key string, ts uint64, want string) {
	t.Helper()
	got, err := s.GetAt(context.Background(), []byte(key), ts)
	if errors.Is(err, ErrKeyNotFound) {
		got, err = []byte("none"), nil
	}
	if err != nil || string(got) != want {
		t.Errorf("%s at %d: got %q, %v, want %q", key, ts, got, err, want)
	}
}

func TestStagedIsVisibleBeforeItIsDurable(t *testing.T) {
	ctx := context.Background()
	gate := newLogGate()
	s := openTest(t, "db", WithFS(gate.wrap(vfs.NewMem())))
	must(t, s.PutAt(ctx, []byte("k"), []byte("v1"), 10, 0))
	gate.set(true, nil)
	first, err := s.Stage(ctx, []Commit{{TS: 20, Mutations: put("k", "v2")}})
	must(t, err)
	second, err := s.Stage(ctx, []Commit{{TS: 30, Mutations: put("k", "v3")}, {TS: 40, Mutations: put("l", "v4")}})
	must(t, err)
	// Reads wait for nothing, and the moment that is shown does not move.
	wantValue(t, s, "k", 25, "v2")
	wantValue(t, s, "k", 30, "v3")
	wantValue(t, s, "l", 40, "v4")
	if got := s.LastCommitTS(); got != 10 {
		t.Errorf("last commit %d before anything is durable, want 10", got)
	}
	// Nor does a second writer wait to check for conflicts.
	err = s.ApplyMutations(ctx, put("k", "x"), nil, 25, 50)
	if !errors.Is(err, ErrWriteConflict) {
		t.Errorf("got %v, want a conflict with what is staged", err)
	}
	gate.set(false, nil)
	must(t, second.Wait())
	if got := s.LastCommitTS(); got != 40 {
		t.Errorf("last commit %d, want 40: what was staged before is durable too", got)
	}
	must(t, first.Wait())
	if got := s.LastCommitTS(); got != 40 {
		t.Errorf("last commit went back to %d", got)
	}
}

func TestRaftWriteCountsWhenApplied(t *testing.T) {
	ctx := context.Background()
	gate := newLogGate()
	s := openTest(t, "db", WithFS(gate.wrap(vfs.NewMem())), WithFSMSyncMode(FSMNoSync))
	gate.set(true, nil)
	must(t, s.ApplyMutationsRaftAt(ctx, put("k", "v"), nil, 0, 20, 3))
	must(t, s.DeletePrefixAtRaftAt(ctx, []byte("k"), nil, 30, 4))
	if ts, index := s.LastCommitTS(), s.LastAppliedIndex(); ts != 30 || index != 4 {
		t.Errorf("last commit %d, index %d, want 30, 4", ts, index)
	}
	gate.set(false, nil)
}

func TestManyWritersShareOneSync(t *testing.T) {
	ctx := context.Background()
	gate := newLogGate()
	s := openTest(t, "db", WithFS(gate.wrap(vfs.NewMem())))
	gate.set(true, nil)
	const writers = 200
	var staged []Staged
	for i := range writers {
		b, err := s.Stage(ctx, []Commit{{TS: uint64(i + 1), Mutations: put(fmt.Sprint(i), "v")}})
		must(t, err)
		staged = append(staged, b)
	}
	gate.mu.Lock()
	before := gate.syncs
	gate.mu.Unlock()
	gate.set(false, nil)
	for _, b := range staged {
		must(t, b.Wait())
	}
	gate.mu.Lock()
	defer gate.mu.Unlock()
	if n := gate.syncs - before; n > 4 {
		t.Errorf("%d writers took %d syncs", writers, n)
	}
}

func TestFailedSyncIsFinal(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewCrashableMem()
	gate := newLogGate()
	s := openTest(t, "db", WithFS(gate.wrap(mem)))
	must(t, s.PutAt(ctx, []byte("k"), []byte("v1"), 10, 0))
	gate.set(true, nil)
	doomed, err := s.Stage(ctx, []Commit{{TS: 20, Mutations: put("k", "v2")}})
	must(t, err)
	behind, err := s.Stage(ctx, []Commit{{TS: 30, Mutations: put("k", "v3")}})
	must(t, err)
	gate.set(false, errors.New("medium\nerror"))
	for _, b := range []Staged{doomed, behind} {
		if err := b.Wait(); !errors.Is(err, ErrLogFailed) {
			t.Fatalf("got %v", err)
		}
	}
	gate.set(false, nil) // the disk may recover, the store does not
	for name, write := range map[string]func() error{
		"put":           func() error { return s.PutAt(ctx, []byte("k"), nil, 40, 0) },
		"delete":        func() error { return s.DeleteAt(ctx, []byte("k"), 40) },
		"expire":        func() error { return s.ExpireAt(ctx, []byte("k"), 0, 40) },
		"apply":         func() error { return s.ApplyMutations(ctx, put("k", "x"), nil, 40, 41) },
		"apply raft":    func() error { return s.ApplyMutationsRaftAt(ctx, put("k", "x"), nil, 40, 41, 9) },
		"delete prefix": func() error { return s.DeletePrefixAt(ctx, nil, nil, 41) },
		"compact":       func() error { return s.Compact(ctx, 5) },
		"restore":       func() error { return s.Restore(strings.NewReader("")) },
		"snapshot":      func() error { _, err := s.Snapshot(); return err },
		"stage":         func() error { _, err := s.Stage(ctx, nil); return err },
	} {
		err := write()
		if !errors.Is(err, ErrLogFailed) || strings.Contains(err.Error(), "\n") || !strings.Contains(err.Error(), "restart") {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if ts, floor, index := s.LastCommitTS(), s.MinRetainedTS(), s.LastAppliedIndex(); ts != 10 || floor != 0 || index != 0 {
		t.Errorf("last commit %d, floor %d, index %d; want 10, 0, 0", ts, floor, index)
	}
	wantValue(t, s, "k", 10, "v1")
	crashed := openTest(t, "db", WithFS(mem.CrashClone(vfs.CrashCloneCfg{})))
	wantValue(t, crashed, "k", 10, "v1")
	if got := crashed.LastCommitTS(); got < 10 {
		t.Errorf("last commit %d after the restart", got)
	}
}

func TestStageRefusesTooMuch(t *testing.T) {
	s := openMem(t)
	value := make([]byte, maxValueSize) // one slice stands for all
	var m []*KVPairMutation
	for i := range batchSizeMost/maxValueSize + 1 {
		m = append(m, &KVPairMutation{Op: OpTypePut, Key: []byte{byte(i)}, Value: value})
	}
	if _, err := s.Stage(context.Background(), []Commit{{TS: 1, Mutations: m}}); !errors.Is(err, ErrBatchTooLarge) {
		t.Errorf("got %v", err)
	}
}

func TestCloseEndsLongCalls(t *testing.T) {
	ctx := context.Background()
	s := openMem(t)
	var m []*KVPairMutation
	for i := range 3 * ctxCheckEvery {
		m = append(m, &KVPairMutation{Op: OpTypePut, Key: fmt.Appendf(nil, "%06d", i)})
	}
	must(t, s.ApplyMutations(ctx, m, nil, 0, 10))
	open, err := s.Snapshot()
	must(t, err)
	inside, closed := make(chan struct{}), make(chan error)
	go func() {
		<-inside
		closed <- s.Close()
	}()
	rows := 0
	err = s.WalkAt(ctx, Span{}, Ascending, 10, func([]byte, VersionedValue) bool {
		if rows++; rows == 1 {
			close(inside)
			for !s.gate.closing() {
				// A read inside a call goes on or fails; it never waits for Close.
				_, err := s.GetAt(ctx, []byte("000000"), 10)
				if err != nil && !errors.Is(err, ErrClosed) {
					t.Error(err)
				}
			}
		}
		return true
	})
	if !errors.Is(err, ErrClosed) || rows > 2*ctxCheckEvery {
		t.Errorf("walk: got %v after %d rows", err, rows)
	}
	must(t, <-closed)
	if _, err := open.WriteTo(nil); !errors.Is(err, ErrClosed) {
		t.Errorf("snapshot of a closed store: got %v", err)
	}
	must(t, open.Close())
}
