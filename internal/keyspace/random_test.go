package keyspace

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// seeded is a generator of random bits (splitmix64).
func seeded(seed uint64) Random {
	return func() uint64 {
		seed += 0x9e3779b97f4a7c15
		z := seed
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		return z ^ z>>31
	}
}

// memberShapes are ways to name members: descents find their way by the names. low
// and high say how fair they have to be.
var memberShapes = []struct {
	name      string
	low, high float64
	member    func(i int) string
}{
	{"padded", 0.7, 1.4, func(i int) string { return fmt.Sprintf("member:%07d", i) }},
	{"numbers", 0.5, 1.8, func(i int) string { return fmt.Sprint(i) }},
	{"hex", 0.7, 1.4, func(i int) string { return fmt.Sprintf("%016x", uint64(i)*0x9e3779b97f4a7c15) }},
	{"binary", 0.7, 1.4, func(i int) string {
		z := seeded(uint64(i))()
		return string([]byte{byte(z >> 56), byte(z >> 48), byte(i >> 8), byte(i)})
	}},
	{"families", 0.3, 2, func(i int) string {
		if i%10 == 0 {
			return fmt.Sprint("admin:", i)
		}
		return fmt.Sprintf("user:%d@example.com", i)
	}},
}

// withSet calls fn with a set of n members.
func withSet(t *testing.T, n int, member func(i int) string, fn func(set *Set, members []string) error) {
	t.Helper()
	w := newWorld()
	defer w.close()
	members := make([]string, n)
	for i := range members {
		members[i] = member(i)
	}
	w.update(t, func(s *Space) error {
		if err := s.StoreSet([]byte("s"), byteSlices(members)); err != nil {
			return err
		}
		set, err := s.Set([]byte("s"))
		return errors.Join(err, fn(set, members))
	})
}

// TestRandomIsFair checks how often each of a few equal parts of a set is hit
// by picks without a sample.
func TestRandomIsFair(t *testing.T) {
	const parts, draws = 8, 2000
	for _, n := range []int{8, 1000, 2000} {
		for _, shape := range memberShapes {
			t.Run(fmt.Sprint(shape.name, n), func(t *testing.T) {
				withSet(t, n, shape.member, func(set *Set, members []string) error {
					set.s.shared.samples = nil
					part := map[string]int{}
					for i, name := range slices.Sorted(slices.Values(members)) {
						part[name] = i * parts / n
					}
					var hits [parts]float64
					rnd := seeded(1)
					for range draws {
						name, ok, err := set.Random(rnd)
						if err != nil || !ok {
							return fmt.Errorf("no member: %v", err)
						}
						p, ok := part[string(name)]
						if !ok {
							return fmt.Errorf("%q is no member", name)
						}
						hits[p]++
					}
					low, high := shape.low, shape.high
					if n <= poolWalkMax {
						low, high = 0.75, 1.25
					}
					for p := range hits {
						if share := hits[p] * parts / draws; share < low || share > high {
							t.Errorf("part %d of %d was hit %.2f times as often as it should be: %v", p, parts, share, hits)
						}
					}
					return nil
				})
			})
		}
	}
}

// TestRandomRepeatsLittle checks that no member of a large set is a favourite
// of picks without a sample.
func TestRandomRepeatsLittle(t *testing.T) {
	const n, draws = 5000, 500
	for _, shape := range memberShapes {
		t.Run(shape.name, func(t *testing.T) {
			withSet(t, n, shape.member, func(set *Set, _ []string) error {
				set.s.shared.samples = nil
				hits := map[string]int{}
				rnd := seeded(2)
				for range draws {
					name, _, err := set.Random(rnd)
					if err != nil {
						return err
					}
					hits[string(name)]++
				}
				fair := n * (1 - math.Exp(-float64(draws)/n))
				if float64(len(hits)) < 0.8*fair {
					t.Errorf("%d different members in %d draws, want about %.0f", len(hits), draws, fair)
				}
				for name, times := range hits {
					if times > 8 {
						t.Errorf("%q was drawn %d times of %d", name, times, draws)
					}
				}
				return nil
			})
		})
	}
}

func TestSampleIsDistinct(t *testing.T) {
	for _, n := range []int{1, 2, 10, 1000, 1001, 5000} {
		for _, k := range []int{0, 1, 2, 9, 60, 70, 999, 1000, 4999, 5000, 6000} {
			withSet(t, n, memberShapes[1].member, func(set *Set, members []string) error {
				got, err := set.Sample(int64(k), seeded(3))
				if err != nil {
					return err
				}
				have := map[string]bool{}
				for _, name := range got {
					if have[string(name)] || !slices.Contains(members, string(name)) {
						t.Errorf("%d of %d: %q twice or no member", k, n, name)
					}
					have[string(name)] = true
				}
				if len(got) != min(k, n) {
					t.Errorf("%d of %d: got %d", k, n, len(got))
				}
				return nil
			})
		}
	}
}

