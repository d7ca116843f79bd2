package store

import (
	"bytes"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"
)

const (
	// gapRowsLeast is the usual least number of dead keys in a row that make a gap.
	gapRowsLeast = 32
	// gapsMost bounds how many gaps are remembered, gapKeyMost the keys they end with.
	gapsMost   = 4096
	gapKeyMost = 512 // bytes
	// gapPutsKept is how many of the last puts are known by name. A walk during
	// which more came in leaves no gap behind.
	gapPutsKept = 1024
)

// gaps remembers spans of keys that hold nothing any more. A queue that takes
// from one end leaves rows of dead versions behind, which have to be kept for
// reads of the past; a walk at the present would pass them one by one, every
// time. With the gap known it seeks over them.
//
// A gap is a promise: at and above some timestamp no key of it is visible. It is
// found by walks, and every put of a key inside cuts it, before anyone can read at a
// timestamp that sees the put.
type gaps struct {
	count     atomic.Int64 // gaps in tree; most stores have none
	walks     atomic.Int64 // walks that may leave a gap behind
	rowsLeast int          // immutable; gapRowsLeast unless a test has set it

	mu        sync.Mutex
	tree      *btree.BTreeG[*gap] // disjoint, by start
	puts      uint64              // puts noted so far
	ring      [gapPutsKept][]byte // the last of them; put n is at n%gapPutsKept
	suspended bool
}

// least is how many dead keys in a row make a gap worth remembering.
func (g *gaps) least() int { return g.rowsLeast }

// gap is a span of keys that begins at start. It grows at its end, and what was
// found last holds only for the newest reads. So it has three ends: up to each one the
// promise holds at and above the timestamp beside it. Both only rise.
type gap struct {
	start []byte
	ends  [3]gapEnd
}

type gapEnd struct {
	key []byte // exclusive
	ts  uint64
}

func (g *gap) last() *gapEnd { return &g.ends[len(g.ends)-1] }

func (g *gaps) init() {
	g.rowsLeast = gapRowsLeast
	g.tree = btree.NewBTreeGOptions(func(a, b *gap) bool { return bytes.Compare(a.start, b.start) < 0 },
		btree.Options{NoLocks: true})
}

// begin returns the number of puts so far. A walk calls it before it opens its view, and
// end when it has left behind what it will.
func (g *gaps) begin() uint64 {
	g.walks.Add(1)
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.puts
}

func (g *gaps) end() { g.walks.Add(-1) }

