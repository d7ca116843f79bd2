package keyspace

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/store"
)

// modelHash is what a hash should be.
type modelHash struct {
	fields map[string]string
	at     map[string]int64 // when fields expire, of those that do
	large  bool
	expire int64
}

// hashesModel is what the hashes of a database should be.
type hashesModel struct {
	limits Limits
	keys   map[string]modelHash
	now    int64
}

func (m *hashesModel) get(key string) modelHash {
	k := m.keys[key]
	for f, at := range k.at {
		if at <= m.now {
			delete(k.fields, f)
			delete(k.at, f)
		}
	}
	if len(k.fields) == 0 || k.expire != 0 && k.expire <= m.now {
		delete(m.keys, key)
		return modelHash{fields: map[string]string{}, at: map[string]int64{}}
	}
	return k
}

func (m *hashesModel) clone() map[string]modelHash {
	out := map[string]modelHash{}
	for key, k := range m.keys {
		k.fields, k.at = maps.Clone(k.fields), maps.Clone(k.at)
		out[key] = k
	}
	return out
}

var (
	fieldGen     = rapid.SampledFrom([]string{"", "f", "f\x00", "ff", "g", "\xff", "\xff\xff", "longname"})
	errRolledOut = errors.New("taken back")
)

func TestHashModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld()
		defer w.close()
		m := &hashesModel{limits: Limits{HashMaxListpackEntries: 3, HashMaxListpackValue: 6}, keys: map[string]modelHash{}}
		for range rapid.IntRange(1, 10).Draw(rt, "transactions") {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(rt, "ms")) * time.Millisecond)
			w.update(rt, func(s *Space) error {
				s.shared.limits = &m.limits
				m.now = s.Now()
				for range rapid.IntRange(1, 6).Draw(rt, "steps") {
					if err := m.atomically(rt, s); err != nil {
						return err
					}
				}
				return nil
			})
			w.audit(rt)
			w.view(rt, func(s *Space) error { m.now = s.Now(); return m.compare(s) })
			w.update(rt, func(s *Space) error { m.now = s.Now(); return m.compare(s) })
		}
	})
}

// atomically makes a few steps that, at times, are taken back.
func (m *hashesModel) atomically(rt *rapid.T, s *Space) error {
	before := m.clone()
	fail := rapid.IntRange(0, 3).Draw(rt, "fail") == 0
	err := s.Atomically(func() error {
		for range rapid.IntRange(1, 3).Draw(rt, "together") {
			if err := m.step(rt, s); err != nil {
				return err
			}
		}
		if fail {
			return errRolledOut
		}
		return nil
	})
	if fail && err == errRolledOut {
		m.keys = before
		return nil
	}
	return err
}

func (m *hashesModel) step(rt *rapid.T, s *Space) error {
	key := hashKeyGen.Draw(rt, "key")
	k := m.get(key)
	h, err := s.Hash([]byte(key))
	if err != nil {
		return err
	}
	switch rapid.IntRange(0, 8).Draw(rt, "op") {
	case 4, 5:
		return m.expireFields(rt, h, key, k)
	case 6:
		return m.update(rt, h, key, k)
	case 7:
		other := hashKeyGen.Draw(rt, "other")
		if other == key || len(k.fields) == 0 {
			return nil
		}
		k.fields, k.at = maps.Clone(k.fields), maps.Clone(k.at)
		m.keys[other] = k
		return s.Copy([]byte(key), s, []byte(other))
	case 8:
		_, err := s.RemoveExpiredFields(rapid.IntRange(1, 3).Draw(rt, "limit"))
		return err
	case 0, 1:
		var fields []Field
		var added int64
		for range rapid.IntRange(1, 4).Draw(rt, "fields") {
			f, v := fieldGen.Draw(rt, "field"), fieldGen.Draw(rt, "value")
			fields = append(fields, Field{[]byte(f), []byte(v)})
			if _, ok := k.fields[f]; !ok {
				added++
			}
			k.fields[f] = v
			delete(k.at, f)
			k.large = k.large || max(len(f), len(v)) > m.limits.HashMaxListpackValue
		}
		k.large = k.large || len(k.fields) > m.limits.HashMaxListpackEntries
		m.keys[key] = k
		return wantCount(added)(h.SetAll(fields...))
	case 2:
		var fields [][]byte
		var want []string
		var removed int64
		for range rapid.IntRange(1, 4).Draw(rt, "fields") {
			f := fieldGen.Draw(rt, "field")
			fields = append(fields, []byte(f))
			v, ok := k.fields[f]
			if ok {
				removed++
			}
			want = append(want, fmt.Sprint(v, ok))
			delete(k.fields, f)
			delete(k.at, f)
		}
		if m.keys[key] = k; len(k.fields) == 0 {
			delete(m.keys, key)
		}
		var got []string
		n, err := h.TakeAll(fields, func(v []byte, ok bool) { got = append(got, fmt.Sprint(string(v), ok)) })
		if err == nil && !slices.Equal(got, want) {
			return fmt.Errorf("took %q of %q, want %q", got, fields, want)
		}
		return wantCount(removed)(n, err)
	default:
		at := m.now + int64(rapid.IntRange(0, 4).Draw(rt, "ttl"))
		there := len(k.fields) > 0
		if k.expire = at; there {
			m.keys[key] = k
		}
		return same(there)(s.SetExpiry([]byte(key), at))
	}
}

