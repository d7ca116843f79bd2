package txn

import (
	"bytes"
	"context"

	"github.com/elastickv/elastickv/store"
)

// Row is the state of a key in a transaction. Value may alias a buffer: it is
// valid as long as the transaction, or inside Walk as long as the call. In a transaction that only
// reads, what Get returns stays as it is for good. It is never to be modified.
type Row struct {
	Value    []byte
	ExpireAt uint64 // hybrid-logical timestamp; 0 means never
	TS       uint64 // commit timestamp; 0 if the row is not committed yet
}

// expired reports whether r has expired at now.
func (r Row) expired(now uint64) bool { return r.ExpireAt != 0 && r.ExpireAt <= now }

// layer is one moment of the keys: rows that are not deleted, expired ones
// included.
type layer interface {
	row(key []byte) (Row, bool, error)
	rowInTurn(key []byte, t Turn) (Row, bool, error)
	// walk leaves out what has expired at now; 0: nothing.
	walk(span store.Span, order store.Order, now uint64, fn func(key []byte, r Row) bool) error
	walkBehind(span store.Span, order store.Order, skip int64, fn func(key []byte, r Row) bool) error
	count(span store.Span, now uint64) (int64, error) // of the rows that have not expired at now
	// keep has walks from now on, until it is called again, look at wanted behind each row: if it is true, the row is kept at hand for who looks it up.
	keep(wanted *bool)
	prefetch(keys [][]byte)
}

// snapshot is the layer of what an engine held at one timestamp.
type snapshot struct {
	ctx    context.Context
	engine store.Engine
	ts     uint64
	wanted *bool // see keep; nil if nothing is
}

func (s *snapshot) row(key []byte) (Row, bool, error) {
	v, ok, err := s.engine.VersionAt(s.ctx, key, s.ts)
	if err != nil || !ok || v.Tombstone {
		return Row{}, false, err
	}
	return Row{Value: v.Value, ExpireAt: v.ExpireAt, TS: v.TS}, true, nil
}

// rowInTurn is row: who reads in a snapshot is done with it soon.
func (s *snapshot) rowInTurn(key []byte, _ Turn) (Row, bool, error) { return s.row(key) }

func (s *snapshot) prefetch(keys [][]byte) { s.engine.Prefetch(keys) }

func (s *snapshot) keep(wanted *bool) { s.wanted = wanted }

func (s *snapshot) walk(span store.Span, order store.Order, now uint64, fn func(key []byte, r Row) bool) error {
	// One function between the engine and fn, and no more: each costs as much as the engine's part where rows are in memory.
	show := func(key []byte, v store.VersionedValue) bool {
		r := Row{Value: v.Value, ExpireAt: v.ExpireAt, TS: v.TS}
		return r.expired(now) || fn(key, r)
	}
	if wanted := s.wanted; wanted != nil {
		return s.engine.WalkKeeping(s.ctx, span, order, s.ts, func(key []byte, v store.VersionedValue) (more, keep bool) {
			*wanted = false
			more = show(key, v)
			return more, *wanted
		})
	}
	return s.engine.WalkAt(s.ctx, span, order, s.ts, show)
}

func (s *snapshot) walkBehind(span store.Span, order store.Order, skip int64, fn func(key []byte, r Row) bool) error {
	return s.engine.WalkBehind(s.ctx, span, order, skip, s.ts, func(key []byte, v store.VersionedValue) bool {
		return fn(key, Row{Value: v.Value, ExpireAt: v.ExpireAt, TS: v.TS})
	})
}

func (s *snapshot) count(span store.Span, now uint64) (int64, error) {
	return s.engine.CountAt(s.ctx, span, s.ts, now)
}

// overlay is a layer with buffered writes on top of another.
type overlay struct {
	writes
	base layer
	// passed is what walks have had to pass: deleted keys, and swept spans.
	passed int
}

func (o *overlay) row(key []byte) (Row, bool, error) {
	if r, ok, known := o.own(key); known {
		return r, ok, nil
	}
	return o.base.row(key)
}

func (o *overlay) rowInTurn(key []byte, t Turn) (Row, bool, error) {
	if r, ok, known := o.own(key); known {
		return r, ok, nil
	}
	return o.base.rowInTurn(key, t)
}

// own returns what the buffer knows of a key.
func (o *overlay) own(key []byte) (r Row, ok, known bool) {
	if o.empty() {
		return Row{}, false, false
	}
	if i := o.find(key); i >= 0 {
		wr := &o.log[i]
		return Row{Value: wr.value, ExpireAt: wr.expireAt}, !wr.deleted, true
	}
	return Row{}, false, o.hides(key)
}

