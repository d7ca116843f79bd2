package keyspace

import (
	"bytes"
	"errors"
	"slices"

	"github.com/elastickv/elastickv/store"
)

func (z *ZSet) countLimits() CountLimits { return z.s.shared.limits.ZSetCounts }

// countName is the name of one of the rows of the group with the given bound.
func (z *ZSet) countName(kind byte, bound []byte) []byte {
	return append(append(z.s.countScan(z.home, 1+len(bound)), kind), bound...)
}

// countRow returns one of the rows of the group with the given bound.
func (z *ZSet) countRow(kind byte, bound []byte) ([]byte, error) {
	z.s.buf = append(append(z.s.appendCountScan(z.s.scratch(), z.home), kind), bound...)
	row, ok, err := z.s.tx.Get(z.s.buf)
	if err == nil && !ok {
		err = errCounts
	}
	return row.Value, err
}

// counted reports whether the set has counts that hold. Those of the past may not: what is in them is one version for many transactions.
func (z *ZSet) counted() bool { return z.entry.counted() && !z.s.tx.Past() }

// countBounds returns the bounds of all groups, nil if the set has none.
func (z *ZSet) countBounds() ([][]byte, error) {
	if !z.counted() {
		return nil, nil
	}
	return parseCountBounds(z.entry.body, nil)
}

// countGroup returns the blocks of the group with the given bound.
func (z *ZSet) countGroup(bound []byte) ([]countBlock, error) {
	list, err := z.countRow(countBoundsRow, bound)
	if err != nil {
		return nil, err
	}
	bounds, err := parseCountBounds(list, bound)
	if err != nil {
		return nil, err
	}
	row, err := z.countRow(countMembersRow, bound)
	if err != nil {
		return nil, err
	}
	return parseCounts(row, bounds)
}

// countTotals returns the members of each of so many groups, of a set of n members.
func (z *ZSet) countTotals(n int64, groups int) ([]int64, error) {
	if groups == 1 {
		return []int64{n}, nil
	}
	row, err := z.countRow(countTotalsRow, nil)
	if err != nil {
		return nil, err
	}
	return parseTotals(row, groups)
}

// countedTogether reports whether all members are in one group: the entry has one bound then, which is empty. Such a set has no row of totals.
func (z *ZSet) countedTogether() bool { return len(z.entry.body) == 1 }

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

// countPlace is where a tail belongs: a block of a group.
type countPlace struct {
	group int
	bound []byte // of the group
	block int
}

// countPlaceOf returns the place of tail.
func (z *ZSet) countPlaceOf(tail []byte) (countPlace, error) {
	group, bound, err := lastCountBound(z.entry.body, tail)
	if err != nil {
		return countPlace{}, err
	}
	list, err := z.countRow(countBoundsRow, bound)
	if err != nil {
		return countPlace{}, err
	}
	block, _, err := lastCountBound(list, tail)
	return countPlace{group, bound, block}, err
}

// recount adds delta, 1 or -1, to the block that tail lies in. The index has been changed already.
func (z *ZSet) recount(tail []byte, delta int64) error {
	place, err := z.countPlaceOf(tail)
	if err != nil {
		return err
	}
	return z.recountAt(place, tail, delta)
}

// recountAt is recount for a tail with the given place.
func (z *ZSet) recountAt(place countPlace, tail []byte, delta int64) error {
	row, err := z.countRow(countMembersRow, place.bound)
	if err != nil {
		return err
	}
	row, n, err := addCount(row, place.block, delta)
	if err != nil {
		return err
	}
	if err := z.s.tx.PutNewest(z.countName(countMembersRow, place.bound), row); err != nil {
		return err
	}
	if err := z.retotal(place.group, delta); err != nil {
		return err
	}
	return z.settle(tail, n, delta)
}

