package keyspace

import (
	"context"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// sampled returns the sample of the set "s", which has to be there.
func (s *Samples) sampled(t *testing.T) *sample {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.mu.byPrefix[string(store.SetMemberScanPrefix([]byte("s")))]
	if !ok {
		t.Fatal("nothing is remembered of the set")
	}
	return at.Value.(*sample)
}

// numbered returns n names that begin with prefix.
func numbered(prefix string, n int) [][]byte {
	out := make([][]byte, n)
	for i := range out {
		out[i] = fmt.Append(nil, prefix, i)
	}
	return out
}

func (w *world) storeSet(t testing.TB, members [][]byte) {
	t.Helper()
	w.update(t, func(s *Space) error { return s.StoreSet([]byte("s"), members) })
}

// inSet calls fn with the set "s" in a transaction.
func (w *world) inSet(t rapid.TB, fn func(set *Set) error) {
	t.Helper()
	w.update(t, func(s *Space) error {
		set, err := s.Set([]byte("s"))
		if err != nil {
			return err
		}
		return fn(set)
	})
}

// hits counts how often each member comes in draws single picks.
func hits(set *Set, draws int, rnd Random) (map[string]int, error) {
	hits := map[string]int{}
	for range draws {
		name, ok, err := set.Random(rnd)
		if err != nil || !ok {
			return nil, fmt.Errorf("no member: %v", err)
		}
		hits[string(name)]++
	}
	return hits, nil
}

// TestSampledPicksAreFair compares the picks of a set of any size and shape with
// those of a fair die: how often each part of the set is hit, and how many picks
// hit a member that was hit before.
func TestSampledPicksAreFair(t *testing.T) {
	const parts, draws = 8, 8000
	for _, n := range []int{3, 16, 500, 2000, 20000} {
		for _, shape := range memberShapes {
			t.Run(fmt.Sprint(shape.name, n), func(t *testing.T) {
				withSet(t, n, shape.member, func(set *Set, members []string) error {
					got, err := hits(set, draws, seeded(11))
					if err != nil {
						return err
					}
					slices.Sort(members)
					cells := min(parts, n)
					var chi float64
					for c := range cells {
						lo, hi := c*n/cells, (c+1)*n/cells
						want, sum := float64(draws)*float64(hi-lo)/float64(n), 0
						for _, m := range members[lo:hi] {
							sum += got[m]
						}
						chi += (float64(sum) - want) * (float64(sum) - want) / want
					}
					if chi > 30 { // 24.3 for 7 degrees of freedom is one in a thousand
						t.Errorf("chi-square of %d parts is %.1f", cells, chi)
					}
					fair := float64(n) * (1 - math.Exp(-draws/float64(n)))
					if d := float64(len(got)); math.Abs(d-fair) > 0.05*fair {
						t.Errorf("%d different members in %d draws, want about %.0f", len(got), draws, fair)
					}
					return nil
				})
			})
		}
	}
}

// TestPopsAreFair checks that the order in which members are popped says nothing of their names.
func TestPopsAreFair(t *testing.T) {
	const n = 12000 // more than one step of a sample
	w := newWorld()
	defer w.close()
	w.storeSet(t, numbered("m", n))
	rnd := seeded(12)
	var early [4]float64 // of each quarter of the names, among the first half of the pops
	for i := range n / 2 {
		w.inSet(t, func(set *Set) error {
			got, err := set.Pop(1, rnd)
			if err != nil || len(got) != 1 {
				return fmt.Errorf("pop %d: %q, %v", i, got, err)
			}
			var at int
			if _, err := fmt.Sscanf(string(got[0]), "m%d", &at); err != nil {
				return err
			}
			early[at*4/n]++
			return nil
		})
	}
	for q, got := range early {
		if math.Abs(got-n/8) > 100 {
			t.Errorf("%v of quarter %d came in the first half, want about %d: %v", got, q, n/8, early)
		}
	}
}

// TestPopDrains pops every member of sets once, in many transactions.
func TestPopDrains(t *testing.T) {
	for _, n := range []int{1, 2, 17, 1010, 3000} {
		for _, room := range []int{0, 8 << 10, 16 << 20} {
			if n > 2000 && room < 1<<20 {
				continue // takes long, and does the same as for fewer members
			}
			w := newWorld()
			w.samples = NewSamples(room)
			w.storeSet(t, numbered("m", n))
			rnd, popped := seeded(13), map[string]bool{}
			for len(popped) < n && !t.Failed() {
				w.inSet(t, func(set *Set) error {
					got, err := set.Pop(1, rnd)
					if len(got) != 1 || popped[string(got[0])] {
						t.Errorf("pop %d of %d answered %q", len(popped), n, got)
						return err
					}
					popped[string(got[0])] = true
					return err
				})
			}
			w.inSet(t, func(set *Set) error {
				if set.Exists() {
					t.Errorf("the set of %d is still there", n)
				}
				return nil
			})
			w.audit(t)
			w.close()
		}
	}
}

// TestPopsModel mixes pops with what else happens to a set, transactions that
// are taken back included, and compares with a plain map.
func TestPopsModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		w := newWorld()
		defer w.close()
		w.samples = NewSamples(rapid.SampledFrom([]int{0, 2000, 10000, 1 << 20}).Draw(t, "bytes"))
		rnd := seeded(rapid.Uint64().Draw(t, "seed"))
		model := map[string]bool{}
		for range rapid.IntRange(1, 60).Draw(t, "transactions") {
			what := rapid.SampledFrom([]string{"pop", "pop", "look", "look", "add", "remove", "replace", "fail"}).Draw(t, "what")
			from, n := rapid.IntRange(0, 60).Draw(t, "from"), rapid.IntRange(1, 40).Draw(t, "n")
			batch := numbered("m", from+n)[from:]
			w.inSet(t, func(set *Set) error { return popsStep(t, set, model, what, batch, rnd) })
			w.audit(t)
		}
	})
}

