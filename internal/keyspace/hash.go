package keyspace

import (
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// Hash is the hash at one key. A hash that is not there is empty.
type Hash struct{ collection }

// Field is a field of a hash and its value.
type Field struct{ Name, Value []byte }

// Hash opens the hash at key.
func (s *Space) Hash(key []byte) (*Hash, error) {
	c, err := s.openCollection(key, KindHash)
	if err != nil {
		return nil, err
	}
	return &Hash{c}, nil
}

// Compact reports whether the hash is one that Redis keeps in a listpack.
func (h *Hash) Compact() bool { return h.entry.enc == encCompact }

// Len returns the number of fields.
func (h *Hash) Len() (int64, error) { return h.metaLen(store.HashMetaKey(h.key)) }

// Get returns the value of a field and whether the field is there.
func (h *Hash) Get(field []byte) ([]byte, bool, error) {
	if !h.Exists() {
		return nil, false, nil
	}
	h.s.buf = store.AppendHashFieldKey(h.s.scratch(), h.key, field)
	row, ok, err := h.s.tx.Get(h.s.buf)
	return row.Value, ok, err
}

// Set gives a field a value and reports whether the field is new.
func (h *Hash) Set(field, value []byte) (bool, error) {
	n, err := h.SetAll(Field{field, value})
	return n > 0, err
}

// SetAll gives fields values and returns how many of the fields are new.
func (h *Hash) SetAll(fields ...Field) (int64, error) {
	if len(fields) == 0 {
		return 0, nil
	}
	var added int64
	var longest int
	for _, f := range fields {
		isNew, err := h.put(f)
		if err != nil {
			return 0, err
		}
		if isNew {
			added++
		}
		longest = max(longest, len(f.Name), len(f.Value))
	}
	var n int64
	if added > 0 {
		old, err := h.Len()
		if err != nil {
			return 0, err
		}
		n = old + added
	}
	if err := h.ensure(KindHash, h.encoding(n, longest)); err != nil || added == 0 {
		return 0, err
	}
	return added, h.setMetaLen(store.HashMetaKey(h.key), n)
}

// put writes the row of a field and reports whether it is new.
func (h *Hash) put(f Field) (bool, error) {
	name := h.s.withPrefix(store.HashFieldKey(h.key, f.Name))
	had := false
	var err error
	if _, had, err = h.s.tx.Get(name); err != nil {
		return false, err
	}
	return !had, h.s.tx.Put(name, f.Value, 0)
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
	var removed int64
	for _, f := range fields {
		_, ok, err := h.Get(f)
		if err != nil {
			return 0, err
		}
		if !ok {
			continue
		}
		removed++
		if err := h.s.tx.Delete(h.s.withPrefix(store.HashFieldKey(h.key, f))); err != nil {
			return 0, err
		}
	}
	if removed == 0 {
		return 0, nil
	}
	n, err := h.Len()
	if err != nil {
		return 0, err
	}
	h.s.changed(h.key)
	return removed, h.setMetaLen(store.HashMetaKey(h.key), n-removed)
}

// Walk calls fn for every field from start on (nil: from the first), in
// ascending order, until fn returns false. fn must not write; field and value
// are valid only during the call.
func (h *Hash) Walk(start []byte, fn func(field, value []byte) bool) error {
	return h.walkElements(store.HashFieldScanPrefix(h.key), start, store.Ascending,
		func(field []byte, r txn.Row) bool { return fn(field, r.Value) })
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
	p := h.pool(store.HashFieldScanPrefix(h.key), n, rnd)
	p.keys = names
	return p, nil
}
