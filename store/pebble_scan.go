package store

import (
	"bytes"
	"context"
	"errors"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// scanStepsMost is how many versions of one key a scan passes one by one before
// it seeks over the rest. A step costs a fraction of a seek, and most keys have
// few versions.
const scanStepsMost = 4

// scanner walks the keys of a span, each once, in one consistent view.
type scanner struct {
	s    *pebbleStore
	ctx  context.Context
	iter *pebble.Iterator // of the view at hand
	rows rowDecoder
	ts   uint64
	// anyTS lets a walk read below the retention floor.
	anyTS bool
	// visible says that fn has no use for what has expired at ts.
	visible bool
	// rowsMost is how many rows a walk may pass before it gives up with errRowsMost; 0
	// is any number.
	rowsMost int
	fn       func(key []byte, v VersionedValue) bool // false ends the walk
	keeping  *keeping                                // nil if nothing is kept
	// skip is how many rows are left out before fn sees one.
	skip int64
	// counted is told of what pages have of the span, part by part, in the place of fn; nil if they are walked as the rest is.
	counted func(rows *pageRows, part Span)

	span    Span
	ranges  rangeCursor
	covered int // keys in a row that a range tombstone has deleted

	dead   deadRun // keys in a row that show nothing
	clean  bool    // whether the key at hand has no version above ts, as far as a descending walk knows
	passed int     // rows so far
	newer  bool    // a version above ts was met, or may have been

	buffers *scanBuffers
	bound   []byte // of the key at hand; a buffer
	seek    []byte // a buffer
	value   []byte // what a descending walk has found for the key at hand; a buffer
}

// scanBuffers is what walks leave to those that come later.
type scanBuffers struct {
	seat               viewSeat
	bound, seek, value []byte
}

var scansBuffers = sync.Pool{New: func() any { return &scanBuffers{seat: newViewSeat()} }}

// openSpan returns an iterator over the rows of span. The caller closes it.
func (s *pebbleStore) openSpan(span Span) (*pebble.Iterator, error) {
	options := s.spanOptions(span)
	return s.db.NewIter(&options)
}

// spanOptions limits an iterator to the rows of span.
func (s *pebbleStore) spanOptions(span Span) pebble.IterOptions {
	lower, upper := appendSpanBounds(nil, span)
	return pebble.IterOptions{LowerBound: lower, UpperBound: upper}
}

// appendSpanBounds returns the bounds of the rows of span, one after the other behind dst.
func appendSpanBounds(dst []byte, span Span) (lower, upper []byte) {
	dst = appendKeyBound(dst, span.Start)
	n := len(dst)
	if span.End == nil {
		dst = appendDataEnd(dst)
	} else {
		dst = appendKeyBound(dst, span.End)
	}
	lower, upper = dst[:n], dst[n:]
	if bytes.Compare(lower, upper) > 0 {
		lower = upper // a span that ends before it starts is empty
	}
	return lower, upper
}

// viewTriesMost is how often openView tries without a lock.
const viewTriesMost = 3

// openView opens a view and returns it with the range tombstones of the same moment.
func (s *pebbleStore) openView(seat viewSeat) (view, *rangeIndex, error) {
	for range viewTriesMost {
		moves := s.rangeMoves.Load()
		if moves%2 != 0 {
			continue
		}
		ranges := s.ranges.Load()
		v, err := s.views.open(&s.views.spans, seat, &everyRow)
		if err != nil || s.rangeMoves.Load() == moves {
			return v, ranges, err
		}
		if err := s.views.close(v); err != nil {
			return view{}, nil, err
		}
	}
	s.apply.Lock()
	defer s.apply.Unlock()
	v, err := s.views.open(&s.views.spans, seat, &everyRow)
	return v, s.ranges.Load(), err
}

// everyRow is for views whose bounds are set later.
var everyRow = pebble.IterOptions{}

// firstError returns the first error that is not nil.
func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// ScanAt implements MVCCStore.
func (s *pebbleStore) ScanAt(ctx context.Context, start []byte, end []byte, limit int, ts uint64) ([]*KVPair, error) {
	return s.scan(ctx, Span{Start: start, End: end}, Ascending, limit, ts)
}

// ReverseScanAt implements MVCCStore.
func (s *pebbleStore) ReverseScanAt(ctx context.Context, start []byte, end []byte, limit int, ts uint64) ([]*KVPair, error) {
	return s.scan(ctx, Span{Start: start, End: end}, Descending, limit, ts)
}

func (s *pebbleStore) scan(ctx context.Context, span Span, order Order, limit int, ts uint64) ([]*KVPair, error) {
	if limit <= 0 {
		if err := s.enter(); err != nil {
			return nil, err
		}
		s.gate.leave()
		return []*KVPair{}, ctx.Err()
	}
	copies := rowCopies{limit: limit, list: []*KVPair{}}
	w := &scanner{s: s, ctx: ctx, ts: ts, visible: true, fn: func(key []byte, v VersionedValue) bool {
		if shown(v, ts) {
			copies.add(key, v.Value)
		}
		return len(copies.list) < limit
	}}
	if err := w.enter(span, order); err != nil {
		return nil, err
	}
	return copies.list, nil
}

// WalkAt implements Engine.
func (s *pebbleStore) WalkAt(ctx context.Context, span Span, order Order, ts uint64, fn func(key []byte, v VersionedValue) bool) error {
	w := &scanner{s: s, ctx: ctx, ts: ts, fn: fn}
	return w.enter(span, order)
}

// WalkKeeping implements Engine. What pages have of the span is not kept, nor what a descending walk passes.
func (s *pebbleStore) WalkKeeping(ctx context.Context, span Span, order Order, ts uint64, fn func(key []byte, v VersionedValue) (more, keep bool)) error {
	k := &keeping{cache: &s.versions}
	w := &scanner{s: s, ctx: ctx, ts: ts, keeping: k, fn: func(key []byte, v VersionedValue) (more bool) {
		more, k.wanted = fn(key, v)
		return more
	}}
	return w.enter(span, order)
}

// WalkBehind implements Engine.
func (s *pebbleStore) WalkBehind(ctx context.Context, span Span, order Order, skip int64, ts uint64, fn func(key []byte, v VersionedValue) bool) error {
	w := &scanner{s: s, ctx: ctx, ts: ts, skip: max(skip, 0)}
	w.fn = func(key []byte, v VersionedValue) bool {
		if w.skip > 0 {
			w.skip--
			return true
		}
		return fn(key, v)
	}
	return w.enter(span, order)
}

// CountAt implements Engine.
func (s *pebbleStore) CountAt(ctx context.Context, span Span, ts, moment uint64) (n int64, err error) {
	w := &scanner{s: s, ctx: ctx, ts: ts, fn: func(_ []byte, v VersionedValue) bool {
		if shown(v, moment) {
			n++
		}
		return true
	}, counted: func(rows *pageRows, part Span) {
		n += int64(rows.count(part, moment))
	}}
	if err := w.enter(span, Ascending); err != nil {
		return 0, err
	}
	return n, nil
}

// keeping puts into the version cache what a walk finds.
type keeping struct {
	cache         *versionCache
	marks         [cacheShards]uint64
	wanted        bool // the row at hand
	wants, knowns int  // rows that were wanted, and those of them that the cache had
}

// keepingTries is after how many rows a walk stops looking for each in the cache, if nearly all are there: of a set that was written
// lately, say. To look takes longer than to walk.
const keepingTries = 16

// take puts in v, if it is wanted, which has to be the newest version of key in a view opened after the marks were taken.
func (k *keeping) take(key []byte, v VersionedValue) {
	if !k.wanted || k.wants >= keepingTries && k.knowns > k.wants*7/8 {
		return
	}
	k.wanted = false
	k.wants++
	if k.cache.foundSince(&k.marks, key, v) {
		k.knowns++
	}
}

// enter is walk for a caller outside the gate.
func (w *scanner) enter(span Span, order Order) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if err := w.s.enter(); err != nil {
		return err
	}
	defer w.s.gate.leave()
	return w.through(span, order)
}