// TestSampleIsFair checks that each member of a small set is as often in a sample as any other.
func TestSampleIsFair(t *testing.T) {
	withSet(t, 10, memberShapes[0].member, func(set *Set, members []string) error {
		hits := map[string]int{}
		rnd := seeded(4)
		for range 3000 {
			got, err := set.Sample(3, rnd)
			if err != nil {
				return err
			}
			for _, name := range got {
				hits[string(name)]++
			}
		}
		for _, name := range members {
			if hits[name] < 800 || hits[name] > 1000 {
				t.Errorf("%q was in %d of 3000 samples, want about 900", name, hits[name])
			}
		}
		return nil
	})
}

func TestDraw(t *testing.T) {
	for _, n := range []int{1, 10, 1000, 5000} {
		for _, k := range []int{0, 1, 10, 100, 7000, poolDraw + 10} {
			withSet(t, n, memberShapes[0].member, func(set *Set, members []string) error {
				is := map[string]bool{}
				for _, name := range members {
					is[name] = true
				}
				got, different := 0, map[string]bool{}
				err := set.Draw(int64(k), seeded(5), func(name []byte) error {
					if got++; !is[string(name)] {
						t.Errorf("%d of %d: %q is no member", k, n, name)
					}
					different[string(name)] = true
					return nil
				})
				if fair := float64(n) * (1 - math.Exp(-float64(k)/float64(n))); got != k || k >= 100 && float64(len(different)) < 0.7*fair {
					t.Errorf("%d of %d: got %d, %d of them different, want about %.0f", k, n, got, len(different), fair)
				}
				return err
			})
		}
	}
}

func TestDrawStops(t *testing.T) {
	withSet(t, 5, memberShapes[0].member, func(set *Set, _ []string) error {
		n := 0
		err := set.Draw(math.MaxInt64, seeded(6), func([]byte) error {
			if n++; n == 100 {
				return errRolledOut
			}
			return nil
		})
		if err != errRolledOut || n != 100 {
			t.Errorf("stopped after %d with %v", n, err)
		}
		return nil
	})
}

func TestRandomOfNothing(t *testing.T) {
	w := newWorld()
	defer w.close()
	w.update(t, func(s *Space) error {
		if key, ok, err := s.Random(seeded(7)); ok || err != nil {
			t.Errorf("key %q, %v, %v in an empty database", key, ok, err)
		}
		set, err := s.Set([]byte("s"))
		if err != nil {
			return err
		}
		if name, ok, err := set.Random(seeded(7)); ok || err != nil {
			t.Errorf("member %q, %v, %v of an empty set", name, ok, err)
		}
		if got, err := set.Sample(3, seeded(7)); len(got) != 0 || err != nil {
			t.Errorf("sample %q, %v of an empty set", got, err)
		}
		return set.Draw(3, seeded(7), func(name []byte) error { return fmt.Errorf("drew %q from an empty set", name) })
	})
}

func TestRandomKey(t *testing.T) {
	w := newWorld()
	defer w.close()
	w.update(t, func(s *Space) error {
		for i := range 20 {
			set, err := s.Set(fmt.Append(nil, i))
			if err != nil {
				return err
			}
			if _, err := set.Add([]byte("m")); err != nil {
				return err
			}
			if i >= 2 {
				if _, err := s.SetExpiry(fmt.Append(nil, i), s.Now()+1); err != nil {
					return err
				}
			}
		}
		return nil
	})
	w.now = w.now.Add(5e6)
	w.update(t, func(s *Space) error {
		hits := map[string]int{}
		rnd := seeded(8)
		for range 200 {
			key, ok, err := s.Random(rnd)
			if err != nil || !ok {
				return fmt.Errorf("no key: %v", err)
			}
			hits[string(key)]++
		}
		if len(hits) != 2 || hits["0"] < 60 || hits["1"] < 60 {
			t.Errorf("keys %v, want 0 and 1, as often", hits)
		}
		return nil
	})
}

func TestHashRandom(t *testing.T) {
	w := newWorld()
	defer w.close()
	w.update(t, func(s *Space) error {
		h, err := s.Hash([]byte("h"))
		if err != nil {
			return err
		}
		for i := range 10 {
			if _, err := h.Set(fmt.Append(nil, "f", i), fmt.Append(nil, "v", i)); err != nil {
				return err
			}
		}
		check := func(f Field, value bool) error {
			if f.Name[0] != 'f' || value != (string(f.Value) == "v"+string(f.Name[1:])) {
				return fmt.Errorf("field %q = %q", f.Name, f.Value)
			}
			return nil
		}
		for _, values := range []bool{true, false} {
			fields, err := h.Sample(4, values, seeded(9))
			if err != nil || len(fields) != 4 {
				return fmt.Errorf("%d fields, %v", len(fields), err)
			}
			for _, f := range fields {
				if err := check(f, values); err != nil {
					return err
				}
			}
			if err := h.Draw(30, values, seeded(9), func(f Field) error { return check(f, values) }); err != nil {
				return err
			}
		}
		name, ok, err := h.RandomName(seeded(9))
		if !ok || name[0] != 'f' {
			t.Errorf("name %q, %v", name, ok)
		}
		return err
	})
}

