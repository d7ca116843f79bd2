package keyspace

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// audit reads every row there is and reports the first that contradicts
// another: a key without rows or rows without a key, an expiry that the index
// does not have or has too often, a size that is not the number of keys.
func audit(tx *txn.Tx) error {
	a := auditor{tx: tx, owned: map[string]bool{}}
	for db := range Databases {
		if err := a.database(Open(tx, db, Env{Limits: &Limits{}})); err != nil {
			return fmt.Errorf("database %d: %w", db, err)
		}
	}
	return a.orphans()
}

type auditor struct {
	tx    *txn.Tx
	owned map[string]bool // rows and prefixes of rows that belong to something
}

func (a *auditor) rows(prefix []byte, fn func(name []byte, r txn.Row) error) error {
	var names [][]byte
	err := a.tx.WalkAll(store.PrefixSpan(prefix), store.Ascending, func(name []byte, _ txn.Row) bool {
		names = append(names, bytes.Clone(name))
		return true
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		r, _, err := a.tx.Peek(name)
		if err != nil {
			return err
		}
		if err := fn(name, r); err != nil {
			return err
		}
	}
	return nil
}

func (a *auditor) database(s *Space) error {
	var want Size
	prefix := s.entryName(nil)
	err := a.rows(prefix, func(name []byte, r txn.Row) error {
		key := bytes.Clone(name[len(prefix):])
		e, err := parseEntry(r)
		if err != nil {
			return err
		}
		want.Keys++
		a.owned[string(name)] = true
		if e.home != nil {
			want.Moved++
			if err := a.home(s, key, e); err != nil {
				return err
			}
		}
		if e.expireAt != 0 {
			want.Expires++
			index := s.ttlName(e.expireAt, key)
			if _, ok, err := a.tx.Get(index); err != nil || !ok {
				return fmt.Errorf("key %q expires at %d and is not in the index (%v)", key, e.expireAt, err)
			}
			a.owned[string(index)] = true
		}
		if err := a.collection(s, key, e); err != nil {
			return err
		}
		if err := a.counts(s, key, e); err != nil {
			return err
		}
		return a.fieldExpiries(s, key, e)
	})
	if err != nil {
		return err
	}
	a.owned[string(append(s.row(0), sizeName...))] = true
	if got, err := s.Size(); err != nil || got != want {
		return fmt.Errorf("size is %+v, %v; counted %+v", got, err, want)
	}
	return nil
}

// home checks that the home of a key is listed as its own, and is no other's.
func (a *auditor) home(s *Space, key []byte, e entry) error {
	if bytes.Equal(key, e.home) || e.kind == KindString {
		return fmt.Errorf("%v %q has the home %q", e.kind, key, e.home)
	}
	name := s.homeName(e.home)
	r, ok, err := a.tx.Get(name)
	if err != nil || !ok || !bytes.Equal(r.Value, key) {
		return fmt.Errorf("home %q of %q is listed as that of %q (%v)", e.home, key, r.Value, err)
	}
	a.owned[string(name)] = true
	return nil
}

// fieldExpiries checks that the index of the fields of a hash that expire has each of
// them and nothing else, and that the directory entry knows how many they are and when
// the first goes.
func (a *auditor) fieldExpiries(s *Space, key []byte, e entry) error {
	if e.kind != KindHash {
		return nil
	}
	home := e.homeOf(key)
	fields, index := s.withPrefix(store.HashFieldScanPrefix(home)), s.fieldTTLScan(home)
	var want, got expiring
	err := a.rows(fields, func(name []byte, r txn.Row) error {
		if r.ExpireAt == 0 {
			return nil
		}
		want.count++
		if want.soonest == 0 || r.ExpireAt < want.soonest {
			want.soonest = r.ExpireAt
		}
		row := s.fieldTTLName(home, r.ExpireAt, name[len(fields):])
		if _, ok, err := a.tx.Get(row); err != nil || !ok {
			return fmt.Errorf("field %q of %q expires at %d and is not in the index (%v)", name[len(fields):], key, r.ExpireAt, err)
		}
		a.owned[string(row)] = true
		return nil
	})
	if err != nil {
		return err
	}
	if got = e.expiring(); got != want {
		return fmt.Errorf("hash %q says of its expiries %+v, has %+v", key, got, want)
	}
	if want.count == 0 {
		return nil
	}
	row := s.fieldsTTLName(want.soonest, key)
	if _, ok, err := a.tx.Get(row); err != nil || !ok {
		return fmt.Errorf("hash %q with index %q is not among those with expiring fields (%v)", key, index, err)
	}
	a.owned[string(row)] = true
	return nil
}

// collection checks that the length of a collection is the number of its rows.
func (a *auditor) collection(s *Space, key []byte, e entry) error {
	kind := e.kind
	prefixes := s.collectionPrefixes(kind, e.homeOf(key))
	if len(prefixes) == 0 {
		return nil
	}
	meta, ok, err := a.tx.Get(prefixes[0])
	if err != nil || !ok {
		return fmt.Errorf("%v %q has no length (%v)", kind, key, err)
	}
	a.owned[string(prefixes[0])] = true
	if kind == KindStream {
		return a.stream(s, key)
	}
	n := int64(binary.BigEndian.Uint64(meta.Value))
	if kind == KindList {
		m, err := store.UnmarshalListMeta(meta.Value)
		if err != nil {
			return err
		}
		n = m.Len
	}
	if n <= 0 {
		return fmt.Errorf("%v %q has length %d and is still there", kind, key, n)
	}
	for _, p := range prefixes[1:] {
		var rows int64
		err := a.rows(p, func(name []byte, _ txn.Row) error {
			rows++
			a.owned[string(name)] = true
			return nil
		})
		if err != nil {
			return err
		}
		if rows != n {
			return fmt.Errorf("%v %q has length %d and %d rows under %q", kind, key, n, rows, p)
		}
	}
	return nil
}

func (a *auditor) orphans() error {
	return a.rows(nil, func(name []byte, _ txn.Row) error {
		if !a.owned[string(name)] && !strings.HasSuffix(string(name), sizeName) {
			return fmt.Errorf("row %q belongs to no key", name)
		}
		return nil
	})
}
