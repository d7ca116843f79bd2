package store

import (
	"bytes"
	"hash/maphash"
	"slices"
	"sort"
	"sync"
	"sync/atomic"

	"github.com/tidwall/btree"
)

const (
	// pagesShare is which part of the bytes that versions may take, pages may.
	pagesShare = 2
	// pagesBytesLeast is the least bound for pages; with less there are none.
	pagesBytesLeast = 32 << 10
	// tinyPages is that bound for tests.
	tinyPages = 2 << 10
	// walksSeenLeast and walksSeenMost bound how many walks are remembered, walkSeenPerBytes is for how many bytes of pages one is.
	walksSeenLeast, walksSeenMost, walkSeenPerBytes = 1 << 8, 1 << 18, 1 << 10
)

// pages keep the rows of spans that are walked again and again, such as a hash that is read as a whole, the
// ends of a list, or the top of a leaderboard: the engine needs microseconds for a seek and a tenth of one for each row, a page
// a tenth of that.
//
// A page is a promise, as a gap and an entry of the version cache are: at and above some timestamp a walk finds in its
// span these rows and no others. Walks leave pages behind when they come again; every write to a key of a page changes it, before
// anyone can read at a timestamp that sees the write. What was there before is kept for a moment, for those who read what is
// durable while more is staged already.
//
// A walk that would leave a page opens a capture before it opens its view, and a write to a key of the capture's span
// spoils it: so nothing is missed between the view and the page.
type pages struct {
	limit int64        // bytes; 0: there are no pages
	bytes atomic.Int64 // that pages take
	busy  atomic.Int64 // pages and captures; most writes of a store without any pass by
	seed  maphash.Seed
	seen  []atomic.Uint32 // walks that came by lately, by their hashes
	tiny  bool            // for tests: walks leave pages behind the first time, which are few and small
	most  int             // rows of a page; one with more is cut in two

	mu        sync.RWMutex
	tree      *btree.BTreeG[pageAt]
	starts    map[uint64]*page // by the hash of where they begin, as most walks do; of two with the same, one
	queue     []*page          // oldest first; with some that are gone
	captures  []*capture
	suspended bool

	restarts atomic.Uint64 // how often all pages were dropped, because keys changed that nobody can list
	walks    atomic.Uint64 // that found a page
}

// pageAt is a page in the tree, by its start.
type pageAt struct {
	start []byte
	page  *page
}

// capture is a walk that may leave pages behind.
type capture struct {
	span    Span
	ts      uint64
	spoiled bool // something in span has been written, under pages.mu
}

func (p *pages) init(size int64) {
	if p.limit = size / pagesShare; p.limit < pagesBytesLeast {
		p.limit = 0
		return
	}
	p.seed, p.most = maphash.MakeSeed(), pageRowsMost
	if p.tiny {
		p.limit, p.most = tinyPages, 3
	}
	n := walksSeenLeast
	for n < walksSeenMost && int64(n)*walkSeenPerBytes < p.limit {
		n *= 2
	}
	p.seen = make([]atomic.Uint32, n)
	p.starts = map[uint64]*page{}
	p.tree = btree.NewBTreeGOptions(func(a, b pageAt) bool { return bytes.Compare(a.start, b.start) < 0 }, btree.Options{NoLocks: true})
}

// again notes a walk that begins at an edge, and reports whether one did lately.
func (p *pages) again(edge []byte, order Order) bool {
	if p.tiny {
		return true
	}
	hash := maphash.Bytes(p.seed, edge)
	if order == Descending {
		hash = ^hash
	}
	mark := uint32(hash>>32) | 1 // never that of no walk
	return p.seen[hash%uint64(len(p.seen))].Swap(mark) == mark
}

