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
)

// modelHash is what a hash should be.
type modelHash struct {
	fields map[string]string
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
	if k.fields == nil || k.expire != 0 && k.expire <= m.now {
		return modelHash{fields: map[string]string{}}
	}
	return k
}

func (m *hashesModel) clone() map[string]modelHash {
	out := map[string]modelHash{}
	for key, k := range m.keys {
		k.fields = maps.Clone(k.fields)
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
	key := rapid.SampledFrom([]string{"a", "a\x00", ""}).Draw(rt, "key")
	k := m.get(key)
	h, err := s.Hash([]byte(key))
	if err != nil {
		return err
	}
	switch rapid.IntRange(0, 3).Draw(rt, "op") {
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
			k.large = k.large || max(len(f), len(v)) > m.limits.HashMaxListpackValue
		}
		k.large = k.large || len(k.fields) > m.limits.HashMaxListpackEntries
		m.keys[key] = k
		return wantCount(added)(h.SetAll(fields...))
	case 2:
		var fields [][]byte
		var removed int64
		for range rapid.IntRange(1, 4).Draw(rt, "fields") {
			f := fieldGen.Draw(rt, "field")
			fields = append(fields, []byte(f))
			if _, ok := k.fields[f]; ok {
				removed++
			}
			delete(k.fields, f)
		}
		if m.keys[key] = k; len(k.fields) == 0 {
			delete(m.keys, key)
		}
		return wantCount(removed)(h.DeleteAll(fields...))
	default:
		at := m.now + int64(rapid.IntRange(0, 4).Draw(rt, "ttl"))
		there := len(k.fields) > 0
		if k.expire = at; there {
			m.keys[key] = k
		}
		return same(there)(s.SetExpiry([]byte(key), at))
	}
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
	for _, f := range []string{"", "f", "f\x00", "nosuch"} {
		want, there := k.fields[f]
		v, ok, err := h.Get([]byte(f))
		if err != nil || ok != there || string(v) != want {
			return fmt.Errorf("field %q: %q, %v, %v; want %q, %v", f, v, ok, err, want, there)
		}
	}
	return nil
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
