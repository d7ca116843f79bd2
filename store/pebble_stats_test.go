package store

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// handClock stands where it was put.
type handClock struct{ at atomic.Int64 }

func (c *handClock) now() time.Time          { return time.Unix(0, c.at.Load()) }
func (c *handClock) advance(d time.Duration) { c.at.Add(int64(d)) }

func TestStatsOfAStore(t *testing.T) {
	clock := &handClock{}
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithCacheSize(1<<20), WithNow(func() time.Time {
		clock.advance(time.Millisecond)
		return clock.now()
	}))
	ctx := context.Background()
	fresh := s.Stats()
	if fresh.LastCommitTS != 0 || fresh.RetentionFloor != 0 || fresh.Failure != nil || fresh.Gaps != 0 {
		t.Errorf("a new store: %+v", fresh)
	}
	value := make([]byte, 1000)
	for i := range 100 {
		must(t, s.PutAt(ctx, fmt.Appendf(nil, "k%02d", i), value, uint64(i+1), 0))
	}
	must(t, s.ApplyMutationsRaftAt(ctx, nil, nil, 0, 200, 7))
	before := s.Stats()
	must(t, s.db.Flush())
	must(t, s.PutAt(ctx, []byte("k50"), value, 201, 0))
	must(t, s.db.Flush()) // so that there is something to merge
	must(t, s.db.Compact(ctx, []byte{namespaceMeta, keySentinel}, appendDataEnd(nil), false))
	must(t, s.Compact(ctx, 150))
	for range 2 {
		_, err := s.GetAt(ctx, []byte("k51"), 200)
		must(t, err)
		_, err = s.ScanAt(ctx, nil, nil, 10, 200)
		must(t, err)
	}
	s.tombstonesMost = 1
	must(t, s.DeletePrefixAt(ctx, []byte("k9"), nil, 202))
	st := s.Stats()
	tables, bytes, amplification := int64(0), uint64(0), 0
	for _, l := range st.Levels {
		tables += l.Tables
		bytes += l.Bytes
		amplification += l.ReadAmplification
	}
	for what, ok := range map[string]bool{
		"last commit":       st.LastCommitTS == 202,
		"ranges":            st.Ranges == 1 && before.Ranges == 0,
		"floor":             st.RetentionFloor == 150,
		"applied index":     st.AppliedIndex == 7,
		"failure":           st.Failure == nil,
		"disk":              st.DiskBytes > bytes,
		"block cache":       st.BlockCache.Capacity == 1<<20 && st.BlockCache.Bytes > 0 && st.BlockCache.Hits > 0 && st.BlockCache.Misses > 0,
		"version cache":     st.VersionCache == s.VersionCacheStats() && st.VersionCache.Entries > 0 && st.VersionCache.Hits > 0,
		"levels":            len(st.Levels) == 7 && tables > 0 && bytes > 100 && amplification > 0,
		"memtables before":  before.MemTables.Bytes > 100*1000 && before.MemTables.Count > 0,
		"memtables":         st.MemTables.Count > 0 && st.MemTables.Bytes > 0,
		"log":               st.WAL.Files > 0 && st.WAL.Bytes > 0 && st.WAL.Written > 100*1000,
		"syncs":             st.WAL.Sync.Count >= 100 && st.WAL.Sync.Sum > 0 && st.WAL.Sync.Sum < 60,
		"flushes before":    before.Flushes.Written == 0,
		"flushes":           st.Flushes.Count > before.Flushes.Count && st.Flushes.Written > 0 && st.Flushes.InProgress == 0,
		"compactions":       st.Compactions.Count > before.Compactions.Count && st.Compactions.InProgress == 0 && st.Compactions.Read > 0 && st.Compactions.Written > 0,
		"stalls":            st.Stalls == StallStats{},
		"compaction passes": st.Compact.Passes == 1 && !st.Compact.Running,
	} {
		if !ok {
			t.Errorf("%s: %+v", what, st)
		}
	}
}

