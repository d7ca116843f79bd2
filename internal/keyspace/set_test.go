package keyspace

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// modelSet is what a set should be.
type modelSet struct {
	members map[string]bool
	expire  int64
}

// setsModel is what the sets of a database should be.
type setsModel struct {
	keys map[string]modelSet
	now  int64
	rnd  uint64
}

func (m *setsModel) random() uint64 {
	m.rnd = m.rnd*6364136223846793005 + 1442695040888963407
	return m.rnd ^ m.rnd>>29
}

func (m *setsModel) get(key string) modelSet {
	k := m.keys[key]
	if k.members == nil || k.expire != 0 && k.expire <= m.now {
		return modelSet{members: map[string]bool{}}
	}
	return k
}

func (m *setsModel) put(key string, k modelSet) {
	if m.keys[key] = k; len(k.members) == 0 {
		delete(m.keys, key)
	}
}

func (m *setsModel) clone() map[string]modelSet {
	out := map[string]modelSet{}
	for key, k := range m.keys {
		k.members = maps.Clone(k.members)
		out[key] = k
	}
	return out
}

var (
	setKeyGen = rapid.SampledFrom([]string{"a", "a\x00", "", "b"})
	memberGen = rapid.SampledFrom([]string{"", "1", "2", "-3", "m", "m\x00", "mm", "\xff", "01"})
)

func TestSetModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld()
		defer w.close()
		m := &setsModel{keys: map[string]modelSet{}, rnd: rapid.Uint64().Draw(rt, "seed")}
		for range rapid.IntRange(1, 10).Draw(rt, "transactions") {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(rt, "ms")) * time.Millisecond)
			w.update(rt, func(s *Space) error {
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
func (m *setsModel) atomically(rt *rapid.T, s *Space) error {
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

func (m *setsModel) step(rt *rapid.T, s *Space) error {
	key := setKeyGen.Draw(rt, "key")
	k := m.get(key)
	t, err := s.Set([]byte(key))
	if err != nil {
		return err
	}
	switch rapid.IntRange(0, 6).Draw(rt, "op") {
	case 0, 1:
		before := len(k.members)
		members := rapid.SliceOfN(memberGen, 1, 5).Draw(rt, "members")
		for _, name := range members {
			k.members[name] = true
		}
		m.put(key, k)
		return wantCount(int64(len(k.members) - before))(t.Add(byteSlices(members)...))
	case 2:
		before := len(k.members)
		members := rapid.SliceOfN(memberGen, 1, 5).Draw(rt, "members")
		for _, name := range members {
			delete(k.members, name)
		}
		m.put(key, k)
		return wantCount(int64(before - len(k.members)))(t.Remove(byteSlices(members)...))
	case 3:
		at := m.now + int64(rapid.IntRange(0, 4).Draw(rt, "ttl"))
		there := len(k.members) > 0
		if k.expire = at; there {
			m.keys[key] = k
		}
		return same(there)(s.SetExpiry([]byte(key), at))
	case 4:
		return m.pop(rt, t, key, k)
	case 5:
		members := slices.Compact(slices.Sorted(slices.Values(rapid.SliceOfN(memberGen, 0, 5).Draw(rt, "members"))))
		stored := modelSet{members: map[string]bool{}}
		for _, name := range members {
			stored.members[name] = true
		}
		m.put(key, stored)
		return s.StoreSet([]byte(key), byteSlices(members))
	default:
		return m.combine(rt, s)
	}
}

func (m *setsModel) pop(rt *rapid.T, t *Set, key string, k modelSet) error {
	n := rapid.IntRange(0, 4).Draw(rt, "count")
	popped, err := t.Pop(int64(n), m.random)
	if err != nil {
		return err
	}
	if want := min(n, len(k.members)); len(popped) != want {
		return fmt.Errorf("popped %q, want %d of %v", popped, want, k.members)
	}
	for _, name := range popped {
		if !k.members[string(name)] {
			return fmt.Errorf("popped %q, which is not in %v, or twice", name, k.members)
		}
		delete(k.members, string(name))
	}
	m.put(key, k)
	return nil
}

// combine compares the operations on several sets.
func (m *setsModel) combine(rt *rapid.T, s *Space) error {
	keys := rapid.SliceOfN(setKeyGen, 1, 3).Draw(rt, "keys")
	var sets []*Set
	union, first := map[string]bool{}, m.get(keys[0]).members
	inter, diff := maps.Clone(first), maps.Clone(first)
	for i, key := range keys {
		t, err := s.Set([]byte(key))
		if err != nil {
			return err
		}
		sets = append(sets, t)
		members := m.get(key).members
		maps.Copy(union, members)
		maps.DeleteFunc(inter, func(name string, _ bool) bool { return !members[name] })
		if i > 0 {
			maps.DeleteFunc(diff, func(name string, _ bool) bool { return members[name] })
		}
	}
	var common [][]byte
	err := InterSets(sets, func(member []byte) bool { common = append(common, member); return true })
	if err := sameMembers("inter", common, err, inter); err != nil {
		return err
	}
	got, err := UnionSets(sets)
	if err := sameMembers("union", got, err, union); err != nil {
		return err
	}
	got, err = DiffSets(sets)
	return sameMembers("diff", got, err, diff)
}

func sameMembers(what string, got [][]byte, err error, want map[string]bool) error {
	var names []string
	for _, name := range got {
		names = append(names, string(name))
	}
	if sorted := slices.Sorted(maps.Keys(want)); err != nil || !slices.Equal(names, sorted) {
		return fmt.Errorf("%s: %q, %v; want %q", what, names, err, sorted)
	}
	return nil
}

func (m *setsModel) compare(s *Space) error {
	for _, key := range []string{"a", "a\x00", "", "b"} {
		k := m.get(key)
		t, err := s.Set([]byte(key))
		if err != nil {
			return err
		}
		if t.Exists() != (len(k.members) > 0) {
			return fmt.Errorf("key %q exists: %v, want members %v", key, t.Exists(), k.members)
		}
		if err := wantCount(int64(len(k.members)))(t.Len()); err != nil {
			return fmt.Errorf("length of %q: %w", key, err)
		}
		var got [][]byte
		err = t.Walk(nil, func(member []byte) bool { got = append(got, own(member)); return true })
		if err := sameMembers("members", got, err, k.members); err != nil {
			return err
		}
		for _, name := range []string{"", "1", "m", "nosuch"} {
			if err := same(k.members[name])(t.Has([]byte(name))); err != nil {
				return fmt.Errorf("member %q of %q: %w", name, key, err)
			}
		}
	}
	return nil
}

func own(b []byte) []byte { return append([]byte{}, b...) }

func byteSlices(list []string) [][]byte {
	out := make([][]byte, len(list))
	for i, s := range list {
		out[i] = []byte(s)
	}
	return out
}

// TestLargeSetAlgebra covers what small sets do not reach: several pages of an
// intersection, and a difference that looks members up.
func TestLargeSetAlgebra(t *testing.T) {
	w := newWorld()
	defer w.close()
	numbers := func(n, step int) map[string]bool {
		out := map[string]bool{}
		for i := 0; i < n; i += step {
			out[fmt.Sprint(i)] = true
		}
		return out
	}
	w.update(t, func(s *Space) error {
		var sets []*Set
		var models []map[string]bool
		for i, members := range []map[string]bool{numbers(3000, 2), numbers(3000, 3), numbers(40, 1)} {
			key := []byte{byte(i)}
			if err := s.StoreSet(key, byteSlices(slices.Sorted(maps.Keys(members)))); err != nil {
				return err
			}
			set, err := s.Set(key)
			if err != nil {
				return err
			}
			sets, models = append(sets, set), append(models, members)
		}
		for _, pair := range [][2]int{{0, 1}, {1, 0}, {0, 2}, {2, 0}} {
			inter, diff := maps.Clone(models[pair[0]]), maps.Clone(models[pair[0]])
			maps.DeleteFunc(inter, func(name string, _ bool) bool { return !models[pair[1]][name] })
			maps.DeleteFunc(diff, func(name string, _ bool) bool { return models[pair[1]][name] })
			two := []*Set{sets[pair[0]], sets[pair[1]]}
			var common [][]byte
			err := InterSets(two, func(member []byte) bool { common = append(common, member); return true })
			if err := sameMembers("inter", common, err, inter); err != nil {
				t.Errorf("%v: %v", pair, err)
			}
			got, err := DiffSets(two)
			if err := sameMembers("diff", got, err, diff); err != nil {
				t.Errorf("%v: %v", pair, err)
			}
		}
		n := 0
		err := InterSets(sets[:2], func([]byte) bool { n++; return n < 300 })
		if n != 300 {
			t.Errorf("an intersection stopped at 300 went on to %d", n)
		}
		return err
	})
}

func TestSetEncoding(t *testing.T) {
	numbers := func(n int) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprint(i))
		}
		return out
	}
	words := func(n int) (out []string) {
		for i := range n {
			out = append(out, fmt.Sprint("w", i))
		}
		return out
	}
	long := strings.Repeat("x", 65)
	for _, tc := range []struct {
		name string
		adds [][]string // one call of Add each
		want string
	}{
		{"integers", [][]string{{"1", "-2", "9223372036854775807", "-9223372036854775808"}}, "intset"},
		{"not as printed", [][]string{{"01"}}, "listpack"},
		{"plus", [][]string{{"+1"}}, "listpack"},
		{"out of range", [][]string{{"9223372036854775808"}}, "listpack"},
		{"empty", [][]string{{""}}, "listpack"},
		{"minus zero", [][]string{{"-0"}}, "listpack"},
		{"integers, then a word", [][]string{{"1"}, {"a"}}, "listpack"},
		{"a word, then integers", [][]string{{"a"}, {"1"}}, "listpack"},
		{"512 integers", [][]string{numbers(512)}, "intset"},
		{"512 integers and a word", [][]string{numbers(512), {"a"}}, "hashtable"},
		{"the 513th integer", [][]string{numbers(512), {"600"}}, "hashtable"},
		{"the same integer again", [][]string{numbers(512), {"1"}}, "intset"},
		{"127 integers and a word", [][]string{numbers(127), {"a"}}, "listpack"},
		{"128 integers and a word", [][]string{numbers(128), {"a"}}, "hashtable"},
		{"128 words", [][]string{words(128)}, "listpack"},
		{"the 129th word", [][]string{words(128), {"a"}}, "hashtable"},
		{"129 words at once", [][]string{words(129)}, "hashtable"},
		{"64 bytes", [][]string{{long[:64]}}, "listpack"},
		{"65 bytes", [][]string{{long}}, "hashtable"},
		{"65 bytes and integers", [][]string{{"1"}, {long}}, "hashtable"},
		{"many arguments, few members", [][]string{{"a"}, append(slices.Repeat([]string{"a"}, 129), "b")}, "hashtable"},
		{"many integers, few members", [][]string{{"1"}, append(slices.Repeat([]string{"1"}, 513), "2")}, "hashtable"},
		{"many arguments, the first an integer", [][]string{append(slices.Repeat([]string{"1"}, 200), "a")}, "listpack"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			w := newWorld()
			defer w.close()
			w.update(t, func(s *Space) error {
				for _, members := range tc.adds {
					set, err := s.Set([]byte("s"))
					if err != nil {
						return err
					}
					if _, err := set.Add(byteSlices(members)...); err != nil {
						return err
					}
				}
				got, _, err := s.Encoding([]byte("s"))
				if got != tc.want {
					t.Errorf("got %s, want %s", got, tc.want)
				}
				return err
			})
		})
	}
}

// TestSetEncodingStays checks that removing members makes no encoding smaller, and
// that storing a set anew does.
func TestSetEncodingStays(t *testing.T) {
	w := newWorld()
	defer w.close()
	w.update(t, func(s *Space) error {
		set, err := s.Set([]byte("s"))
		if err != nil {
			return err
		}
		if _, err := set.Add(byteSlices([]string{"1", "a"})...); err != nil {
			return err
		}
		if _, err := set.Remove([]byte("a")); err != nil {
			return err
		}
		if got, _, _ := s.Encoding([]byte("s")); got != "listpack" {
			t.Errorf("after the removal: %s, want listpack", got)
		}
		err = s.StoreSet([]byte("s"), byteSlices([]string{"1"}))
		if got, _, _ := s.Encoding([]byte("s")); got != "intset" {
			t.Errorf("stored anew: %s, want intset", got)
		}
		return err
	})
}
