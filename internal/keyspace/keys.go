package keyspace

import (
	"bytes"
	"errors"
	"slices"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// ErrNoSuchKey says that a key has to be there and is not.
var ErrNoSuchKey = errors.New("keyspace: no such key")

// Kind returns the type of a key, KindNone if it is not there.
func (s *Space) Kind(key []byte) (Kind, error) {
	e, _, err := s.find(key)
	return e.kind, err
}

// Remove deletes a key of any type and reports whether it was there.
func (s *Space) Remove(key []byte) (bool, error) {
	e, ok, err := s.find(key)
	if err != nil || !ok {
		return false, err
	}
	return true, s.remove(key, e)
}

// Walk calls fn for every key that begins with prefix and is at or after start, in
// ascending order, until fn returns false. fn must not write; key is valid only
// during the call.
func (s *Space) Walk(prefix, start []byte, fn func(key []byte, kind Kind) bool) error {
	span := store.PrefixSpan(s.entryName(prefix))
	if bytes.Compare(start, prefix) > 0 {
		span.Start = s.entryName(start)
	}
	for {
		key, e, err := s.walkEntries(span, fn)
		if err != nil || key == nil {
			return err
		}
		faded, err := s.faded(key, e)
		if err != nil || !faded && !fn(key, e.kind) {
			return err
		}
		span.Start = append(s.entryName(key), 0)
	}
}

// walkEntries calls fn for the keys of a span of directory entries until it returns false, or up to
// a hash of which it cannot tell whether it has faded, since that takes reads. It returns that.
func (s *Space) walkEntries(span store.Span, fn func(key []byte, kind Kind) bool) (key []byte, e entry, err error) {
	n := len(dbPrefix(s.place())) + len(entryPrefix)
	var bad error
	err = s.tx.Walk(span, store.Ascending, func(name []byte, r txn.Row) bool {
		if e, bad = parseEntry(r); bad != nil {
			return false
		}
		if x := e.expiring(); x.count > 0 && x.soonest <= s.tx.Now() {
			key, e.body = append([]byte{}, name[n:]...), bytes.Clone(e.body)
			return false
		}
		return fn(name[n:], e.kind)
	})
	return key, e, errors.Join(err, bad)
}

// Copy makes dst, in the database to, a copy of src with the same expiry. What
// dst held before is gone. ErrNoSuchKey if src is not there. src and dst must differ.
func (s *Space) Copy(src []byte, to *Space, dst []byte) error {
	e, ok, err := s.find(src)
	if err != nil {
		return err
	}
	if !ok {
		return ErrNoSuchKey
	}
	n, err := s.elements(src, e)
	if err != nil {
		return err
	}
	there := e.homeOf(src)
	here, err := to.freeHome(dst)
	if err != nil {
		return err
	}
	from, into := s.collectionPrefixes(e.kind, there), to.collectionPrefixes(e.kind, here)
	if len(into) > 0 { // what cannot be written need not be read
		if err := s.tx.Fits(n, n*int64(len(into[1]))); err != nil {
			return err
		}
	}
	if e.counted() {
		from, into = append(from, s.countScan(there, 0)), append(into, to.countScan(here, 0))
	}
	old, err := to.clear(dst)
	if err != nil {
		return err
	}
	if old.kind != KindNone { // what is overwritten is another key, not a changed one
		to.Notify(ClassNew, "new", dst)
	}
	for i := range from {
		if err := s.copyRows(from[i], into[i]); err != nil {
			return err
		}
	}
	e.body = bytes.Clone(e.body)
	if e.expiring().count > 0 {
		if e, err = s.copyFieldExpiries(src, e, to, here); err != nil {
			return err
		}
	}
	return to.write(dst, old, e.at(dst, here))
}

// elements returns how many elements the collection at key, whose entry is e, has at least: fields of a
// hash that are going to expire may have. A string has none.
func (s *Space) elements(key []byte, e entry) (int64, error) {
	c := s.collection(key, e)
	switch e.kind {
	case KindHash:
		n, err := c.metaLen()
		return n - e.expiring().count, err
	case KindSet, KindZSet:
		return c.metaLen()
	case KindList:
		l, err := s.List(key)
		if err != nil {
			return 0, err
		}
		return l.Len(), nil
	case KindStream:
		st, err := s.Stream(key)
		if err != nil {
			return 0, err
		}
		return st.Len(), nil
	}
	return 0, nil
}

// copyRows copies every row that begins with from, and has not expired, to a name that
// begins with into.
func (s *Space) copyRows(from, into []byte) error {
	type copied struct {
		name, value []byte
		expireAt    uint64
	}
	var rows []copied
	var size int64
	var tooLarge error
	err := s.tx.Walk(store.PrefixSpan(from), store.Ascending, func(name []byte, r txn.Row) bool {
		size += int64(len(into) + len(name) - len(from) + len(r.Value))
		if tooLarge = s.tx.Fits(int64(len(rows)+1), size); tooLarge != nil {
			return false
		}
		rows = append(rows, copied{slices.Concat(into, name[len(from):]), bytes.Clone(r.Value), r.ExpireAt})
		return true
	})
	if err := errors.Join(err, tooLarge); err != nil {
		return err
	}
	for _, r := range rows {
		if err := s.tx.Put(r.name, r.value, r.expireAt); err != nil {
			return err
		}
	}
	return nil
}

// Rename moves src to dst, with its expiry, in place of whatever dst held, in the same time for any number of elements.
// ErrNoSuchKey if src is not there.
func (s *Space) Rename(src, dst []byte) error {
	e, ok, err := s.find(src)
	if err != nil {
		return err
	}
	if !ok {
		return ErrNoSuchKey
	}
	if bytes.Equal(src, dst) {
		return nil
	}
	old, err := s.clear(dst)
	if err != nil {
		return err
	}
	if old.kind != KindNone { // what is overwritten is another key, not a changed one
		s.Notify(ClassNew, "new", dst)
	}
	if err := s.dropEntry(src, e); err != nil {
		return err
	}
	return s.write(dst, old, e.at(dst, e.homeOf(src)))
}

// Flush removes every key of the database.
func (s *Space) Flush() error {
	s.changed(nil)
	prefixes := familyPrefixes
	if s.place() != 0 {
		prefixes = []string{dbPrefix(s.place())}
	}
	for _, p := range prefixes {
		if err := s.tx.DeletePrefix([]byte(p)); err != nil {
			return err
		}
	}
	return nil
}

// Written returns the moment, in Unix milliseconds, at which a key's directory
// entry or length was written last, and whether the key is there.
func (s *Space) Written(key []byte) (int64, bool, error) {
	e, ok, err := s.find(key)
	if err != nil || !ok {
		return 0, false, err
	}
	last := e.ts
	if p := s.collectionPrefixes(e.kind, e.homeOf(key)); len(p) > 0 {
		row, _, err := s.tx.Get(p[0]) // the row of the length
		if err != nil {
			return 0, false, err
		}
		last = max(last, row.TS)
	}
	if last == 0 {
		last = s.tx.Now()
	}
	return millis(last), true, nil
}
