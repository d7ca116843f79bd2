package keyspace

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// TestRenameCost says that to rename a key takes as much for many elements as for few.
func TestRenameCost(t *testing.T) {
	for _, m := range makers {
		for _, over := range []bool{false, true} {
			t.Run(fmt.Sprintf("%v, over another: %v", m.kind, over), func(t *testing.T) {
				var read, written [2]int
				for i, n := range []int{2000, 5000} {
					w, e := newScaledWorld(t)
					w.update(t, func(s *Space) error {
						if over {
							return errors.Join(m.make(s, []byte("k"), n), m.make(s, []byte("l"), n))
						}
						return m.make(s, []byte("k"), n)
					})
					e.read, e.written = 0, 0
					w.update(t, func(s *Space) error { return s.Rename([]byte("k"), []byte("l")) })
					read[i], written[i] = e.read, e.written
					w.view(t, func(s *Space) error {
						got, err := m.len(s, []byte("l"))
						return expect(err, "elements", got, int64(n))
					})
					w.audit(t)
				}
				if read[0] != read[1] || written[0] != written[1] {
					t.Errorf("%d and %d rows read, %d and %d written", read[0], read[1], written[0], written[1])
				}
			})
		}
	}
}

// TestHomes has the rows of the directory when keys have been renamed, and others created in their places.
func TestHomes(t *testing.T) {
	w := newWorld()
	defer w.close()
	set := func(key string) func(*Space) error {
		return func(s *Space) error { return s.StoreSet([]byte(key), numbers(0, 1)) }
	}
	rename := func(from, to string) func(*Space) error {
		return func(s *Space) error { return s.Rename([]byte(from), []byte(to)) }
	}
	for _, step := range []struct {
		name string
		do   func(s *Space) error
		want string
	}{
		{"SADD k", set("k"), "key|k 03, size 1"},
		{"RENAME k l", rename("k", "l"), "home|k l, key|l 0b k, size 1 1"},
		{"RENAME l m", rename("l", "m"), "home|k m, key|m 0b k, size 1 1"},
		{"SADD k", set("k"), "home|NEW k, home|k m, key|k 0b NEW, key|m 0b k, size 2 2"},
		{"SADD l", set("l"), "home|NEW k, home|k m, key|k 0b NEW, key|l 03, key|m 0b k, size 3 2"},
		{"RENAME k l", rename("k", "l"), "home|NEW l, home|k m, key|l 0b NEW, key|m 0b k, size 2 2"},
		{"RENAME m k", rename("m", "k"), "home|NEW l, key|k 03, key|l 0b NEW, size 2 1"},
		{"DEL l", func(s *Space) error { return same(true)(s.Remove([]byte("l"))) }, "key|k 03, size 1"},
	} {
		w.update(t, step.do)
		w.audit(t)
		w.view(t, func(s *Space) error {
			var rows []string
			err := s.tx.Walk(store.PrefixSpan([]byte("!redis|")), store.Ascending, func(name []byte, r txn.Row) bool {
				rows = append(rows, directoryRow(strings.TrimPrefix(string(name), "!redis|"), r.Value))
				return true
			})
			return expect(err, step.name, strings.Join(rows, ", "), step.want)
		})
	}
}

// directoryRow tells of a row of the directory, with NEW for a home that was made up.
func directoryRow(name string, value []byte) string {
	text := func(b string) string {
		if len(b) == 9 && b[0] == 0 {
			return "NEW"
		}
		return b
	}
	switch {
	case name == "size" && len(value) == sizeBytes:
		return fmt.Sprintf("size %d %d", value[7], value[23])
	case name == "size":
		return fmt.Sprintf("size %d", value[7])
	case strings.HasPrefix(name, "home|"):
		return "home|" + text(name[len("home|"):]) + " " + string(value)
	case len(value) > 1:
		return name + " " + hex.EncodeToString(value[:1]) + " " + text(string(value[2:]))
	}
	return name + " " + hex.EncodeToString(value)
}

