package keyspace

import (
	"bytes"
	"slices"

	"github.com/elastickv/elastickv/store"
)

func (z *ZSet) countLimits() CountLimits { return z.s.shared.limits.ZSetCounts }

// countName is the name of the row of counts with the given bound.
func (z *ZSet) countName(bound []byte) []byte {
	return append(z.s.countScan(z.key, len(bound)), bound...)
}

// counts returns the row of counts with the given bound.
func (z *ZSet) counts(name []byte) ([]byte, error) {
	row, ok, err := z.s.tx.Get(name)
	if err == nil && !ok {
		err = errCounts
	}
	return row.Value, err
}

// countBounds returns the bounds of all rows of counts, nil if the set has none.
func (z *ZSet) countBounds() ([][]byte, error) {
	if !z.entry.counted() {
		return nil, nil
	}
	return parseCountBounds(z.entry.body)
}

// countAdded takes down that the set has a member more, of n.
func (z *ZSet) countAdded(m ScoredMember, n int64) error {
	switch {
	case z.entry.counted():
		return z.recount(indexTail(m.Member, m.Score), 1)
	case n > z.countLimits().from():
		return z.beginCounts()
	}
	return nil
}

// recount adds delta, 1 or -1, to the block that tail lies in. The index has been changed already.
func (z *ZSet) recount(tail []byte, delta int64) error {
	bound, err := countBoundOf(z.entry.body, tail)
	if err != nil {
		return err
	}
	return z.recountIn(bound, tail, delta)
}

// recountIn is recount for the row with the given bound.
func (z *ZSet) recountIn(bound, tail []byte, delta int64) error {
	name := z.countName(bound)
	row, err := z.counts(name)
	if err != nil {
		return err
	}
	row, n, err := addCount(row, bound, tail, delta)
	if err != nil {
		return err
	}
	if err := z.s.tx.Put(name, row, 0); err != nil {
		return err
	}
	return z.settle(tail, n, delta)
}

// recountMoved takes down that a member has gone from one tail to another.
func (z *ZSet) recountMoved(from, to []byte) error {
	bound, err := countBoundOf(z.entry.body, from)
	if err != nil {
		return err
	}
	same, err := countBoundOf(z.entry.body, to)
	if err != nil {
		return err
	}
	if !bytes.Equal(bound, same) {
		if err := z.recountIn(bound, from, -1); err != nil {
			return err
		}
		return z.recount(to, 1) // the rows may be others now
	}
	name := z.countName(bound)
	old, err := z.counts(name)
	if err != nil {
		return err
	}
	row, left, err := addCount(old, bound, from, -1)
	if err != nil {
		return err
	}
	row, more, err := addCount(row, bound, to, 1)
	if err != nil || bytes.Equal(row, old) {
		return err
	}
	if err := z.s.tx.Put(name, row, 0); err != nil {
		return err
	}
	if err := z.settle(from, left, -1); err != nil {
		return err
	}
	return z.settle(to, more, 1)
}

// settle sees to it that the block that tail lies in, which has n members after the change, is not too large
// or too small.
func (z *ZSet) settle(tail []byte, n, delta int64) error {
	size, err := z.Len()
	if err != nil {
		return err
	}
	most := z.countLimits().block(size)
	large := delta > 0 && n > most
	if small := delta < 0 && (n == 0 || n == most/4); !large && !small {
		return nil
	}
	m, err := z.openCounts(tail)
	if err != nil {
		return err
	}
	m.most, m.rowMost = most, z.countLimits().row(size)
	if large {
		err = m.split()
	} else {
		err = m.merge()
	}
	if err != nil {
		return err
	}
	return m.close()
}

// countRoom is one row of counts that is being changed.
type countRoom struct {
	z       *ZSet
	most    int64    // members of a block
	rowMost int      // blocks of a row
	bounds  [][]byte // of all rows
	at      int      // the row
	blocks  []countBlock
	block   int // of the row: the one at hand
}

// edge is the part of a block or row that is cut off at an end of the set: who adds members there goes on doing so,
// and would leave all behind them half full.
const edge = 8

// cutAt is where n members of a block, or blocks of a row, are cut in two: in the middle, but for the first and the last of all.
func cutAt(n int64, first, last bool) int64 {
	switch part := max(n/edge, 1); {
	case last && !first:
		return n - part
	case first && !last:
		return part
	}
	return n / 2
}

