package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"
)

func TestVersionCacheBound(t *testing.T) {
	skipUnderRace(t)
	const size = 1 << 20
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithVersionCacheSize(size))
	ctx := context.Background()
	for i := range uint64(20_000) {
		key := fmt.Sprintf("key%06d", i)
		must(t, s.ApplyMutationsRaft(ctx, put(key, "0123456789"), nil, maxTS, i+1))
		if _, err := s.GetAt(ctx, []byte(key), maxTS); err != nil {
			t.Fatal(err)
		}
	}
	st := s.VersionCacheStats()
	if st.Bytes > size || st.Entries < 1000 {
		t.Errorf("%d entries take %d bytes, want many in at most %d", st.Entries, st.Bytes, size)
	}
	read := func() ([]byte, error) { return s.GetAt(ctx, []byte("key019999"), maxTS) }
	if _, err := read(); err != nil { // the second look-up in a full cache, which puts it there
		t.Fatal(err)
	}
	before := s.VersionCacheStats().Hits
	got, err := read()
	if err != nil || string(got) != "0123456789" || s.VersionCacheStats().Hits != before+1 {
		t.Errorf("the newest key: %q, %v, %d hits more; want one", got, err, s.VersionCacheStats().Hits-before)
	}
	large := bytes.Repeat([]byte("x"), size)
	must(t, s.PutAt(ctx, []byte("key019999"), large, 30_000, 0))
	if got, err := s.GetAt(ctx, []byte("key019999"), maxTS); err != nil || !bytes.Equal(got, large) {
		t.Errorf("a value too large for the cache: %d bytes, %v", len(got), err)
	}
	if st := s.VersionCacheStats(); st.Bytes > size {
		t.Errorf("%d bytes, want at most %d", st.Bytes, size)
	}
}

// TestWalkKeeping looks up what a walk has kept, and sees to it that nothing is kept that may not be the newest version of its key.
func TestWalkKeeping(t *testing.T) {
	ctx := context.Background()
	// filled has the keys a to e at 10, and none of them in its cache.
	filled := func(t *testing.T) *pebbleStore {
		s := openTest(t, "db", WithFS(vfs.NewMem()))
		for _, key := range []string{"a", "b", "c", "d", "e"} {
			must(t, s.PutAt(ctx, []byte(key), []byte("old "+key), 10, 0))
		}
		return s
	}
	// walk keeps c and d; then is called with each key on the way.
	walk := func(t *testing.T, s *pebbleStore, ts uint64, then func(key string)) {
		err := s.WalkKeeping(ctx, Span{}, Ascending, ts, func(key []byte, _ VersionedValue) (more, keep bool) {
			then(string(key))
			return true, string(key) == "c" || string(key) == "d"
		})
		must(t, err)
	}
	// expect reads a key and says whether the cache had it.
	expect := func(t *testing.T, s *pebbleStore, key, want string, hit bool) {
		t.Helper()
		before := s.VersionCacheStats().Hits
		got, err := s.GetAt(ctx, []byte(key), maxTS)
		if known := s.VersionCacheStats().Hits > before; err != nil || string(got) != want || known != hit {
			t.Errorf("%q: %q, %v, from the cache: %v; want %q, %v", key, got, err, known, want, hit)
		}
	}
	none := func(string) {}
	t.Run("what is wanted", func(t *testing.T) {
		s := filled(t)
		walk(t, s, 10, none)
		expect(t, s, "b", "old b", false)
		expect(t, s, "c", "old c", true)
		expect(t, s, "d", "old d", true)
	})
	t.Run("written on the way", func(t *testing.T) {
		s := filled(t)
		walk(t, s, 10, func(key string) {
			if key == "b" {
				must(t, s.PutAt(ctx, []byte("c"), []byte("new c"), 20, 0))
			}
		})
		expect(t, s, "c", "new c", false)
	})
	t.Run("written before", func(t *testing.T) {
		s := filled(t)
		must(t, s.PutAt(ctx, []byte("c"), []byte("new c"), 20, 0))
		walk(t, s, 10, none)
		expect(t, s, "c", "new c", false)
	})
	t.Run("written afterwards", func(t *testing.T) {
		s := filled(t)
		walk(t, s, 10, none)
		must(t, s.PutAt(ctx, []byte("c"), []byte("new c"), 20, 0))
		expect(t, s, "c", "new c", true)
	})
	t.Run("without a cache", func(t *testing.T) {
		s := openTest(t, "db", WithFS(vfs.NewMem()), WithVersionCacheSize(-1))
		must(t, s.PutAt(ctx, []byte("c"), []byte("old c"), 10, 0))
		walk(t, s, 10, none)
		expect(t, s, "c", "old c", false)
	})
}

