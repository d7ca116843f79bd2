package store

import (
	"bytes"
	"context"
	"fmt"
	"hash/maphash"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// inMemory reports whether the store takes it that a memtable may have rows of key.
func (s *pebbleStore) inMemory(key string) bool {
	return s.unflushed.may(appendKeyBound(nil, []byte(key)))
}

// openUncached opens a store whose reads all go to the engine.
func openUncached(t testing.TB, opts ...PebbleStoreOption) *pebbleStore {
	t.Helper()
	return openTest(t, "db", append([]PebbleStoreOption{WithFS(vfs.NewMem()), WithVersionCacheSize(-1)}, opts...)...)
}

// writeNext puts keys at the next timestamp.
func writeNext(t testing.TB, s *pebbleStore, keys ...string) {
	t.Helper()
	ts := s.LastCommitTS() + 1
	var m []*KVPairMutation
	for _, key := range keys {
		m = append(m, put(key, fmt.Sprint(ts))...)
	}
	must(t, s.ApplyMutations(context.Background(), m, nil, maxTS, ts))
}

// What was written is taken to be in memory until it is flushed and something was written behind that; other keys, but for a few, never are.
func TestUnflushed(t *testing.T) {
	s := openUncached(t)
	var keys []string
	for i := range 3000 { // several generations
		keys = append(keys, fmt.Sprint("k", i))
	}
	check := func(when string, want bool) {
		t.Helper()
		known := 0
		for _, key := range keys {
			if s.inMemory(key) {
				known++
			}
			wantValue(t, s, key, maxTS, "1")
		}
		if want && known < len(keys) || !want && known > len(keys)/20 {
			t.Fatalf("%s: %d of %d keys may be in memory", when, known, len(keys))
		}
		seems := 0
		for i := range 10_000 {
			if s.inMemory(fmt.Sprint("none", i)) {
				seems++
			}
		}
		if seems > 500 {
			t.Errorf("%s: %d of 10000 keys that are nowhere seem to be in memory", when, seems)
		}
	}
	if s.inMemory("k0") {
		t.Error("a new store may have something in memory")
	}
	writeNext(t, s, keys...)
	check("written", true)
	must(t, s.db.Flush())
	check("flushed", true)
	writeNext(t, s, "other")
	writeNext(t, s, "other")
	check("written behind", false)
	if !s.inMemory("other") {
		t.Error("what was written last is not in memory")
	}
}

// Look-ups of keys that are not in memory use a view of the tables again, whatever is written meanwhile, until there are others.
func TestUnflushedViews(t *testing.T) {
	s := openUncached(t)
	open := func() *pebble.Iterator {
		t.Helper()
		v, err := s.views.open(&s.views.tables, 3, &inTables.askUpperFilters)
		must(t, err)
		must(t, s.views.close(v))
		return v.iter
	}
	first := open()
	writeNext(t, s, "a", "b")
	if open() != first {
		t.Error("a write has ended the view of the tables")
	}
	r, err := s.openPointOf([]byte("absent"))
	must(t, err)
	if !r.options.OnlyReadGuaranteedDurable {
		t.Error("the memtables are asked for a key that they do not have")
	}
	r.close()
	r, err = s.openPointOf([]byte("a"))
	must(t, err)
	if r.options.OnlyReadGuaranteedDurable {
		t.Error("the tables alone are asked for a key that a memtable has")
	}
	r.close()
	age := s.views.age.Load()
	must(t, s.db.Flush())
	if s.views.age.Load() == age || s.views.fresh(view{options: &inTables.askUpperFilters, age: age}) {
		t.Error("a flush has not ended the views of the tables")
	}
	wantValue(t, s, "a", maxTS, "1")
}

// Rows that a range tombstone of the engine's has deleted are still in the tables.
func TestUnflushedDeletions(t *testing.T) {
	ctx := context.Background()
	s := openUncached(t, WithEagerRanges())
	var keys []string
	for i := range 100 {
		keys = append(keys, fmt.Sprintf("set/%03d", i))
	}
	writeNext(t, s, keys...)
	must(t, s.DeletePrefixAt(ctx, []byte("set/"), nil, 2))
	must(t, s.db.Flush())
	writeNext(t, s, "other")
	must(t, s.Compact(ctx, 3))
	if rest := contents(t, s); bytes.Contains([]byte(rest), []byte("set/")) {
		t.Fatalf("the compaction has left rows: %s", rest)
	}
	for _, key := range keys {
		if ok, err := s.ExistsAt(ctx, []byte(key), maxTS); ok || err != nil {
			t.Fatalf("%s is there again, %v", key, err)
		}
		if _, ok, err := s.LatestCommitTS(ctx, []byte(key)); ok || err != nil {
			t.Fatalf("%s has a version again, %v", key, err)
		}
	}
}

// More spans than a generation keeps count as the span of all of them.
func TestUnflushedManyDeletions(t *testing.T) {
	g := newGeneration(10, 0)
	for i := range 3 * spansMost {
		k := (i * 7) % (3 * spansMost)
		g.note(Span{Start: fmt.Appendf(nil, "%02d", k), End: fmt.Appendf(nil, "%02d+", k)})
	}
	for i := range 3 * spansMost {
		if !g.may(0, fmt.Appendf(nil, "%02d", i)) || !g.may(0, fmt.Appendf(nil, "%02d+", i)) {
			t.Errorf("the span of %d is forgotten", i)
		}
	}
	if n := len(*g.spans.Load()); n != spansMost {
		t.Errorf("%d spans", n)
	}
	if g.may(0, []byte("x")) {
		t.Error("what lies behind all spans may be deleted")
	}
}

// Rows that only the log had are found after it was read.
func TestUnflushedAfterCrash(t *testing.T) {
	mem := vfs.NewCrashableMem()
	s := openTest(t, "db", WithFS(mem))
	writeNext(t, s, "a")
	again := openUncached(t, WithFS(mem.CrashClone(vfs.CrashCloneCfg{})))
	wantValue(t, again, "a", maxTS, "1")
	writeNext(t, again, "b")
	wantValue(t, again, "a", maxTS, "1")
	must(t, again.db.Flush())
	writeNext(t, again, "b")
	wantValue(t, again, "a", maxTS, "1")
	must(t, again.Close())
	again = openUncached(t, WithFS(again.fs))
	wantValue(t, again, "a", maxTS, "1")
	wantValue(t, again, "b", maxTS, "3")
}

// A batch that is larger than half of a memtable becomes one of its own.
func TestUnflushedLargeBatch(t *testing.T) {
	s := openUncached(t, WithTinyTables())
	var keys []string
	for i := range 2000 {
		keys = append(keys, fmt.Sprintf("large %04d", i))
	}
	for range 3 {
		writeNext(t, s, keys...)
		for _, key := range keys {
			wantValue(t, s, key, maxTS, fmt.Sprint(s.LastCommitTS()))
		}
		writeNext(t, s, "small")
		wantValue(t, s, keys[7], maxTS, fmt.Sprint(s.LastCommitTS()-1))
	}
}

// A restore puts other tables in the place of those that a view has.
func TestUnflushedAfterRestore(t *testing.T) {
	other := openMem(t)
	writeNext(t, other, "restored")
	image := imageOf(t, other)
	s := openUncached(t)
	for range 3 {
		if ok, err := s.ExistsAt(context.Background(), []byte("restored"), maxTS); ok || err != nil {
			t.Fatal(ok, err)
		}
		must(t, s.Restore(bytes.NewReader(image)))
		wantValue(t, s, "restored", maxTS, "1")
		must(t, s.DeleteAt(context.Background(), []byte("restored"), 2))
	}
}

// Whoever is told of a write reads it, while memtables become tables all the time.
func TestUnflushedWhileFlushing(t *testing.T) {
	const writers, rounds = 3, 400
	ctx := context.Background()
	s := openUncached(t, WithTinyTables())
	var told [writers][8]atomic.Int64
	var ts atomic.Uint64
	var work, aside sync.WaitGroup
	done := make(chan struct{})
	for w := range writers {
		work.Go(func() {
			rng := rand.New(rand.NewPCG(uint64(w), 0))
			for round := int64(1); round <= rounds; round++ {
				k := rng.IntN(8)
				if err := s.ApplyMutations(ctx, put(fmt.Sprintf("w%d-%d", w, k), fmt.Sprintf("%06d", round)), nil, maxTS, ts.Add(1)); err != nil {
					t.Error(err)
					return
				}
				told[w][k].Store(round)
			}
		})
	}
	aside.Go(func() {
		for {
			select {
			case <-done:
				return
			default:
				if err := s.db.Flush(); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	for range 2 {
		aside.Go(func() {
			rng := rand.New(rand.NewPCG(9, uint64(time.Now().UnixNano())))
			for {
				select {
				case <-done:
					return
				default:
				}
				w, k := rng.IntN(writers), rng.IntN(8)
				want := told[w][k].Load()
				got := int64(0)
				v, ok, err := s.VersionAt(ctx, fmt.Appendf(nil, "w%d-%d", w, k), maxTS)
				if err == nil && ok {
					_, err = fmt.Sscanf(string(v.Value), "%d", &got)
				}
				if err != nil || got < want {
					t.Errorf("read %d, %v, where %d had been acknowledged", got, err, want)
					return
				}
			}
		})
	}
	work.Wait()
	close(done)
	aside.Wait()
}

// The filter spreads bounds over its blocks and bits.
func TestUnflushedFilter(t *testing.T) {
	seed := maphash.MakeSeed()
	g := newGeneration(1<<16, 0)
	for i := range 1 << 16 {
		g.set(maphash.Comparable(seed, i))
	}
	seems := 0
	for i := range 1 << 16 {
		if !g.may(maphash.Comparable(seed, i), nil) {
			t.Fatalf("row %d is forgotten", i)
		}
		if g.may(maphash.Comparable(seed, -1-i), nil) {
			seems++
		}
	}
	if seems > 1<<16/20 {
		t.Errorf("%d of %d rows seem to be there", seems, 1<<16)
	}
}

// BenchmarkAbsent looks for keys that are not there while the memtable has others, and now and then something is written: in
// tables alone, or everywhere; "speed" is the ratio of the medians.
func BenchmarkAbsent(b *testing.B) {
	s := openTest(b, b.TempDir(), WithVersionCacheSize(-1))
	for i := range 20 {
		var keys []string
		for k := range 1000 {
			keys = append(keys, fmt.Sprintf("key:%012d", i*1000+k))
		}
		writeNext(b, s, keys...)
	}
	var took [2]time.Duration
	key := []byte("key:000000000000:absent")
	rng := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		for i, all := range []bool{false, true} {
			writeNext(b, s, "written")
			began := time.Now()
			for range 16 {
				copy(key[4:], fmt.Sprintf("%012d", rng.IntN(20_000)))
				of := key
				if all {
					of = nil
				}
				r, err := s.openPointOf(of)
				must(b, err)
				if _, ok, err := r.row(key, maxTS); ok || err != nil {
					b.Fatal(ok, err)
				}
				r.close()
			}
			took[i] += time.Since(began)
		}
	}
	b.ReportMetric(float64(took[0].Nanoseconds())/float64(b.N)/16, "ns/look-up")
	b.ReportMetric(float64(took[1])/float64(took[0]), "speed")
}