func TestStatsOfAStoreThatFailed(t *testing.T) {
	g := newLogGate()
	s := openTest(t, "db", WithFS(g.wrap(vfs.NewMem())))
	must(t, s.PutAt(context.Background(), []byte("k"), nil, 5, 0))
	g.set(false, errorfs.ErrInjected)
	if err := s.PutAt(context.Background(), []byte("k"), nil, 6, 0); err == nil {
		t.Fatal("a write succeeds although its sync has failed")
	}
	if st := s.Stats(); !errors.Is(st.Failure, ErrLogFailed) || st.LastCommitTS != 5 {
		t.Errorf("got %v at %d, want %v at 5", st.Failure, st.LastCommitTS, ErrLogFailed)
	}
}

func TestStatsOfAClosedStore(t *testing.T) {
	s := openMem(t)
	must(t, s.Close())
	if st := s.Stats(); !errors.Is(st.Failure, ErrClosed) {
		t.Errorf("got %v, want %v", st.Failure, ErrClosed)
	}
}

// tableGate is a disk on which no table can be created until it is opened.
type tableGate struct {
	open chan struct{}
	once sync.Once
}

func (g *tableGate) wrap(fs vfs.FS) vfs.FS {
	return errorfs.Wrap(fs, errorfs.InjectorFunc(func(op errorfs.Op) error {
		if op.Kind == errorfs.OpCreate && strings.HasSuffix(op.Path, ".sst") {
			<-g.open
		}
		return nil
	}))
}

func (g *tableGate) release() { g.once.Do(func() { close(g.open) }) }

// told is a logger that says once when a message came.
func told(message string) (*slog.Logger, <-chan struct{}) {
	came := make(chan struct{})
	var once sync.Once
	return slog.New(slog.NewTextHandler(writerFunc(func(b []byte) {
		if strings.Contains(string(b), message) {
			once.Do(func() { close(came) })
		}
	}), nil)), came
}

type writerFunc func([]byte)

func (f writerFunc) Write(b []byte) (int, error) { f(b); return len(b), nil }

// Writes that wait for a flush are a stall, which lasts as long as they do.
func TestStalls(t *testing.T) {
	for name, clock := range map[string]*handClock{"with a clock": {}, "without": nil} {
		t.Run(name, func(t *testing.T) {
			gate := &tableGate{open: make(chan struct{})}
			log, stalled := told("writes wait")
			opts := []PebbleStoreOption{WithFS(gate.wrap(vfs.NewMem())), WithTinyTables(), WithPebbleLogger(log)}
			if clock != nil {
				opts = append(opts, WithNow(clock.now))
			}
			s := openTest(t, "db", opts...)
			defer gate.release()
			written := make(chan error, 1)
			go func() {
				for ts := uint64(1); ; ts++ {
					select {
					case <-gate.open:
						written <- nil
						return
					default:
					}
					if err := s.ApplyMutationsRaft(context.Background(), []*KVPairMutation{{Key: []byte("k"), Value: make([]byte, 4<<10)}}, nil, maxTS, ts); err != nil {
						written <- err
						return
					}
				}
			}()
			<-stalled
			if clock != nil {
				clock.advance(3 * time.Second)
			}
			st := s.Stats().Stalls
			if want := (StallStats{Count: 1, Active: true, Duration: elapsed(clock)}); st != want {
				t.Errorf("while writes wait: %+v, want %+v", st, want)
			}
			gate.release()
			must(t, <-written)
			st = s.Stats().Stalls
			if st.Active || st.Count == 0 || st.Duration != elapsed(clock) {
				t.Errorf("after that: %+v, want %v", st, elapsed(clock))
			}
		})
	}
}

// elapsed is what clock has advanced by; nothing if there is none.
func elapsed(clock *handClock) time.Duration {
	if clock == nil {
		return 0
	}
	return time.Duration(clock.at.Load())
}