// find returns what a walk at ts over rest meets first: rows, and the part of rest that they are all of; or no rows, and the part
// that has to be asked of the engine. old says that there is a page, but not of what ts sees.
func (p *pages) find(rest Span, order Order, ts uint64) (rows *pageRows, part Span, old bool) {
	p.mu.RLock()
	defer p.mu.RUnlock()
	var near *page
	if order == Ascending {
		if near = p.starts[maphash.Bytes(p.seed, rest.Start)]; near == nil || !bytes.Equal(near.start, rest.Start) {
			near = p.before(rest.Start)
		}
	} else {
		near = p.below(rest.End)
	}
	if near != nil && near.touches(rest, order) {
		m := near.at(ts)
		if m == nil {
			return nil, rest, true
		}
		near.walked()
		return &m.rows, intersection(rest, near.span()), false
	}
	if order == Ascending {
		if next := p.behind(rest.Start); next != nil {
			rest = intersection(rest, Span{End: next.start})
		}
	} else if near != nil {
		rest = intersection(rest, Span{Start: near.end})
	}
	return nil, rest, false
}

// walked notes that a walk came by. Many do, so it writes only what is not so yet.
func (p *page) walked() {
	if !p.used.Load() {
		p.used.Store(true)
	}
	if !p.read.Load() {
		p.read.Store(true)
	}
}

// touches reports whether the page has the first key of a walk over span, or what would be that.
func (p *page) touches(span Span, order Order) bool {
	switch {
	case p.end == nil:
		return true
	case order == Ascending:
		return bytes.Compare(span.Start, p.end) < 0
	default:
		return span.End != nil && bytes.Compare(span.End, p.end) <= 0
	}
}

// intersection returns what lies in both.
func intersection(a, b Span) Span {
	if bytes.Compare(b.Start, a.Start) > 0 {
		a.Start = b.Start
	}
	if b.End != nil && (a.End == nil || bytes.Compare(b.End, a.End) < 0) {
		a.End = b.End
	}
	return a
}

// before returns the last page that begins at or before key, or nil.
func (p *pages) before(key []byte) (found *page) {
	p.tree.Descend(pageAt{start: key}, func(at pageAt) bool {
		found = at.page
		return false
	})
	return found
}

// below returns the last page that begins before end, which is nil for no end.
func (p *pages) below(end []byte) (found *page) {
	if end == nil {
		last, _ := p.tree.Max()
		return last.page
	}
	p.tree.Descend(pageAt{start: end}, func(at pageAt) bool {
		if bytes.Equal(at.start, end) {
			return true
		}
		found = at.page
		return false
	})
	return found
}

// behind returns the first page that begins behind key, or nil.
func (p *pages) behind(key []byte) (found *page) {
	p.tree.Ascend(pageAt{start: key}, func(at pageAt) bool {
		if bytes.Equal(at.start, key) {
			return true
		}
		found = at.page
		return false
	})
	return found
}

// begin opens a capture of span for a walk at ts. It is called before the walk opens its view.
func (p *pages) begin(span Span, ts uint64) *capture {
	c := &capture{span: span, ts: ts}
	p.mu.Lock()
	defer p.mu.Unlock()
	c.spoiled = p.suspended
	p.captures = append(p.captures, c)
	p.busy.Add(1)
	return c
}

// end closes a capture. If it has been spoiled, or another walk has left a page there, keep stays undone: else rows, which are all
// that a walk at its timestamp or above finds in span, become pages.
func (p *pages) end(c *capture, keep bool, span Span, rows *pageRows) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.captures = slices.DeleteFunc(p.captures, func(other *capture) bool { return other == c })
	p.busy.Add(-1)
	if !keep || c.spoiled || span.empty() || p.overlaps(span) {
		return
	}
	p.install(&page{start: bytes.Clone(span.Start), end: bytes.Clone(span.End), now: &moment{rows: *rows, since: c.ts, from: c.ts}})
	// Of a walk that ends a little later each time there would else be a page more each time, for the next one to pass.
	p.joinAt(span.Start)
	p.joinAt(span.End)
	p.evict()
}