// popsStep does one thing to the set and the model, and compares.
func popsStep(t *rapid.T, set *Set, model map[string]bool, what string, batch [][]byte, rnd Random) error {
	switch what {
	case "add":
		for _, m := range batch {
			model[string(m)] = true
		}
		_, err := set.Add(batch...)
		return err
	case "remove":
		for _, m := range batch {
			delete(model, string(m))
		}
		_, err := set.Remove(batch...)
		return err
	case "replace":
		clear(model)
		for _, m := range batch {
			model[string(m)] = true
		}
		return set.s.StoreSet(set.key, batch)
	case "fail":
		_ = set.s.Atomically(func() error {
			for range batch {
				if _, err := set.Pop(1, rnd); err != nil {
					return err
				}
			}
			return errRolledOut
		})
		return nil
	}
	for range batch {
		var got [][]byte
		var err error
		if what == "pop" {
			got, err = set.Pop(1, rnd)
		} else {
			got, err = set.Sample(1, rnd)
		}
		if err != nil {
			return err
		}
		if len(got) != min(1, len(model)) || len(got) == 1 && !model[string(got[0])] {
			t.Fatalf("%s answered %q of %v", what, got, model)
		}
		if what == "pop" && len(got) == 1 {
			delete(model, string(got[0]))
		}
	}
	return nil
}