// keep concerns the base alone: what is buffered is at hand.
func (o *overlay) keep(wanted *bool) { o.base.keep(wanted) }

// prefetch prepares nothing of what is buffered: that is little, and was written a moment ago.
func (o *overlay) prefetch(keys [][]byte) { o.base.prefetch(keys) }

// walk merges the buffered writes into the order of the base.
func (o *overlay) walk(span store.Span, order store.Order, now uint64, fn func(key []byte, r Row) bool) error {
	if o.empty() {
		return o.base.walk(span, order, now, fn)
	}
	if isEmpty(span) {
		return nil
	}
	rest := o.behindGap(span, order)
	if isEmpty(rest) {
		return nil
	}
	m := merge{o: o, cur: o.cursor(rest, order), now: now, fn: fn, more: true, span: span, order: order, passed: o.passed}
	err := o.walkBelow(rest, order, m.row)
	for err == nil && m.more && m.cur.valid {
		m.emit()
	}
	if err == nil && !m.shown {
		m.nothingUpTo(span.End, span.Start)
	}
	return err
}

// walkBehind merges and counts, unless nothing is buffered.
func (o *overlay) walkBehind(span store.Span, order store.Order, skip int64, fn func(key []byte, r Row) bool) error {
	if o.empty() {
		return o.base.walkBehind(span, order, skip, fn)
	}
	return o.walk(span, order, 0, func(key []byte, r Row) bool {
		skip--
		return skip >= 0 || fn(key, r)
	})
}

// count merges, too, unless nothing is buffered.
func (o *overlay) count(span store.Span, now uint64) (n int64, err error) {
	if o.empty() {
		return o.base.count(span, now)
	}
	err = o.walk(span, store.Ascending, now, func([]byte, Row) bool {
		n++
		return true
	})
	return n, err
}

// walkBelow walks the base over those parts of span that have not been swept. A
// part costs a walk, however many rows lie between it and the one before.
func (o *overlay) walkBelow(span store.Span, order store.Order, fn func(key []byte, r Row) bool) error {
	if o.swept == nil {
		return o.base.walk(span, order, 0, fn)
	}
	var err error
	more, parts := true, 0
	o.swept.hidden.outside(span, order, func(part store.Span) bool {
		parts++
		err = o.base.walk(part, order, 0, func(key []byte, r Row) bool {
			more = fn(key, r)
			return more
		})
		return err == nil && more
	})
	o.passed += max(parts-1, 0)
	return err
}

// merge is a walk over an overlay in progress.
type merge struct {
	o    *overlay
	cur  cursor
	now  uint64 // what has expired then is not shown; 0: all is
	fn   func(key []byte, r Row) bool
	more bool // fn has not seen enough

	span   store.Span
	order  store.Order
	passed int  // by walks before
	shown  bool // the walk has come to a row
}

// row takes the next row of the base.
func (m *merge) row(key []byte, r Row) bool {
	for m.more && m.cur.valid && m.cur.before(key) {
		m.emit()
	}
	switch {
	case !m.more:
	case m.cur.valid && bytes.Equal(m.cur.write().key, key):
		m.emit()
	default:
		m.show(key, r)
	}
	return m.more
}

// emit hands on the buffered write at the cursor.
func (m *merge) emit() {
	if wr := m.cur.write(); !wr.deleted {
		m.show(wr.key, Row{Value: wr.value, ExpireAt: wr.expireAt})
	} else {
		m.o.passed++
	}
	m.cur.next()
}

// show hands a row to fn.
func (m *merge) show(key []byte, r Row) {
	if !m.shown {
		m.shown = true
		m.nothingUpTo(key, key)
	}
	m.more = r.expired(m.now) || m.fn(key, r)
}

// nothingUpTo remembers that the walk had to pass keys and showed none before, in its order, it came to a key, or else to an end of its
// span: above, if it was ascending, or below.
func (m *merge) nothingUpTo(above, below []byte) {
	switch {
	case m.o.passed == m.passed:
	case m.order == store.Ascending && above != nil:
		m.o.gaps[0].set(m.span.Start, above)
	case m.order == store.Descending && m.span.End != nil:
		if m.shown { // the key itself is none of it
			below = behind(below)
		}
		m.o.gaps[1].set(below, m.span.End)
	}
}
