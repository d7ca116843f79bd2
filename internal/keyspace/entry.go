package keyspace

import (
	"encoding/binary"
	"fmt"

	"github.com/elastickv/elastickv/internal/txn"
)

// Kind is the type of a key. Its numbers are part of the format; never change.
type Kind byte

// The types of keys.
const (
	KindNone   Kind = 0
	KindString Kind = 1
	KindList   Kind = 2
	KindSet    Kind = 3
	KindZSet   Kind = 4
	KindHash   Kind = 5
	KindStream Kind = 6
)

var kindNames = [...]string{"none", "string", "list", "set", "zset", "hash", "stream"}

// String returns the name that TYPE answers.
func (k Kind) String() string { return kindNames[k] }

// entry is what the directory says of a key.
//
//	| encoding (4 bits) elsewhere (1 bit) kind (3 bits) | if elsewhere: length (unsigned varint) home | body |
//
// The body is a string's bytes; of a hash, see expiring; of a sorted set, see encodeCountBounds; else nothing.
// The expiry is that of the row.
type entry struct {
	kind     Kind
	enc      encoding
	expireAt uint64 // hybrid-logical timestamp; 0 means never
	home     []byte // nil if the rows of the collection stand under the key itself: see homeOf
	body     []byte
	ts       uint64 // when it was committed; 0 if it is not yet
}

const entryElsewhere = 1 << 3

func (s *Space) encode(e entry) []byte {
	head := byte(e.enc)<<4 | byte(e.kind)
	if e.home == nil {
		return append(append(s.shared.bytes(1+len(e.body)), head), e.body...)
	}
	b := append(s.shared.bytes(1+binary.MaxVarintLen32+len(e.home)+len(e.body)), head|entryElsewhere)
	b = append(binary.AppendUvarint(b, uint64(len(e.home))), e.home...)
	return append(b, e.body...)
}

func parseEntry(r txn.Row) (entry, error) {
	if len(r.Value) == 0 {
		return entry{}, fmt.Errorf("keyspace: directory entry is empty")
	}
	head := r.Value[0]
	e := entry{kind: Kind(head & (entryElsewhere - 1)), enc: encoding(head >> 4), expireAt: r.ExpireAt, body: r.Value[1:], ts: r.TS}
	if head&entryElsewhere != 0 {
		n, w := binary.Uvarint(e.body)
		if w <= 0 || n > uint64(len(e.body)-w) {
			return entry{}, fmt.Errorf("keyspace: directory entry of %d bytes is cut short", len(r.Value))
		}
		end := w + int(n)
		e.home, e.body = e.body[w:end:end], e.body[end:]
	}
	if e.kind == KindNone || int(e.kind) >= len(kindNames) {
		return entry{}, fmt.Errorf("keyspace: directory entry has unknown type %d: written by a newer version?", e.kind)
	}
	return e, nil
}

// counted reports whether the key is a sorted set with counts.
func (e entry) counted() bool { return e.kind == KindZSet && len(e.body) > 0 }

// find returns the entry of a key that is there and has not expired. An expired
// key that is met in an update is removed, so that nothing of it can come back
// with a new key of the same name.
func (s *Space) find(key []byte) (entry, bool, error) {
	e, ok, err := s.lookUp(key)
	if ok {
		s.shared.hits++
		s.used(key)
	} else {
		s.shared.misses++
	}
	if !ok && err == nil && s.reading {
		s.Notify(ClassMiss, "keymiss", key)
	}
	return e, ok, err
}

func (s *Space) lookUp(key []byte) (entry, bool, error) {
	row, ok, err := s.tx.Peek(s.lookupName(key))
	if err != nil || !ok {
		return entry{}, false, err
	}
	e, err := parseEntry(row)
	if err != nil {
		return entry{}, false, err
	}
	if !s.tx.Expired(row) {
		return s.unfaded(key, e)
	}
	if s.tx.ReadOnly() {
		s.meetOverdue(key)
		return entry{}, false, nil
	}
	return entry{}, false, s.expire(key, e)
}

// findKind is find for a key that has to be of one kind if it is there at all.
func (s *Space) findKind(key []byte, kind Kind) (entry, bool, error) {
	e, ok, err := s.find(key)
	if err == nil && ok && e.kind != kind {
		return entry{}, false, ErrWrongType
	}
	return e, ok, err
}

// write puts the entry of a key in place of old, which is the zero entry if
// the key was not there, and keeps the expiry index and the size in step.
func (s *Space) write(key []byte, old, e entry) error {
	if err := s.tx.Put(s.entryName(key), s.encode(e), e.expireAt); err != nil {
		return err
	}
	s.changed(key)
	if old.kind == KindNone {
		s.shared.uses.Create(s.place(), key, s.Now())
		s.Notify(ClassNew, "new", key)
	}
	return s.reindex(key, old, e)
}

// reindex moves a key in the expiry indices, and its rows in that of homes, and brings the size up to date, as its
// entry changes from old to e. One that is not there is the zero entry.
func (s *Space) reindex(key []byte, old, e entry) error {
	moved, err := s.rehome(key, old.home, e.home)
	if err != nil {
		return err
	}
	if err := s.reindexFields(key, old.expiring().soonest, e.expiring().soonest); err != nil {
		return err
	}
	change := Size{Moved: moved}
	if old.kind == KindNone {
		change.Keys++
	}
	if e.kind == KindNone {
		change.Keys--
	}
	from, to := old.expireAt, e.expireAt
	if from != to && from != 0 {
		change.Expires--
		if err := s.tx.Delete(s.ttlName(from, key)); err != nil {
			return err
		}
	}
	if from != to && to != 0 {
		change.Expires++
		if err := s.tx.Put(s.ttlName(to, key), nil, 0); err != nil {
			return err
		}
	}
	return s.resize(change)
}

// remove deletes a key whose entry is e, with all its rows.
func (s *Space) remove(key []byte, e entry) error {
	if err := s.removeRows(key, e); err != nil {
		return err
	}
	return s.dropEntry(key, e)
}

// dropEntry removes the directory entry of a key, which is e and has no rows any more.
func (s *Space) dropEntry(key []byte, e entry) error {
	if err := s.tx.Delete(s.entryName(key)); err != nil {
		return err
	}
	s.changed(key)
	return s.reindex(key, e, entry{})
}

// removeRows deletes all rows that a key has besides its directory entry, which is e, in
// the same time for any number of them.
func (s *Space) removeRows(key []byte, e entry) error {
	home := e.homeOf(key)
	prefixes := s.collectionPrefixes(e.kind, home)
	if len(prefixes) == 0 {
		return nil
	}
	n, err := s.length(key, e)
	if err != nil {
		n = 0 // of rows that contradict each other, too, all can be removed: they are looked for
	}
	if err := s.tx.Delete(prefixes[0]); err != nil { // the row of the length
		return err
	}
	for _, p := range prefixes[1:] {
		if err := s.tx.DeleteMany(p, n); err != nil {
			return err
		}
	}
	if fields := e.expiring().count; fields > 0 {
		return s.tx.DeleteMany(s.fieldTTLScan(home), fields)
	}
	if e.counted() {
		return s.removeCounts(key, e)
	}
	return nil
}
