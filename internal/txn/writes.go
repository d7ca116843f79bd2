package txn

import (
	"bytes"
	"slices"

	"github.com/tidwall/btree"

	"github.com/elastickv/elastickv/store"
)

// linearMax is the number of writes up to which a look-up compares keys one by
// one; most transactions never need the map.
const linearMax = 8

// writeOverhead is about what a write takes in a batch beside its key and value, in bytes.
const writeOverhead = 64

// write is one buffered write of one key.
type write struct {
	key      []byte
	value    []byte
	expireAt uint64
	deleted  bool
	void     bool // a sweep has dropped it, and with it all writes of the key before it
	kind     writeKind
	mutation int32 // of a newestVersion in a run: 1 + its index among the mutations of the commits; else 0
	prev     int   // index in the log of the key's write before this one, or -1
}

// writeKind says what is ever read of the versions of a row.
type writeKind uint8

const (
	everyVersion  writeKind = iota
	newestVersion           // see Tx.PutNewest
	superseded              // of a newestVersion that is not the newest: nothing
)

// writes buffers writes over a snapshot: the newest write of a key wins over
// those before it and over the spans that have been swept, and every write and
// sweep since a mark can be taken back.
type writes struct {
	log   []write
	index writeIndex // of the newest write of each key; not in use while len(log) <= linearMax
	// tree orders the indices of the newest writes by key. It is built by the
	// first scan and kept from then on: buffers that are never scanned do not
	// pay for order.
	tree  *btree.BTreeG[*ordered]
	swept *sweeps // nil if nothing has been
	size  int     // bytes of the log: keys, values and writeOverhead each; and of what is swept
	mark  int     // the last savepoint: writes from here on may be replaced in place

	gaps [2]gap // for each order of walks
}

// ordered is a tree entry: a key and where its newest write stands.
type ordered struct {
	key []byte
	at  int
}

func (w *writes) empty() bool { return len(w.log) == 0 && w.swept == nil }

// reset empties the buffer and keeps its memory, unless it has grown large.
func (w *writes) reset() {
	const keep = 1 << 14
	if cap(w.log) > keep {
		*w = writes{}
		return
	}
	clear(w.log)
	w.index.reset()
	*w = writes{log: w.log[:0], index: w.index}
}

// find returns the index of the newest write of key, or -1 if there is none or it is void.
func (w *writes) find(key []byte) int {
	if w.index.used {
		return w.index.find(w.log, key)
	}
	for i := len(w.log) - 1; i >= 0; i-- {
		if bytes.Equal(w.log[i].key, key) {
			if w.log[i].void {
				return -1
			}
			return i
		}
	}
	return -1
}

// add buffers a write. It keeps the slices of wr.
func (w *writes) add(wr write) {
	if !wr.deleted {
		w.cutGaps(wr.key)
	}
	wr.prev = w.find(wr.key)
	if wr.prev >= 0 && wr.prev >= w.mark {
		old := &w.log[wr.prev]
		w.size += len(wr.value) - len(old.value)
		wr.key, wr.prev = old.key, old.prev
		*old = wr
		return
	}
	w.log = append(w.log, wr)
	w.size += len(wr.key) + len(wr.value) + writeOverhead
	w.point(wr.key, len(w.log)-1)
	if !w.index.used && len(w.log) > linearMax {
		w.buildIndex()
	}
}

// point makes index i of the log what look-ups and scans find of key; -1 is nothing.
func (w *writes) point(key []byte, i int) {
	if w.index.used {
		w.index.point(w.log, key, i)
	}
	if w.tree != nil {
		if i >= 0 {
			w.tree.Set(&ordered{key, i})
		} else {
			w.tree.Delete(&ordered{key: key})
		}
	}
}

func (w *writes) buildIndex() {
	w.index.used = true
	for i := range w.log {
		if wr := &w.log[i]; wr.void {
			w.index.point(w.log, wr.key, -1)
		} else {
			w.index.point(w.log, wr.key, i)
		}
	}
}

// truncate takes back everything since the savepoint.
func (w *writes) truncate(to Savepoint) {
	for w.sweepCount() > to.sweeps {
		w.undoSweep()
	}
	w.cutLog(to.writes)
	w.gaps = [2]gap{}
	w.mark = min(w.mark, to.writes)
}

