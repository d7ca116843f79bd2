package store

import (
	"bytes"

	"github.com/cockroachdb/pebble/v2"
)

// leapAfter is how many keys in a row a range tombstone must have deleted before a
// walk looks for the end of them. A look opens another iterator.
const leapAfter = 16

// count counts keys in a row under range tombstones, and reports whether to leap.
func (w *scanner) count(covered bool) bool {
	if !covered {
		w.covered = 0
		return false
	}
	w.covered++
	return w.covered%leapAfter == 0
}

// deletedUpTo returns the timestamp up to which nothing of the fragment of key is of use
// to the walk.
func (w *scanner) deletedUpTo(key []byte) (f rangeFragment, ts uint64, ok bool) {
	f = w.ranges.fragment(key)
	ts, ok = f.highest(w.ts, !w.visible)
	return f, ts, ok
}

// emptied reports whether what a leap passes over in f shows nothing to any walk. A scan
// also leaps over values that have expired, which others show.
func (w *scanner) emptied(f rangeFragment) bool {
	if !w.visible {
		return true
	}
	ts, ok := f.highest(w.ts, false)
	all, emptied := f.highest(w.ts, true)
	return ok && emptied && all == ts
}

// leap moves an ascending walk from key, which a range tombstone has deleted, to the next
// key of the fragment that has been written since, or to the fragment's end. Blocks
// that have only what the tombstone has deleted are not read.
func (w *scanner) leap(key []byte) (ok bool, err error) {
	f, ts, ok := w.deletedUpTo(key)
	if !ok {
		return w.iter.NextPrefix(), nil
	}
	from := append(cloneBytes(key), 0)
	to := f.span.End
	if w.span.End != nil && (to == nil || bytes.Compare(w.span.End, to) < 0) {
		to = w.span.End
	}
	iter, err := w.since(Span{from, to}, ts)
	if err != nil {
		return false, err
	}
	w.seek = w.seek[:0]
	for ok := iter.First(); ok && len(w.seek) == 0; ok = iter.Next() {
		if err := w.pass(); err != nil {
			return false, firstError(err, iter.Close())
		}
		if _, written, err := parseVersionKey(iter.Key()); err == nil && written >= ts {
			w.seek = append(w.seek, boundOf(iter.Key())...)
		}
	}
	if err := firstError(iter.Error(), iter.Close()); err != nil {
		return false, err
	}
	if len(w.seek) == 0 {
		w.seek = appendDataEnd(w.seek)
		if to != nil {
			w.seek = appendKeyBound(w.seek[:0], to)
		}
	}
	if w.emptied(f) {
		w.dead.jump(from) // key itself may have a version above ts
	} else {
		w.dead.end(from)
	}
	return w.iter.SeekGE(w.seek), w.iter.Error()
}

// leapBelow is leap for a descending walk.
func (w *scanner) leapBelow(key []byte) (ok bool, err error) {
	f, ts, ok := w.deletedUpTo(key)
	if !ok {
		return true, nil
	}
	from := f.span.Start
	if bytes.Compare(w.span.Start, from) > 0 {
		from = w.span.Start
	}
	iter, err := w.since(Span{from, cloneBytes(key)}, ts)
	if err != nil {
		return false, err
	}
	w.seek = w.seek[:0]
	for ok := iter.Last(); ok && len(w.seek) == 0; ok = iter.Prev() {
		if err := w.pass(); err != nil {
			return false, firstError(err, iter.Close())
		}
		if userKey, written, err := parseVersionKey(iter.Key()); err == nil && written >= ts {
			w.seek = appendKeyBound(w.seek, append(cloneBytes(userKey), 0))
		}
	}
	if err := firstError(iter.Error(), iter.Close()); err != nil {
		return false, err
	}
	if len(w.seek) == 0 {
		w.seek = appendKeyBound(w.seek, from)
	}
	if w.emptied(f) {
		w.dead.jump(key)
	} else {
		w.dead.endAbove(key)
	}
	return w.iter.SeekLT(w.seek), w.iter.Error()
}

// since returns an iterator over span, in the walk's own view, that has every row
// committed at ts or later.
func (w *scanner) since(span Span, ts uint64) (*pebble.Iterator, error) {
	options := w.s.spanOptions(span)
	options.PointKeyFilters = committedIn(ts, maxTS)
	return w.iter.Clone(pebble.CloneOptions{IterOptions: &options})
}
