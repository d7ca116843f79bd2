package txn

import (
	"bytes"

	"github.com/elastickv/elastickv/store"
)

// Tx is a transaction: one unchanging view of the keys, with its own writes on
// top. It belongs to one goroutine at a time, and to the function it was handed
// to: it is not to be used after that returns.
//
// Keys and values given to Put and Delete are kept, not copied: the caller
// leaves them alone until the transaction has ended.
type Tx struct {
	view     overlay
	now      uint64
	readOnly bool
	ended    bool
	walking  int      // calls of Walk in progress; no write may happen while one is
	reads    *readSet // what was read, if somebody will verify it
	startTS  uint64   // timestamp of the snapshot
	most     int      // bytes that it may write; 0 if it only reads
	past     bool     // see Past
}

// Now is the hybrid-logical timestamp at which the transaction takes place:
// expiry is judged at it, and in an update it is the commit timestamp.
func (tx *Tx) Now() uint64 { return tx.now }

// ReadOnly reports whether the transaction refuses writes.
func (tx *Tx) ReadOnly() bool { return tx.readOnly }

// Get returns the row of key, if there is one that has not expired.
func (tx *Tx) Get(key []byte) (Row, bool, error) {
	r, ok, err := tx.Peek(key)
	return r, ok && !tx.Expired(r), err
}

// Peek is Get, but returns a row that has expired, too.
func (tx *Tx) Peek(key []byte) (Row, bool, error) {
	if tx.reads != nil {
		tx.reads.addKey(key)
	}
	return tx.view.row(key)
}

// GetInTurn is Get, for one who is likely to ask for the row behind it next. An update then reads some of those at once.
func (tx *Tx) GetInTurn(key []byte, t Turn) (Row, bool, error) {
	if tx.reads != nil {
		tx.reads.addKey(key)
	}
	r, ok, err := tx.view.rowInTurn(key, t)
	return r, ok && !tx.Expired(r), err
}

// Prefetch prepares look-ups of keys, so that they do not wait for memory one after the other. It reads nothing
// and waits for nothing. A few dozen keys at once are of use.
func (tx *Tx) Prefetch(keys [][]byte) { tx.view.prefetch(keys) }

// Expired reports whether r has expired at Now.
func (tx *Tx) Expired(r Row) bool { return r.expired(tx.now) }

// Past reports whether the transaction reads a moment at which it may find too old what PutNewest has written.
func (tx *Tx) Past() bool { return tx.past }

// Put writes a value with an expiry, 0 for none. It fails, and writes nothing,
// if the transaction is read-only or the key or value is over the limits of the store.
func (tx *Tx) Put(key, value []byte, expireAt uint64) error {
	return tx.put(write{key: key, value: value, expireAt: expireAt})
}

// PutNewest is Put for a row that says what other rows say too, such as how many there are: nobody reads it at a moment of
// the past. Of what transactions that are staged together make of it the last one is kept, which is one version
// in the place of hundreds if all of them add to one collection.
func (tx *Tx) PutNewest(key, value []byte) error {
	return tx.put(write{key: key, value: value, kind: newestVersion})
}

func (tx *Tx) put(wr write) error {
	if err := tx.mayWrite(); err != nil {
		return err
	}
	key, value := wr.key, wr.value
	if err := store.CheckSize(key, value); err != nil {
		return err
	}
	if tx.view.size+len(key)+len(value)+writeOverhead > tx.most {
		return ErrTooLarge
	}
	tx.view.add(wr)
	return nil
}

// Delete removes a key; that it was not there is no error.
func (tx *Tx) Delete(key []byte) error {
	if err := tx.mayWrite(); err != nil {
		return err
	}
	tx.view.add(write{key: key, deleted: true})
	return nil
}

// DeletePrefix removes every key that begins with prefix.
func (tx *Tx) DeletePrefix(prefix []byte) error { return tx.DeleteSpan(store.PrefixSpan(prefix)) }

