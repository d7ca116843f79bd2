package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/elastickv/elastickv/internal/testkit/crashable"
)

// crashSeed is printed with every failure; put it here to see one again. The
// goroutines' interleaving is not part of it.
func crashSeed() uint64 { return uint64(time.Now().UnixNano()) }

// crashWriters is how many goroutines write while the machine crashes. Each
// commits round after round of three keys of its own, all with the round's
// number; the timestamp of writer w's round r is r*crashWriters+w+1.
const crashWriters = 8

func crashTS(w, round int) uint64 { return uint64(round*crashWriters + w + 1) }

func crashMutations(w, round int) []*KVPairMutation {
	var m []*KVPairMutation
	for i := range 3 {
		m = append(m, &KVPairMutation{Op: OpTypePut, Key: fmt.Appendf(nil, "w%d-%d", w, i), Value: fmt.Append(nil, round)})
	}
	return m
}

// TestCrashKeepsAcknowledged crashes the machine at any moment, with any part of
// what was not synced on the disk, and finds every acknowledged write and
// every batch whole.
func TestCrashKeepsAcknowledged(t *testing.T) {
	seed := crashSeed()
	rng := rand.New(rand.NewPCG(seed, 0))
	for range 3 {
		crashOnce(t, rng)
		crashOnce(t, rng, newSealer(t).options()...)
	}
	if t.Failed() {
		t.Logf("seed %d", seed)
	}
}

func crashOnce(t *testing.T, rng *rand.Rand, opts ...PebbleStoreOption) {
	ctx := context.Background()
	mem := vfs.NewCrashableMem()
	s := openTest(t, "data/db", append(opts, WithFS(crashable.FS{MemFS: mem}))...)
	var acknowledged [crashWriters]atomic.Int64
	var stop atomic.Bool
	var wg sync.WaitGroup
	for w := range crashWriters {
		wg.Go(func() {
			for round := 1; !stop.Load(); round++ {
				err := s.ApplyMutations(ctx, crashMutations(w, round), nil, maxTS, crashTS(w, round))
				if err != nil {
					t.Error(err)
					return
				}
				acknowledged[w].Store(int64(round))
			}
		})
	}
	flushAt := rng.IntN(100)
	crashAt := int64(50 + rng.IntN(200))
	for i := int64(0); acknowledged[0].Load() < crashAt && !t.Failed(); i++ {
		if i == int64(flushAt) {
			must(t, s.db.Flush())
			must(t, s.Compact(ctx, s.LastCommitTS()/2))
		}
	}
	var promised [crashWriters]int64
	for w := range promised {
		promised[w] = acknowledged[w].Load()
	}
	last := s.LastCommitTS()
	floor := s.MinRetainedTS()
	crashed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(3) * 50, RNG: rng})
	stop.Store(true)
	wg.Wait()

	s = openTest(t, "data/db", append(opts, WithFS(crashed))...)
	if got := s.LastCommitTS(); got < last {
		t.Errorf("last commit %d, was %d", got, last)
	}
	if got := s.MinRetainedTS(); got < floor {
		t.Errorf("floor %d, was %d", got, floor)
	}
	for w := range crashWriters {
		var first string
		for i := range 3 {
			v, err := s.GetAt(ctx, fmt.Appendf(nil, "w%d-%d", w, i), maxTS)
			if errors.Is(err, ErrKeyNotFound) && promised[w] == 0 {
				v, err = nil, nil // nothing of this writer had been acknowledged
			}
			if err != nil {
				t.Fatalf("writer %d, key %d: %v", w, i, err)
			}
			if i == 0 {
				first = string(v)
			} else if first != string(v) {
				t.Errorf("writer %d: batch in halves, %s and %s", w, first, v)
			}
		}
		var round int64
		_, _ = fmt.Sscan(first, &round)
		if round < promised[w] {
			t.Errorf("writer %d: round %d is lost, found %d", w, promised[w], round)
		}
		if round > 0 && s.LastCommitTS() < crashTS(w, int(round)) {
			t.Errorf("last commit %d does not cover round %d of writer %d", s.LastCommitTS(), round, w)
		}
	}
	must(t, s.PutAt(ctx, []byte("after"), nil, maxTS-1, 0))
}