// cutLog takes back every write from index n on. No sweep has come after it.
func (w *writes) cutLog(n int) {
	for i := len(w.log) - 1; i >= n; i-- {
		wr := &w.log[i]
		w.size -= len(wr.key) + len(wr.value) + writeOverhead
		w.point(wr.key, wr.prev)
		*wr = write{}
	}
	w.log = w.log[:n]
}

// newest calls fn with the newest write of every key, in order of writing, but for deletions of what deleted returns anyhow.
func (w *writes) newest(fn func(wr *write)) {
	again := slices.ContainsFunc(w.log, func(wr write) bool { return wr.prev >= 0 })
	for i := range w.log {
		if wr := &w.log[i]; !wr.void && (!again || w.find(wr.key) == i) && !(wr.deleted && w.hides(wr.key)) {
			fn(wr)
		}
	}
}

// touched returns a key of what an optimistic commit writes, deletes or has read that is written or swept here.
func (w *writes) touched(c *store.Commit) ([]byte, bool) {
	if w.empty() {
		return nil, false
	}
	for _, m := range c.Mutations {
		if w.find(m.Key) >= 0 || w.hides(m.Key) {
			return m.Key, true
		}
	}
	for _, key := range c.Check.ReadKeys {
		if w.find(key) >= 0 || w.hides(key) {
			return key, true
		}
	}
	for _, span := range slices.Concat(c.Deleted, c.Check.ReadRanges) {
		if key, found := w.touchedIn(span); found {
			return key, true
		}
	}
	return nil, false
}

func (w *writes) touchedIn(span store.Span) ([]byte, bool) {
	if isEmpty(span) {
		return nil, false
	}
	if cur := w.cursor(span, store.Ascending); cur.valid {
		return cur.write().key, true
	}
	if w.swept != nil {
		for _, o := range w.deleted() {
			if (span.End == nil || bytes.Compare(o.Start, span.End) < 0) && (o.End == nil || bytes.Compare(span.Start, o.End) < 0) {
				return maxKey(o.Start, span.Start), true
			}
		}
	}
	return nil, false
}

// maxKey returns the higher of two keys.
func maxKey(a, b []byte) []byte {
	if bytes.Compare(a, b) > 0 {
		return a
	}
	return b
}

// cursor walks the newest writes inside a span, in one direction.
type cursor struct {
	w     *writes
	iter  btree.IterG[*ordered]
	span  store.Span
	order store.Order
	valid bool
}

func (w *writes) cursor(span store.Span, order store.Order) cursor {
	if w.tree == nil {
		w.tree = btree.NewBTreeGOptions(func(a, b *ordered) bool { return bytes.Compare(a.key, b.key) < 0 },
			btree.Options{NoLocks: true})
		for i := range w.log {
			if wr := &w.log[i]; wr.void {
				w.tree.Delete(&ordered{key: wr.key})
			} else {
				w.tree.Set(&ordered{wr.key, i})
			}
		}
	}
	c := cursor{w: w, iter: w.tree.Iter(), span: span, order: order}
	c.seekFirst()
	return c
}

func (c *cursor) seekFirst() {
	if c.order == store.Ascending {
		c.valid = c.iter.Seek(&ordered{key: c.span.Start})
	} else if c.span.End == nil {
		c.valid = c.iter.Last()
	} else if c.valid = c.iter.Seek(&ordered{key: c.span.End}); c.valid {
		c.valid = c.iter.Prev() // Seek found the first key at or after the end
	} else {
		c.valid = c.iter.Last()
	}
	c.checkBound()
}

func (c *cursor) next() {
	if c.order == store.Ascending {
		c.valid = c.iter.Next()
	} else {
		c.valid = c.iter.Prev()
	}
	c.checkBound()
}

func (c *cursor) checkBound() {
	if !c.valid {
		return
	}
	key := c.iter.Item().key
	if c.order == store.Ascending {
		c.valid = c.span.End == nil || bytes.Compare(key, c.span.End) < 0
	} else {
		c.valid = bytes.Compare(key, c.span.Start) >= 0
	}
}

func (c *cursor) write() *write { return &c.w.log[c.iter.Item().at] }

// before reports whether the cursor's key comes before key in its direction.
func (c *cursor) before(key []byte) bool {
	cmp := bytes.Compare(c.iter.Item().key, key)
	if c.order == store.Descending {
		cmp = -cmp
	}
	return cmp < 0
}
