package keyspace

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"pgregory.net/rapid"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/eviction"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// world is a database on a clock that the test sets.
type world struct {
	db     *txn.Local
	engine store.Engine
	now    time.Time
	memory Memory // of updates

	samples *Samples
	uses    *eviction.Uses
}

func newWorld() *world { return newWorldOver(store.NewMVCCStore().(store.Engine)) }

func newWorldOver(e store.Engine) *world {
	w := &world{engine: e, now: time.UnixMilli(1_700_000_000_000), samples: NewSamples(1 << 20)}
	w.db = txn.NewLocal(w.engine, hlc.New(func() time.Time { return w.now }), txn.Options{})
	return w
}

func (w *world) close() {
	w.db.Close()
	w.engine.Close()
}

func (w *world) update(t rapid.TB, fn func(s *Space) error) {
	t.Helper()
	limits := DefaultLimits()
	err := w.db.Update(context.Background(), func(tx *txn.Tx) error {
		return fn(w.memory.Open(tx, 0, Env{Limits: &limits, Samples: w.samples, Uses: w.uses}))
	})
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) view(t rapid.TB, fn func(s *Space) error) {
	t.Helper()
	limits := DefaultLimits()
	err := w.db.View(context.Background(), func(tx *txn.Tx) error { return fn(Open(tx, 0, Env{Limits: &limits, Samples: w.samples, Uses: w.uses})) })
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) audit(t rapid.TB) {
	t.Helper()
	if err := w.db.View(context.Background(), audit); err != nil {
		t.Fatal(err)
	}
}

// modelKey is what a key should be. Strings and hashes stand for all types:
// one lives in its directory entry, the other in rows of its own.
type modelKey struct {
	hash   map[string]string // nil for a string
	value  string
	expire int64
}

func (k modelKey) String() string { return fmt.Sprintf("{%v %q %d}", k.hash, k.value, k.expire) }

func (k modelKey) clone() modelKey {
	k.hash = maps.Clone(k.hash)
	return k
}

// keysModel is what every database should hold.
type keysModel struct {
	now int64
	dbs [3]map[string]modelKey
}

func (m *keysModel) get(db int, key string) (modelKey, bool) {
	k, ok := m.dbs[db][key]
	return k, ok && (k.expire == 0 || k.expire > m.now)
}

func TestKeysModel(t *testing.T) {
	for name, open := range engines {
		t.Run(name, func(t *testing.T) { testKeysModel(t, open) })
	}
}

// engines are the stores in memory, and in a folder in memory.
var engines = map[string]func(t *testing.T) store.Engine{
	"memory": func(*testing.T) store.Engine { return store.NewMVCCStore().(store.Engine) },
	"pebble": func(t *testing.T) store.Engine {
		s, err := store.NewPebbleStore("db", store.WithFS(vfs.NewMem()))
		if err != nil {
			t.Fatal(err)
		}
		return s.(store.Engine)
	},
}

func testKeysModel(t *testing.T, open func(t *testing.T) store.Engine) {
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorldOver(open(t))
		defer w.close()
		<-w.db.Measure(true)
		m := &keysModel{}
		for i := range m.dbs {
			m.dbs[i] = map[string]modelKey{}
		}
		for range rapid.IntRange(1, 12).Draw(rt, "transactions") {
			w.now = w.now.Add(time.Duration(rapid.IntRange(0, 3).Draw(rt, "ms")) * time.Millisecond)
			w.update(rt, func(s *Space) error {
				m.now = s.Now()
				for range rapid.IntRange(1, 8).Draw(rt, "steps") {
					db := rapid.IntRange(0, len(m.dbs)-1).Draw(rt, "db")
					if err := m.step(rt, s.DB(db)); err != nil {
						return err
					}
				}
				return nil
			})
			w.audit(rt)
			w.update(rt, func(s *Space) error { m.compare(rt, s); return nil })
			w.auditSize(rt)
		}
	})
}

// auditSize compares the size that the database counts with that of all rows.
func (w *world) auditSize(t rapid.TB) {
	t.Helper()
	w.view(t, func(s *Space) error {
		want, _, err := s.tx.RowsSize(1 << 30)
		if got := w.db.Measured(); !got.Exact() || got.Bytes != want {
			t.Fatalf("measured %+v, want %d bytes", got, want)
		}
		return err
	})
}

var nameGen = rapid.SampledFrom([]string{"a", "b", "a\x00", "aa", ""})

