package keyspace

import (
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// Hash is the hash at one key. A hash that is not there is empty, and a field that has
// expired is not there.
//
// The row of the length counts the rows of all fields, and until they are removed those
// that have expired, which the index of the fields' expiries tells.
type Hash struct {
	collection
	fieldExpiries
}

// Field is a field of a hash and its value.
type Field struct{ Name, Value []byte }

// Hash opens the hash at key.
func (s *Space) Hash(key []byte) (*Hash, error) {
	c, err := s.openCollection(key, KindHash)
	if err != nil {
		return nil, err
	}
	h := room(s.shared.memory, func(m *Memory) *spare[Hash] { return &m.hash })
	*h = Hash{collection: c, fieldExpiries: fieldExpiries{expiring: c.entry.expiring()}}
	return h, nil
}

// Compact reports whether the hash is one that Redis keeps in a listpack.
func (h *Hash) Compact() bool { return h.entry.enc == encCompact }

// Len returns the number of fields.
func (h *Hash) Len() (int64, error) {
	n, err := h.rows()
	if err != nil {
		return 0, err
	}
	due, err := h.due()
	return n - due, err
}

// rows returns the number that the row of the length has.
func (h *Hash) rows() (int64, error) { return h.metaLen() }

// Get returns the value of a field and whether the field is there.
func (h *Hash) Get(field []byte) ([]byte, bool, error) {
	if !h.Exists() {
		return nil, false, nil
	}
	h.s.buf = store.AppendHashFieldKey(h.s.scratch(), h.home, field)
	row, ok, err := h.s.tx.Get(h.s.buf)
	if !ok {
		return nil, false, err
	}
	return row.Value, true, err
}

// Set gives a field a value and reports whether the field is new.
func (h *Hash) Set(field, value []byte) (bool, error) {
	n, err := h.SetAll(Field{field, value})
	return n > 0, err
}

// SetAll gives fields values and returns how many of the fields are new. Those that
// were to expire do so no more.
func (h *Hash) SetAll(fields ...Field) (int64, error) { return h.setAll(fields, false) }

// UpdateAll gives fields values and leaves alone when they expire. Those that are not there are
// created.
func (h *Hash) UpdateAll(fields ...Field) error {
	_, err := h.setAll(fields, true)
	return err
}

// Update is UpdateAll for one field.
func (h *Hash) Update(field, value []byte) error { return h.UpdateAll(Field{field, value}) }

func (h *Hash) setAll(fields []Field, keepExpiry bool) (int64, error) {
	if len(fields) == 0 {
		return 0, nil
	}
	var added, rows int64
	var longest int
	for _, f := range fields {
		isNew, newRow, err := h.put(f, keepExpiry)
		if err != nil {
			return 0, err
		}
		added, rows = added+boolInt(isNew), rows+boolInt(newRow)
		longest = max(longest, len(f.Name), len(f.Value))
	}
	var n, due int64
	if rows > 0 {
		old, err := h.rows()
		if err != nil {
			return 0, err
		}
		if due, err = h.due(); err != nil {
			return 0, err
		}
		n = old + rows
	}
	if err := h.ensure(KindHash, h.encoding(n-due, longest)); err != nil {
		return 0, err
	}
	if rows > 0 {
		if err := h.setMetaLen(n); err != nil {
			return 0, err
		}
	}
	return added, h.settle()
}

func boolInt(b bool) int64 {
	if b {
		return 1
	}
	return 0
}

// put writes the row of a field, which keeps no expiry but, if so asked, one that has not come,
// and reports whether the field and whether its row is new.
func (h *Hash) put(f Field, keepExpiry bool) (isNew, newRow bool, err error) {
	name := h.s.hashFieldName(h.home, f.Name)
	row, had, err := h.s.tx.Peek(name)
	if err != nil {
		return false, false, err
	}
	isNew = !had || h.s.tx.Expired(row)
	var at uint64
	if keepExpiry && !isNew {
		at = row.ExpireAt
	}
	if had {
		if err := h.schedule(f.Name, row.ExpireAt, at); err != nil {
			return false, false, err
		}
	}
	return isNew, !had, h.s.tx.Put(name, f.Value, at)
}

// encoding is that of n fields, the longest name or value having that many bytes.
func (h *Hash) encoding(n int64, longest int) encoding {
	l := h.s.shared.limits
	if n > int64(l.HashMaxListpackEntries) || longest > l.HashMaxListpackValue {
		return encLarge
	}
	return encCompact
}

// Delete removes a field and reports whether it was there.
func (h *Hash) Delete(field []byte) (bool, error) {
	n, err := h.DeleteAll(field)
	return n > 0, err
}

// DeleteAll removes fields and returns how many of them were there.
func (h *Hash) DeleteAll(fields ...[]byte) (int64, error) {
	return h.TakeAll(fields, func([]byte, bool) {})
}

// TakeAll removes fields, calls fn for each, in order, with its value and whether it was there, and
// returns how many were. One that is named twice is there once.
func (h *Hash) TakeAll(fields [][]byte, fn func(value []byte, there bool)) (int64, error) {
	var removed int64
	for _, f := range fields {
		name := h.s.hashFieldName(h.home, f)
		row, ok, err := h.s.tx.Get(name)
		if err != nil {
			return 0, err
		}
		if !ok || !h.Exists() {
			fn(nil, false)
			continue
		}
		fn(row.Value, true)
		removed++
		if err := h.drop(f, name, row); err != nil {
			return 0, err
		}
	}
	if removed == 0 {
		return 0, nil
	}
	return removed, h.shrink(removed)
}

// drop removes the row of a field. The caller calls shrink when all is done.
func (h *Hash) drop(field, name []byte, row txn.Row) error {
	if err := h.schedule(field, row.ExpireAt, 0); err != nil {
		return err
	}
	return h.s.tx.Delete(name)
}

// shrink lowers the length by the number of rows that have been removed, and removes
// the hash if no field is left but some that have expired.
func (h *Hash) shrink(removed int64) error {
	h.s.changed(h.key)
	n, err := h.rows()
	if err != nil {
		return err
	}
	due, err := h.due()
	if err != nil {
		return err
	}
	if n -= removed; due > 0 && n == due {
		h.s.shared.fieldsExpired += due
		if err := h.removeAll(); err != nil {
			return err
		}
		return h.settle()
	}
	if err := h.setMetaLen(n); err != nil {
		return err
	}
	return h.settle()
}

// Walk calls fn for every field from start on (nil: from the first), in
// ascending order, until fn returns false. fn must not write; field and value
// are valid only during the call.
func (h *Hash) Walk(start []byte, fn func(field, value []byte) bool) error {
	return h.WalkExpiries(start, func(field, value []byte, _ int64) bool { return fn(field, value) })
}

// WalkExpiries is Walk that also tells when a field expires, in Unix milliseconds; 0 is never.
func (h *Hash) WalkExpiries(start []byte, fn func(field, value []byte, at int64) bool) error {
	return h.walkElements(store.HashFieldScanPrefix(h.home), start, store.Ascending,
		func(field []byte, r txn.Row) bool { return fn(field, r.Value, millis(r.ExpireAt)) })
}

// RandomName returns the name of a random field, and whether there is one.
func (h *Hash) RandomName(rnd Random) ([]byte, bool, error) {
	p, err := h.fields(rnd, true)
	if err != nil {
		return nil, false, err
	}
	e, ok, err := p.one()
	return e.name, ok, err
}

// Sample returns k different random fields, or all if there are not that many.
// Without values, only names are filled in.
func (h *Hash) Sample(k int64, values bool, rnd Random) ([]Field, error) {
	p, err := h.fields(rnd, !values)
	if err != nil {
		return nil, err
	}
	rows, err := p.some(k)
	out := make([]Field, len(rows))
	for i, e := range rows {
		out[i] = Field{e.name, e.value}
	}
	return out, err
}

// Draw calls fn with k random fields, which may repeat, until fn fails. It does
// nothing if the hash is empty.
func (h *Hash) Draw(k int64, values bool, rnd Random, fn func(Field) error) error {
	p, err := h.fields(rnd, !values)
	if err != nil {
		return err
	}
	return p.each(k, func(e element) error { return fn(Field{e.name, e.value}) })
}

func (h *Hash) fields(rnd Random, names bool) (*pool, error) {
	n, err := h.Len()
	if err != nil {
		return nil, err
	}
	p := h.pool(store.HashFieldScanPrefix(h.home), n, rnd)
	p.keys = names
	return p, nil
}
