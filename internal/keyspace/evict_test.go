package keyspace

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/eviction"
)

// newUsedWorld is a world in which uses of keys are remembered.
func newUsedWorld() *world {
	w := newWorld()
	w.uses = eviction.NewUses(w.now.UnixMilli(), rand.Uint64)
	return w
}

func (w *world) wantIdle(t *testing.T, key string, want time.Duration) {
	t.Helper()
	w.view(t, func(s *Space) error {
		got, ok, err := s.Idle([]byte(key))
		if !ok || got != want.Milliseconds() {
			t.Errorf("%s is idle for %d, %v, want %d", key, got, ok, want.Milliseconds())
		}
		return err
	})
}

func TestIdle(t *testing.T) {
	w := newUsedWorld()
	defer w.close()
	key := []byte("k")
	w.update(t, func(s *Space) error { return s.SetString(key, []byte("v"), 0) })
	w.now = w.now.Add(5 * time.Second)
	w.wantIdle(t, "k", 5*time.Second)
	w.view(t, func(s *Space) error {
		_, _, err := s.Untouched().DB(0).Reading().String(key)
		return err
	})
	w.wantIdle(t, "k", 5*time.Second)
	w.view(t, func(s *Space) error {
		_, _, err := s.String(key)
		return err
	})
	w.wantIdle(t, "k", 0)
	w.update(t, func(s *Space) error {
		s.SetIdle(key, 9000)
		return nil
	})
	w.now = w.now.Add(time.Second)
	w.wantIdle(t, "k", 10*time.Second)
	w.update(t, func(s *Space) error { // a new key of the name is not the old one
		if _, err := s.Untouched().Remove(key); err != nil {
			return err
		}
		return s.Untouched().SetString(key, nil, 0)
	})
	w.wantIdle(t, "k", 0)
	w.uses = nil // as after a restart: the last write counts
	w.now = w.now.Add(time.Second)
	w.wantIdle(t, "k", time.Second)
	w.view(t, func(s *Space) error {
		if _, ok, err := s.Idle([]byte("nosuch")); ok || err != nil {
			t.Errorf("a key that is not there is idle: %v, %v", ok, err)
		}
		return nil
	})
}

// Databases that were swapped take with them how their keys were used.
func TestIdleAfterSwap(t *testing.T) {
	w := newUsedWorld()
	defer w.close()
	w.update(t, func(s *Space) error { return s.SetString([]byte("k"), nil, 0) })
	w.now = w.now.Add(5 * time.Second)
	w.update(t, func(s *Space) error {
		if err := s.Swap(0, 1); err != nil {
			return err
		}
		idle, ok, err := s.DB(1).Idle([]byte("k"))
		if !ok || idle != 5000 {
			t.Errorf("idle for %d, %v, want 5000", idle, ok)
		}
		return err
	})
}

func TestFrequency(t *testing.T) {
	w := newUsedWorld()
	defer w.close()
	key := []byte("k")
	w.update(t, func(s *Space) error { return s.SetString(key, []byte("v"), 0) })
	w.view(t, func(s *Space) error {
		if _, ok, err := s.Frequency(key); ok || err != nil || s.CountsUses() {
			t.Errorf("a frequency is known by recency: %v", err)
		}
		return nil
	})
	w.uses.Configure(eviction.Settings{Frequency: true})
	w.view(t, func(s *Space) error {
		for range 3 {
			if _, _, err := s.String(key); err != nil {
				return err
			}
		}
		got, ok, err := s.Frequency(key)
		if err != nil || !ok || got != 8 {
			t.Errorf("used three times, it counts %d, %v, want 8", got, ok)
		}
		s.SetFrequency(key, 200)
		got, _, err = s.Frequency(key)
		if got != 200 {
			t.Errorf("it counts %d, want 200", got)
		}
		return err
	})
}