func (m *keysModel) step(rt *rapid.T, s *Space) error {
	db, key, other := s.Number(), nameGen.Draw(rt, "key"), nameGen.Draw(rt, "other")
	k, there := m.get(db, key)
	future := func() int64 { return m.now + int64(rapid.IntRange(-1, 4).Draw(rt, "ttl")) }
	switch rapid.IntRange(0, 11).Draw(rt, "op") {
	case 0:
		at := rapid.SampledFrom([]int64{0, future()}).Draw(rt, "at")
		m.dbs[db][key] = modelKey{value: other, expire: at}
		return s.SetString([]byte(key), []byte(other), at)
	case 1:
		m.dbs[db][key] = modelKey{value: other, expire: k.expire * int64(boolBit(there))}
		return s.OverwriteString([]byte(key), []byte(other))
	case 2:
		return m.hashSet(db, key, other, s)
	case 3:
		return m.hashDelete(db, key, other, s)
	case 4:
		at := future()
		if there {
			k.expire = at
			m.dbs[db][key] = k
		}
		return same(there)(s.SetExpiry([]byte(key), at))
	case 5:
		had := there && k.expire != 0
		if had {
			k.expire = 0
			m.dbs[db][key] = k
		}
		return same(had)(s.Persist([]byte(key)))
	case 6:
		delete(m.dbs[db], key)
		return same(there)(s.Remove([]byte(key)))
	case 7:
		to := rapid.IntRange(0, len(m.dbs)-1).Draw(rt, "to")
		if to == db && other == key {
			return nil
		}
		if there {
			m.dbs[to][other] = k.clone()
		}
		return missing(there, s.Copy([]byte(key), s.DB(to), []byte(other)))
	case 8:
		if there {
			delete(m.dbs[db], key)
			m.dbs[db][other] = k
		}
		return missing(there, s.Rename([]byte(key), []byte(other)))
	case 9:
		if rapid.IntRange(0, 5).Draw(rt, "flush") == 0 {
			clear(m.dbs[db])
			return s.Flush()
		}
	case 10:
		return m.hashFill(db, key, s)
	case 11:
		_, err := s.RemoveExpired(rapid.IntRange(1, 3).Draw(rt, "limit"))
		return err
	}
	return nil
}

func boolBit(b bool) int {
	if b {
		return 1
	}
	return 0
}

// same checks the boolean of a result.
func same(want bool) func(bool, error) error {
	return func(got bool, err error) error {
		if err == nil && got != want {
			return fmt.Errorf("got %v, want %v", got, want)
		}
		return err
	}
}

// missing expects ErrNoSuchKey unless the key was there.
func missing(there bool, err error) error {
	if !there && errors.Is(err, ErrNoSuchKey) {
		return nil
	}
	if !there && err == nil {
		return errors.New("no error for a key that is not there")
	}
	return err
}

func (m *keysModel) hashSet(db int, key, field string, s *Space) error {
	k, there := m.get(db, key)
	h, err := s.Hash([]byte(key))
	if there && k.hash == nil {
		return wantWrongType(err)
	}
	if err != nil {
		return err
	}
	if !there {
		k = modelKey{hash: map[string]string{}}
	}
	k.hash[field] = key
	m.dbs[db][key] = k
	_, err = h.Set([]byte(field), []byte(key))
	return err
}

// hashFill makes a hash so large that its rows are not deleted one by one.
func (m *keysModel) hashFill(db int, key string, s *Space) error {
	k, there := m.get(db, key)
	if there && k.hash == nil {
		return nil
	}
	if !there {
		k = modelKey{hash: map[string]string{}}
	}
	var fields []Field
	for _, f := range numbers(0, 70) {
		fields = append(fields, Field{Name: f, Value: f})
		k.hash[string(f)] = string(f)
	}
	m.dbs[db][key] = k
	h, err := s.Hash([]byte(key))
	if err != nil {
		return err
	}
	_, err = h.SetAll(fields...)
	return err
}

func (m *keysModel) hashDelete(db int, key, field string, s *Space) error {
	k, there := m.get(db, key)
	h, err := s.Hash([]byte(key))
	if there && k.hash == nil {
		return wantWrongType(err)
	}
	if err != nil {
		return err
	}
	_, had := k.hash[field]
	if !there {
		had = false
	}
	if had {
		delete(k.hash, field)
		if len(k.hash) == 0 {
			delete(m.dbs[db], key)
		}
	}
	return same(had)(h.Delete([]byte(field)))
}

func wantWrongType(err error) error {
	if !errors.Is(err, ErrWrongType) {
		return fmt.Errorf("got %v, want ErrWrongType", err)
	}
	return nil
}

// compare reads every database in all ways and checks it against the model.
func (m *keysModel) compare(rt *rapid.T, s *Space) {
	m.now = s.Now()
	for db := range m.dbs {
		s := s.DB(db)
		var want, got []string
		for key := range m.dbs[db] {
			if _, ok := m.get(db, key); ok {
				want = append(want, key)
			}
		}
		slices.Sort(want)
		err := s.Walk(nil, nil, func(key []byte, _ Kind) bool {
			got = append(got, string(key))
			return true
		})
		if err != nil || !slices.Equal(got, want) {
			rt.Fatalf("keys of %d: %q, %v; want %q", db, got, err, want)
		}
		for _, key := range want {
			k, _ := m.get(db, key)
			if err := k.compare(s, key); err != nil {
				rt.Fatalf("key %q of %d: %v; want %v", key, db, err, k)
			}
		}
	}
}