// openCounts opens the row with the block that tail lies in.
func (z *ZSet) openCounts(tail []byte) (*countRoom, error) {
	bounds, err := parseCountBounds(z.entry.body)
	if err != nil {
		return nil, err
	}
	m := &countRoom{z: z, bounds: bounds}
	m.at = lastNotAbove(tail, len(bounds), func(i int) []byte { return bounds[i] })
	if m.blocks, err = m.row(m.at); err != nil {
		return nil, err
	}
	m.block = lastNotAbove(tail, len(m.blocks), func(i int) []byte { return m.blocks[i].bound })
	return m, nil
}

// lastNotAbove returns the index of the last of n rising bounds that is not above tail. The first is not.
func lastNotAbove(tail []byte, n int, bound func(i int) []byte) int {
	lo, hi := 0, n
	for hi-lo > 1 {
		if mid := (lo + hi) / 2; bytes.Compare(bound(mid), tail) <= 0 {
			lo = mid
		} else {
			hi = mid
		}
	}
	return lo
}

// row returns the blocks of a row.
func (m *countRoom) row(i int) ([]countBlock, error) {
	row, err := m.z.counts(m.z.countName(m.bounds[i]))
	if err != nil {
		return nil, err
	}
	return parseCounts(row, m.bounds[i])
}

// end is where the block at hand ends, nil if nothing is behind it.
func (m *countRoom) end() []byte {
	if m.block+1 < len(m.blocks) {
		return m.blocks[m.block+1].bound
	}
	if m.at+1 < len(m.bounds) {
		return m.bounds[m.at+1]
	}
	return nil
}

// split cuts the block at hand in two.
func (m *countRoom) split() error {
	b := &m.blocks[m.block]
	end := m.end()
	half, passed := cutAt(b.n, len(b.bound) == 0, end == nil), int64(0)
	var before, bound []byte
	err := m.z.walkTails(b.bound, end, store.Ascending, func(tail []byte) bool {
		if passed == half {
			bound = countBetween(before, tail)
			return false
		}
		if passed++; passed == half {
			before = bytes.Clone(tail)
		}
		return true
	})
	if err == nil && bound == nil {
		err = errCounts
	}
	if err != nil {
		return err
	}
	upper := countBlock{bound, b.n - half}
	b.n = half
	m.blocks = slices.Insert(m.blocks, m.block+1, upper)
	return nil
}

// merge joins the block at hand with a neighbour, if the two are not too large together. One that is
// empty always goes, if the set has another.
func (m *countRoom) merge() error {
	i, n := m.block, m.blocks[m.block].n
	switch {
	case len(m.blocks) == 1 && n == 0:
		return m.dropRow()
	case len(m.blocks) == 1:
		return nil
	case i+1 == len(m.blocks), i > 0 && m.blocks[i-1].n < m.blocks[i+1].n:
		i--
	}
	if sum := m.blocks[i].n + m.blocks[i+1].n; n == 0 || sum <= m.most*3/4 {
		m.blocks[i].n = sum
		m.blocks = slices.Delete(m.blocks, i+1, i+2)
	}
	return nil
}

// dropRow removes the row, which has an empty block only. Its place in the order goes to the row
// before, or, if it is the first, to the next.
func (m *countRoom) dropRow() error {
	if len(m.bounds) == 1 {
		return nil
	}
	if m.at > 0 {
		if err := m.forget(m.at); err != nil {
			return err
		}
		m.at--
		var err error
		m.blocks, err = m.row(m.at)
		return err
	}
	next, err := m.row(1)
	if err != nil {
		return err
	}
	next[0].bound = m.bounds[0]
	m.blocks = next
	return m.forget(1)
}

// forget removes a row and its bound.
func (m *countRoom) forget(i int) error {
	name := m.z.countName(m.bounds[i])
	m.bounds = slices.Delete(m.bounds, i, i+1)
	return m.z.s.tx.Delete(name)
}

// close cuts the row in two if it is too large, or joins it with a neighbour if both are small, and writes what has changed.
func (m *countRoom) close() error {
	most := m.rowMost
	row := encodeCounts(m.blocks)
	if n := len(m.blocks); n > most || n > 1 && len(row) > countRowBytes {
		lower := cutAt(int64(n), m.at == 0, m.at+1 == len(m.bounds))
		upper := m.blocks[lower:]
		m.blocks = m.blocks[:lower]
		if err := m.z.putCounts(upper); err != nil {
			return err
		}
		m.bounds = slices.Insert(m.bounds, m.at+1, upper[0].bound)
		row = encodeCounts(m.blocks)
	} else if n <= most/4 && len(m.bounds) > 1 {
		if err := m.join(most*3/4, countRowBytes*3/4-len(row)); err != nil {
			return err
		}
		row = encodeCounts(m.blocks)
	}
	if err := m.z.s.tx.Put(m.z.countName(m.bounds[m.at]), row, 0); err != nil {
		return err
	}
	return m.z.putCountBounds(m.bounds)
}