// Keys that are read once push out none that are read again and again, and a key that is read twice gets its entry.
func TestVersionCacheOfManyKeysReadOnce(t *testing.T) {
	skipUnderRace(t)
	const hot, size = 500, 1 << 20
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithVersionCacheSize(size))
	ctx := context.Background()
	read := func(key string) (hit bool) {
		before := s.VersionCacheStats().Hits
		if _, err := s.GetAt(ctx, []byte(key), maxTS); !errors.Is(err, ErrKeyNotFound) {
			t.Fatal(key, err)
		}
		return s.VersionCacheStats().Hits > before
	}
	next := 0
	once := func(n int) {
		for range n {
			next++
			read(fmt.Sprint("once", next))
		}
	}
	readHot := func() (hits int) {
		for i := range hot {
			if read(fmt.Sprint("hot", i)) {
				hits++
			}
		}
		return hits
	}
	once(20_000) // more than there is room for
	readHot()
	readHot() // the second miss puts them there
	entries := s.VersionCacheStats().Entries
	once(200_000)
	if hits := readHot(); hits < hot*9/10 {
		t.Errorf("after many keys that were read once %d of %d hot ones are there", hits, hot)
	}
	if st := s.VersionCacheStats(); st.Bytes > size || st.Entries < entries/2 {
		t.Errorf("%d entries in %d bytes, before it were %d", st.Entries, st.Bytes, entries)
	}
}

func TestVersionCacheAnswersHotReads(t *testing.T) {
	s := openTest(t, "db", WithFS(vfs.NewMem()))
	ctx := context.Background()
	must(t, s.PutAt(ctx, []byte("k"), []byte("v"), 10, 0))
	for key, want := range map[string]error{"k": nil, "nosuch": ErrKeyNotFound} {
		if _, err := s.GetAt(ctx, []byte(key), 20); !errors.Is(err, want) {
			t.Fatal(key, err)
		}
	}
	hot := func() {
		if _, ok, err := s.VersionAt(ctx, []byte("k"), 20); err != nil || !ok {
			t.Fatal(ok, err)
		}
		if _, ok, err := s.VersionAt(ctx, []byte("nosuch"), 20); err != nil || ok {
			t.Fatal(ok, err)
		}
	}
	if n := testing.AllocsPerRun(100, hot); n != 0 {
		t.Errorf("two hot reads allocate %v times", n)
	}
	before := s.VersionCacheStats()
	hot()
	if after := s.VersionCacheStats(); after.Hits != before.Hits+2 || after.Misses != before.Misses {
		t.Errorf("two hot reads: %+v, then %+v", before, after)
	}
	// The past is not in the cache.
	if _, err := s.GetAt(ctx, []byte("k"), 9); !errors.Is(err, ErrKeyNotFound) {
		t.Errorf("before the first version: %v", err)
	}
}