// TestCrashKeepsIndexWithData crashes a store whose log may lose its tail and
// finds exactly the entries up to the index that it reports.
func TestCrashKeepsIndexWithData(t *testing.T) {
	ctx := context.Background()
	seed := crashSeed()
	rng := rand.New(rand.NewPCG(seed, 0))
	for _, mode := range []FSMSyncMode{FSMSync, FSMNoSync} {
		for range 10 {
			mem := vfs.NewCrashableMem()
			s := openTest(t, "db", WithFS(mem), WithFSMSyncMode(mode))
			entries := 1 + rng.IntN(120)
			for n := 1; n <= entries; n++ {
				index := uint64(n)
				if n%10 == 0 {
					must(t, s.DeletePrefixAtRaftAt(ctx, fmt.Appendf(nil, "e%04d", n-1), nil, index, index))
				}
				must(t, s.ApplyMutationsRaftAt(ctx, put(fmt.Sprintf("e%04d", n), "v"), nil, 0, index, index))
				if rng.IntN(40) == 0 {
					must(t, s.db.Flush())
				}
			}
			crashed := mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: rng.IntN(3) * 50, RNG: rng})
			s = openTest(t, "db", WithFS(crashed))
			applied := s.LastAppliedIndex()
			if mode == FSMSync && applied != uint64(entries) {
				t.Errorf("seed %d: %d of %d entries after a crash", seed, applied, entries)
			}
			if s.LastCommitTS() != applied {
				t.Errorf("seed %d: last commit %d, index %d", seed, s.LastCommitTS(), applied)
			}
			for n := 1; n <= entries; n++ {
				ts, ok, err := s.LatestCommitTS(ctx, fmt.Appendf(nil, "e%04d", n))
				must(t, err)
				want := uint64(n)
				if (n+1)%10 == 0 && uint64(n+1) <= applied {
					want++ // deleted by the next entry
				}
				if n%10 == 0 && uint64(n) == applied && !ok {
					continue // of this index's two writes only the first had reached the disk
				}
				if ok != (uint64(n) <= applied) || ok && ts != want {
					t.Fatalf("seed %d: index %d, entry %d: version %d %t, want %d", seed, applied, n, ts, ok, want)
				}
			}
			must(t, s.Close())
		}
	}
}

// TestCrashWhileCreating crashes at every step of the first opening: the folder
// can always be opened afterwards.
func TestCrashWhileCreating(t *testing.T) {
	seed := crashSeed()
	for _, percent := range []int{0, 50, 100} {
		for step := 1; ; step++ {
			rng := rand.New(rand.NewPCG(seed, uint64(step)))
			mem := vfs.NewCrashableMem()
			recorder := &crashAtStep{mem: mem, at: step, cfg: vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: rng}}
			s := openTest(t, "data/db", WithFS(recorder.wrap()))
			must(t, s.PutAt(context.Background(), []byte("k"), []byte("v"), 1, 0))
			if recorder.crashed == nil {
				break
			}
			again, err := NewPebbleStore("data/db", WithFS(recorder.crashed))
			if err != nil {
				t.Fatalf("seed %d, %d%% kept, crash at step %d: %v", seed, percent, step, err)
			}
			must(t, again.Close())
		}
	}
}

// TestCrashKeepsStagedWhateverTheMode crashes a store of the mode that a server has: what is
// staged is durable once Wait has returned, as the mode concerns the Raft path alone.
func TestCrashKeepsStagedWhateverTheMode(t *testing.T) {
	ctx := context.Background()
	mem := vfs.NewCrashableMem()
	s := openTest(t, "db", WithFS(mem), WithFSMSyncMode(FSMNoSync))
	staged, err := s.Stage(ctx, []Commit{{TS: 1, Mutations: put("staged", "v")}})
	must(t, err)
	must(t, staged.Wait())
	must(t, s.PutAt(ctx, []byte("direct"), []byte("v"), 2, 0))
	s = openTest(t, "db", WithFS(mem.CrashClone(vfs.CrashCloneCfg{})))
	for _, key := range []string{"staged", "direct"} {
		if ok, err := s.ExistsAt(ctx, []byte(key), 2); err != nil || !ok {
			t.Errorf("%s is gone after a crash: %v", key, err)
		}
	}
}
