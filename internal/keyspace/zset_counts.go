package keyspace

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
)

// A sorted set that has grown large has counts: its order is cut into blocks, and it is known how
// many members each has. So ranks are found, and ranges counted, by adding up blocks and a walk
// within one.
//
// A block reaches from its bound, a tail of an index row or the beginning of one, to the next block's. The
// first bound is empty. Neighbouring blocks are kept by the hundred in a group, which has the bound of its first
// block, and two rows: the bounds of its blocks, and how many members each has. The directory entry has the bounds
// of all groups, and if there are several, one more row has the members of each, the totals. So a write of a member looks up where the
// member belongs, and writes two short rows more, of nothing but numbers, of which transactions that are staged together
// share one; and a rank is found by looking up the two. Bounds are written only when blocks or groups
// are cut in two or joined. A set without bounds in its entry has no counts.
//
// Refused: a row for each block, found by a walk backwards. Hot rows have many versions, which the
// sums over thousands of them would have to pass, and a walk in an update costs more than two
// look-ups.

// countBlock is a stretch of the order of a sorted set.
type countBlock struct {
	bound []byte
	n     int64 // members
}

// CountLimits are the sizes of what is counted together; 0 is the default. They change no layout.
type CountLimits struct {
	From  int // members from which on a set has counts
	Block int // members of a block at most
	Group int // blocks of a group at most
}

const (
	countFrom       = 1000
	countBlockLeast = 256
	countBlockMost  = 1 << 15 // a number of members takes two bytes
	countGroupLeast = 64
	countGroupMost  = 512
	countGroupBytes = 16 << 10 // from this size of its bounds on a group is cut in two
)

// from is the number of members from which on a set has counts. One that has them keeps
// them until it is down to a quarter.
func (l CountLimits) from() int64 {
	if l.From > 0 {
		return int64(l.From)
	}
	return countFrom
}

// block is how many members a block has at most in a set of n. Of a very large set blocks are larger, so that
// neither they nor the walks within one become too many.
func (l CountLimits) block(n int64) int64 {
	size := int64(l.Block)
	if size <= 0 {
		size = max(countBlockLeast, int64(math.Sqrt(float64(n)))/4)
	}
	return min(size, countBlockMost)
}

// group is how many blocks a group has at most in a set of n. A write of a member writes two bytes for each of them, and four for
// each group with every other: so both grow, more slowly than the set.
func (l CountLimits) group(n int64) int {
	if l.Group > 0 {
		return l.Group
	}
	return min(max(countGroupLeast, int(math.Sqrt(float64(n)))/16), countGroupMost)
}

var errCounts = errors.New("keyspace: counts of a sorted set are not valid")

// encodeCountBounds encodes bounds, each behind its length as an unsigned varint.
//
//	| length | bound | length | bound | …
func encodeCountBounds(bounds [][]byte) []byte {
	n := 0
	for _, b := range bounds {
		n += binary.MaxVarintLen16 + len(b)
	}
	list := make([]byte, 0, n)
	for _, b := range bounds {
		list = append(binary.AppendUvarint(list, uint64(len(b))), b...)
	}
	return list
}

// cutCountBound takes the first bound off a list, which is not empty. It aliases the list.
func cutCountBound(list []byte) (bound, rest []byte, err error) {
	if len(list) > 0 && int(list[0]) < min(len(list), 1<<7) { // as nearly all are
		end := 1 + int(list[0])
		return list[1:end:end], list[end:], nil
	}
	n, w := binary.Uvarint(list)
	if w <= 0 || n > uint64(len(list)-w) {
		return nil, nil, errCounts
	}
	end := w + int(n)
	return list[w:end:end], list[end:], nil
}

