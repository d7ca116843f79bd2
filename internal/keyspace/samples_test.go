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