// TestSampleIsTakenOnDemand checks when a set is gone through for a sample.
func TestSampleIsTakenOnDemand(t *testing.T) {
	const n, most = 20000, 2500
	w := newWorld()
	defer w.close()
	w.samples.most = most
	w.storeSet(t, numbered("m", n))
	rnd := seeded(14)
	pick := func() *sample {
		w.inSet(t, func(set *Set) error { _, _, err := set.Random(rnd); return err })
		return w.samples.sampled(t)
	}
	steps := (n + sampleStepMost - 1) / sampleStepMost
	for range n/sampleRent + steps - 1 {
		if m := pick(); m.first != 0 {
			t.Fatal("a sample before it was asked for")
		}
	}
	m := pick()
	if m.first != most || m.rows != n || m.picks != 1 {
		t.Errorf("a sample of %d of %d, picked %d times, want %d of %d", m.first, m.rows, m.picks, most, n)
	}
	steps = (n + sampleStepLeast - 1) / sampleStepLeast
	for range m.first*7/8 - 1 + steps - 1 {
		if now := pick(); now != m {
			t.Fatal("a new sample before the old one is used")
		}
	}
	if now := pick(); now == m || m.names.len()-m.seen < most/16 {
		t.Error("a sample is used to its end")
	}
}

// TestPopsTakeFewSamples checks that a set that nothing is added to is hardly gone through more than once, however many members are popped.
func TestPopsTakeFewSamples(t *testing.T) {
	const n = 10000
	w := newWorld()
	defer w.close()
	w.samples = NewSamples(16 << 20)
	w.storeSet(t, numbered("m", n))
	rnd := seeded(20)
	var passed, names int
	var last *sample
	for range n - 1 {
		w.inSet(t, func(set *Set) error { _, err := set.Pop(1, rnd); return err })
		if m := w.samples.sampled(t); m != last {
			last = m
			passed, names = passed+int(m.rows), names+m.first
		}
	}
	if passed < n/2 || passed > n*5/4 || names < passed {
		t.Errorf("samples of %d rows have been taken for %d pops, with %d names; want about as many, all of them", passed, n, names)
	}
}

// TestSampledMembersAreAtHand checks that the engine is not asked once more for the members that it was asked for when the sample was taken.
func TestSampledMembersAreAtHand(t *testing.T) {
	engine, err := store.NewPebbleStore("db", store.WithFS(vfs.NewMem()))
	if err != nil {
		t.Fatal(err)
	}
	w := newWorldOver(engine.(store.Engine))
	defer w.close()
	w.storeSet(t, numbered("m", 5000))
	rnd := seeded(21)
	misses := func() uint64 { return engine.(interface{ Stats() store.Stats }).Stats().VersionCache.Misses }
	pops := func(times int) {
		for range times {
			w.inSet(t, func(set *Set) error { _, err := set.Pop(1, rnd); return err })
		}
	}
	pops(20)
	if m := w.samples.sampled(t); m.first == 0 {
		t.Fatal("no sample after 20 pops")
	}
	before := misses()
	if pops(500); misses() > before+50 {
		t.Errorf("500 pops asked the engine for %d rows", misses()-before)
	}
}

// TestAddedMembersArePicked checks that a member added to a sampled set is picked
// before long, whether the set has grown or another member has gone.
func TestAddedMembersArePicked(t *testing.T) {
	for _, n := range []int{5, 400, 3000} {
		for _, swap := range []bool{false, true} {
			w := newWorld()
			w.storeSet(t, numbered("m", n))
			rnd := seeded(15)
			w.inSet(t, func(set *Set) error { _, err := hits(set, 10, rnd); return err })
			w.inSet(t, func(set *Set) error {
				if _, err := set.Add([]byte("new")); err != nil || !swap {
					return err
				}
				_, err := set.Remove([]byte("m0"))
				return err
			})
			w.inSet(t, func(set *Set) error {
				got, err := hits(set, 20*n, rnd)
				if got["new"] < 3 || swap && got["m0"] > 0 {
					t.Errorf("of %d, swap %v: the new member was hit %d times in %d, the one that went %d times", n, swap, got["new"], 20*n, got["m0"])
				}
				return err
			})
			w.close()
		}
	}
}

