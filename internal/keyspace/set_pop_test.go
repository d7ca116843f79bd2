package keyspace

import (
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

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