// TestMadeUpHomes says that a home that is made up is neither a key nor the home of one, and that none is made up twice.
func TestMadeUpHomes(t *testing.T) {
	w := newWorld()
	defer w.close()
	w.update(t, func(s *Space) error {
		next := func(i uint64) []byte { return binary.BigEndian.AppendUint64([]byte{0}, s.tx.Now()+i) }
		add := func(key []byte) error { return s.StoreSet(key, numbers(0, 1)) }
		err := errors.Join(add(next(0)), add(next(1)), s.Rename(next(1), []byte("c")), add([]byte("a")), s.Rename([]byte("a"), []byte("b")))
		if err != nil {
			return err
		}
		first, err := s.freeHome([]byte("a"))
		if err := expect(err, "first", hex.EncodeToString(first), hex.EncodeToString(next(2))); err != nil {
			return err
		}
		second, err := s.freeHome([]byte("a"))
		return expect(err, "second", hex.EncodeToString(second), hex.EncodeToString(next(3)))
	})
	w.audit(t)
}

// TestDamagedHome has a directory entry that is cut short within its home.
func TestDamagedHome(t *testing.T) {
	for _, value := range []string{"\x0b", "\x0b\x02k", "\x0b\xff"} {
		if e, err := parseEntry(txn.Row{Value: []byte(value)}); err == nil {
			t.Errorf("%q is taken for %+v", value, e)
		}
	}
}

// homesModel knows what each key of each database should hold: its type and its elements.
type homesModel [2]map[string][]string

// TestHomesModel renames, copies, removes and creates keys of all types, in a few names of which some are homes of others.
func TestHomesModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld()
		defer w.close()
		m := homesModel{{}, {}}
		for step := range rapid.IntRange(1, 12).Draw(rt, "transactions") {
			w.update(rt, func(s *Space) error {
				for op := range rapid.IntRange(1, 3).Draw(rt, "operations") {
					if err := m.step(rt, s.DB(rapid.IntRange(0, 1).Draw(rt, "database")), fmt.Sprintf("%d.%d", step, op)); err != nil {
						return err
					}
				}
				return nil
			})
			w.audit(rt)
			w.view(rt, m.check)
		}
	})
}

// names are those of keys, and of the homes that there are.
func (m *homesModel) names(s *Space) ([]string, error) {
	names := []string{"", "a", "b"}
	prefix := s.homeName(nil)
	err := s.tx.Walk(store.PrefixSpan(prefix), store.Ascending, func(name []byte, _ txn.Row) bool {
		if home := string(name[len(prefix):]); !slices.Contains(names, home) {
			names = append(names, home)
		}
		return true
	})
	return names, err
}

func (m *homesModel) step(rt *rapid.T, s *Space, tag string) error {
	names, err := m.names(s)
	if err != nil {
		return err
	}
	name := rapid.SampledFrom(names)
	key, other := name.Draw(rt, "key"), name.Draw(rt, "other")
	mine := m[s.Number()]
	held, there := mine[key]
	switch op := rapid.SampledFrom([]string{"make", "make", "rename", "rename", "rename", "copy", "remove", "string", "pop", "move", "flush"}).Draw(rt, "op"); op {
	case "make":
		if _, err := s.Remove([]byte(key)); err != nil {
			return err
		}
		kind := rapid.SampledFrom([]Kind{KindHash, KindSet, KindZSet, KindList, KindStream}).Draw(rt, "kind")
		mine[key] = []string{kind.String(), tag}
		return fillHome(s, []byte(key), kind, tag)
	case "rename":
		if there {
			delete(mine, key)
			mine[other] = held
		}
		return missing(there, s.Rename([]byte(key), []byte(other)))
	case "copy", "move":
		to := s.DB(1 - s.Number())
		if op == "copy" && key != other {
			to = s
		}
		if there {
			m[to.Number()][other] = held
		}
		if err := missing(there, s.Copy([]byte(key), to, []byte(other))); err != nil || op == "copy" {
			return err
		}
		delete(mine, key)
		return same(there)(s.Remove([]byte(key)))
	case "remove":
		delete(mine, key)
		return same(there)(s.Remove([]byte(key)))
	case "string":
		mine[key] = []string{"string", tag}
		return s.SetString([]byte(key), []byte(tag), 0)
	case "pop":
		if !there || held[0] != "list" {
			return nil
		}
		delete(mine, key)
		l, err := s.List([]byte(key))
		if err != nil {
			return err
		}
		_, err = l.Pop(Left, l.Len())
		return err
	default:
		if rapid.IntRange(0, 4).Draw(rt, "flush") == 0 {
			clear(mine)
			return s.Flush()
		}
	}
	return nil
}