func (p *pages) overlaps(span Span) bool {
	last := p.below(span.End)
	return last != nil && (last.end == nil || bytes.Compare(last.end, span.Start) > 0)
}

// install puts in a page, or as many as it takes.
func (p *pages) install(whole *page) {
	start, end, m := whole.start, whole.end, whole.now
	rows := &m.rows
	for i := 0; ; {
		j, size := i, 0
		for j < rows.len() && (j == i || j < i+p.most && size+len(rows.entry(j).whole()) <= pageBytesMost) {
			size += len(rows.entry(j).whole())
			j++
		}
		if left := rows.len() - j; left > 0 && i == 0 && left < p.most/2 {
			j = (rows.len() + 1) / 2 // two halves, each with room for more
		}
		if i == 0 && j == rows.len() {
			p.put(whole)
			return
		}
		next := &page{start: start, end: end, worth: whole.worth, unread: whole.unread}
		next.now = &moment{rows: rows.part(i, j), since: m.since, from: m.from, older: m.older}
		if j < rows.len() {
			next.end = bytes.Clone(rows.entry(j).key())
		}
		p.put(next)
		if i, start = j, next.end; i == rows.len() {
			return
		}
	}
}

// put adds a page.
func (p *pages) put(fresh *page) {
	p.tree.Set(pageAt{fresh.start, fresh})
	p.starts[maphash.Bytes(p.seed, fresh.start)] = fresh
	p.queue = append(p.queue, fresh)
	p.bytes.Add(int64(fresh.measure()))
	p.busy.Add(1)
}

// drop removes a page.
func (p *pages) drop(old *page) {
	p.tree.Delete(pageAt{start: old.start})
	if hash := maphash.Bytes(p.seed, old.start); p.starts[hash] == old {
		delete(p.starts, hash)
	}
	old.gone = true
	p.bytes.Add(-int64(old.size))
	p.busy.Add(-1)
}

// evict drops pages until they are within the bound, those first that no walk has come by lately.
func (p *pages) evict() {
	if len(p.queue) > 64+2*p.tree.Len() {
		p.queue = slices.DeleteFunc(p.queue, func(old *page) bool { return old.gone })
	}
	for p.bytes.Load() > p.limit {
		old := p.queue[0]
		p.queue[0] = nil
		p.queue = p.queue[1:]
		switch {
		case old.gone:
		case old.used.Swap(false):
			p.queue = append(p.queue, old)
		default:
			p.drop(old)
		}
	}
}