var hashKeyGen = rapid.SampledFrom([]string{"a", "a\x00", ""})

// expireFields makes some fields expire, or no more.
func (m *hashesModel) expireFields(rt *rapid.T, h *Hash, key string, k modelHash) error {
	var fields [][]byte
	var at []int64
	for range rapid.IntRange(1, 4).Draw(rt, "fields") {
		fields = append(fields, []byte(fieldGen.Draw(rt, "field")))
		at = append(at, rapid.SampledFrom([]int64{-1, 0, m.now, m.now + 1, m.now + 2, m.now + 3}).Draw(rt, "at"))
	}
	var removed int64
	var bad error
	got, err := h.ExpireFields(fields, func(i int, old int64, there bool) (int64, bool) {
		f := string(fields[i])
		if _, ok := k.fields[f]; ok != there || old != k.at[f] {
			bad = fmt.Errorf("field %d of %q: expires at %d, %v; want %d, %v", i, fields, old, there, k.at[f], ok)
		}
		switch {
		case at[i] < 0 || !there:
		case at[i] == 0:
			delete(k.at, f)
		case at[i] <= m.now:
			delete(k.at, f)
			delete(k.fields, f)
			removed++
		default:
			k.at[f] = at[i]
		}
		return at[i], at[i] >= 0
	})
	m.get(key) // forgets a key that is empty
	return errors.Join(bad, wantCount(removed)(got, err))
}

// update changes the values of some fields.
func (m *hashesModel) update(rt *rapid.T, h *Hash, key string, k modelHash) error {
	var fields []Field
	for range rapid.IntRange(1, 3).Draw(rt, "fields") {
		f, v := fieldGen.Draw(rt, "field"), fieldGen.Draw(rt, "value")
		fields = append(fields, Field{[]byte(f), []byte(v)})
		k.fields[f] = v
		k.large = k.large || max(len(f), len(v)) > m.limits.HashMaxListpackValue || len(k.fields) > m.limits.HashMaxListpackEntries
	}
	m.keys[key] = k
	return h.UpdateAll(fields...)
}

// wantCount checks the number that a result gives.
func wantCount(want int64) func(int64, error) error {
	return func(got int64, err error) error {
		if err == nil && got != want {
			return fmt.Errorf("got %d, want %d", got, want)
		}
		return err
	}
}

func (m *hashesModel) compare(s *Space) error {
	for _, key := range []string{"a", "a\x00", ""} {
		if err := m.compareKey(s, key); err != nil {
			return fmt.Errorf("key %q: %w", key, err)
		}
	}
	return nil
}