// note cuts the gaps that a put lies in. It is called once the puts can be seen
// in the engine and before anything is published of them.
func (g *gaps) note(commits []Commit) {
	if g.walks.Load() == 0 && g.count.Load() == 0 {
		return // a walk that begins now sees the puts
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range commits {
		for _, m := range commits[i].Mutations {
			if m.Op != OpTypePut {
				continue
			}
			slot := &g.ring[g.puts%gapPutsKept]
			*slot = append((*slot)[:0], m.Key[:min(len(m.Key), gapKeyMost)]...)
			g.puts++
			g.cut(m.Key)
		}
	}
}

// cut takes key out of the gap that it lies in, which leaves a gap on either side.
func (g *gaps) cut(key []byte) {
	if g.count.Load() == 0 {
		return
	}
	found := g.at(key)
	if found == nil {
		return
	}
	behind := append(append(make([]byte, 0, len(key)+1), key...), 0)
	right := &gap{start: behind}
	for i := range found.ends {
		right.ends[i] = found.ends[i]
		if bytes.Compare(right.ends[i].key, behind) < 0 {
			right.ends[i].key = behind
		}
		if bytes.Compare(found.ends[i].key, key) > 0 {
			found.ends[i].key = behind[:len(key)]
		}
	}
	if bytes.Equal(found.start, key) {
		g.remove(found)
	}
	if len(behind) <= gapKeyMost && bytes.Compare(behind, right.last().key) < 0 {
		g.insert(right)
	}
}

// at returns the gap that key lies in, or nil.
func (g *gaps) at(key []byte) *gap {
	found := g.before(key)
	if found == nil || bytes.Compare(key, found.last().key) >= 0 {
		return nil
	}
	return found
}

// before returns the last gap that begins at or before key, or nil.
func (g *gaps) before(key []byte) (found *gap) {
	g.tree.Descend(&gap{start: key}, func(item *gap) bool {
		found = item
		return false
	})
	return found
}

func (g *gaps) insert(fresh *gap) {
	if g.count.Load() < gapsMost {
		g.tree.Set(fresh)
		g.count.Add(1)
	}
}

func (g *gaps) remove(old *gap) {
	g.tree.Delete(old)
	g.count.Add(-1)
}

// over returns the part of the gap around key that a walk at ts may leave out,
// and whether there is one. The walk must not modify it.
func (g *gaps) over(key []byte, ts uint64) (Span, bool) {
	if g.count.Load() == 0 {
		return Span{}, false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	found := g.before(key)
	if found == nil {
		return Span{}, false
	}
	for i := len(found.ends) - 1; i >= 0; i-- {
		if e := found.ends[i]; e.ts <= ts && bytes.Compare(key, e.key) < 0 {
			return Span{Start: found.start, End: e.key}, true
		}
	}
	return Span{}, false
}

// run is a row of keys that a walk has found dead: none of [start, end) is
// visible at or above ts as of the walk's view.
type run struct {
	start, end []byte
	ts         uint64
	noted      uint64 // puts noted before the view was opened
	durable    uint64 // no read comes below it, but those of the past
	long       bool   // worth a gap of its own
}

// add remembers a run: as the growth of a gap that it touches, or else as one of its own.
func (g *gaps) add(r run) {
	if len(r.start) > gapKeyMost || len(r.end) > gapKeyMost || bytes.Compare(r.start, r.end) >= 0 {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.suspended || g.putSince(r) {
		return
	}
	if old := g.before(r.start); old != nil && bytes.Compare(r.start, old.last().key) <= 0 {
		old.growEnd(r)
		g.absorb(old, r)
		return
	}
	if old := g.before(r.end); old != nil && bytes.Compare(old.start, r.start) > 0 {
		// The gap nearest to the run's end is the one it has grown from.
		g.remove(old)
		old.growStart(r)
		g.removeWithin(Span{Start: r.start, End: old.last().key})
		g.insert(old)
		return
	}
	if r.long {
		e := gapEnd{bytes.Clone(r.end), r.ts}
		g.insert(&gap{start: bytes.Clone(r.start), ends: [3]gapEnd{e, e, e}})
	}
}

// putSince reports whether a put may have come into the run since its view was opened.
func (g *gaps) putSince(r run) bool {
	if g.puts-r.noted > gapPutsKept {
		return true
	}
	for n := r.noted; n < g.puts; n++ {
		if key := g.ring[n%gapPutsKept]; bytes.Compare(key, r.start) >= 0 && bytes.Compare(key, r.end) < 0 {
			return true
		}
	}
	return false
}

// growEnd moves the last end to that of r. An end whose timestamp every read has
// reached moves down, so that in time all reads profit and not only the newest.
func (g *gap) growEnd(r run) {
	if bytes.Compare(r.end, g.last().key) <= 0 {
		return
	}
	if g.ends[1].ts <= r.durable {
		g.ends[0] = g.ends[1]
		g.ends[1] = g.ends[2]
	}
	g.ends[2] = gapEnd{bytes.Clone(r.end), max(g.ends[2].ts, r.ts)}
}

// growStart moves the start to that of r, below it, and the end as growEnd does.
// All of the promise now holds from the run's timestamp on.
func (g *gap) growStart(r run) {
	g.start = bytes.Clone(r.start)
	for i := range g.ends {
		g.ends[i].ts = max(g.ends[i].ts, r.ts)
	}
	g.growEnd(r)
}

// absorb makes one gap of old and of those that it has reached by growing.
func (g *gaps) absorb(old *gap, r run) {
	for {
		var next *gap
		g.tree.Ascend(old, func(item *gap) bool {
			next = item
			return item == old
		})
		if next == nil || next == old || bytes.Compare(next.start, old.last().key) > 0 {
			return
		}
		g.remove(next)
		old.growEnd(run{end: next.last().key, ts: max(r.ts, next.last().ts), durable: r.durable})
	}
}

// removeWithin removes the gaps that begin in span.
func (g *gaps) removeWithin(span Span) {
	var gone []*gap
	g.tree.Ascend(&gap{start: span.Start}, func(item *gap) bool {
		if bytes.Compare(item.start, span.End) >= 0 {
			return false
		}
		gone = append(gone, item)
		return true
	})
	for _, old := range gone {
		g.remove(old)
	}
}

// suspend drops every gap, because everything is about to be replaced, and lets
// none in until resume.
func (g *gaps) suspend() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.suspended = true
	g.tree.Clear()
	g.count.Store(0)
}

// resume ends suspend. Walks that began before leave nothing behind.
func (g *gaps) resume() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.suspended = false
	g.puts += gapPutsKept + 1
}

// deadRun follows one walk and remembers the dead keys that it meets in a row.
type deadRun struct {
	gaps    *gaps
	ts      uint64
	noted   uint64
	durable uint64

	start, stop []byte // the row so far is [start, stop) of a descending walk, and from start on of an ascending one; buffers
	refused     []byte // a key that has a version above ts; a buffer
	refusing    bool   // there is one: it may be the empty key
	n           int    // dead keys in the row, those in gaps counted generously
}

// overEvery is after how many dead keys a walk asks again for a gap around them.
const overEvery = 16

// refuse says that key is not to count as dead, whatever a read at ts sees.
func (d *deadRun) refuse(key []byte) { d.refused, d.refusing = append(d.refused[:0], key...), true }

// add counts a dead key of an ascending walk, and reports whether to look for a gap.
func (d *deadRun) add(key []byte) (look bool) {
	if d.refusing && bytes.Equal(key, d.refused) {
		return false
	}
	if d.n == 0 {
		d.start = append(d.start[:0], key...)
	}
	d.n++
	return d.n%overEvery == 1
}

// jump counts the gap around key that the walk leaves out.
func (d *deadRun) jump(key []byte) {
	if d.n == 0 {
		d.start = append(d.start[:0], key...)
	}
	d.n += d.gaps.least()
}

// end is told the first key of an ascending walk behind the row.
func (d *deadRun) end(key []byte) {
	if d.n > 0 {
		d.keep(d.start, key)
	}
}

// addBelow counts a dead key of a descending walk, and reports whether to look
// for a gap.
func (d *deadRun) addBelow(key []byte) (look bool) {
	if d.n == 0 {
		d.stop = append(append(d.stop[:0], key...), 0)
	}
	d.n++
	return d.n%overEvery == 1
}

// endAbove is told the first key of a descending walk behind the row.
func (d *deadRun) endAbove(key []byte) {
	if d.n > 0 {
		d.start = append(append(d.start[:0], key...), 0)
		d.keep(d.start, d.stop)
	}
}

func (d *deadRun) keep(start, end []byte) {
	long := d.n >= d.gaps.least()
	d.n = 0
	if d.ts != maxTS && (long || d.gaps.count.Load() > 0) {
		d.gaps.add(run{start: start, end: end, ts: d.ts, noted: d.noted, durable: d.durable, long: long})
	}
}
