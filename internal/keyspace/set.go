package keyspace

import (
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// Set is the set at one key. A set that is not there is empty.
type Set struct{ collection }

// Set opens the set at key.
func (s *Space) Set(key []byte) (*Set, error) {
	c, err := s.openCollection(key, KindSet)
	if err != nil {
		return nil, err
	}
	t := room(s.shared.memory, func(m *Memory) *spare[Set] { return &m.set })
	*t = Set{c}
	return t, nil
}

// Compact reports whether the set is one that Redis keeps in an intset or a listpack.
func (t *Set) Compact() bool { return t.entry.enc < encLarge }

// Len returns the number of members.
func (t *Set) Len() (int64, error) { return t.metaLen() }

// Has reports whether member is in the set.
func (t *Set) Has(member []byte) (bool, error) {
	if !t.Exists() {
		return false, nil
	}
	t.s.buf = store.AppendSetMemberKey(t.s.scratch(), t.home, member)
	_, ok, err := t.s.tx.Get(t.s.buf)
	return ok, err
}

// Add puts members into the set and returns how many of them are new.
func (t *Set) Add(members ...[]byte) (int64, error) {
	had, err := t.Len()
	if err != nil || len(members) == 0 {
		return 0, err
	}
	g := t.growth(had, members[0], len(members))
	for _, m := range members {
		name := t.memberName(m)
		if _, ok, err := t.s.tx.Get(name); err != nil {
			return 0, err
		} else if ok {
			continue
		}
		if err := t.s.tx.Put(name, nil, 0); err != nil {
			return 0, err
		}
		t.s.shared.samples.added(name[:len(name)-len(m)], m, g.n, t.s.Now())
		g.add(m)
	}
	if g.n == had {
		return 0, nil
	}
	if err := t.ensure(KindSet, g.enc); err != nil {
		return 0, err
	}
	return g.n - had, t.setMetaLen(g.n)
}

// Remove takes members out of the set and returns how many were in it.
func (t *Set) Remove(members ...[]byte) (int64, error) {
	var removed int64
	for _, m := range members {
		ok, err := t.Has(m)
		if err != nil {
			return 0, err
		}
		if !ok {
			continue
		}
		removed++
		if err := t.s.tx.Delete(t.memberName(m)); err != nil {
			return 0, err
		}
	}
	return removed, t.shrink(removed)
}

// shrink lowers the length by the number of members that have been removed.
func (t *Set) shrink(removed int64) error {
	if removed == 0 {
		return nil
	}
	n, err := t.Len()
	if err != nil {
		return err
	}
	t.s.changed(t.key)
	return t.setMetaLen(n - removed)
}

// Walk calls fn for every member from start on (nil: from the first), in
// ascending order, until fn returns false. fn must not write; member is valid
// only during the call.
func (t *Set) Walk(start []byte, fn func(member []byte) bool) error {
	return t.walkElements(store.SetMemberScanPrefix(t.home), start, store.Ascending,
		func(member []byte, _ txn.Row) bool { return fn(member) })
}

// StoreSet makes key a set of the given members, each listed once, whatever it
// was before and without an expiry. Without members the key is removed.
func (s *Space) StoreSet(key []byte, members [][]byte) error {
	if len(members) == 0 {
		_, err := s.Remove(key)
		return err
	}
	old, home, err := s.clearForRows(key)
	if err != nil {
		return err
	}
	t := &Set{s.collection(key, entry{}.at(key, home))}
	g := setGrowth{limits: s.shared.limits}
	for _, m := range members {
		if err := s.tx.Put(t.memberName(m), nil, 0); err != nil {
			return err
		}
		g.add(m)
	}
	t.entry = entry{kind: KindSet, enc: g.enc}.at(key, home)
	if err := s.write(key, old, t.entry); err != nil {
		return err
	}
	return t.setMetaLen(g.n)
}

func (t *Set) memberName(member []byte) []byte {
	return store.AppendSetMemberKey(t.s.row(len(store.SetMemberPrefix)+4+len(t.home)+len(member)), t.home, member)
}

// Random returns a random member, and whether there is one.
func (t *Set) Random(rnd Random) ([]byte, bool, error) {
	p, err := t.members(rnd)
	if err != nil {
		return nil, false, err
	}
	e, ok, err := p.one()
	return e.name, ok, err
}

// Sample returns k different random members, or all if there are not that many.
func (t *Set) Sample(k int64, rnd Random) ([][]byte, error) {
	p, err := t.members(rnd)
	if err != nil {
		return nil, err
	}
	rows, err := p.some(k)
	return names(rows), err
}

// Draw calls fn with k random members, which may repeat, until fn fails. It
// does nothing if the set is empty.
func (t *Set) Draw(k int64, rnd Random, fn func(member []byte) error) error {
	p, err := t.members(rnd)
	if err != nil {
		return err
	}
	return p.each(k, func(e element) error { return fn(e.name) })
}

// Pop takes k random members out of the set, or all if there are not that many,
// and returns them.
func (t *Set) Pop(k int64, rnd Random) ([][]byte, error) {
	p, err := t.members(rnd)
	if err != nil || p.n == 0 || k <= 0 {
		return nil, err
	}
	p.remove = true
	rows, err := p.some(k)
	if err != nil {
		return nil, err
	}
	if int64(len(rows)) == p.n {
		return names(rows), t.removeAll()
	}
	for _, e := range rows {
		if err := t.s.tx.Delete(t.memberName(e.name)); err != nil {
			return nil, err
		}
	}
	return names(rows), t.shrink(int64(len(rows)))
}

func (t *Set) members(rnd Random) (*pool, error) {
	n, err := t.Len()
	if err != nil {
		return nil, err
	}
	p := t.pool(store.SetMemberScanPrefix(t.home), n, rnd)
	p.keys = true
	return p, nil
}

func names(rows []element) [][]byte {
	out := make([][]byte, len(rows))
	for i, e := range rows {
		out[i] = e.name
	}
	return out
}

// setGrowth follows what Redis calls the encoding of a set while members are
// added to it.
type setGrowth struct {
	limits *Limits
	enc    encoding
	n      int64 // members
}

// growth starts with the set as it is, with n members, about to be given count
// members, of which first is the first.
func (t *Set) growth(n int64, first []byte, count int) setGrowth {
	g := setGrowth{limits: t.s.shared.limits, enc: t.entry.enc, n: n}
	l := g.limits
	switch {
	case !t.Exists() && !isInteger(first):
		g.enc = encListpack
	case !t.Exists() && count > l.SetMaxIntsetEntries:
		g.enc = encListpack
	}
	if g.enc == encListpack && count > l.SetMaxListpackEntries || g.enc == encCompact && count > l.SetMaxIntsetEntries {
		g.enc = encLarge
	}
	return g
}

// add accounts for one new member.
func (g *setGrowth) add(member []byte) {
	l := g.limits
	compact := g.n < int64(l.SetMaxListpackEntries) && len(member) <= l.SetMaxListpackValue
	g.n++
	switch {
	case g.enc == encLarge:
	case g.enc == encCompact && isInteger(member):
		if g.n > int64(l.SetMaxIntsetEntries) {
			g.enc = encLarge
		}
	case compact:
		g.enc = encListpack
	default:
		g.enc = encLarge
	}
}