func (k modelKey) compare(s *Space, key string) error {
	at, ok, err := s.Expiry([]byte(key))
	if err != nil || !ok || at != k.expire {
		return fmt.Errorf("expiry %d, %v, %v", at, ok, err)
	}
	if k.hash == nil {
		v, ok, err := s.String([]byte(key))
		if err != nil || !ok || string(v) != k.value {
			return fmt.Errorf("string %q, %v, %v", v, ok, err)
		}
		return nil
	}
	h, err := s.Hash([]byte(key))
	if err != nil {
		return err
	}
	got := map[string]string{}
	err = h.Walk(nil, func(field, value []byte) bool {
		got[string(field)] = string(value)
		return true
	})
	if err != nil || !maps.Equal(got, k.hash) {
		return fmt.Errorf("hash %q, %v", got, err)
	}
	return nil
}

func TestWalkFromStartWithinPrefix(t *testing.T) {
	w := newWorld()
	defer w.close()
	w.update(t, func(s *Space) error {
		for _, key := range []string{"a", "user:1", "user:2", "user:3", "v"} {
			if err := s.SetString([]byte(key), nil, 0); err != nil {
				return err
			}
		}
		for _, c := range []struct{ prefix, start, want string }{
			{"", "", "[a user:1 user:2 user:3 v]"},
			{"user:", "", "[user:1 user:2 user:3]"},
			{"user:", "user:2", "[user:2 user:3]"},
			{"user:", "user:2\x00", "[user:3]"},
			{"user:", "z", "[]"},
			{"", "user:3", "[user:3 v]"},
		} {
			var got []string
			err := s.Walk([]byte(c.prefix), []byte(c.start), func(key []byte, kind Kind) bool {
				got = append(got, string(key))
				return kind == KindString
			})
			if err != nil || fmt.Sprint(got) != c.want {
				t.Errorf("Walk(%q, %q) = %v, %v; want %s", c.prefix, c.start, got, err, c.want)
			}
		}
		return nil
	})
}

func TestExpiredCollectionLeavesNothingBehind(t *testing.T) {
	w := newWorld()
	defer w.close()
	key := []byte("h")
	w.update(t, func(s *Space) error {
		h, err := s.Hash(key)
		if err != nil {
			return err
		}
		if _, err := h.Set([]byte("old"), []byte("v")); err != nil {
			return err
		}
		_, err = s.SetExpiry(key, s.Now()+10)
		return err
	})
	w.now = w.now.Add(10 * time.Millisecond)
	w.update(t, func(s *Space) error {
		h, err := s.Hash(key)
		if err != nil {
			return err
		}
		if _, ok, err := h.Get([]byte("old")); ok || err != nil {
			t.Errorf("a field of the expired hash is there (%v)", err)
		}
		_, err = h.Set([]byte("new"), []byte("v"))
		if err != nil {
			return err
		}
		if n, err := h.Len(); n != 1 || err != nil {
			t.Errorf("the new hash has %d fields (%v), want 1", n, err)
		}
		return nil
	})
	w.audit(t)
}

func TestDamagedRowsAreErrors(t *testing.T) {
	w := newWorld()
	defer w.close()
	for _, damage := range [][]byte{{}, {0}, {15, 'x'}} {
		err := w.db.Update(context.Background(), func(tx *txn.Tx) error {
			s := Open(tx, 0, Env{Limits: &Limits{}})
			if err := tx.Put(s.entryName([]byte("k")), damage, 0); err != nil {
				return err
			}
			_, _, err := s.String([]byte("k"))
			return err
		})
		if err == nil || errors.Is(err, ErrWrongType) {
			t.Errorf("entry % x: got %v, want an error that says what is wrong", damage, err)
		}
	}
}

func TestChanges(t *testing.T) {
	w := newWorld()
	defer w.close()
	w.update(t, func(s *Space) error {
		if err := s.SetString([]byte("a"), nil, 0); err != nil {
			return err
		}
		failed := errors.New("taken back")
		if err := s.Atomically(func() error {
			if err := s.DB(2).SetString([]byte("b"), nil, 0); err != nil {
				return err
			}
			return failed
		}); !errors.Is(err, failed) {
			t.Errorf("Atomically returned %v", err)
		}
		if err := s.DB(1).SetString([]byte("c"), nil, 0); err != nil {
			return err
		}
		got := s.Changes()
		if len(got) != 2 || got[0].DB != 0 || !bytes.Equal(got[0].Key, []byte("a")) || got[1].DB != 1 || string(got[1].Key) != "c" {
			t.Errorf("changes are %v, want a in 0 and c in 1", got)
		}
		return nil
	})
}
