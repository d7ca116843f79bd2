package txn

import (
	"bytes"
	"context"

	"github.com/elastickv/elastickv/store"
)

// Row is the state of a key in a transaction. Value may alias a buffer: it is
// valid as long as the transaction, or inside Walk as long as the call, and it
// is never to be modified.
type Row struct {
	Value    []byte
	ExpireAt uint64 // hybrid-logical timestamp; 0 means never
	TS       uint64 // commit timestamp; 0 if the row is not committed yet
}

// layer is one moment of the keys: rows that are not deleted, expired ones
// included.
type layer interface {
	row(key []byte) (Row, bool, error)
	walk(span store.Span, order store.Order, fn func(key []byte, r Row) bool) error
}

// snapshot is the layer of what an engine held at one timestamp.
type snapshot struct {
	ctx    context.Context
	engine store.Engine
	ts     uint64
}

func (s *snapshot) row(key []byte) (Row, bool, error) {
	v, ok, err := s.engine.VersionAt(s.ctx, key, s.ts)
	if err != nil || !ok || v.Tombstone {
		return Row{}, false, err
	}
	return Row{Value: v.Value, ExpireAt: v.ExpireAt, TS: v.TS}, true, nil
}

func (s *snapshot) walk(span store.Span, order store.Order, fn func(key []byte, r Row) bool) error {
	return s.engine.WalkAt(s.ctx, span, order, s.ts, func(key []byte, v store.VersionedValue) bool {
		return fn(key, Row{Value: v.Value, ExpireAt: v.ExpireAt, TS: v.TS})
	})
}

// overlay is a layer with buffered writes on top of another.
type overlay struct {
	writes
	base   layer
	hidden int // deleted keys that walks have passed
}

func (o *overlay) row(key []byte) (Row, bool, error) {
	if !o.empty() {
		if i := o.find(key); i >= 0 {
			wr := &o.log[i]
			return Row{Value: wr.value, ExpireAt: wr.expireAt}, !wr.deleted, nil
		}
	}
	return o.base.row(key)
}

// walk merges the buffered writes into the order of the base.
func (o *overlay) walk(span store.Span, order store.Order, fn func(key []byte, r Row) bool) error {
	if o.empty() {
		return o.base.walk(span, order, fn)
	}
	if span.End != nil && bytes.Compare(span.Start, span.End) >= 0 {
		return nil
	}
	cur, more := o.cursor(span, order), true
	emit := func() {
		if wr := cur.write(); !wr.deleted {
			more = fn(wr.key, Row{Value: wr.value, ExpireAt: wr.expireAt})
		} else {
			o.hidden++
		}
		cur.next()
	}
	err := o.base.walk(span, order, func(key []byte, r Row) bool {
		for more && cur.valid && cur.before(key) {
			emit()
		}
		switch {
		case !more:
		case cur.valid && bytes.Equal(cur.write().key, key):
			emit()
		default:
			more = fn(key, r)
		}
		return more
	})
	for err == nil && more && cur.valid {
		emit()
	}
	return err
}