// TestJobsAreWalkedOnce adds members to a set and pops others by turns: the sample that the first pop has taken serves all others, and
// what is added comes as soon as what was there.
func TestJobsAreWalkedOnce(t *testing.T) {
	const n, turns = 300, 8 * 300
	w := newWorld()
	defer w.close()
	members := numbered(strings.Repeat("m", 60), n+turns)
	w.storeSet(t, members[:n])
	rnd, since := seeded(22), map[string]int{}
	var first *sample
	var waited float64
	for i := range turns {
		w.inSet(t, func(set *Set) error {
			if i > 0 {
				since[string(members[n+i])] = i
				if _, err := set.Add(members[n+i], members[n+i]); err != nil { // the second time it is there
					return err
				}
			}
			got, err := set.Pop(1, rnd)
			if err != nil || len(got) != 1 {
				return fmt.Errorf("pop %d: %q, %v", i, got, err)
			}
			waited += float64(i - since[string(got[0])])
			return nil
		})
		switch m := w.samples.sampled(t); {
		case m.first == 0: // picks are counted
		case first == nil:
			first = m
		case m != first || m.closed || m.names.len() != n-1:
			t.Fatalf("pop %d has another sample, or one of %d names that is closed: %v", i, m.names.len(), m.closed)
		}
	}
	if mean := waited / turns; mean < 0.8*n || mean > 1.2*n {
		t.Errorf("a member was popped after %.0f turns, want about %d", mean, n)
	}
	if limit := 3*sampleDead/2 + 100*n; len(first.names.data) > limit {
		t.Errorf("the names take %d bytes, want %d at most", len(first.names.data), limit)
	}
	w.inSet(t, func(set *Set) error {
		got, err := hits(set, 40*n, rnd)
		for name, times := range got {
			if times > 100 {
				t.Errorf("%s was hit %d times, want about 40", name, times)
			}
		}
		if len(got) != n-1 {
			t.Errorf("%d members were hit, want %d", len(got), n-1)
		}
		return err
	})
}

// TestReturnedMembersAreThereOnce removes a member otherwise than by a pop and adds it again: it does not come more often than others.
func TestReturnedMembersAreThereOnce(t *testing.T) {
	const n = 100
	w := newWorld()
	defer w.close()
	w.storeSet(t, numbered("m", n))
	rnd := seeded(23)
	w.inSet(t, func(set *Set) error { _, err := hits(set, 10, rnd); return err })
	for i := range 50 {
		w.inSet(t, func(set *Set) error {
			for _, step := range []func(...[]byte) (int64, error){set.Remove, set.Add} {
				if _, err := step([]byte("m7")); err != nil {
					return err
				}
			}
			_, err := set.Add(fmt.Append(nil, "new", i))
			return err
		})
	}
	w.inSet(t, func(set *Set) error {
		got, err := hits(set, n/2, rnd)
		if got["m7"] > 8 {
			t.Errorf("it was hit %d times of %d in a set of %d", got["m7"], n/2, n+50)
		}
		return err
	})
	w.audit(t)
}

// TestReadersDoNotSayWhoIsGone loses a name to a reader, who may have come before its row was added: the sample has not all names from then on.
// To a pop, which sees the newest rows, it is one of those that are known to have none.
func TestReadersDoNotSayWhoIsGone(t *testing.T) {
	for _, pop := range []bool{false, true} {
		s := NewSamples(1 << 20)
		b := s.builder(3)
		b.rnd = seeded(24)
		for _, name := range numbered("m", 3) {
			b.add(name)
		}
		b.dead, b.rows, b.whole = 1, 2, true
		s.put([]byte("p"), b)
		d, how := s.draw(ticket{prefix: []byte("p"), n: 2, remove: pop})
		if how != pickByName {
			t.Fatalf("drawn: %v", how)
		}
		s.lost([]byte("p"), d)
		if m := s.ofLocked([]byte("p")); m.names.len() != 2 || m.exact(2) != pop {
			t.Errorf("lost by a pop %v: %d names, all there are: %v", pop, m.names.len(), m.exact(2))
		}
	}
}