// wrote is told of a batch, once the engine shows it and before anything is published of it. durable is what every read of
// the present has reached.
func (p *pages) wrote(w *write, durable uint64) {
	if p.busy.Load() == 0 {
		return // a walk that begins now sees the batch
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range w.commits {
		for _, span := range w.commits[i].Deleted {
			p.dropSpan(span)
		}
	}
	for _, t := range w.ranges { // those of a deleted prefix are in no commit
		p.dropSpan(t.span)
	}
	versions := w.inOrder()
	p.spoil(versions)
	for len(versions) > 0 {
		key := versions[0].m.Key
		at := p.before(key)
		if at == nil || !at.span().Contains(key) {
			next := p.behind(key)
			if next == nil {
				break
			}
			versions = versions[firstAt(versions, next.start):]
			continue
		}
		n := len(versions)
		if at.end != nil {
			n = firstAt(versions, at.end)
		}
		p.change(at, versions[:n], durable)
		versions = versions[n:]
	}
	p.evict()
}

// firstAt returns the first of versions at or behind key, or how many there are.
func firstAt(versions []version, key []byte) int {
	return sort.Search(len(versions), func(i int) bool { return bytes.Compare(versions[i].m.Key, key) >= 0 })
}

// spoil spoils the captures that versions lie in.
func (p *pages) spoil(versions []version) {
	for _, c := range p.captures {
		if i := firstAt(versions, c.span.Start); i < len(versions) && c.span.Contains(versions[i].m.Key) {
			c.spoiled = true
		}
	}
}

// change makes versions part of a page. One that comes too late, with a timestamp that the page has passed, ends it; so does one of
// more than the page has been of use for that no walk comes to see.
func (p *pages) change(at *page, versions []version, durable uint64) {
	low, high := versions[0].ts, versions[0].ts
	for _, v := range versions[1:] {
		low, high = min(low, v.ts), max(high, v.ts)
	}
	if at.unread++; at.read.Swap(false) {
		at.unread, at.worth = 0, min(at.worth+1, pageWorthMost)
	}
	if low <= at.now.from || at.unread > max(at.worth, pageUnread) {
		p.drop(at)
		return
	}
	m := &moment{rows: at.now.rows.with(versions), since: low, from: high, older: at.now}
	switch n := m.rows.len(); {
	case n > p.most || n > 1 && len(m.rows.data) > pageBytesMost:
		p.drop(at)
		p.install(&page{start: at.start, end: at.end, now: m, worth: at.worth, unread: at.unread})
	case n < max(p.most/4, 2) && p.join(at, m):
	default:
		at.now = m
		at.forget(durable)
		p.bytes.Add(-int64(at.size))
		p.bytes.Add(int64(at.measure()))
	}
}

// joinAt makes one page of those that touch at edge, if there is room.
func (p *pages) joinAt(edge []byte) {
	if left := p.below(edge); edge != nil && left != nil && bytes.Equal(left.end, edge) && p.before(edge) != left {
		p.join(left, left.now)
	}
}

// join makes one page of what has become of a small one and of the page behind it, if they touch and there is room: from a
// queue that loses its first rows a page without any would be left again and again, for walks to pass. Reads
// of before ask the engine.
func (p *pages) join(at *page, m *moment) bool {
	if at.end == nil {
		return false
	}
	next := p.before(at.end)
	if !bytes.Equal(next.start, at.end) || m.rows.len()+next.now.rows.len() > p.most ||
		len(m.rows.data)+len(next.now.rows.data) > pageBytesMost {
		return false
	}
	p.drop(at)
	p.drop(next)
	from := max(m.from, next.now.from)
	both := &page{start: at.start, end: next.end, worth: max(at.worth, next.worth)}
	both.used.Store(at.used.Load() || next.used.Load())
	both.now = &moment{rows: m.rows.joined(&next.now.rows), since: from, from: from}
	p.put(both)
	return true
}

// dropSpan drops what has something in common with span, and spoils captures that have.
func (p *pages) dropSpan(span Span) {
	for _, c := range p.captures {
		c.spoiled = c.spoiled || !intersection(c.span, span).empty()
	}
	for !span.empty() {
		last := p.below(span.End)
		if last == nil || last.end != nil && bytes.Compare(last.end, span.Start) <= 0 {
			return
		}
		p.drop(last)
	}
}

// forget drops the pages of keys of which versions have been compacted away that walks would show.
func (p *pages) forget(keys [][]byte) {
	if p.busy.Load() == 0 || len(keys) == 0 {
		return
	}
	for _, key := range keys { // writers come in between
		p.mu.Lock()
		p.dropSpan(Span{Start: key, End: append(bytes.Clone(key), 0)})
		p.mu.Unlock()
	}
}

func (p *pages) stats() PagesStats {
	if p.limit == 0 {
		return PagesStats{}
	}
	p.mu.RLock()
	defer p.mu.RUnlock()
	return PagesStats{Count: int64(p.tree.Len()), Bytes: p.bytes.Load(), Walks: p.walks.Load()}
}

// suspend drops all pages and lets none in until resume, while keys change that nobody can list.
func (p *pages) suspend() { p.restart(true) }

// resume ends suspend.
func (p *pages) resume() { p.restart(false) }

func (p *pages) restart(suspended bool) {
	if p.limit == 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.suspended = suspended
	p.dropSpan(Span{})
	p.restarts.Add(1)
}
