package store

import (
	"bytes"
	"sort"
	"sync/atomic"
)

// page is a span of neighbouring keys with all the rows that walks find in it. Pages are disjoint.
type page struct {
	start, end []byte      // [start, end), as of a Span
	now        *moment     // what has been there since the last write to it
	size       int         // bytes of it, of now, and of the moments before that are kept
	gone       bool        // it is no page any more
	unread     int         // changes since a walk came by
	worth      int         // changes behind which one did, up to pageWorthMost; of what the page has come from, too
	read       atomic.Bool // a walk came by since the last change
	used       atomic.Bool // a walk came by since the page was looked at last
}

// moment is what a page holds from a timestamp on, until the next moment. It never changes, so walks read it without a lock; but
// for older, which they follow under one.
type moment struct {
	rows pageRows
	// The commits that have made it out of older have timestamps from since to from: a read at or above from
	// sees rows, one below since sees older, and one between sees neither.
	since, from uint64
	older       *moment
}

const (
	pageRowsMost  = 64       // rows of a page, usually; one with more is cut in two
	pageBytesMost = 16 << 10 // bytes of its rows, if there is more than one
	pageUnread    = 3        // changes without a walk in between that end a page which has not been of use yet
	pageWorthMost = 256      // that end one which always was: a queue is filled for a while, and then taken from
	pageMoments   = 4        // moments of a page that are kept
	pageHeadBytes = 256      // what a page takes besides its rows and bounds, about
)

// at returns what a read at ts sees, or nil if the page does not know.
func (p *page) at(ts uint64) *moment {
	for m := p.now; m != nil; m = m.older {
		if ts >= m.from {
			return m
		}
		if ts >= m.since {
			return nil
		}
	}
	return nil
}

// forget lets go of moments that no read at or above durable has a use for, and of the oldest ones if there are many.
func (p *page) forget(durable uint64) {
	m := p.now
	for range pageMoments - 1 {
		if m.older == nil || m.since <= durable {
			break
		}
		m = m.older
	}
	m.older = nil
}

// measure counts the bytes of the page anew.
func (p *page) measure() int {
	p.size = pageHeadBytes + len(p.start) + len(p.end)
	for m := p.now; m != nil; m = m.older {
		p.size += m.rows.size()
	}
	return p.size
}

func (p *page) span() Span { return Span{p.start, p.end} }

// pageRows are rows in ascending order, in one piece of memory that is never written again once others see it: so
// keys and values can be handed out, and the garbage collector has nothing to follow.
type pageRows struct {
	data    []byte   // entries, one after the other
	at      []uint32 // where each one begins
	expires bool     // some may have an expiry
}

func (r *pageRows) add(key []byte, v VersionedValue) {
	r.at = append(r.at, uint32(len(r.data)))
	r.data = appendCacheEntry(r.data, key, v, false)
	r.expires = r.expires || v.ExpireAt != 0
}

func (r *pageRows) entry(i int) cacheEntry { return cacheEntry(r.data[r.at[i]:]) }

func (r *pageRows) len() int { return len(r.at) }

func (r *pageRows) size() int { return cap(r.data) + 4*cap(r.at) }

// find returns the first row at or behind key, or how many there are.
func (r *pageRows) find(key []byte) int {
	return sort.Search(len(r.at), func(i int) bool { return bytes.Compare(r.entry(i).key(), key) >= 0 })
}

// part returns a copy of rows i to j.
func (r *pageRows) part(i, j int) pageRows {
	from, to := uint32(len(r.data)), uint32(len(r.data))
	if i < len(r.at) {
		from = r.at[i]
	}
	if j < len(r.at) {
		to = r.at[j]
	}
	return (&pageRows{data: r.data[from:to:to], at: r.at[i:j], expires: r.expires}).joined(nil)
}

// joined returns a copy of r with the rows of behind, which lie behind them.
func (r *pageRows) joined(behind *pageRows) pageRows {
	all := []*pageRows{r}
	if behind != nil {
		all = append(all, behind)
	}
	var out pageRows
	size, n := 0, 0
	for _, some := range all {
		size, n = size+len(some.data), n+len(some.at)
	}
	out.data, out.at = make([]byte, 0, size), make([]uint32, 0, n)
	for _, some := range all {
		for _, at := range some.at {
			out.at = append(out.at, uint32(len(out.data))+at-some.at[0])
		}
		out.data = append(out.data, some.data...)
		out.expires = out.expires || some.expires
	}
	return out
}

// with returns the rows after versions, of which there is one at least, by key and the newest of a key first; of some with the same
// timestamp the last one counts.
func (r *pageRows) with(versions []version) pageRows {
	size := len(r.data)
	for _, v := range versions {
		size += cacheEntryHead + len(v.m.Key) + len(v.m.Value)
	}
	out := pageRows{data: make([]byte, 0, size), at: make([]uint32, 0, len(r.at)+len(versions)), expires: r.expires}
	i := 0
	upTo := func(j int) { // copies rows i to j
		if i < j {
			end := len(r.data)
			if j < len(r.at) {
				end = int(r.at[j])
			}
			shift := uint32(len(out.data)) - r.at[i]
			for _, at := range r.at[i:j] {
				out.at = append(out.at, at+shift)
			}
			out.data = append(out.data, r.data[r.at[i]:end]...)
			i = j
		}
	}
	for n, v := range versions {
		if n > 0 && bytes.Equal(v.m.Key, versions[n-1].m.Key) {
			continue // the one that counts has been found at the first one
		}
		for _, next := range versions[n+1:] {
			if next.ts != v.ts || !bytes.Equal(next.m.Key, v.m.Key) {
				break
			}
			v = next
		}
		j := i + sort.Search(len(r.at)-i, func(k int) bool { return bytes.Compare(r.entry(i+k).key(), v.m.Key) >= 0 })
		upTo(j)
		if i < len(r.at) && bytes.Equal(r.entry(i).key(), v.m.Key) {
			i++
		}
		if v.m.Op == OpTypePut {
			out.add(v.m.Key, VersionedValue{TS: v.ts, Value: v.m.Value, ExpireAt: v.m.ExpireAt})
		}
	}
	upTo(len(r.at))
	return out
}

// within returns the rows of span, from the first to before the last.
func (r *pageRows) within(span Span) (from, to int) {
	from, to = r.find(span.Start), len(r.at)
	if span.End != nil {
		to = r.find(span.End)
	}
	return from, to
}

// count returns how many rows of span have not expired at moment.
func (r *pageRows) count(span Span, moment uint64) (n int) {
	from, to := r.within(span)
	if !r.expires {
		return to - from
	}
	for i := from; i < to; i++ {
		if shown(r.entry(i).version(), moment) {
			n++
		}
	}
	return n
}

// show calls fn for the rows of span, but for as many of the first as skip says, until it returns false, and reports whether it has not. It
// lowers skip by those that it has left out.
func (r *pageRows) show(span Span, order Order, skip *int64, fn func(key []byte, v VersionedValue) bool) bool {
	from, to := r.within(span)
	if n := min(*skip, int64(max(to-from, 0))); n > 0 {
		*skip -= n
		if order == Descending {
			to -= int(n)
		} else {
			from += int(n)
		}
	}
	if order == Descending {
		for ; from < to; to-- {
			if !fn(r.entry(to - 1).put()) {
				return false
			}
		}
		return true
	}
	for ; from < to; from++ {
		if !fn(r.entry(from).put()) {
			return false
		}
	}
	return true
}
