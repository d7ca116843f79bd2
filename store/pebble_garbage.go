package store

import (
	"bytes"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

const (
	// compactDeletesMost is how many rows one batch of a compaction deletes; no
	// writer waits for more than that.
	compactDeletesMost = 1024
	// compactRowsMost is how many rows it looks at before it makes its progress durable.
	compactRowsMost = 16 << 10
	// compactTimeOfRow is how long it takes for a row, about, where there is no clock to tell.
	compactTimeOfRow = time.Microsecond
	// compactOneByOneMost is how many rows that stand in a row are deleted one by one. More go
	// by one deletion of a range: a hot key has millions, and so has a collection that
	// was deleted. Fewer do not, for every such range in the engine's memtable costs
	// all reads something.
	compactOneByOneMost = 256
	// compactIdleMost is how many keys in a row have no garbage before it is looked for where
	// there can be some. A look costs about as much as some keys.
	compactIdleMost = 64
)

// garbage collects, for one batch, the rows that nobody can read any more.
type garbage struct {
	s     *pebbleStore
	w     *write
	floor uint64
	since uint64 // up to here there is none

	iter     *pebble.Iterator
	recent   *pebble.Iterator // of what was committed above since and up to floor; nil until it is needed
	rows     rowDecoder
	covering rangeCursor

	began   time.Time // zero without a clock
	looked  int       // rows
	deletes int
	dropped int    // rows that are deleted one by one
	leaps   int    // over keys without garbage
	idle    int    // keys in a row without garbage
	covered int    // keys in a row under range tombstones
	bound   []byte // of the key at hand; a buffer
	kept    []byte // the row that reads at the floor see; a buffer
	row     []byte // a buffer

	run    deadRows
	ranges []deadRange // that it deletes
	gone   [][]byte    // keys that it has seen to lose their newest version
}

// full reports whether enough has been gathered. What has looked at nothing yet goes on, however long that took.
func (g *garbage) full() bool {
	return g.deletes >= compactDeletesMost || g.looked >= compactRowsMost || g.looked+g.deletes > 0 && g.worked() >= pauseAfter
}

// worked is for how long it has been at work.
func (g *garbage) worked() time.Duration {
	if g.began.IsZero() {
		return time.Duration(g.looked+g.deletes) * compactTimeOfRow
	}
	return g.s.progress.clock().Sub(g.began)
}

// work is what the batch amounts to.
func (g *garbage) work() CompactPass {
	return CompactPass{Rows: uint64(g.looked), Dropped: uint64(g.dropped), Ranges: uint64(len(g.ranges)),
		Keys: uint64(len(g.gone)), Skipped: uint64(g.leaps)}
}

// open opens the view. It may be called again, for another try.
func (g *garbage) open(span Span) (err error) {
	*g = garbage{s: g.s, w: g.w, floor: g.floor, since: g.since, rows: g.s.newRowDecoder(), gone: g.gone, began: g.began}
	// A tombstone that comes or goes in between concerns what is above the floor, or comes
	// with a late write.
	g.covering.index = g.s.ranges.Load()
	g.iter, err = g.s.openSpan(span)
	return err
}

func (g *garbage) close() error {
	err := g.iter.Close()
	if g.recent != nil {
		err = firstError(err, g.recent.Close())
	}
	return err
}

// collect gathers from p.next on and moves p to where it stopped.
func (g *garbage) collect(p *compactionPass) (err error) {
	span := p.span()
	if err := g.open(span); err != nil {
		return err
	}
	defer func() { err = firstError(err, g.close()) }()
	for ok := g.iter.First(); ok; {
		if g.full() {
			userKey, _, err := parseVersionKey(g.iter.Key())
			if err != nil {
				return err
			}
			p.next = cloneBytes(userKey)
			return g.flush(boundOf(g.iter.Key()))
		}
		if ok, err = g.key(); err != nil {
			return err
		}
		if ok && g.idle >= compactIdleMost && g.since > 0 {
			if ok, err = g.leap(span); err != nil {
				return err
			}
		}
	}
	if err := g.iter.Error(); err != nil {
		return err
	}
	if p.wrapped {
		p.next = p.begin
	} else {
		p.wrapped, p.next = true, []byte{}
	}
	return g.flush(endOf(span))
}

// endOf returns the bound at which span ends.
func endOf(span Span) []byte {
	if span.End == nil {
		return appendDataEnd(nil)
	}
	return appendKeyBound(nil, span.End)
}

// key handles the key whose newest row iter is at, and moves to the next one. It keeps
// every version above the floor and the newest other one, unless that one shows
// nothing and is alone.
func (g *garbage) key() (ok bool, err error) {
	deletes, dead := g.deletes, g.run.n
	g.bound = append(g.bound[:0], boundOf(g.iter.Key())...)
	_, ts, err := parseVersionKey(g.iter.Key())
	if err != nil {
		return false, err
	}
	g.looked++
	newer := ts > g.floor
	if newer {
		if err := g.flush(g.iter.Key()); err != nil {
			return false, err
		}
		g.kept = appendKeySuffix(append(g.kept[:0], g.bound...), g.floor)
		if !g.iter.SeekGE(g.kept) {
			return false, g.iter.Error()
		}
		if !bytes.Equal(boundOf(g.iter.Key()), g.bound) {
			g.idle++
			g.covered = 0
			return true, nil
		}
		if _, ts, err = parseVersionKey(g.iter.Key()); err != nil {
			return false, err
		}
	}
	userKey := g.bound[keyHeadSize : len(g.bound)-1]
	v, covered, err := g.base(userKey, ts)
	if err != nil {
		return false, err
	}
	// A range tombstone above the floor is a newer version too, if it has found one to delete.
	newer = newer || g.covering.over(userKey, v, maxTS).TS > g.floor
	if err := g.sortOut(userKey, v, newer, covered); err != nil {
		return false, err
	}
	if ok, err = g.older(); err != nil {
		return false, err
	}
	if g.idle++; g.deletes != deletes || g.run.n != dead {
		g.idle = 0
	}
	return g.passCovered(userKey, ok, covered)
}

// base decodes the row at hand and returns what reads at the floor see of its key: it, or
// the range tombstone that covers it.
func (g *garbage) base(userKey []byte, ts uint64) (v VersionedValue, covered bool, err error) {
	g.kept = append(g.kept[:0], g.iter.Key()...)
	row, err := g.iter.ValueAndErr()
	if err != nil {
		return v, false, err
	}
	if v, err = g.rows.header(row); err != nil {
		return v, false, err
	}
	v.TS = ts
	over := g.covering.over(userKey, v, g.floor)
	if covered = over.TS != ts; !covered && !shown(v, g.floor) {
		// It may go by what it says, so that has to be true.
		if _, err := g.rows.version(g.kept, row); err != nil {
			return v, false, err
		}
	}
	return over, covered, nil
}

// sortOut decides on the row at hand, of which reads at the floor see v.
func (g *garbage) sortOut(userKey []byte, v VersionedValue, newer, covered bool) error {
	switch {
	case newer && covered:
		// The tombstone is to stay, and the range that it is part of may go.
		m := &KVPairMutation{Op: OpTypeDelete, Key: userKey}
		if err := g.w.rows.put(g.w.batch, m, v.TS); err != nil {
			return err
		}
		g.deletes++
		g.run.add(g.kept)
	case newer, shown(v, g.floor):
		if err := g.flush(g.kept); err != nil {
			return err
		}
		if !newer && v.ExpireAt > g.floor {
			return g.w.batch.Set(appendExpiryKey(nil, v.ExpireAt, userKey), nil, nil)
		}
	default:
		g.gone = append(g.gone, cloneBytes(userKey))
		g.run.add(g.kept)
	}
	return nil
}

// older deletes what is below the row at hand, and moves to the next key.
func (g *garbage) older() (ok bool, err error) {
	n := 0
	for ok = g.iter.Next(); ok && bytes.Equal(boundOf(g.iter.Key()), g.bound); ok = g.iter.Next() {
		if n++; n > compactOneByOneMost {
			g.run.addMany(g.iter.Key())
			g.row = appendKeyBound(g.row[:0], append(cloneBytes(g.bound[keyHeadSize:len(g.bound)-1]), 0))
			return g.iter.SeekGE(g.row), g.iter.Error()
		}
		g.looked++
		g.run.add(g.iter.Key())
	}
	if !ok {
		return false, g.iter.Error()
	}
	// What follows may be alive: a run that is to go row by row does not wait for it.
	return true, nil
}

// passCovered moves on over what a range tombstone has deleted altogether.
func (g *garbage) passCovered(userKey []byte, ok, covered bool) (bool, error) {
	if !covered || !ok {
		g.covered = 0
		return ok, nil
	}
	if g.covered++; g.covered%leapAfter != 0 {
		return true, nil
	}
	f := g.covering.fragment(userKey)
	ts, some := f.highest(g.floor, false)
	if !some {
		return true, nil
	}
	next, found, err := g.firstSince(f.span, ts)
	if err != nil {
		return false, err
	}
	if !found {
		next = endOf(f.span)
	}
	if compareKeys(next, boundOf(g.iter.Key())) <= 0 {
		return true, nil
	}
	g.run.addMany(boundOf(g.iter.Key()))
	return g.iter.SeekGE(next), g.iter.Error()
}

// firstSince returns the bound of the first key, of those not passed yet, that has a row in
// span committed at ts or later.
func (g *garbage) firstSince(span Span, ts uint64) (bound []byte, found bool, err error) {
	options := g.s.spanOptions(span)
	options.LowerBound = cloneBytes(boundOf(g.iter.Key()))
	if compareKeys(options.LowerBound, options.UpperBound) >= 0 {
		return nil, false, nil
	}
	options.PointKeyFilters = committedIn(ts, maxTS)
	iter, err := g.iter.Clone(pebble.CloneOptions{IterOptions: &options})
	if err != nil {
		return nil, false, err
	}
	defer func() { err = firstError(err, iter.Close()) }()
	for ok := iter.First(); ok; ok = iter.Next() {
		g.looked++
		_, written, err := parseVersionKey(iter.Key())
		if err != nil {
			return nil, false, err
		}
		if written >= ts {
			return cloneBytes(boundOf(iter.Key())), true, nil
		}
	}
	return nil, false, iter.Error()
}

// leap moves on to the next key that may have garbage: one with a version that the floor
// has passed since the last pass, or one under a range tombstone.
func (g *garbage) leap(span Span) (ok bool, err error) {
	at := cloneBytes(boundOf(g.iter.Key()))
	userKey := at[keyHeadSize : len(at)-1]
	if g.recent == nil {
		options := g.s.spanOptions(span)
		options.PointKeyFilters = committedIn(g.since+1, g.floor)
		if g.recent, err = g.iter.Clone(pebble.CloneOptions{IterOptions: &options}); err != nil {
			return false, err
		}
	}
	next := endOf(span)
	for ok := g.recent.SeekGE(at); ok; ok = g.recent.Next() {
		_, ts, err := parseVersionKey(g.recent.Key())
		if err != nil {
			return false, err
		}
		if g.looked++; ts > g.since && ts <= g.floor || g.full() {
			next = cloneBytes(boundOf(g.recent.Key()))
			break
		}
	}
	if err := g.recent.Error(); err != nil {
		return false, err
	}
	g.covering.index.each(Span{userKey, span.End}, func(f rangeFragment) bool {
		if _, some := f.highest(g.floor, false); !some {
			return true
		}
		if start := appendKeyBound(nil, f.span.Start); compareKeys(start, next) < 0 {
			next = start
		}
		return false
	})
	g.idle = 0
	if compareKeys(next, at) <= 0 {
		return true, nil
	}
	g.leaps++
	if err := g.flush(at); err != nil {
		return false, err
	}
	return g.iter.SeekGE(next), g.iter.Error()
}

// flush ends the run of dead rows before next.
func (g *garbage) flush(next []byte) error {
	n, r, err := g.run.flush(g.w.batch, next)
	g.deletes += n
	if r.first != nil {
		g.ranges = append(g.ranges, r)
	} else {
		g.dropped += n
	}
	return err
}

// deadRows are rows that stand in a row and are to be deleted.
type deadRows struct {
	keys  [][]byte // as long as they are few
	n     int
	first []byte
	many  bool
}

// deadRange is every row of [first, next).
type deadRange struct{ first, next []byte }

func (r *deadRows) add(key []byte) {
	if r.n == 0 {
		r.first = append(r.first[:0], key...)
	}
	if r.n++; r.n > compactOneByOneMost {
		r.many = true
	}
	if r.many {
		r.keys = r.keys[:0]
		return
	}
	if n := len(r.keys); n < cap(r.keys) {
		r.keys = r.keys[:n+1]
		r.keys[n] = append(r.keys[n][:0], key...)
		return
	}
	r.keys = append(r.keys, cloneBytes(key))
}

// addMany adds the row of key and any number behind it.
func (r *deadRows) addMany(key []byte) {
	r.add(key)
	r.many = true
}

// flush adds the deletions to b. next is the first key that stays. It returns the number of
// deletions, and the range if it was one.
func (r *deadRows) flush(b *pebble.Batch, next []byte) (n int, deleted deadRange, err error) {
	defer func() { r.keys, r.n, r.many = r.keys[:0], 0, false }()
	switch {
	case r.n == 0:
		return 0, deadRange{}, nil
	case r.many:
		deleted = deadRange{cloneBytes(r.first), cloneBytes(next)}
		return 1, deleted, b.DeleteRange(deleted.first, deleted.next, nil)
	}
	for _, key := range r.keys {
		if err := b.Delete(key, nil); err != nil {
			return 0, deadRange{}, err
		}
	}
	return len(r.keys), deadRange{}, nil
}
