package keyspace

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// modelList is what a list should be: its elements, and when it expires.
type modelList struct {
	values   [][]byte
	expireAt int64 // Unix milliseconds; 0: never
}

// listModel is the lists of one logical database, kept in the plainest way.
type listModel map[string]modelList

func (m listModel) clone() listModel {
	c := make(listModel, len(m))
	for k, v := range m {
		c[k] = modelList{slices.Clone(v.values), v.expireAt}
	}
	return c
}

func (m listModel) expire(now int64) {
	for k, v := range m {
		if v.expireAt != 0 && v.expireAt <= now {
			delete(m, k)
		}
	}
}

func (m listModel) set(key string, values [][]byte) {
	if len(values) == 0 {
		delete(m, key)
		return
	}
	m[key] = modelList{values, m[key].expireAt}
}

func (m listModel) push(key string, side Side, v []byte) {
	if side == Left {
		m.set(key, slices.Insert(slices.Clone(m[key].values), 0, v))
	} else {
		m.set(key, append(slices.Clone(m[key].values), v))
	}
}

func (m listModel) pop(key string, side Side) []byte {
	old := m[key].values
	if side == Left {
		m.set(key, slices.Clone(old[1:]))
		return old[0]
	}
	m.set(key, slices.Clone(old[:len(old)-1]))
	return old[len(old)-1]
}

func (m listModel) remove(key string, value []byte, count int) int64 {
	values, removed := slices.Clone(m[key].values), int64(0)
	most := count
	if count < 0 {
		slices.Reverse(values)
		most = -count
	}
	if count == 0 {
		most = math.MaxInt
	}
	values = slices.DeleteFunc(values, func(v []byte) bool {
		if !bytes.Equal(v, value) || removed == int64(most) {
			return false
		}
		removed++
		return true
	})
	if count < 0 {
		slices.Reverse(values)
	}
	m.set(key, values)
	return removed
}

var (
	listKeys   = rapid.SampledFrom([]string{"", "a", "ab", "a\x00", "\xff"})
	listSides  = rapid.SampledFrom([]Side{Left, Right})
	listValues = rapid.SampledFrom([]string{"", "x", "y", "z", "12", "long enough to be no number"})
)

// step draws one operation and does it to the space and to the model.
func (m listModel) step(t *rapid.T, s *Space) error {
	key := listKeys.Draw(t, "key")
	l, err := s.List([]byte(key))
	if err != nil {
		return err
	}
	if n := len(m[key].values); l.Len() != int64(n) || l.Exists() != (n > 0) {
		return fmt.Errorf("length of %q: got %d, want %d", key, l.Len(), n)
	}
	switch rapid.SampledFrom([]string{"push", "push", "pop", "set", "insert", "remove", "trim", "move", "expire", "delete"}).Draw(t, "operation") {
	case "push":
		return m.stepPush(t, l, key)
	case "pop":
		return m.stepPop(t, l, key)
	case "set":
		return m.stepSet(t, l, key)
	case "insert":
		return m.stepInsert(t, l, key)
	case "remove":
		value, count := listValues.Draw(t, "value"), rapid.IntRange(-3, 3).Draw(t, "count")
		want := m.remove(key, []byte(value), count)
		got, err := l.Remove([]byte(value), int64(count))
		return expect(err, "removed", got, want)
	case "trim":
		from := rapid.IntRange(0, len(m[key].values)).Draw(t, "from")
		to := rapid.IntRange(from, len(m[key].values)).Draw(t, "to")
		m.set(key, slices.Clone(m[key].values[from:to]))
		return l.Trim(ListRange{int64(from), int64(to)})
	case "move":
		return m.stepMove(t, s, key)
	case "expire":
		at := s.Now() + rapid.Int64Range(-1, 50).Draw(t, "after")
		if old, ok := m[key]; ok {
			m[key] = modelList{old.values, at}
			m.expire(s.Now())
		}
		_, err := s.SetExpiry([]byte(key), at)
		return err
	default:
		_, want := m[key]
		delete(m, key)
		got, err := s.Remove([]byte(key))
		return expect(err, "deleted", got, want)
	}
}

func expect[T comparable](err error, what string, got, want T) error {
	if err == nil && got != want {
		err = fmt.Errorf("%s: got %v, want %v", what, got, want)
	}
	return err
}

func (m listModel) stepPush(t *rapid.T, l *List, key string) error {
	side := listSides.Draw(t, "side")
	var values [][]byte
	for range rapid.SampledFrom([]int{0, 1, 2, 5}).Draw(t, "count") {
		values = append(values, []byte(listValues.Draw(t, "value")))
	}
	values = append(values, numbers(0, rapid.SampledFrom([]int{0, 0, 0, 70, dropSingly + 5}).Draw(t, "more"))...)
	all := slices.Clone(values)
	if side == Left {
		slices.Reverse(all)
		all = append(all, m[key].values...)
	} else {
		all = append(slices.Clone(m[key].values), values...)
	}
	m.set(key, all)
	return l.Push(side, values...)
}