// fillHome makes a key, which is not there, a collection of one element, tag.
func fillHome(s *Space, key []byte, kind Kind, tag string) error {
	switch kind {
	case KindHash:
		h, err := s.Hash(key)
		if err != nil {
			return err
		}
		_, err = h.Set([]byte(tag), nil)
		return err
	case KindSet:
		t, err := s.Set(key)
		if err != nil {
			return err
		}
		_, err = t.Add([]byte(tag))
		return err
	case KindZSet:
		return s.StoreZSet(key, []ScoredMember{{[]byte(tag), 1}})
	case KindList:
		return s.StoreList(key, [][]byte{[]byte(tag)})
	}
	st, err := s.Stream(key)
	if err != nil {
		return err
	}
	return st.Add(StreamID{1, 1}, [][]byte{[]byte(tag), nil})
}

// check compares all keys of both databases with what they should hold.
func (m *homesModel) check(s *Space) error {
	for db := range m {
		s := s.DB(db)
		for _, key := range []string{"", "a", "b"} {
			got, err := readHome(s, []byte(key))
			if err := expect(err, fmt.Sprintf("%q of database %d", key, db), fmt.Sprint(got), fmt.Sprint(m[db][key])); err != nil {
				return err
			}
		}
		for key, want := range m[db] {
			got, err := readHome(s, []byte(key))
			if err := expect(err, fmt.Sprintf("%q of database %d", key, db), fmt.Sprint(got), fmt.Sprint(want)); err != nil {
				return err
			}
		}
	}
	return nil
}

// readHome returns the type and the elements of a key, nil if it is not there.
func readHome(s *Space, key []byte) (out []string, err error) {
	kind, err := s.Kind(key)
	if err != nil || kind == KindNone {
		return nil, err
	}
	out = []string{kind.String()}
	add := func(element []byte) bool {
		out = append(out, string(bytes.Clone(element)))
		return true
	}
	switch kind {
	case KindString:
		value, _, err := s.String(key)
		add(value)
		return out, err
	case KindHash:
		h, err := s.Hash(key)
		if err != nil {
			return nil, err
		}
		return out, h.Walk(nil, func(field, _ []byte) bool { return add(field) })
	case KindSet:
		t, err := s.Set(key)
		if err != nil {
			return nil, err
		}
		return out, t.Walk(nil, add)
	case KindZSet:
		z, err := s.ZSet(key)
		if err != nil {
			return nil, err
		}
		err = z.Walk(ZRange{}, func(member []byte, _ float64) bool { return add(member) })
		return out, err
	case KindList:
		l, err := s.List(key)
		if err != nil {
			return nil, err
		}
		return out, l.Walk(ListRange{To: l.Len()}, Left, func(_ int64, value []byte) bool { return add(value) })
	}
	st, err := s.Stream(key)
	if err != nil {
		return nil, err
	}
	err = st.Walk(AllStreamIDs(), func(e StreamEntry) bool { return add(e.Fields[0]) })
	return out, err
}