// retotal adds delta to the members of a group.
func (z *ZSet) retotal(group int, delta int64) error {
	if z.countedTogether() {
		return nil
	}
	row, err := z.countRow(countTotalsRow, nil)
	if err != nil {
		return err
	}
	if row, err = addTotal(row, group, delta); err != nil {
		return err
	}
	return z.s.tx.PutNewest(z.countName(countTotalsRow, nil), row)
}

// recountMoved takes down that a member has gone from one tail to another.
func (z *ZSet) recountMoved(from, to []byte) error {
	left, err := z.countPlaceOf(from)
	if err != nil {
		return err
	}
	entered, err := z.countPlaceOf(to)
	if err != nil || left.block == entered.block && bytes.Equal(left.bound, entered.bound) {
		return err
	}
	if err := z.recountAt(left, from, -1); err != nil {
		return err
	}
	return z.recount(to, 1) // the groups may be others now
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
	m.most, m.groupMost = most, z.countLimits().group(size)
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

// countRoom is one group that is being changed.
type countRoom struct {
	z         *ZSet
	most      int64    // members of a block
	groupMost int      // blocks of a group
	bounds    [][]byte // of all groups
	totals    []int64  // members of all groups
	at        int      // the group
	blocks    []countBlock
	block     int // of the group: the one at hand
}

// edge is the part of a block or group that is cut off at an end of the set: who adds members there goes on doing so,
// and would leave all behind them half full.
const edge = 8

// cutAt is where n members of a block, or blocks of a group, are cut in two: in the middle, but for the first and the last of all.
func cutAt(n int64, first, last bool) int64 {
	switch part := max(n/edge, 1); {
	case last && !first:
		return n - part
	case first && !last:
		return part
	}
	return n / 2
}

// openCounts opens the group with the block that tail lies in.
func (z *ZSet) openCounts(tail []byte) (*countRoom, error) {
	bounds, err := z.countBounds()
	if err != nil {
		return nil, err
	}
	n, err := z.Len()
	if err != nil {
		return nil, err
	}
	m := &countRoom{z: z, bounds: bounds}
	if m.totals, err = z.countTotals(n, len(bounds)); err != nil {
		return nil, err
	}
	m.at = lastNotAbove(tail, len(bounds), func(i int) []byte { return bounds[i] })
	if m.blocks, err = z.countGroup(bounds[m.at]); err != nil {
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
		return m.dropGroup()
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

// dropGroup removes the group, which has an empty block only. Its place in the order goes to the group
// before, or, if it is the first, to the next.
func (m *countRoom) dropGroup() (err error) {
	if len(m.bounds) == 1 {
		return nil
	}
	if m.at > 0 {
		if err := m.forget(m.at); err != nil {
			return err
		}
		m.at--
		m.blocks, err = m.z.countGroup(m.bounds[m.at])
		return err
	}
	if m.blocks, err = m.z.countGroup(m.bounds[1]); err != nil {
		return err
	}
	m.blocks[0].bound = m.bounds[0]
	return m.forget(1)
}

// forget removes a group and its bound.
func (m *countRoom) forget(i int) error {
	bound := m.bounds[i]
	m.bounds = slices.Delete(m.bounds, i, i+1)
	m.totals = slices.Delete(m.totals, i, i+1)
	return m.z.deleteCountGroup(bound)
}

// close cuts the group in two if it is too large, or joins it with a neighbour if both are small, and writes what has changed.
func (m *countRoom) close() error {
	most, size := m.groupMost, boundsSize(m.blocks)
	if n := len(m.blocks); n > most || n > 1 && size > countGroupBytes {
		lower := cutAt(int64(n), m.at == 0, m.at+1 == len(m.bounds))
		upper := m.blocks[lower:]
		m.blocks = m.blocks[:lower]
		if err := m.z.putCountGroup(upper); err != nil {
			return err
		}
		m.bounds = slices.Insert(m.bounds, m.at+1, upper[0].bound)
		m.totals = slices.Insert(m.totals, m.at+1, membersOf(upper))
	} else if n <= most/4 && len(m.bounds) > 1 {
		if err := m.join(most*3/4, countGroupBytes*3/4-size); err != nil {
			return err
		}
	}
	if err := m.z.putCountGroup(m.blocks); err != nil {
		return err
	}
	m.totals[m.at] = membersOf(m.blocks)
	return m.z.putCountGroups(m.bounds, m.totals)
}

// boundsSize is how many bytes the bounds of blocks have.
func boundsSize(blocks []countBlock) (size int) {
	for _, b := range blocks {
		size += len(b.bound)
	}
	return size
}

// join takes in the next group, or the one before if there is none, if they have at most so many blocks together
// and the bounds of that one at most so many bytes.
func (m *countRoom) join(blocks, size int) error {
	with := m.at + 1
	if with == len(m.bounds) {
		with = m.at - 1
	}
	other, err := m.z.countGroup(m.bounds[with])
	if err != nil || len(m.blocks)+len(other) > blocks || boundsSize(other) > size {
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

// putCountGroup writes a group.
func (z *ZSet) putCountGroup(blocks []countBlock) error {
	bounds := make([][]byte, len(blocks))
	for i, b := range blocks {
		bounds[i] = b.bound
	}
	if err := z.s.tx.PutNewest(z.countName(countBoundsRow, bounds[0]), encodeCountBounds(bounds)); err != nil {
		return err
	}
	return z.s.tx.PutNewest(z.countName(countMembersRow, bounds[0]), encodeCounts(blocks))
}

// deleteCountGroup deletes the rows of the group with the given bound.
func (z *ZSet) deleteCountGroup(bound []byte) error {
	if err := z.s.tx.Delete(z.countName(countBoundsRow, bound)); err != nil {
		return err
	}
	return z.s.tx.Delete(z.countName(countMembersRow, bound))
}

// putCountGroups writes what is known of all groups.
func (z *ZSet) putCountGroups(bounds [][]byte, totals []int64) error {
	var err error
	if len(bounds) > 1 {
		err = z.s.tx.PutNewest(z.countName(countTotalsRow, nil), encodeTotals(totals))
	} else {
		err = z.deleteTotals()
	}
	if err != nil {
		return err
	}
	return z.putCountBounds(bounds)
}

// deleteTotals deletes the row of totals, if the set has one.
func (z *ZSet) deleteTotals() error {
	if !z.entry.counted() || z.countedTogether() {
		return nil
	}
	return z.s.tx.Delete(z.countName(countTotalsRow, nil))
}

// putCountBounds has the directory entry hold the bounds of all groups; without any there are no counts.
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
	if err := z.deleteCounts(); err != nil {
		return err
	}
	return z.putCountBounds(nil)
}

// deleteCounts deletes the rows of all groups. They are not walked: they are written often, and a walk would pass many
// versions of each.
func (z *ZSet) deleteCounts() error {
	bounds, err := z.countBounds()
	if err != nil {
		return err
	}
	for _, b := range bounds {
		if err := z.deleteCountGroup(b); err != nil {
			return err
		}
	}
	return z.deleteTotals()
}

// removeCounts deletes the counts of a key whose entry is e.
func (s *Space) removeCounts(key []byte, e entry) error {
	z := ZSet{s.collection(key, e)}
	if err := z.deleteCounts(); !errors.Is(err, errCounts) {
		return err
	}
	return s.tx.DeletePrefix(s.countScan(z.home, 0)) // those of bounds that are not valid have to be looked for
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
	most := max(z.countLimits().group(n)*3/4, 1)
	var bounds [][]byte
	var totals []int64
	for rest := c.blocks; len(rest) > 0; {
		n, size := 1, 0
		for n < min(most, len(rest)) && size < countGroupBytes/2 {
			size += len(rest[n].bound)
			n++
		}
		if err := z.putCountGroup(rest[:n]); err != nil {
			return err
		}
		bounds, totals, rest = append(bounds, rest[0].bound), append(totals, membersOf(rest[:n])), rest[n:]
	}
	return z.putCountGroups(bounds, totals)
}