// walk opens a view and calls fn for what it has of span. The caller is inside the gate.
func (w *scanner) walk(span Span, order Order) error {
	w.dead = deadRun{gaps: &w.s.gaps, ts: w.ts, noted: w.s.gaps.begin(), durable: w.s.lastCommitTS.Load()}
	defer w.s.gaps.end()
	w.takeBuffers()
	defer w.leaveBuffers()
	w.rows, w.span = w.s.newRowDecoder(), span
	if w.keeping != nil {
		w.s.versions.marks(&w.keeping.marks)
	}
	v, ranges, err := w.s.openView(w.buffers.seat)
	if err != nil {
		return err
	}
	w.iter = v.iter
	lower, upper := appendSpanBounds(w.seek[:0], span)
	w.iter.SetBounds(lower, upper) // which copies them
	w.seek = lower[:0]
	w.ranges.index = ranges
	if !w.anyTS {
		err = w.s.checkReadable(w.ts)
	}
	if err == nil {
		if order == Descending {
			err = w.descend()
		} else {
			err = w.ascend(span)
		}
	}
	return firstError(err, w.s.views.close(v))
}

func (w *scanner) takeBuffers() {
	b := scansBuffers.Get().(*scanBuffers)
	w.buffers, w.bound, w.seek, w.value = b, b.bound, b.seek, b.value
}

