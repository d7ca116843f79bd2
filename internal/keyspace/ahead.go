package keyspace

import (
	"bytes"
	"sync"

	"github.com/elastickv/elastickv/internal/eviction"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

const (
	// aheadMost is how many names are prepared at once. More would push each other out of the processor's caches.
	aheadMost = 64
	// aheadNameMost is the length of keys and elements, in bytes, that are prepared.
	aheadNameMost = 256
)

// Ahead collects what is about to be looked up. To name what then is not costs a little time, and nothing else.
type Ahead struct {
	uses  *eviction.Uses
	place int // where the database stands that it is of
	names [][]byte
	buf   []byte // that they stand in
	last  []byte // key
}

var aheads = sync.Pool{New: func() any { return new(Ahead) }}

// Prefetch prepares the look-ups that fill names, so that they do not wait for memory one after the other. It
// reads nothing and waits for nothing.
func (s *Space) Prefetch(fill func(a *Ahead)) {
	prefetch(s.shared.uses, s.place(), fill, s.tx.Prefetch)
}

// Prefetch is that of a Space for who has no transaction yet. fill says with In of which database it names keys. Once databases have
// been swapped nothing is prepared.
func (p *Places) Prefetch(db txn.DB, env Env, fill func(a *Ahead)) {
	if p.state.Load() == placesOwn {
		prefetch(env.Uses, 0, fill, db.Prefetch)
	}
}

func prefetch(uses *eviction.Uses, place int, fill func(a *Ahead), prepare func(names [][]byte)) {
	a := aheads.Get().(*Ahead)
	a.uses, a.place = uses, place
	fill(a)
	prepare(a.names)
	*a = Ahead{names: a.names[:0], buf: a.buf[:0]}
	aheads.Put(a)
}

// In says of which database the keys are that are named next.
func (a *Ahead) In(db int) {
	if place := int(ownPlaces[db]); place != a.place {
		a.place, a.last = place, nil
	}
}

// Key names a key. To name it several times in a row is to name it once.
func (a *Ahead) Key(key []byte) {
	if a.last != nil && bytes.Equal(a.last, key) || !a.room(key) {
		return
	}
	a.last = key
	a.uses.Prefetch(a.place, key)
	from := a.begin()
	a.add(from, append(append(a.buf, entryPrefix...), key...))
}

// Element names an element of the collection at key, which is a hash, a set or a sorted set, and has not been renamed.
func (a *Ahead) Element(kind Kind, key, element []byte) {
	if !a.room(key) || !a.room(element) {
		return
	}
	from := a.begin()
	switch kind {
	case KindHash:
		a.add(from, store.AppendHashFieldKey(a.buf, key, element))
	case KindSet:
		a.add(from, store.AppendSetMemberKey(a.buf, key, element))
	case KindZSet:
		a.add(from, store.AppendZSetMemberKey(a.buf, key, element))
	}
}

func (a *Ahead) room(name []byte) bool { return len(a.names) < aheadMost && len(name) <= aheadNameMost }

// begin starts a name, and returns where.
func (a *Ahead) begin() (from int) {
	from = len(a.buf)
	a.buf = append(a.buf, dbPrefix(a.place)...)
	return from
}

// add ends the name that begins at from.
func (a *Ahead) add(from int, buf []byte) {
	a.names = append(a.names, buf[from:])
	a.buf = buf
}