// TestPicksAfterADeletion picks members of a set, and keys, whose predecessors
// were deleted as a span in the same run: with a sample that remembers these, and by descent.
func TestPicksAfterADeletion(t *testing.T) {
	for name, samples := range map[string]*Samples{"sample": NewSamples(1 << 20), "descent": nil} {
		t.Run(name, func(t *testing.T) {
			w, e := newScaledWorld(t)
			w.samples = samples
			rnd := seeded(3)
			w.update(t, func(s *Space) error {
				return errors.Join(s.StoreSet([]byte("s"), numbered("old:", 3000)), populate(s.DB(1), 200))
			})
			w.update(t, func(s *Space) error { return picks(s, rnd, "old:") })
			e.read = 0
			w.together(t,
				func(s *Space) error {
					if err := errors.Join(s.StoreSet([]byte("s"), numbered("new:", 2000)), picks(s, rnd, "new:")); err != nil {
						return err
					}
					return errors.Join(s.DB(1).Flush(), s.DB(1).SetString([]byte("new:key"), nil, 0))
				},
				func(s *Space) error { return errors.Join(picks(s, rnd, "new:"), pickKeys(s.DB(1), rnd)) },
				func(s *Space) error { // and again, over what the run itself has written
					if err := errors.Join(s.StoreSet([]byte("s"), numbered("newest:", 1500)), picks(s, rnd, "newest:")); err != nil {
						return err
					}
					set, err := s.Set([]byte("s"))
					if err != nil {
						return err
					}
					popped, err := set.Pop(2000, rnd)
					if err := expect(err, "popped", len(popped), 1500); err != nil {
						return err
					}
					return expect(err, "there after that", set.Exists(), false)
				})
			if most := 4*65 + 2000; e.read > most { // looks for names that are gone among them
				t.Errorf("%d rows read, want at most %d: no walk over the old members", e.read, most)
			}
			w.audit(t)
		})
	}
}

// picks checks that random members begin with prefix, and are not always the same.
func picks(s *Space, rnd Random, prefix string) error {
	set, err := s.Set([]byte("s"))
	if err != nil {
		return err
	}
	different := map[string]bool{}
	for range 100 {
		m, ok, err := set.Random(rnd)
		if err != nil || !ok || !strings.HasPrefix(string(m), prefix) {
			return fmt.Errorf("picked %q, %v, %v; want a member that begins with %s", m, ok, err, prefix)
		}
		different[string(m)] = true
	}
	if len(different) < 60 {
		return fmt.Errorf("100 picks were only %d different members", len(different))
	}
	return nil
}

// pickKeys checks that the only key is picked.
func pickKeys(s *Space, rnd Random) error {
	for range 10 {
		key, ok, err := s.Random(rnd)
		if err != nil || !ok || string(key) != "new:key" {
			return fmt.Errorf("picked key %q, %v, %v", key, ok, err)
		}
	}
	return nil
}

// BenchmarkRandom picks members of large sets in the engine that servers use.
func BenchmarkRandom(b *testing.B) {
	for _, shape := range memberShapes {
		for _, n := range []int{1000, 100000} {
			b.Run(fmt.Sprint(shape.name, "/", n), func(b *testing.B) { benchmarkRandom(b, n, shape.member) })
		}
	}
}

func benchmarkRandom(b *testing.B, n int, member func(i int) string) {
	engine, err := store.NewPebbleStore(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer engine.Close()
	db := txn.NewLocal(engine.(store.Engine), hlc.New(time.Now), txn.Options{})
	defer db.Close()
	members := make([][]byte, n)
	for i := range members {
		members[i] = []byte(member(i))
	}
	limits := DefaultLimits()
	env := Env{Limits: &limits, Samples: NewSamples(16 << 20)}
	err = db.Update(b.Context(), func(tx *txn.Tx) error { return Open(tx, 0, env).StoreSet([]byte("s"), members) })
	if err != nil {
		b.Fatal(err)
	}
	rnd := seeded(1)
	b.ReportAllocs()
	for b.Loop() {
		err := db.View(b.Context(), func(tx *txn.Tx) error {
			set, err := Open(tx, 0, env).Set([]byte("s"))
			if err != nil {
				return err
			}
			_, _, err = set.Random(rnd)
			return err
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