// DeleteMany is DeletePrefix for a caller who knows that there are about n keys: of many it looks at none.
func (tx *Tx) DeleteMany(prefix []byte, n int64) error {
	if n <= deleteSingly {
		return tx.DeletePrefix(prefix)
	}
	span := store.PrefixSpan(prefix)
	if err := tx.mayWrite(); err != nil || isEmpty(span) {
		return err
	}
	return tx.sweep(span)
}

// deleteSingly is the number of keys up to which a span is deleted key by key.
// A span that is deleted whole costs every later read near it a look-up in
// memory until its versions are dropped; a key's own deletion costs the others
// nothing and goes with its row. A batch of so many still takes less time than a
// sync.
const deleteSingly = 64

// DeleteSpan removes every key of span. It takes about the same time and memory
// for any number of keys: it looks at the first few and, if there are more,
// deletes the span as a whole. A bound over the limits of the store may then be
// refused like a key.
func (tx *Tx) DeleteSpan(span store.Span) error {
	if err := tx.mayWrite(); err != nil || isEmpty(span) {
		return err
	}
	if tx.view.swept != nil && tx.view.swept.hidden.touches(span) {
		return tx.sweep(span) // the two become one and cost no more
	}
	keys, err := tx.keysBelow(span, deleteSingly+1)
	if err != nil {
		return err
	}
	if len(keys) > deleteSingly {
		return tx.sweep(span)
	}
	tx.view.dropWrites(span)
	for _, key := range keys {
		tx.view.add(write{key: key, deleted: true})
	}
	return nil
}

func (tx *Tx) sweep(span store.Span) error {
	for _, bound := range [][]byte{span.Start, span.End} {
		if err := store.CheckSize(bound, nil); err != nil {
			return err
		}
	}
	tx.view.sweep(cloneSpan(span))
	return nil
}

// keysBelow returns the first keys of span that were there before the
// transaction and that no deleted span hides, at most the given number.
func (tx *Tx) keysBelow(span store.Span, most int) ([][]byte, error) {
	var keys [][]byte
	var stop []byte
	err := tx.view.walkBelow(span, store.Ascending, func(key []byte, _ Row) bool {
		keys = append(keys, bytes.Clone(key))
		if len(keys) < most {
			return true
		}
		stop = bytes.Clone(key)
		return false
	})
	if tx.reads != nil {
		tx.reads.addSpan(walked(span, store.Ascending, stop))
	}
	return keys, err
}

// txBytesMost is what a transaction may write before it is refused: with the
// run that it is part of it has to fit into one batch of the engine, 2 GiB.
const txBytesMost = 1 << 30

// replicatedTxBytesMost is txBytesMost where the run has to fit into one entry of a log, 64 MiB.
const replicatedTxBytesMost = 48 << 20

func (tx *Tx) mayWrite() error {
	if tx.readOnly {
		return ErrReadOnly
	}
	if tx.ended {
		return ErrFinished
	}
	if tx.view.size > tx.most {
		return ErrTooLarge
	}
	if tx.walking > 0 {
		panic("txn: write inside Walk: collect the keys first")
	}
	return nil
}

// Fits returns ErrTooLarge if so many rows more, of which the names and values have so many bytes
// together, are more than the transaction may write.
func (tx *Tx) Fits(rows, size int64) error {
	if left := int64(tx.most - tx.view.size); rows > left/writeOverhead || size > left-rows*writeOverhead {
		return ErrTooLarge
	}
	return nil
}

// Walk calls fn for every row of span that has not expired, in the given order,
// until fn returns false. It sees the transaction's own writes. fn must not
// write. key and r.Value are valid only during the call.
func (tx *Tx) Walk(span store.Span, order store.Order, fn func(key []byte, r Row) bool) error {
	return tx.walk(span, order, fn, func(fn func(key []byte, r Row) bool) error {
		return tx.view.walk(span, order, tx.now, fn)
	})
}