func (m listModel) stepPop(t *rapid.T, l *List, key string) error {
	side, n := listSides.Draw(t, "side"), rapid.IntRange(0, 100).Draw(t, "count")
	if rapid.IntRange(0, 3).Draw(t, "many") == 0 {
		n += dropSingly
	}
	var want [][]byte
	for range min(n, len(m[key].values)) {
		want = append(want, m.pop(key, side))
	}
	got, err := l.Pop(side, int64(n))
	return expect(err, "popped", fmt.Sprintf("%q", got), fmt.Sprintf("%q", want))
}

func (m listModel) stepSet(t *rapid.T, l *List, key string) error {
	i, value := rapid.IntRange(-1, 60).Draw(t, "index"), []byte(listValues.Draw(t, "value"))
	inside := i >= 0 && i < len(m[key].values)
	if inside {
		values := slices.Clone(m[key].values)
		values[i] = value
		m.set(key, values)
	}
	if got, err := l.Set(int64(i), value); err != nil || got != inside {
		return expect(err, "set", got, inside)
	}
	got, ok, err := l.Index(int64(i))
	if err == nil && inside && !bytes.Equal(got, value) {
		err = fmt.Errorf("element %d: got %q, want %q", i, got, value)
	}
	return expect(err, "has index", ok, inside)
}

func (m listModel) stepInsert(t *rapid.T, l *List, key string) error {
	if len(m[key].values) == 0 {
		return nil
	}
	i, value := rapid.IntRange(0, len(m[key].values)).Draw(t, "index"), []byte(listValues.Draw(t, "value"))
	m.set(key, slices.Insert(slices.Clone(m[key].values), i, value))
	return l.Insert(int64(i), value)
}

func (m listModel) stepMove(t *rapid.T, s *Space, src string) error {
	dst, from, to := listKeys.Draw(t, "dst"), listSides.Draw(t, "from"), listSides.Draw(t, "to")
	var want []byte
	there := len(m[src].values) > 0
	if there {
		expireAt := m[src].expireAt
		want = m.pop(src, from)
		m.push(dst, to, want)
		if src == dst {
			m[src] = modelList{m[src].values, expireAt}
		}
	}
	got, ok, err := s.MoveElement([]byte(src), []byte(dst), from, to)
	if err == nil && !bytes.Equal(got, want) {
		err = fmt.Errorf("moved: got %q, want %q", got, want)
	}
	return expect(err, "moved", ok, there)
}

// check compares every list with the model, and the rows with what there should be: one
// for each element and one for each list, so nothing is left behind.
func (m listModel) check(s *Space) error {
	rows := 0
	for _, key := range []string{"", "a", "ab", "a\x00", "\xff"} {
		got, err := listIn(s, key)
		if err != nil {
			return fmt.Errorf("list %q: %w", key, err)
		}
		if want := m[key].values; !equalLists(got, want) {
			return fmt.Errorf("list %q: got %q, want %q", key, got, want)
		}
		if len(got) > 0 {
			rows += len(got) + 1
		}
		at, _, err := s.Expiry([]byte(key))
		if err := expect(err, "expiry", at, m[key].expireAt); err != nil {
			return err
		}
	}
	if !s.tx.ReadOnly() {
		return nil
	}
	err := s.tx.Walk(store.PrefixSpan(s.withPrefix([]byte("!lst|"))), store.Ascending, func([]byte, txn.Row) bool {
		rows--
		return true
	})
	return expect(err, "rows too few", rows, 0)
}

var errRollback = errors.New("rolled back by the test")

// TestListModel runs random histories of transactions, some of them rolled
// back in part, in two logical databases, against the model.
func TestListModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		b := newListBench()
		defer b.close()
		db := rapid.SampledFrom([]int{0, 15}).Draw(t, "database")
		model := listModel{}
		for range rapid.IntRange(1, 12).Draw(t, "transactions") {
			b.update(t, db, func(s *Space) error { return model.transaction(t, s) })
			b.wall = b.wall.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "pause")) * time.Millisecond)
			b.update(t, db, func(s *Space) error {
				model.expire(s.Now())
				_, err := s.RemoveExpired(100)
				return err
			})
			b.view(t, db, model.check)
		}
	})
}

// transaction draws some operations; a part of them may be rolled back.
func (m listModel) transaction(t *rapid.T, s *Space) error {
	m.expire(s.Now())
	for range rapid.IntRange(1, 4).Draw(t, "parts") {
		fails := rapid.Bool().Draw(t, "fails")
		before := m.clone()
		err := s.Atomically(func() error {
			for range rapid.IntRange(1, 4).Draw(t, "operations") {
				if err := m.step(t, s); err != nil {
					return err
				}
			}
			if fails {
				return errRollback
			}
			return nil
		})
		if err == errRollback {
			clear(m)
			for k, v := range before {
				m[k] = v
			}
		} else if err != nil {
			return err
		}
		if err := m.check(s); err != nil {
			return err
		}
	}
	return nil
}
