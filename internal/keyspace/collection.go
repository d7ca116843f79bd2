package keyspace

import (
	"fmt"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// collection is what hashes, sets and sorted sets have in common: a directory
// entry, a row with the length, and a row for each element. Lists differ only
// in what that row says. A collection is created by its first element and gone
// with its last. It remembers what it has read: while one is being changed, no
// other is open on the same key.
type collection struct {
	s     *Space
	key   []byte
	home  []byte // the key under which its rows stand, or will
	entry entry  // the zero entry if the key is not there

	length  int64 // what the row of the length says, if counted
	counted bool
}

// openCollection returns the collection at key, which is empty if the key is
// not there.
func (s *Space) openCollection(key []byte, kind Kind) (collection, error) {
	e, ok, err := s.findKind(key, kind)
	c := s.collection(key, e)
	if err == nil && !ok && !s.tx.ReadOnly() {
		c.home, err = s.freeHome(key)
	}
	return c, err
}

// collection returns the collection at key, whose entry is e.
func (s *Space) collection(key []byte, e entry) collection {
	return collection{s: s, key: key, home: e.homeOf(key), entry: e}
}

// Exists reports whether the key is there.
func (c *collection) Exists() bool { return c.entry.kind != KindNone }

// ensure creates the directory entry, or moves it to a larger encoding.
func (c *collection) ensure(kind Kind, enc encoding) error {
	if c.Exists() && enc <= c.entry.enc {
		c.s.changed(c.key)
		return nil
	}
	e := c.entry.at(c.key, c.home)
	e.kind, e.enc = kind, max(enc, c.entry.enc)
	err := c.s.write(c.key, c.entry, e)
	if err == nil {
		c.entry = e
	}
	return err
}

// dropEntry removes the directory entry of a collection that has become empty
// and whose rows are gone.
func (c *collection) dropEntry() error {
	e := c.entry
	c.entry, c.counted = entry{}, false
	return c.s.dropEntry(c.key, e)
}

// removeAll removes the key with all its rows.
func (c *collection) removeAll() error {
	e := c.entry
	c.entry, c.length, c.counted = entry{}, 0, false
	return c.s.remove(c.key, e)
}

// metaNameMost is how long the name of the row of the length is at most, without the key.
const metaNameMost = len(store.HashMetaPrefix) + 4

// appendMetaName appends the name of the row of the length, which a list has none of like that.
func (c *collection) appendMetaName(dst []byte) []byte {
	switch c.entry.kind {
	case KindHash:
		return store.AppendHashMetaKey(dst, c.home)
	case KindSet:
		return store.AppendSetMetaKey(dst, c.home)
	case KindZSet:
		return store.AppendZSetMetaKey(dst, c.home)
	}
	panic(fmt.Sprintf("keyspace: a %v has no row of its length alone", c.entry.kind))
}

// countElements counts what the row of the length does: all elements, and fields of a hash that have expired, of which the index
// tells, since their rows may be gone.
func (c *collection) countElements() (int64, error) {
	var prefix []byte
	switch c.entry.kind {
	case KindHash:
		prefix = store.HashFieldScanPrefix(c.home)
	case KindSet:
		prefix = store.SetMemberScanPrefix(c.home)
	case KindZSet:
		prefix = store.ZSetMemberScanPrefix(c.home)
	default:
		panic(fmt.Sprintf("keyspace: elements of a %v are not counted", c.entry.kind))
	}
	n, err := c.dueOf(c.entry.expiring())
	if err != nil {
		return 0, err
	}
	err = c.walkElements(prefix, nil, store.Ascending, func([]byte, txn.Row) bool {
		n++
		return true
	})
	return n, err
}

// metaLen reads the length, 0 if the key is not there. Of the past it is counted.
func (c *collection) metaLen() (int64, error) {
	if !c.Exists() {
		return 0, nil
	}
	if c.counted {
		return c.length, nil
	}
	if c.s.tx.Past() {
		n, err := c.countElements()
		c.length, c.counted = n, err == nil
		return n, err
	}
	c.s.buf = c.appendMetaName(c.s.scratch())
	row, ok, err := c.s.tx.Get(c.s.buf)
	if err != nil || !ok {
		return 0, err
	}
	m, err := store.UnmarshalHashMeta(row.Value) // the same 8 bytes for hashes, sets and sorted sets
	if err != nil {
		return 0, fmt.Errorf("keyspace: length of a %v: %w", c.entry.kind, err)
	}
	c.length, c.counted = m.Len, true
	return m.Len, nil
}

// setMetaLen writes the length, or removes row and entry when it is 0. The entry is there.
func (c *collection) setMetaLen(n int64) error {
	name := c.appendMetaName(c.s.row(metaNameMost + len(c.home)))
	c.length, c.counted = n, true
	if n > 0 {
		return c.s.tx.PutNewest(name, store.MarshalHashMeta(store.HashMeta{Len: n}))
	}
	if err := c.s.tx.Delete(name); err != nil {
		return err
	}
	return c.dropEntry()
}

// walkElements calls fn with the part of each row's name behind prefix, from
// the element start on, if it is not nil.
func (c *collection) walkElements(prefix, start []byte, order store.Order, fn func(name []byte, r txn.Row) bool) error {
	if !c.Exists() {
		return nil
	}
	prefix = c.s.withPrefix(prefix)
	span := store.PrefixSpan(prefix)
	if start != nil {
		span.Start = append(append([]byte{}, prefix...), start...)
	}
	return c.s.tx.Walk(span, order, func(name []byte, r txn.Row) bool { return fn(name[len(prefix):], r) })
}