// TestPastHasItsOwnPicks checks that a read of the past is not answered from what
// is remembered of the present, and leaves that alone.
func TestPastHasItsOwnPicks(t *testing.T) {
	rnd := seeded(16)
	pick := func(set *Set) error { _, err := hits(set, 100, rnd); return err }
	for name, change := range map[string]func(w *world){
		"other members": func(w *world) {
			w.storeSet(t, append(numbered("new", 15), numbered("old", 15)...))
			w.inSet(t, pick)
		},
		"one member more": func(w *world) {
			w.inSet(t, func(set *Set) error { _, err := set.Add([]byte("new")); return err })
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			defer w.close()
			w.storeSet(t, numbered("old", 30))
			w.inSet(t, pick)
			before := w.engine.LastCommitTS()
			w.now = w.now.Add(time.Minute)
			change(w)
			m := w.samples.sampled(t)
			picks := m.picks
			err := w.db.ViewAt(context.Background(), before, func(tx *txn.Tx) error {
				set, err := Open(tx, 0, Env{Samples: w.samples}).Set([]byte("s"))
				if err != nil {
					return err
				}
				got, err := hits(set, 600, rnd)
				for name, times := range got {
					if !strings.HasPrefix(name, "old") || times > 50 {
						t.Errorf("%q was hit %d times of 600 in a set of 30", name, times)
					}
				}
				if len(got) != 30 {
					t.Errorf("%d members were hit, want 30", len(got))
				}
				return err
			})
			if now := w.samples.sampled(t); err != nil || now != m || m.picks != picks {
				t.Errorf("%v; the sample was used or replaced", err)
			}
		})
	}
}

// TestSamplesAreBounded checks the bytes of many samples, and of one with long names.
func TestSamplesAreBounded(t *testing.T) {
	const limit = 40 << 10
	w := newWorld()
	defer w.close()
	w.samples = NewSamples(limit)
	rnd := seeded(17)
	long := strings.Repeat("x", 3000)
	w.update(t, func(s *Space) error {
		for i, members := range slices.Repeat([][][]byte{numbered("m", 300), numbered(long, 50), numbered("m", 5)}, 20) {
			key := fmt.Append(nil, "set", i)
			if err := s.StoreSet(key, members); err != nil {
				return err
			}
			set, err := s.Set(key)
			if err != nil {
				return err
			}
			if _, err = hits(set, 10, rnd); err != nil {
				return err
			}
			sum := 0
			for e := w.samples.mu.byUse.Front(); e != nil; e = e.Next() {
				sum += sampleOverhead
				sum += e.Value.(*sample).names.size()
			}
			if w.samples.mu.bytes > limit || sum > w.samples.mu.bytes || len(w.samples.mu.byPrefix) != w.samples.mu.byUse.Len() {
				t.Fatalf("%d bytes, %d counted, at most %d wanted", sum, w.samples.mu.bytes, limit)
			}
		}
		return nil
	})
	if n := w.samples.mu.byUse.Len(); n < 2 {
		t.Errorf("%d samples are kept", n)
	}
}

// TestHalvedSampleIsFair checks a sample that had to leave out names for want of room.
func TestHalvedSampleIsFair(t *testing.T) {
	const n, rounds = 200, 400
	hits := make([]float64, 4)
	rnd := seeded(18)
	s := NewSamples(sampleShare * 200) // 200 bytes for a sample: of 200 names, about 30
	size := 0
	for range rounds {
		b := s.builder(n)
		b.rnd = rnd
		for i := range n {
			b.add([]byte{byte(i)})
		}
		b.rows = n
		m := b.sample("")
		if m.size > 200 || m.names.len() < 10 {
			t.Fatalf("%d names of %d bytes", m.names.len(), m.size)
		}
		size += m.names.len()
		for i := range m.names.len() {
			hits[int(m.names.name(i)[0])*4/n]++
		}
	}
	for q, got := range hits {
		if share := got * 4 / float64(size); share < 0.93 || share > 1.07 {
			t.Errorf("quarter %d has %.2f of its share: %v", q, share, hits)
		}
	}
}