func TestEvict(t *testing.T) {
	w := newUsedWorld()
	defer w.close()
	stays, goes := []byte("stays"), []byte("goes")
	w.update(t, func(s *Space) error {
		if err := s.SetString(stays, []byte("v"), 0); err != nil {
			return err
		}
		if err := populate(s, 100); err != nil {
			return err
		}
		h, err := s.Hash(goes)
		if err != nil {
			return err
		}
		for i := range 200 {
			if _, err := h.SetAll(Field{Name: fmt.Appendf(nil, "f%d", i), Value: []byte("v")}); err != nil {
				return err
			}
		}
		_, err = s.SetExpiry(goes, s.Now()+1000)
		return err
	})
	w.update(t, func(s *Space) error {
		s.shared.classes = ClassEvicted
		for _, c := range []struct {
			key      []byte
			volatile bool
			want     bool
		}{{stays, true, false}, {[]byte("nosuch"), false, false}, {goes, true, true}, {goes, true, false}} {
			if got, err := s.Evict(c.key, c.volatile); got != c.want || err != nil {
				t.Errorf("evict %s, volatile %v: %v, %v, want %v", c.key, c.volatile, got, err, c.want)
			}
		}
		want := []Event{{0, ClassEvicted, "evicted", goes}}
		if got := s.Events(); len(got) != 1 || string(got[0].Key) != "goes" || got[0].Class != want[0].Class || got[0].Name != want[0].Name {
			t.Errorf("events %v, want %v", got, want)
		}
		if got := s.Changes(); len(got) != 1 || !got[0].Evicted {
			t.Errorf("changes %v, want one eviction", got)
		}
		return nil
	})
	w.audit(t)
}

func TestCandidates(t *testing.T) {
	w := newUsedWorld()
	defer w.close()
	const keys = 300
	w.update(t, func(s *Space) error {
		for i := range keys {
			var at int64
			if i%3 == 0 {
				at = s.Now() + int64(1000*(keys-i))
			}
			if err := s.SetString(fmt.Appendf(nil, "k%03d", i), nil, at); err != nil {
				return err
			}
		}
		return nil
	})
	w.now = w.now.Add(time.Second / 2)
	w.view(t, func(s *Space) error {
		if _, _, err := s.String([]byte("k000")); err != nil {
			return err
		}
		seen := map[bool]map[string]bool{false: {}, true: {}}
		for i := range 2000 {
			volatile := i%2 == 0
			n := 0
			err := s.Candidates(rand.Uint64, volatile, 5, func(key []byte, score int64) {
				n++
				seen[volatile][string(key)] = true
				want := int64(500)
				if string(key) == "k000" {
					want = 0
				}
				if score != want {
					t.Errorf("%s has a score of %d, want %d", key, score, want)
				}
			})
			if err != nil || n != 6 {
				t.Fatalf("%d candidates, %v, want 6", n, err)
			}
			key, ok, err := s.RandomEvictable(rand.Uint64, volatile)
			if err != nil || !ok {
				t.Fatalf("no random key: %v", err)
			}
			seen[volatile][string(key)] = true
		}
		if len(seen[false]) != keys || len(seen[true]) != keys/3 {
			t.Errorf("%d keys were candidates, and %d that expire, want %d and %d", len(seen[false]), len(seen[true]), keys, keys/3)
		}
		key, at, ok, err := s.Soonest()
		if string(key) != "k297" || !ok || at != s.Now()-500+3000 {
			t.Errorf("the soonest to expire is %s at %d, %v", key, at, ok)
		}
		return err
	})
	w.update(t, func(s *Space) error { return s.Flush() })
	w.view(t, func(s *Space) error {
		err := s.Candidates(rand.Uint64, false, 5, func(key []byte, _ int64) { t.Errorf("%s is a candidate of none", key) })
		if err != nil {
			return err
		}
		if _, ok, err := s.RandomEvictable(rand.Uint64, true); ok || err != nil {
			t.Errorf("a random key of none: %v", err)
		}
		_, _, ok, err := s.Soonest()
		if ok {
			t.Error("one of none is the soonest to expire")
		}
		return err
	})
}

// The size of few rows is exact, that of many not far off.
func TestDatasetSize(t *testing.T) {
	w := newWorld()
	defer w.close()
	chance := rand.New(rand.NewPCG(1, 2)).Uint64 // a sample is off by more now and then
	check := func(what string, tolerance float64) {
		t.Helper()
		w.view(t, func(s *Space) error {
			got, err := s.DatasetSize(chance)
			want, _, all := s.tx.RowsSize(1 << 30)
			if all != nil {
				return all
			}
			if off := float64(got-want) / float64(max(want, 1)); off > tolerance || off < -tolerance {
				t.Errorf("%s: %d bytes, want %d", what, got, want)
			}
			return err
		})
	}
	check("nothing", 0)
	w.update(t, func(s *Space) error { return populate(s, 100) })
	check("few keys", 0)
	w.update(t, func(s *Space) error {
		for i := range 3000 {
			if err := s.DB(3).SetString(fmt.Appendf(nil, "key:%d", i), make([]byte, 20), s.Now()+10_000); err != nil {
				return err
			}
		}
		return nil
	})
	check("many keys", 0.1)
	w.update(t, func(s *Space) error { return s.DB(3).Flush() })
	w.update(t, func(s *Space) error {
		h, err := s.DB(2).Hash([]byte("h"))
		if err != nil {
			return err
		}
		for i := range 6000 {
			if _, err := h.SetAll(Field{Name: fmt.Appendf(nil, "field:%04d", i), Value: []byte("value")}); err != nil {
				return err
			}
		}
		return nil
	})
	check("a large hash", 0.1)
}

