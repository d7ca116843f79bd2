package keyspace

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// expiring says which fields of a hash expire. It is the body of the hash's directory
// entry, which has none if no field does.
//
//	| soonest (8) | count (8) |
type expiring struct {
	soonest uint64 // hybrid-logical timestamp; no field expires before it
	count   int64  // rows of the index of their expiries
}

const expiringSize = 8 + 8

func (e entry) expiring() expiring {
	if e.kind != KindHash || len(e.body) != expiringSize {
		return expiring{}
	}
	return expiring{binary.BigEndian.Uint64(e.body), int64(binary.BigEndian.Uint64(e.body[8:]))}
}

func (x expiring) encode() []byte {
	if x.count == 0 {
		return nil
	}
	b := binary.BigEndian.AppendUint64(make([]byte, 0, expiringSize), x.soonest)
	return binary.BigEndian.AppendUint64(b, uint64(x.count))
}

// fieldExpiries is what an open hash knows of the expiries of its fields.
type fieldExpiries struct {
	expiring      // as it is to become; settle writes it, and until then soonest may be too low
	moved    bool // it differs from the directory entry
}

// reindexFields moves a hash in the index of those with fields that expire; 0 is out of it.
func (s *Space) reindexFields(key []byte, from, to uint64) error {
	if from == to {
		return nil
	}
	if from != 0 {
		if err := s.tx.Delete(s.fieldsTTLName(from, key)); err != nil {
			return err
		}
	}
	if to == 0 {
		return nil
	}
	return s.tx.Put(s.fieldsTTLName(to, key), nil, 0)
}

// walkFieldTTL calls fn for the rows of the index of a hash's fields that expire, none of which
// do so before soonest, until it returns false. field is valid only during the call.
func (s *Space) walkFieldTTL(key []byte, soonest uint64, order store.Order, fn func(at uint64, field []byte) bool) error {
	prefix := s.fieldTTLScan(key)
	span := store.PrefixSpan(prefix)
	span.Start = binary.BigEndian.AppendUint64(bytes.Clone(prefix), soonest) // what is before it may be many rows that are gone
	short := false
	err := s.tx.Walk(span, order, func(name []byte, _ txn.Row) bool {
		if name = name[len(prefix):]; len(name) < 8 {
			short = true
			return false
		}
		return fn(binary.BigEndian.Uint64(name), name[8:])
	})
	if err == nil && short {
		err = fmt.Errorf("keyspace: the index of expiring fields of a hash has a short row")
	}
	return err
}

// due returns how many fields have expired and are still counted.
func (h *Hash) due() (int64, error) { return h.dueOf(h.expiring) }

// dueOf is due for the collection at a key, of which that many fields expire.
func (c *collection) dueOf(x expiring) (n int64, err error) {
	if x.count == 0 || x.soonest > c.s.tx.Now() {
		return 0, nil
	}
	err = c.s.walkFieldTTL(c.home, x.soonest, store.Ascending, func(at uint64, _ []byte) bool {
		if at > c.s.tx.Now() {
			return false
		}
		n++
		return true
	})
	return n, err
}

// schedule moves a field in the index of those that expire; 0 is out of it. The caller
// writes the field's row, and calls settle when all is done.
func (h *Hash) schedule(field []byte, from, to uint64) error {
	if from == to {
		return nil
	}
	h.moved = true
	if from != 0 {
		h.count--
		if err := h.s.tx.Delete(h.s.fieldTTLName(h.home, from, field)); err != nil {
			return err
		}
	}
	if to == 0 {
		return nil
	}
	if h.count == 0 || to < h.soonest {
		h.soonest = to
	}
	h.count++
	return h.s.tx.Put(h.s.fieldTTLName(h.home, to, field), nil, 0)
}