func (m *hashesModel) compareKey(s *Space, key string) error {
	k := m.get(key)
	h, err := s.Hash([]byte(key))
	if err != nil {
		return err
	}
	if h.Exists() != (len(k.fields) > 0) {
		return fmt.Errorf("exists: %v, want fields %q", h.Exists(), k.fields)
	}
	if err := wantCount(int64(len(k.fields)))(h.Len()); err != nil {
		return fmt.Errorf("length: %w", err)
	}
	if h.Exists() && h.Compact() == k.large {
		return fmt.Errorf("compact: %v", h.Compact())
	}
	var got []string
	err = h.Walk(nil, func(field, value []byte) bool {
		got = append(got, string(field), string(value))
		return true
	})
	var want []string
	for _, f := range slices.Sorted(maps.Keys(k.fields)) {
		want = append(want, f, k.fields[f])
	}
	if err != nil || !slices.Equal(got, want) {
		return fmt.Errorf("walk: %q, %v; want %q", got, err, want)
	}
	if err := compareRandom(h, k.fields); err != nil {
		return err
	}
	for _, f := range []string{"", "f", "f\x00", "nosuch"} {
		want, there := k.fields[f]
		v, ok, err := h.Get([]byte(f))
		if err != nil || ok != there || string(v) != want {
			return fmt.Errorf("field %q: %q, %v, %v; want %q, %v", f, v, ok, err, want, there)
		}
		at, ok, err := h.FieldExpiry([]byte(f))
		if err != nil || ok != there || at != k.at[f] {
			return fmt.Errorf("field %q expires: %d, %v, %v; want %d, %v", f, at, ok, err, k.at[f], there)
		}
	}
	return nil
}

// compareRandom picks all fields and one.
func compareRandom(h *Hash, want map[string]string) error {
	rnd := func() uint64 { return 7 }
	all, err := h.Sample(100, true, rnd)
	if err != nil || len(all) != len(want) {
		return fmt.Errorf("sample of all: %d of %d fields, %v", len(all), len(want), err)
	}
	for _, f := range all {
		if v, ok := want[string(f.Name)]; !ok || v != string(f.Value) {
			return fmt.Errorf("sample has %q: %q", f.Name, f.Value)
		}
	}
	name, ok, err := h.RandomName(rnd)
	if _, there := want[string(name)]; err != nil || ok != (len(want) > 0) || ok && !there {
		return fmt.Errorf("random field: %q, %v, %v", name, ok, err)
	}
	return nil
}

// expireAt makes fields expire at a moment.
func expireAt(h *Hash, at int64, fields ...[]byte) error {
	_, err := h.ExpireFields(fields, func(int, int64, bool) (int64, bool) { return at, true })
	return err
}

// TestHashFieldCollected has the row of an expired field dropped, as the store does with
// versions that nobody reads any more, before the index of expiries is worked off.
func TestHashFieldCollected(t *testing.T) {
	w := newWorld()
	defer w.close()
	k, f, v := []byte("h"), []byte("f"), []byte("v")
	hash := func(fn func(s *Space, h *Hash) error) {
		t.Helper()
		w.update(t, func(s *Space) error {
			h, err := s.Hash(k)
			return errors.Join(err, fn(s, h))
		})
	}
	hash(func(s *Space, h *Hash) error {
		_, err := h.SetAll(Field{f, v}, Field{[]byte("other"), v})
		err2 := expireAt(h, s.Now()+1, f)
		return errors.Join(err, err2)
	})
	w.now = w.now.Add(time.Second)
	hash(func(s *Space, h *Hash) error {
		err := s.tx.Delete(store.HashFieldKey(k, f))
		_, err2 := h.Set(f, v)
		return errors.Join(err, err2, wantCount(2)(h.Len()))
	})
	hash(func(s *Space, h *Hash) error {
		_, err := s.RemoveExpiredFields(10)
		return err
	})
	hash(func(s *Space, h *Hash) error {
		if _, ok, err := h.Get(f); err != nil || !ok {
			return fmt.Errorf("the new field is gone: %v", err)
		}
		return wantCount(2)(h.Len())
	})
	w.audit(t)
}