func TestVersionCacheForgetsWhatWasCompacted(t *testing.T) {
	s := openTest(t, "db", WithFS(vfs.NewMem()))
	ctx := context.Background()
	must(t, s.PutAt(ctx, []byte("k"), []byte("v"), 10, 0))
	must(t, s.DeleteAt(ctx, []byte("k"), 20))
	must(t, s.PutAt(ctx, []byte("other"), nil, 30, 0))
	must(t, s.Compact(ctx, 30))
	if ts, ok, err := s.LatestCommitTS(ctx, []byte("k")); ok || err != nil {
		t.Errorf("a key of which nothing is left has a version at %d (%v)", ts, err)
	}
}

// TestVersionCacheIsExact reads while keys are written, with so little room that
// entries come and go, and compares with what has been written.
func TestVersionCacheIsExact(t *testing.T) {
	const keys, rounds, readers = 40, 400, 3
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithVersionCacheSize(cacheShards*cachedShare*400))
	ctx := context.Background()
	key := func(i int) []byte { return fmt.Appendf(nil, "key%02d", i) }
	var done atomic.Bool
	var wg sync.WaitGroup
	for r := range readers {
		wg.Go(func() {
			for n := r; !done.Load(); n++ {
				k, ts := n%keys, s.LastCommitTS()
				// Round n writes key i at n*keys+i+1.
				want := ""
				if round := (int(ts) - k - 1) / keys; int(ts) > k {
					want = fmt.Sprint(round)
				}
				got, err := s.GetAt(ctx, key(k), ts)
				if errors.Is(err, ErrKeyNotFound) {
					got, err = nil, nil
				}
				if err != nil || string(got) != want {
					t.Errorf("key %d at %d: %q, %v; want %q", k, ts, got, err, want)
					return
				}
			}
		})
	}
	for round := range rounds {
		for i := range keys {
			ts := uint64(round*keys + i + 1)
			must(t, s.ApplyMutations(ctx, put(string(key(i)), fmt.Sprint(round)), nil, maxTS, ts))
		}
	}
	done.Store(true)
	wg.Wait()
	if st := s.VersionCacheStats(); st.Hits == 0 || st.Misses == 0 {
		t.Errorf("%+v: want hits and misses", st)
	}
}

// TestVersionCacheModel reads and writes keys of all sizes with little room, and compares
// whatever the cache says it knows with what is so.
func TestVersionCacheModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var c versionCache
		limit := rapid.SampledFrom([]int64{2000, 1 << 20}).Draw(t, "limit of a shard") // one is soon full, the other never
		c.init(cacheShards*limit, new(atomic.Int64))
		type state struct {
			v    VersionedValue
			none bool
		}
		truth := map[string]state{}
		of := func(key string) state {
			if st, ok := truth[key]; ok {
				return st
			}
			return state{none: true}
		}
		lookUp := func(key string) {
			v, none, known, mark := c.newest([]byte(key))
			want := of(key)
			if !known {
				v, _ = c.found([]byte(key), want.v, want.none, mark)
				none = want.none
			}
			if none != want.none || !none && (!sameVersion(v, want.v) || !bytes.Equal(v.Value, want.v.Value)) {
				t.Fatalf("%q: got %+v, %v; want %+v", key, v, none, want)
			}
		}
		drawKey := func() string { return fmt.Sprintf("k%d", rapid.IntRange(0, 30).Draw(t, "key")*int(cacheShards)) }
		ts := uint64(1)
		drawCommit := func() Commit {
			ts += uint64(rapid.IntRange(0, 1).Draw(t, "step")) // of two at the same time the later wins
			key := drawKey()
			m := &KVPairMutation{Op: OpTypeDelete, Key: []byte(key)}
			truth[key] = state{v: VersionedValue{TS: ts, Tombstone: true}}
			if rapid.Bool().Draw(t, "put") {
				m = &KVPairMutation{Key: []byte(key), Value: make([]byte, rapid.IntRange(0, 300).Draw(t, "size")), ExpireAt: ts}
				truth[key] = state{v: VersionedValue{TS: ts, Value: bytes.Clone(m.Value), ExpireAt: ts}}
			}
			return Commit{TS: ts, Mutations: []*KVPairMutation{m}}
		}
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			switch rapid.IntRange(0, 5).Draw(t, "op") {
			case 0, 1:
				commits := make([]Commit, rapid.SampledFrom([]int{1, 1, 2, 40}).Draw(t, "commits"))
				for i := range commits {
					commits[i] = drawCommit()
				}
				c.wrote(commits)
				for _, one := range commits { // they are the caller's
					clear(one.Mutations[0].Key)
					clear(one.Mutations[0].Value)
				}
			case 2:
				key := drawKey()
				delete(truth, key)
				c.forget([][]byte{[]byte(key)})
			default:
				lookUp(drawKey())
			}
		}
		if st := c.stats(); st.Bytes > cacheShards*limit {
			t.Fatalf("%d bytes", st.Bytes)
		}
		for i := range c.shards {
			c.shards[i].check(t, &c)
		}
	})
}