// TestFailedSampleIsTakenAgain checks that a walk that fails or panics keeps nobody from the next.
func TestFailedSampleIsTakenAgain(t *testing.T) {
	w := newWorld()
	defer w.close()
	w.storeSet(t, numbered("m", 100))
	rnd := seeded(19)
	ctx, cancel := context.WithCancel(context.Background())
	for _, stop := range []bool{false, true} {
		_ = w.db.View(ctx, func(tx *txn.Tx) error {
			set, err := Open(tx, 0, Env{Samples: w.samples}).Set([]byte("s"))
			if err != nil {
				return err
			}
			broken := rnd
			if stop {
				bits := 0
				broken = func() uint64 {
					if bits++; bits > 20 {
						panic("out of bits")
					}
					return 1
				}
			}
			_, _, err = set.Random(broken)
			return err
		})
	}
	cancel()
	if m := w.samples.sampled(t); m.taking || m.first > 0 {
		t.Fatalf("a walk that panicked left %+v", m)
	}
	w.inSet(t, func(set *Set) error { _, err := hits(set, 2, rnd); return err })
	if m := w.samples.sampled(t); m.first != 100 {
		t.Errorf("%d names, want 100", m.first)
	}
}

// TestSamplesAreShared lets readers pick while a writer pops and adds.
func TestSamplesAreShared(t *testing.T) {
	w := newWorld()
	defer w.close()
	members := numbered("m", 3000)
	w.storeSet(t, members)
	env := Env{Limits: &Limits{}, Samples: w.samples}
	var wg sync.WaitGroup
	done := make(chan struct{})
	for i := range 4 {
		wg.Go(func() {
			rnd := seeded(uint64(i))
			for {
				select {
				case <-done:
					return
				default:
				}
				err := w.db.View(context.Background(), func(tx *txn.Tx) error {
					set, err := Open(tx, 0, env).Set([]byte("s"))
					if err != nil {
						return err
					}
					name, ok, err := set.Random(rnd)
					if err != nil || !ok {
						return fmt.Errorf("no member: %v", err)
					}
					if ok, err = set.Has(name); err != nil || !ok {
						return fmt.Errorf("%q is no member: %v", name, err)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	rnd := seeded(20)
	for i := range 2000 {
		w.inSet(t, func(set *Set) error {
			if i%3 == 0 {
				_, err := set.Add(fmt.Append(nil, "added", i))
				return err
			}
			got, err := set.Pop(1, rnd)
			if err == nil && len(got) != 1 {
				err = fmt.Errorf("popped %q", got)
			}
			return err
		})
	}
	close(done)
	wg.Wait()
}

// BenchmarkPop empties large sets, as one transaction each, in the engine that servers use.
func BenchmarkPop(b *testing.B) {
	for _, n := range []int{10000, 100000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) { benchmarkPop(b, n) })
	}
}

func benchmarkPop(b *testing.B, n int) {
	engine, err := store.NewPebbleStore(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer engine.Close()
	db := txn.NewLocal(engine.(store.Engine), hlc.New(time.Now), txn.Options{})
	defer db.Close()
	limits := DefaultLimits()
	env := Env{Limits: &limits, Samples: NewSamples(16 << 20)}
	members, rnd, left := numbered("element:", n), seeded(1), 0
	b.ReportAllocs()
	for b.Loop() {
		if left == 0 {
			b.StopTimer()
			err := db.Update(b.Context(), func(tx *txn.Tx) error { return Open(tx, 0, env).StoreSet([]byte("s"), members) })
			if err != nil {
				b.Fatal(err)
			}
			left = n
			b.StartTimer()
		}
		pops := min(left, 100)
		left -= pops
		err := db.Sequence(b.Context(), func(seq *txn.Seq) {
			for range pops {
				err := seq.Do(func(tx *txn.Tx) error {
					set, err := Open(tx, 0, env).Set([]byte("s"))
					if err != nil {
						return err
					}
					_, err = set.Pop(1, rnd)
					return err
				})
				if err != nil {
					b.Error(err)
				}
			}
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/100, "ns/pop")
}