// settle brings the directory entry up to date with the index of expiries.
func (h *Hash) settle() error {
	if !h.moved || !h.Exists() {
		h.fieldExpiries = fieldExpiries{expiring: h.entry.expiring()}
		return nil
	}
	from := h.soonest
	h.soonest = 0
	if h.count > 0 {
		err := h.s.walkFieldTTL(h.home, from, store.Ascending, func(at uint64, _ []byte) bool { h.soonest = at; return false })
		if err != nil {
			return err
		}
	}
	h.moved = false
	if h.expiring == h.entry.expiring() {
		return nil
	}
	e := h.entry
	e.body = h.expiring.encode()
	if err := h.s.write(h.key, h.entry, e); err != nil {
		return err
	}
	h.entry = e
	return nil
}

// FieldExpiry returns the moment at which a field expires, in Unix milliseconds, 0 if
// it never does, and whether the field is there.
func (h *Hash) FieldExpiry(field []byte) (at int64, ok bool, err error) {
	if !h.Exists() {
		return 0, false, nil
	}
	h.s.buf = store.AppendHashFieldKey(h.s.scratch(), h.home, field)
	row, ok, err := h.s.tx.Get(h.s.buf)
	if !ok {
		return 0, false, err
	}
	return millis(row.ExpireAt), true, err
}

// ExpireFields calls choose for each of the fields, in order, with its place, when it expires, and
// whether it is there. If choose says true, the field, if it is there, expires at the moment returned; 0 is never.
// Moments are in Unix milliseconds. Fields whose time has come are removed, and their number is returned.
func (h *Hash) ExpireFields(fields [][]byte, choose func(i int, old int64, there bool) (at int64, ok bool)) (removed int64, err error) {
	for i, f := range fields {
		name := h.s.hashFieldName(h.home, f)
		row, there, err := h.s.tx.Get(name)
		if err != nil {
			return 0, err
		}
		there = there && h.Exists()
		if !there {
			row = txn.Row{}
		}
		at, ok := choose(i, millis(row.ExpireAt), there)
		switch {
		case !ok || !there:
		case at != 0 && at <= h.s.Now():
			removed++
			err = h.drop(f, name, row)
		default:
			err = h.expire(f, name, row, at)
		}
		if err != nil {
			return 0, err
		}
	}
	if removed > 0 {
		return removed, h.shrink(removed)
	}
	return 0, h.settle()
}

// expire makes a field, whose row is given, expire at a moment in Unix milliseconds; 0 is never.
func (h *Hash) expire(field, name []byte, row txn.Row, at int64) (err error) {
	var to uint64
	if at != 0 {
		if to, err = timestamp(at); err != nil {
			return err
		}
	}
	if to == row.ExpireAt {
		return nil
	}
	if err := h.schedule(field, row.ExpireAt, to); err != nil {
		return err
	}
	h.s.changed(h.key)
	return h.s.tx.Put(name, bytes.Clone(row.Value), to)
}

// copyFieldExpiries gives a hash whose home is to be here, and has copies of the rows of the fields of src that
// have not expired, the length and the index of expiries that go with them. It
// returns its directory entry, given that of src.
func (s *Space) copyFieldExpiries(src []byte, e entry, to *Space, here []byte) (entry, error) {
	var x expiring
	var names [][]byte
	c := s.collection(src, e)
	err := s.walkFieldTTL(c.home, e.expiring().soonest, store.Ascending, func(at uint64, field []byte) bool {
		if at <= s.tx.Now() {
			return true
		}
		if x.count == 0 {
			x.soonest = at
		}
		x.count++
		names = append(names, to.fieldTTLName(here, at, field))
		return true
	})
	if err != nil {
		return e, err
	}
	for _, name := range names {
		if err := s.tx.Put(name, nil, 0); err != nil {
			return e, err
		}
	}
	n, err := c.metaLen()
	if err != nil {
		return e, err
	}
	gone := e.expiring().count - x.count
	e.body = x.encode()
	return e, s.tx.Put(to.withPrefix(store.HashMetaKey(here)), store.MarshalHashMeta(store.HashMeta{Len: n - gone}), 0)
}