func (w *scanner) leaveBuffers() {
	const most = 64 << 10 // bytes of each, more are not kept
	b := w.buffers
	w.buffers = nil
	if max(cap(w.bound), cap(w.seek), cap(w.value)) > most {
		b.bound, b.seek, b.value = nil, nil, nil
	} else {
		b.bound, b.seek, b.value = w.bound, w.seek, w.value
	}
	scansBuffers.Put(b)
}

// errRowsMost ends a walk that has passed rowsMost rows.
var errRowsMost = errors.New("store: more rows than were to be looked at")

// pass counts a row and, now and then, looks whether the walk is still wanted.
func (w *scanner) pass() error {
	w.passed++
	if w.rowsMost > 0 && w.passed > w.rowsMost {
		return errRowsMost
	}
	if w.passed%ctxCheckEvery != 0 {
		return nil
	}
	if w.s.gate.closing() {
		return ErrClosed
	}
	return w.ctx.Err()
}

// ascend meets the newest version of each key first.
func (w *scanner) ascend(span Span) error {
	steps := 0
	for ok := w.first(span); ok; {
		if err := w.pass(); err != nil {
			return err
		}
		physical := w.iter.Key()
		key, commitTS, err := parseVersionKey(physical)
		if err != nil {
			return err
		}
		if commitTS > w.ts {
			w.newer = true
			w.dead.end(key)
			w.dead.refuse(key)
			ok, steps = w.older(steps)
			continue
		}
		row, err := w.iter.ValueAndErr()
		if err != nil {
			return err
		}
		v, err := w.rows.version(physical, row)
		if err != nil {
			return err
		}
		v.TS = commitTS
		if w.ranges.index.newerThan(commitTS) {
			v = w.ranges.over(key, v, w.ts)
		}
		if v.Tombstone {
			if ok, err = w.bury(key, v.TS != commitTS); err != nil {
				return err
			}
			continue
		}
		w.covered = 0
		w.dead.end(key)
		more := w.fn(key, v)
		if w.keeping != nil && !w.newer {
			w.keeping.take(key, v)
		}
		if !more {
			return nil
		}
		ok = w.iter.NextPrefix()
	}
	if span.End != nil {
		w.dead.end(span.End)
	}
	return w.iter.Error()
}

// first moves to the first row of span, over the gap that span may begin with.
func (w *scanner) first(span Span) bool {
	gap, ok := w.over(span.Start)
	if !ok {
		return w.iter.First()
	}
	w.dead.jump(span.Start)
	w.seek = appendKeyBound(w.seek[:0], gap.End)
	return w.iter.SeekGE(w.seek)
}

// over returns the gap around key that the walk may leave out.
func (w *scanner) over(key []byte) (Span, bool) {
	if !w.s.settled(w.ts) {
		return Span{}, false
	}
	return w.s.gaps.over(key, w.ts)
}

// bury counts a dead key and moves on, over the gap that it may lie in, or over what
// else the range tombstone that covers it has deleted.
func (w *scanner) bury(key []byte, covered bool) (ok bool, err error) {
	look := w.dead.add(key)
	if look {
		if gap, ok := w.over(key); ok {
			w.dead.jump(key)
			w.seek = appendKeyBound(w.seek[:0], gap.End)
			return w.iter.SeekGE(w.seek), nil
		}
	}
	if w.count(covered) {
		return w.leap(key)
	}
	return w.iter.NextPrefix(), nil
}