// check compares what a shard counts with what is in its chunks: each entry is dead or has a slot.
func (s *cacheShard) check(t rapid.TB, c *versionCache) {
	t.Helper()
	dead, alive, taken := 0, 0, 0
	for i, chunk := range s.chunks {
		taken += cap(chunk)
		eachCacheEntry(chunk, func(offset int, e cacheEntry) {
			slot := s.index.find(cacheHash(c.seed, e.key()))
			here := slot != nil && slot.ref == cacheRef{s.first + uint32(i), uint32(offset)}
			if here == e.dead() {
				t.Errorf("entry of %q: has a slot %v, dead %v", e.key(), here, e.dead())
			}
			if here {
				alive++
			} else {
				dead += len(e.whole())
			}
		})
	}
	if dead != s.dead || alive != s.index.used || taken != s.taken {
		t.Errorf("%d bytes are dead, %d entries alive, %d bytes taken; counted are %d, %d and %d", dead, alive, taken, s.dead, s.index.used, s.taken)
	}
}

// Keys that are written again and again take little more than their newest versions, whatever the limit is, and stay.
func TestVersionCacheOfRewrittenKeys(t *testing.T) {
	skipUnderRace(t)
	const keys, size = 5000, 100
	var c versionCache
	c.init(1<<30, new(atomic.Int64))
	name := func(i int) []byte { return fmt.Appendf(nil, "key%06d", i) }
	for i := range keys {
		_, _, _, mark := c.newest(name(i))
		c.found(name(i), VersionedValue{TS: 1, Value: make([]byte, size)}, false, mark)
	}
	live := c.stats().Bytes
	rng := rand.New(rand.NewPCG(1, 2))
	for ts := range uint64(100 * keys) { // every other key is never written
		c.wrote([]Commit{{TS: 2 + ts, Mutations: []*KVPairMutation{{Key: name(2 * rng.IntN(keys/2)), Value: make([]byte, size)}}}})
	}
	if st := c.stats(); st.Bytes > 3*live || st.Entries != keys {
		t.Errorf("%d entries take %d bytes, want %d in at most three times the %d of the first versions", st.Entries, st.Bytes, keys, live)
	}
	for i := range c.shards {
		c.shards[i].check(t, &c)
	}
	for i := range keys {
		if _, none, known, _ := c.newest(name(i)); none || !known {
			t.Fatalf("%s is gone", name(i))
		}
	}
}

// What is read again and again stays, however many other keys come by once.
func TestVersionCacheKeepsWhatIsUsed(t *testing.T) {
	var c versionCache
	c.init(cacheShards*4000, new(atomic.Int64))
	touch := func(key string) (known bool) {
		_, _, known, mark := c.newest([]byte(key))
		if !known {
			c.found([]byte(key), VersionedValue{TS: 1, Value: []byte("v")}, false, mark)
		}
		return known
	}
	touch("hot")
	for i := range 100_000 {
		touch(fmt.Sprintf("cold%d", i))
		if i%100 == 0 && !touch("hot") {
			t.Fatalf("gone after %d others", i)
		}
	}
}

