package keyspace

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// unfaded returns the entry of a key, unless it is a hash all of whose fields have
// expired: then the key is not there, and an update removes it.
func (s *Space) unfaded(key []byte, e entry) (entry, bool, error) {
	faded, err := s.faded(key, e)
	if err != nil || !faded {
		return e, err == nil, err
	}
	if s.tx.ReadOnly() {
		s.meetOverdue(key)
		return entry{}, false, nil
	}
	return entry{}, false, s.fade(key, e)
}

// fade removes a hash all of whose fields have expired.
func (s *Space) fade(key []byte, e entry) error {
	s.shared.fieldsExpired += e.expiring().count
	s.Notify(ClassHash, "hexpired", key)
	s.Notify(ClassGeneric, "del", key)
	return s.remove(key, e)
}

// faded reports whether the key is a hash all of whose fields have expired. It takes
// the same time for any number of them.
func (s *Space) faded(key []byte, e entry) (bool, error) {
	x := e.expiring()
	if x.count == 0 || x.soonest > s.tx.Now() {
		return false, nil
	}
	c := s.collection(key, e)
	n, err := c.metaLen()
	if err != nil || n > x.count {
		return false, err
	}
	var last uint64
	err = s.walkFieldTTL(c.home, x.soonest, store.Descending, func(at uint64, _ []byte) bool { last = at; return false })
	return last <= s.tx.Now(), err
}

// dueHashes returns the hashes of which some field has expired and not been removed, at
// most limit.
func (s *Space) dueHashes(limit int) ([][]byte, error) {
	prefix := append(s.row(len(fieldsTTLPrefix)), fieldsTTLPrefix...)
	end := binary.BigEndian.AppendUint64(bytes.Clone(prefix), s.tx.Now()+1)
	var due [][]byte
	short := false
	err := s.tx.Walk(store.Span{Start: prefix, End: end}, store.Ascending, func(name []byte, _ txn.Row) bool {
		if short = len(name) < len(prefix)+8; short {
			return false
		}
		due = append(due, bytes.Clone(name[len(prefix)+8:]))
		return len(due) != limit
	})
	if err == nil && short {
		err = fmt.Errorf("keyspace: the index of hashes with expiring fields of database %d has a short row", s.db)
	}
	return due, err
}

// RemoveExpiredFields removes up to limit fields of hashes that have expired, and hashes that
// have lost all of their fields, and returns how many fields it has removed. A
// read-only transaction returns how many hashes have such fields, at most limit.
func (s *Space) RemoveExpiredFields(limit int) (int, error) {
	due, err := s.dueHashes(limit)
	if err != nil || s.tx.ReadOnly() {
		return len(due), err
	}
	removed := int64(0)
	for _, key := range due {
		before := s.shared.fieldsExpired
		h, err := s.Hash(key) // removes one of which nothing is left
		if err != nil {
			return 0, err
		}
		if h.Exists() {
			if err := h.removeDue(int64(limit) - removed); err != nil {
				return 0, err
			}
		}
		if removed += s.shared.fieldsExpired - before; removed >= int64(limit) {
			break
		}
	}
	return int(removed), nil
}

// removeDue removes up to limit fields that have expired.
func (h *Hash) removeDue(limit int64) error {
	type row struct {
		at    uint64
		field []byte
	}
	var due []row
	err := h.s.walkFieldTTL(h.home, h.soonest, store.Ascending, func(at uint64, field []byte) bool {
		if at > h.s.tx.Now() {
			return false
		}
		due = append(due, row{at, bytes.Clone(field)})
		return int64(len(due)) < limit
	})
	if err != nil || len(due) == 0 {
		return err
	}
	for _, d := range due {
		if err := h.removeRow(d.field, d.at); err != nil {
			return err
		}
	}
	h.s.shared.fieldsExpired += int64(len(due))
	h.s.Notify(ClassHash, "hexpired", h.key)
	if err := h.shrink(int64(len(due))); err != nil || h.Exists() {
		return err
	}
	h.s.Notify(ClassGeneric, "del", h.key)
	return nil
}

// removeRow removes what the index says of a field that expired at the given moment. The
// field's row may be gone, with the versions that nobody reads any more, and a new one in its place.
func (h *Hash) removeRow(field []byte, at uint64) error {
	name := h.s.hashFieldName(h.home, field)
	row, ok, err := h.s.tx.Peek(name)
	if err != nil {
		return err
	}
	if ok && row.ExpireAt == at {
		if err := h.s.tx.Delete(name); err != nil {
			return err
		}
	}
	return h.schedule(field, at, 0)
}