// older leaves a version that is too new: to the next row, which may be the one
// wanted, or, after some steps within one key, to the one wanted by a seek. It
// returns the number of steps made within the key.
func (w *scanner) older(steps int) (ok bool, _ int) {
	bound := boundOf(w.iter.Key())
	if steps == 0 || !bytes.Equal(bound, w.bound) {
		w.bound = append(w.bound[:0], bound...)
		steps = 0
	}
	if steps < scanStepsMost {
		return w.iter.Next(), steps + 1
	}
	w.seek = appendKeySuffix(append(w.seek[:0], w.bound...), w.ts)
	return w.iter.SeekGE(w.seek), 0
}

// descend meets the oldest version of each key first.
func (w *scanner) descend() error {
	for ok := w.iter.Last(); ok; {
		if err := w.pass(); err != nil {
			return err
		}
		_, commitTS, err := parseVersionKey(w.iter.Key())
		if err != nil {
			return err
		}
		w.bound = append(w.bound[:0], boundOf(w.iter.Key())...)
		key := w.bound[keyHeadSize : len(w.bound)-1]
		if commitTS > w.ts {
			w.newer = true
			w.dead.endAbove(key)
			ok = w.iter.SeekLT(w.bound)
			continue
		}
		if ok, commitTS, err = w.newest(commitTS); err != nil {
			return err
		}
		w.seek = appendKeySuffix(append(w.seek[:0], w.bound...), commitTS)
		v, err := w.rows.version(w.seek, w.value)
		if err != nil {
			return err
		}
		v.TS = commitTS
		if v = w.ranges.over(key, v, w.ts); v.Tombstone && w.clean {
			if ok, err = w.buryBelow(key, ok, v.TS != commitTS); err != nil {
				return err
			}
			continue
		}
		w.covered = 0
		w.dead.endAbove(key)
		if !v.Tombstone && !w.fn(key, v) {
			return nil
		}
	}
	return w.iter.Error()
}

// buryBelow is bury for a descending walk, which has left the key already; ok says
// whether there is another one below.
func (w *scanner) buryBelow(key []byte, ok, covered bool) (bool, error) {
	look := w.dead.addBelow(key)
	if !ok {
		return false, nil
	}
	if look {
		if gap, jump := w.over(key); jump {
			w.dead.jump(key)
			w.seek = appendKeyBound(w.seek[:0], gap.Start)
			return w.iter.SeekLT(w.seek), nil
		}
	}
	if w.count(covered) {
		return w.leapBelow(key)
	}
	return true, nil
}

// newest begins at the oldest version of the key at hand, which is not too new,
// keeps the value of the newest one that is not, and leaves the key. It returns
// that version's timestamp and whether there is another key below.
func (w *scanner) newest(commitTS uint64) (ok bool, _ uint64, err error) {
	w.clean = true
	for steps := 0; ; steps++ {
		if err := w.keepValue(); err != nil {
			return false, 0, err
		}
		if !w.iter.Prev() {
			return false, commitTS, w.iter.Error()
		}
		if !bytes.Equal(boundOf(w.iter.Key()), w.bound) {
			return true, commitTS, nil
		}
		_, newer, err := parseVersionKey(w.iter.Key())
		if err != nil {
			return false, 0, err
		}
		if newer > w.ts {
			w.clean, w.newer = false, true
			break
		}
		commitTS = newer
		if steps == scanStepsMost {
			w.clean, w.newer = false, true // the versions above were not looked at
			if commitTS, err = w.jumpToNewest(); err != nil {
				return false, 0, err
			}
			break
		}
	}
	ok = w.iter.SeekLT(w.bound)
	return ok, commitTS, w.iter.Error()
}

// jumpToNewest seeks the version wanted of the key at hand, of which one exists.
func (w *scanner) jumpToNewest() (uint64, error) {
	w.seek = appendKeySuffix(append(w.seek[:0], w.bound...), w.ts)
	if !w.iter.SeekGE(w.seek) {
		return 0, errors.Join(errRowLost, w.iter.Error())
	}
	_, commitTS, err := parseVersionKey(w.iter.Key())
	if err != nil {
		return 0, err
	}
	return commitTS, w.keepValue()
}

// errRowLost says that a row is not found again in the view it was found in.
var errRowLost = errors.New("store: row lost within one view of the engine")

func (w *scanner) keepValue() error {
	row, err := w.iter.ValueAndErr()
	w.value = append(w.value[:0], row...)
	return err
}

// boundOf returns the bound that a row's key begins with.
func boundOf(key []byte) []byte { return key[:splitKey(key)] }