// WalkAll is Walk over rows that have expired, too.
func (tx *Tx) WalkAll(span store.Span, order store.Order, fn func(key []byte, r Row) bool) error {
	return tx.walk(span, order, fn, func(fn func(key []byte, r Row) bool) error {
		return tx.view.walk(span, order, 0, fn)
	})
}

// WalkBehind is WalkAll but for the first rows, as many as skip says. Where nothing has been written in the transaction it may take
// much less time than to walk over those.
func (tx *Tx) WalkBehind(span store.Span, order store.Order, skip int64, fn func(key []byte, r Row) bool) error {
	return tx.walk(span, order, fn, func(fn func(key []byte, r Row) bool) error {
		return tx.view.walkBehind(span, order, skip, fn)
	})
}

// walk carries out one of the walks over the view.
func (tx *Tx) walk(span store.Span, order store.Order, fn func(key []byte, r Row) bool,
	over func(fn func(key []byte, r Row) bool) error,
) error {
	tx.walking++
	defer func() { tx.walking-- }()
	if tx.reads == nil {
		return over(fn)
	}
	var stop []byte // where fn said it had seen enough
	err := over(func(key []byte, r Row) bool {
		if fn(key, r) {
			return true
		}
		stop = append([]byte{}, key...)
		return false
	})
	tx.reads.addSpan(walked(span, order, stop))
	return err
}

// Count returns how many rows of span Walk would show. Where nothing has been written in the transaction it may take much less time.
func (tx *Tx) Count(span store.Span) (int64, error) {
	if tx.reads != nil {
		tx.reads.addSpan(span)
	}
	return tx.view.count(span, tx.now)
}

// WalkKeeping is WalkAll for one who goes on to look up some of the rows by themselves: those for which fn says keep are
// found in less time then.
func (tx *Tx) WalkKeeping(span store.Span, order store.Order, fn func(key []byte, r Row) (more, keep bool)) error {
	var wanted bool
	tx.view.keep(&wanted)
	defer tx.view.keep(nil)
	return tx.WalkAll(span, order, func(key []byte, r Row) (more bool) {
		more, wanted = fn(key, r)
		return more
	})
}

// walked is the part of span that a walk has seen if it ended at stop; nil
// means that it went to the end.
func walked(span store.Span, order store.Order, stop []byte) store.Span {
	switch {
	case stop == nil:
		return span
	case order == store.Ascending:
		return store.Span{Start: span.Start, End: append(stop, 0)}
	default:
		return store.Span{Start: stop, End: span.End}
	}
}

// Savepoint is a place in a transaction to which its writes can be rolled back.
type Savepoint struct{ writes, sweeps int }

// Savepoint marks the present state of the writes.
func (tx *Tx) Savepoint() Savepoint {
	tx.view.mark = len(tx.view.log)
	return Savepoint{writes: tx.view.mark, sweeps: tx.view.sweepCount()}
}

// RollbackTo takes back every write since the savepoint.
func (tx *Tx) RollbackTo(s Savepoint) { tx.view.truncate(s) }

// Changed reports whether the transaction has written anything since the savepoint.
func (tx *Tx) Changed(s Savepoint) bool {
	return len(tx.view.log) > s.writes || tx.view.sweepCount() > s.sweeps
}

// check returns what the transaction, an optimistic one, has relied on.
func (tx *Tx) check() *store.Check {
	return &store.Check{StartTS: tx.startTS, ReadKeys: tx.reads.keys, ReadRanges: tx.reads.spans}
}

// readSet is what an optimistic transaction relies on.
type readSet struct {
	keys  [][]byte
	spans []store.Span
}

func (r *readSet) addKey(key []byte) { r.keys = append(r.keys, bytes.Clone(key)) }

func (r *readSet) addSpan(s store.Span) { r.spans = append(r.spans, cloneSpan(s)) }

func cloneSpan(s store.Span) store.Span {
	c := store.Span{Start: bytes.Clone(s.Start)}
	if s.End != nil {
		c.End = append([]byte{}, s.End...)
	}
	return c
}