// TestHashFades lets all fields of a hash expire: the key is gone for readers at once, and its
// rows when somebody looks after it.
func TestHashFades(t *testing.T) {
	w := newWorld()
	defer w.close()
	w.update(t, func(s *Space) error {
		h, err := s.Hash([]byte("h"))
		for i := range 200 {
			f := fmt.Appendf(nil, "%d", i)
			_, err1 := h.Set(f, f)
			err2 := expireAt(h, s.Now()+5+int64(i%3), f)
			err = errors.Join(err, err1, err2)
		}
		return errors.Join(err, s.SetString([]byte("s"), nil, 0))
	})
	w.audit(t)
	w.now = w.now.Add(7 * time.Millisecond)
	w.view(t, func(s *Space) error {
		var seen []string
		err := s.Walk(nil, nil, func(key []byte, _ Kind) bool { seen = append(seen, string(key)); return true })
		if !slices.Equal(seen, []string{"s"}) {
			t.Errorf("keys are %q", seen)
		}
		for seed := range uint64(20) {
			if key, ok, err := s.Random(func() uint64 { seed++; return seed }); err != nil || !ok || string(key) != "s" {
				t.Errorf("random key is %q, %v, %v", key, ok, err)
			}
		}
		kind, err2 := s.Kind([]byte("h"))
		if kind != KindNone {
			t.Errorf("h is a %v", kind)
		}
		return errors.Join(err, err2)
	})
	w.update(t, func(s *Space) error {
		n, err := s.RemoveExpiredFields(10)
		if n != 200 || s.FieldsExpired() != 200 {
			t.Errorf("%d fields removed, %d counted", n, s.FieldsExpired())
		}
		return err
	})
	w.audit(t)
	w.view(t, func(s *Space) error {
		if n, err := s.Size(); err != nil || n.Keys != 1 {
			t.Errorf("size is %v, %v", n, err)
		}
		return nil
	})
}

// TestWalkCost says that a page of keys costs what is on it, however many hashes have fields that
// have expired.
func TestWalkCost(t *testing.T) {
	w, e := newScaledWorld(t)
	w.update(t, func(s *Space) error {
		var errs []error
		for i := range 2000 {
			h, err := s.Hash(fmt.Appendf(nil, "h%04d", i))
			_, err1 := h.SetAll(Field{[]byte("f"), nil}, Field{[]byte("g"), nil})
			err2 := expireAt(h, s.Now()+1, []byte("f"))
			if i%2 == 1 {
				err2 = expireAt(h, s.Now()+1, []byte("f"), []byte("g")) // it will be gone as a whole
			}
			errs = append(errs, err, err1, err2)
		}
		return errors.Join(errs...)
	})
	w.now = w.now.Add(time.Second)
	w.view(t, func(s *Space) error {
		e.read = 0
		var seen []string
		err := s.Walk([]byte("h"), []byte("h0500"), func(key []byte, kind Kind) bool {
			if kind != KindHash {
				t.Errorf("%s is a %v", key, kind)
			}
			seen = append(seen, string(key))
			return len(seen) < 3
		})
		if want := []string{"h0500", "h0502", "h0504"}; !slices.Equal(seen, want) {
			t.Errorf("keys are %q, want %q", seen, want)
		}
		if e.read > 30 {
			t.Errorf("%d rows were read for a page of 3 keys", e.read)
		}
		return err
	})
}

func TestHashWalkFromTheMiddle(t *testing.T) {
	w := newWorld()
	defer w.close()
	w.update(t, func(s *Space) error {
		h, err := s.Hash([]byte("h"))
		for _, f := range []string{"a", "b", "b\x00", "c"} {
			_, err = h.Set([]byte(f), []byte("v"))
		}
		var got []string
		err = errors.Join(err, h.Walk([]byte("b"), func(field, _ []byte) bool {
			got = append(got, string(field))
			return len(got) < 2
		}))
		if want := []string{"b", "b\x00"}; !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
		return err
	})
}

func TestHashTakesNothingTooLarge(t *testing.T) {
	w := newWorld()
	defer w.close()
	w.update(t, func(s *Space) error {
		err := s.Atomically(func() error {
			h, err := s.Hash([]byte("h"))
			if err != nil {
				return err
			}
			_, err = h.SetAll(Field{[]byte("f"), nil}, Field{[]byte(strings.Repeat("x", 1<<20)), nil})
			return err
		})
		if err == nil {
			t.Error("a field name of 1 MiB was taken")
		}
		h, err := s.Hash([]byte("h"))
		if h.Exists() {
			t.Error("the field before it stayed")
		}
		return err
	})
	w.audit(t)
}