// To know the size of a large collection takes a look at a few elements, unless all are asked for.
func TestUsage(t *testing.T) {
	w := newWorld()
	defer w.close()
	keys := map[string]func(s *Space, key []byte) error{
		"set": func(s *Space, key []byte) error {
			t, err := s.Set(key)
			for i := 0; i < 1000 && err == nil; i++ {
				_, err = t.Add(fmt.Appendf(nil, "m%03d", i))
			}
			return err
		},
		"zset": func(s *Space, key []byte) error {
			var members []ScoredMember
			for i := range 1000 {
				members = append(members, ScoredMember{Member: fmt.Appendf(nil, "m%03d", i), Score: float64(i)})
			}
			return s.StoreZSet(key, members)
		},
		"list": func(s *Space, key []byte) error {
			l, err := s.List(key)
			for i := 0; i < 1000 && err == nil; i++ {
				err = l.Push(Right, fmt.Appendf(nil, "m%03d", i))
			}
			return err
		},
		"string": func(s *Space, key []byte) error { return s.SetString(key, make([]byte, 77), 0) },
	}
	for name, fill := range keys {
		w.update(t, func(s *Space) error { return fill(s, []byte(name)) })
		w.view(t, func(s *Space) error {
			all, ok, err := s.Usage([]byte(name), 0)
			if err != nil || !ok {
				t.Fatalf("%s: %v, %v", name, ok, err)
			}
			some, _, err := s.Usage([]byte(name), 5)
			if some != all { // all elements are of one length
				t.Errorf("%s has %d bytes by 5 elements, %d by all", name, some, all)
			}
			return err
		})
	}
	w.view(t, func(s *Space) error {
		var sum int64
		for name := range keys {
			n, _, err := s.Usage([]byte(name), 0)
			if err != nil {
				return err
			}
			sum += n
		}
		total, _, err := s.tx.RowsSize(1 << 30)
		if size := int64(len(sizeName) + sizeBytesNoneMoved); sum != total-size {
			t.Errorf("keys have %d bytes, all rows but the size %d", sum, total-size)
		}
		return err
	})
}

// A field that has expired keeps history from being dropped until it is removed, so that its row does
// not go by itself and stay in the size of the dataset.
func TestSoonestExpiry(t *testing.T) {
	w := newWorld()
	defer w.close()
	soon := w.now.Add(time.Second)
	w.update(t, func(s *Space) error {
		if err := s.SetString([]byte("k"), nil, soon.Add(time.Second).UnixMilli()); err != nil {
			return err
		}
		h, err := s.Hash([]byte("h"))
		if err != nil {
			return err
		}
		if _, err := h.SetAll(Field{Name: []byte("f")}, Field{Name: []byte("g")}); err != nil {
			return err
		}
		_, err = h.ExpireFields([][]byte{[]byte("f")}, func(int, int64, bool) (int64, bool) { return soon.UnixMilli(), true })
		return err
	})
	want := func(at time.Time, any bool) {
		t.Helper()
		w.view(t, func(s *Space) error {
			got, ok, err := s.SoonestExpiry()
			if ok != any || any && millis(got) != at.UnixMilli() {
				t.Errorf("the soonest expiry is at %d, %v, want %d, %v", millis(got), ok, at.UnixMilli(), any)
			}
			return err
		})
	}
	want(soon, true)
	w.now = soon.Add(time.Millisecond)
	w.update(t, func(s *Space) error {
		_, err := s.RemoveExpiredFields(10)
		return err
	})
	want(soon.Add(time.Second), true)
	w.update(t, func(s *Space) error {
		_, err := s.Remove([]byte("k"))
		return err
	})
	want(soon, false)
}