// Commits of one call need not rise: what does not fit into the cache is still newer than
// what comes behind it with a lower timestamp.
func TestVersionCacheOfFallingCommits(t *testing.T) {
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithVersionCacheSize(1<<20))
	ctx := context.Background()
	large := string(bytes.Repeat([]byte("x"), 1<<20))
	for i, key := range []string{"fresh", "cached"} {
		base := uint64(100 * (i + 1))
		if key == "cached" {
			must(t, s.PutAt(ctx, []byte(key), []byte("old"), base, 0))
		}
		must(t, stageAndWait(s, Commit{TS: base + 20, Mutations: put(key, large)}, Commit{TS: base + 10, Mutations: put(key, "small")}))
		if ts, _, err := s.LatestCommitTS(ctx, []byte(key)); err != nil || ts != base+20 {
			t.Errorf("%s: newest version at %d (%v), want %d", key, ts, err, base+20)
		}
		wantValue(t, s, key, base+15, "small")
		if v, err := s.GetAt(ctx, []byte(key), maxTS); err != nil || len(v) != len(large) {
			t.Errorf("%s: %d bytes (%v), want %d", key, len(v), err, len(large))
		}
	}
}

// Keys are prepared in any number, there or not, without being used or asked for: nothing can tell.
func TestPrefetchChangesNothing(t *testing.T) {
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithVersionCacheSize(1<<20))
	ctx := context.Background()
	var keys [][]byte
	for i := range 3 * prefetchMost {
		key := fmt.Appendf(nil, "key%d", i)
		keys = append(keys, key)
		if i%3 > 0 {
			must(t, s.PutAt(ctx, key, bytes.Repeat([]byte{byte(i)}, i), 10, 0))
			if _, err := s.GetAt(ctx, key, 20); err != nil {
				t.Fatal(err)
			}
		}
	}
	type shardState struct {
		hits, misses, writes uint64
		taken, dead          int
		chunks               string
	}
	state := func() (all [cacheShards]shardState) {
		for i := range s.versions.shards {
			c := &s.versions.shards[i]
			all[i] = shardState{c.hits, c.misses, c.writes, c.taken, c.dead, fmt.Sprintf("%x", c.chunks)}
		}
		return all
	}
	before := state()
	s.Prefetch(nil)
	s.Prefetch(keys[:1])
	s.Prefetch(keys)
	if state() != before {
		t.Error("the cache has changed")
	}
}

// BenchmarkPrefetch reads sixteen keys at once of those that the cache has, many more than the processor has near: as
// they come, or prepared before.
func BenchmarkPrefetch(b *testing.B) {
	const batch = 16
	s, err := NewPebbleStore(b.TempDir(), WithVersionCacheSize(256<<20))
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	p := s.(*pebbleStore)
	fillBench(b, p)
	keys := make([][]byte, benchKeys)
	for i := range keys {
		keys[i] = benchKey(i)
		if _, err := p.GetAt(context.Background(), keys[i], 20); err != nil {
			b.Fatal(err)
		}
	}
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(keys), func(i, j int) { keys[i], keys[j] = keys[j], keys[i] })
	for _, c := range []struct {
		name    string
		prepare func([][]byte)
	}{{"as they come", func([][]byte) {}}, {"prepared", p.Prefetch}} {
		b.Run(c.name, func(b *testing.B) {
			from, sum := 0, 0
			for b.Loop() {
				if from += batch; from+batch > len(keys) {
					from = 0
				}
				c.prepare(keys[from : from+batch])
				for _, key := range keys[from : from+batch] {
					v, _, _ := p.VersionAt(context.Background(), key, 20)
					sum += int(v.Value[50])
				}
			}
			if sum != 0 {
				b.Fatal(sum)
			}
		})
	}
}