// join takes in the next row, or the one before if there is none, if they have at most so many blocks together
// and that row at most so many bytes.
func (m *countRoom) join(blocks, size int) error {
	with := m.at + 1
	if with == len(m.bounds) {
		with = m.at - 1
	}
	other, err := m.row(with)
	if err != nil || len(m.blocks)+len(other) > blocks || len(encodeCounts(other)) > size {
		return err
	}
	if with > m.at {
		m.blocks = append(m.blocks, other...)
		return m.forget(with)
	}
	if err := m.forget(m.at); err != nil {
		return err
	}
	m.at, m.blocks = with, append(other, m.blocks...)
	return nil
}

// putCounts writes a row.
func (z *ZSet) putCounts(blocks []countBlock) error {
	return z.s.tx.Put(z.countName(blocks[0].bound), encodeCounts(blocks), 0)
}

// putCountBounds has the directory entry hold the bounds of all rows; without any there are no counts.
func (z *ZSet) putCountBounds(bounds [][]byte) error {
	list := encodeCountBounds(bounds)
	if bytes.Equal(list, z.entry.body) {
		return nil
	}
	z.entry.body = list
	return z.s.tx.Put(z.s.entryName(z.key), z.s.encode(z.entry), z.entry.expireAt)
}

// dropCounts removes all counts of a set that is still there. They are few then.
func (z *ZSet) dropCounts() error {
	bounds, err := parseCountBounds(z.entry.body)
	if err != nil {
		return err
	}
	for _, b := range bounds {
		if err := z.s.tx.Delete(z.countName(b)); err != nil {
			return err
		}
	}
	return z.putCountBounds(nil)
}

// countRemoved takes down that members have gone, and that n are left.
func (z *ZSet) countRemoved(members []ScoredMember, n int64) error {
	if !z.entry.counted() {
		return nil
	}
	if n == 0 || n < z.countLimits().from()/4 {
		return z.dropCounts()
	}
	for _, m := range members {
		if err := z.recount(indexTail(m.Member, m.Score), -1); err != nil {
			return err
		}
	}
	return nil
}

// counting makes counts of tails that come in their order.
type counting struct {
	fill   int64 // members of a block, but for the last
	blocks []countBlock
	last   []byte // tail of the last member
}

func (c *counting) add(tail []byte) {
	if n := len(c.blocks); n == 0 {
		c.blocks = []countBlock{{bound: []byte{}}}
	} else if c.blocks[n-1].n == c.fill {
		c.blocks = append(c.blocks, countBlock{bound: countBetween(c.last, tail)})
	}
	c.blocks[len(c.blocks)-1].n++
	c.last = append(c.last[:0], tail...)
}

// beginCounts gives counts to a set of any size.
func (z *ZSet) beginCounts() error {
	n, err := z.Len()
	if err != nil {
		return err
	}
	c := z.counting(n)
	err = z.walkTails(nil, nil, store.Ascending, func(tail []byte) bool {
		c.add(tail)
		return true
	})
	if err != nil {
		return err
	}
	return z.putCounting(c, n)
}

// beginCountsOf gives counts to a set that has just been made of the given members.
func (z *ZSet) beginCountsOf(members []ScoredMember) error {
	c := z.counting(int64(len(members)))
	for _, m := range inOrder(slices.Clone(members)) {
		c.add(indexTail(m.Member, m.Score))
	}
	return z.putCounting(c, int64(len(members)))
}

// counting begins counts of about n members, with room for more.
func (z *ZSet) counting(n int64) *counting {
	return &counting{fill: max(z.countLimits().block(n)*3/4, 1)}
}

// putCounting writes the counts of n members.
func (z *ZSet) putCounting(c *counting, n int64) error {
	most := max(z.countLimits().row(n)*3/4, 1)
	var bounds [][]byte
	for rest := c.blocks; len(rest) > 0; {
		n, size := 1, 0
		for n < min(most, len(rest)) && size < countRowBytes/2 {
			size += len(rest[n].bound) // more than it takes
			n++
		}
		if err := z.putCounts(rest[:n]); err != nil {
			return err
		}
		bounds, rest = append(bounds, rest[0].bound), rest[n:]
	}
	return z.putCountBounds(bounds)
}
