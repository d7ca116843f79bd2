package store

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"
)

// To open a store reads what it takes to find things, whatever there is to be found.
func TestOpenReadsLittle(t *testing.T) {
	skipUnderRace(t)
	reads := func(keys int) int64 {
		var count atomic.Int64
		fs := errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
			if op.Kind == errorfs.OpFileRead || op.Kind == errorfs.OpFileReadAt {
				count.Add(1)
			}
			return nil
		}))
		s := openTest(t, "db", WithFS(fs), WithCacheSize(256<<20))
		for from := 0; from < keys; from += 1000 {
			var m []*KVPairMutation
			for k := range 1000 {
				m = append(m, &KVPairMutation{Key: fmt.Appendf(nil, "k%09d", from+k), Value: make([]byte, 100)})
			}
			must(t, s.ApplyMutationsRaft(context.Background(), m, nil, maxTS, uint64(from+1)))
		}
		must(t, s.db.Flush())
		must(t, s.Close())
		// What is compacted meanwhile is no part of it.
		still := func(s *pebbleStore) { s.tune = func(o *pebble.Options) { o.DisableAutomaticCompactions = true } }
		count.Store(0)
		s = openTest(t, "db", WithFS(fs), still)
		n := count.Load()
		if got, err := s.GetAt(context.Background(), fmt.Appendf(nil, "k%09d", keys-1), maxTS); err != nil || len(got) != 100 {
			t.Fatalf("%d keys: got %d bytes, %v", keys, len(got), err)
		}
		return n
	}
	few, many := reads(1000), reads(200_000)
	t.Logf("%d reads of files to open 1,000 keys, %d to open 200,000", few, many)
	const tables = 16 // of L0, each of which is looked into; as many as do not make it be compacted
	if many > few+tables+15 {
		t.Errorf("%d reads of files to open 200,000 keys, and %d to open 1,000", many, few)
	}
}

// A queue through which much more passes than it ever holds keeps its size on the disk, if history is
// dropped now and then.
func TestQueueKeepsItsSize(t *testing.T) {
	skipUnderRace(t)
	ctx := context.Background()
	// As in a large store, but for the sizes: what passes through fills the levels many times over.
	small := func(s *pebbleStore) {
		s.tune = func(o *pebble.Options) {
			o.MemTableSize, o.LBaseMaxBytes = 256<<10, 512<<10
			for i := range o.TargetFileSizes {
				o.TargetFileSizes[i] = 64 << 10
			}
		}
	}
	s := openTest(t, "db", WithFS(vfs.NewMem()), small)
	value := make([]byte, 200)
	rng := rand.New(rand.NewPCG(1, 2))
	ts := uint64(0)
	round := func() uint64 {
		for range 20 {
			var pushed, popped []*KVPairMutation
			for range 50 {
				for i := range value {
					value[i] = byte(rng.Uint32())
				}
				ts++
				key := fmt.Appendf(nil, "queue/%012d", ts)
				pushed = append(pushed, &KVPairMutation{Key: key, Value: bytes.Clone(value)})
				popped = append(popped, &KVPairMutation{Op: OpTypeDelete, Key: key})
			}
			ts++
			must(t, s.ApplyMutationsRaft(ctx, pushed, nil, maxTS, ts))
			ts++
			must(t, s.ApplyMutationsRaft(ctx, popped, nil, maxTS, ts))
		}
		must(t, s.Compact(ctx, ts-500))
		return s.Stats().DiskBytes
	}
	most := func(rounds int) (size uint64) {
		for range rounds {
			size = max(size, round())
		}
		return size
	}
	early := most(15)
	most(120)
	late, passed := most(15), uint64(150*1000*len(value))
	t.Logf("at most %d bytes early, %d late; %d bytes went through", early, late, passed)
	if late > passed/5 {
		t.Errorf("the store has %d bytes after %d that are gone", late, passed)
	}
	if got := countRows(t, s); got > 3000 {
		t.Errorf("%d rows are left of a queue that is empty", got)
	}
}

// sampler measures the live heap now and then while bytes pass.
type sampler struct {
	passed, next int
	most         uint64
}

func (s *sampler) pass(n int) {
	if s.passed += n; s.passed < s.next {
		return
	}
	s.next += 8 << 20
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	s.most = max(s.most, m.HeapAlloc)
}

func (s *sampler) Write(p []byte) (int, error) {
	s.pass(len(p))
	return len(p), nil
}

// sampledReader is r, measured.
type sampledReader struct {
	r io.Reader
	s *sampler
}

func (r *sampledReader) Read(p []byte) (int, error) {
	n, err := r.r.Read(p)
	r.s.pass(n)
	return n, err
}

// A snapshot is written and restored in memory that does not depend on its size.
func TestSnapshotMemory(t *testing.T) {
	if RaceEnabled {
		t.Skip("measures memory, of which the race detector needs its own")
	}
	const data, bound = 96 << 20, 24 << 20
	ctx := context.Background()
	opts := []PebbleStoreOption{WithCacheSize(1 << 20), WithVersionCacheSize(-1)}
	s := openTest(t, t.TempDir(), opts...)
	rng := rand.New(rand.NewPCG(3, 4))
	for n := 0; n < data; {
		var m []*KVPairMutation
		for range 64 {
			value := make([]byte, 16<<10)
			for i := range value {
				value[i] = byte(rng.Uint32())
			}
			m = append(m, &KVPairMutation{Key: fmt.Appendf(nil, "k%012d", n), Value: value})
			n += len(value)
		}
		must(t, s.ApplyMutationsRaft(ctx, m, nil, maxTS, uint64(n)))
	}
	must(t, s.db.Flush())
	image, err := s.Snapshot()
	must(t, err)
	defer image.Close()
	base := new(sampler)
	base.pass(0)
	writing := new(sampler)
	if n, err := image.WriteTo(writing); err != nil || n < data {
		t.Fatalf("%d bytes, %v", n, err)
	}
	other := openTest(t, t.TempDir(), opts...)
	r, w := io.Pipe()
	go func() {
		_, err := image.WriteTo(w)
		w.CloseWithError(err)
	}()
	restoring := new(sampler)
	must(t, other.Restore(&sampledReader{r, restoring}))
	for what, got := range map[string]uint64{"written": writing.most, "restored": restoring.most} {
		t.Logf("%s with %d bytes more than at rest", what, int64(got)-int64(base.most))
		if got > base.most+bound {
			t.Errorf("%d MiB were %s with %d MiB of memory", data>>20, what, (got-base.most)>>20)
		}
	}
}