// parseCountBounds returns the bounds of a list, which begin with first and rise. They alias the list.
func parseCountBounds(list, first []byte) ([][]byte, error) {
	n := 0
	for rest := list; len(rest) > 0; n++ {
		var err error
		if _, rest, err = cutCountBound(rest); err != nil {
			return nil, err
		}
	}
	bounds := make([][]byte, 0, n)
	for rest := list; len(bounds) < n; {
		b, left, err := cutCountBound(rest)
		if err != nil {
			return nil, err
		}
		if k := len(bounds); k > 0 && bytes.Compare(bounds[k-1], b) >= 0 {
			return nil, errCounts
		}
		bounds, rest = append(bounds, b), left
	}
	if n == 0 || !bytes.Equal(bounds[0], first) {
		return nil, errCounts
	}
	return bounds, nil
}

// lastCountBound returns the last bound of a list that is not above tail, and its place. The first one is not.
func lastCountBound(list, tail []byte) (at int, bound []byte, err error) {
	at = -1
	for len(list) > 0 {
		b, rest, err := cutCountBound(list)
		if err != nil {
			return 0, nil, err
		}
		if bytes.Compare(b, tail) > 0 {
			break
		}
		at, bound, list = at+1, b, rest
	}
	if at < 0 {
		return 0, nil, errCounts
	}
	return at, bound, nil
}

// countSize is how many bytes the members of a block take.
const countSize = 2

// encodeCounts encodes the members of the blocks of a group.
//
//	| members (2) | members (2) | …
func encodeCounts(blocks []countBlock) []byte {
	row := make([]byte, 0, countSize*len(blocks))
	for _, b := range blocks {
		row = binary.BigEndian.AppendUint16(row, uint16(b.n))
	}
	return row
}

// parseCounts returns the blocks of a group.
func parseCounts(row []byte, bounds [][]byte) ([]countBlock, error) {
	if len(row) != countSize*len(bounds) {
		return nil, errCounts
	}
	blocks := make([]countBlock, len(bounds))
	for i := range blocks {
		blocks[i] = countBlock{bounds[i], int64(binary.BigEndian.Uint16(row[countSize*i:]))}
	}
	return blocks, nil
}

// addCount returns a row in which block i has delta members more, and how many that is.
func addCount(row []byte, i int, delta int64) (changed []byte, n int64, err error) {
	at := countSize * i
	if len(row)%countSize != 0 || at+countSize > len(row) {
		return nil, 0, errCounts
	}
	n = int64(binary.BigEndian.Uint16(row[at:])) + delta
	if n < 0 || n > math.MaxUint16 {
		return nil, 0, errCounts
	}
	changed = bytes.Clone(row)
	binary.BigEndian.PutUint16(changed[at:], uint16(n))
	return changed, n, nil
}

// totalSize is how many bytes the members of a group take.
const totalSize = 4

// encodeTotals encodes the members of all groups, of which there are several.
//
//	| members (4) | members (4) | …
func encodeTotals(totals []int64) []byte {
	row := make([]byte, 0, totalSize*len(totals))
	for _, n := range totals {
		row = binary.BigEndian.AppendUint32(row, uint32(n))
	}
	return row
}

// parseTotals returns the members of each of so many groups.
func parseTotals(row []byte, groups int) ([]int64, error) {
	if len(row) != totalSize*groups {
		return nil, errCounts
	}
	totals := make([]int64, groups)
	for i := range totals {
		totals[i] = int64(binary.BigEndian.Uint32(row[totalSize*i:]))
	}
	return totals, nil
}

// addTotal returns a row in which group i has delta members more.
func addTotal(row []byte, i int, delta int64) ([]byte, error) {
	at := totalSize * i
	if len(row)%totalSize != 0 || at+totalSize > len(row) {
		return nil, errCounts
	}
	n := int64(binary.BigEndian.Uint32(row[at:])) + delta
	if n < 0 || n > math.MaxUint32 {
		return nil, errCounts
	}
	changed := bytes.Clone(row)
	binary.BigEndian.PutUint32(changed[at:], uint32(n))
	return changed, nil
}

// membersOf returns how many members blocks have.
func membersOf(blocks []countBlock) (n int64) {
	for _, b := range blocks {
		n += b.n
	}
	return n
}

// countBetween is the shortest bound above the tail before and not above at, which is the next one.
func countBetween(before, at []byte) []byte {
	return bytes.Clone(at[:commonLen(before, at)+1])
}
