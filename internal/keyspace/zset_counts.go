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
// Blocks are kept by the dozen in a row, which stands under the bound of its first block. A block
// reaches from its bound, a tail of an index row or the beginning of one, to the next block's. The
// first bound is empty. The directory entry has the bounds of all rows: so the row of a
// member is found by a look-up and not by a search, and a write of a member writes one row more.
// The entry itself is written only when rows are cut in two or joined. A set without bounds in its
// entry has no counts.
//
// Refused: a row for each block, found by a walk backwards. Hot rows have many versions, which the
// sums over thousands of them would have to pass, and a walk in an update costs more than two
// look-ups. Sums of sums would be one more row to write.

// countBlock is a stretch of the order of a sorted set.
type countBlock struct {
	bound []byte
	n     int64 // members
}

// CountLimits are the sizes of what is counted together; 0 is the default. They change no layout.
type CountLimits struct {
	From  int // members from which on a set has counts
	Block int // members of a block at most
	Row   int // blocks of a row at most
}

const (
	countFrom     = 1000
	countBlockMin = 256
	countRowMin   = 16
	countRowMax   = 64
	countRowBytes = 4 << 10 // from this size on a row is cut in two
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
	if l.Block > 0 {
		return int64(l.Block)
	}
	return max(countBlockMin, int64(math.Sqrt(float64(n)))/2)
}

// row is how many blocks a row has at most in a set of n. A write of a member writes a row, and to find a rank adds
// up rows: so they grow, more slowly than the set.
func (l CountLimits) row(n int64) int {
	if l.Row > 0 {
		return l.Row
	}
	return min(max(countRowMin, int(math.Sqrt(float64(n)))/32), countRowMax)
}

var errCounts = errors.New("keyspace: counts of a sorted set are not valid")

// encodeCountBounds encodes the bounds of all rows, each behind its length as an unsigned varint.
//
//	| 0 | length | bound | length | bound | …
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

// parseCountBounds returns the bounds of a list that is not empty. They alias the list.
func parseCountBounds(list []byte) ([][]byte, error) {
	n := 0
	for rest := list; len(rest) > 0; n++ {
		var err error
		if _, rest, err = cutCountBound(rest); err != nil {
			return nil, err
		}
	}
	bounds := make([][]byte, 0, n)
	for rest := list; len(bounds) == 0 || len(rest) > 0; {
		b, left, err := cutCountBound(rest)
		if err != nil {
			return nil, err
		}
		if len(bounds) == 0 && len(b) > 0 || len(bounds) > 0 && bytes.Compare(bounds[len(bounds)-1], b) >= 0 {
			return nil, errCounts
		}
		bounds, rest = append(bounds, b), left
	}
	return bounds, nil
}

// countBoundOf returns the bound of the row with the block that tail lies in.
func countBoundOf(list, tail []byte) (bound []byte, err error) {
	for len(list) > 0 {
		b, rest, err := cutCountBound(list)
		if err != nil {
			return nil, err
		}
		if bytes.Compare(b, tail) > 0 {
			break
		}
		bound, list = b, rest
	}
	return bound, nil
}

// encodeCounts encodes the blocks of a row, numbers as unsigned varints. The bound of the first is
// the row's; the others share bytes with the one before.
//
//	| members | shared | length | rest of the bound | members | shared | …
func encodeCounts(blocks []countBlock) []byte {
	row := make([]byte, 0, 16*len(blocks))
	for i, b := range blocks {
		if i > 0 {
			shared := commonLen(blocks[i-1].bound, b.bound)
			row = binary.AppendUvarint(row, uint64(shared))
			row = binary.AppendUvarint(row, uint64(len(b.bound)-shared))
			row = append(row, b.bound[shared:]...)
		}
		row = binary.AppendUvarint(row, uint64(b.n))
	}
	return row
}

// countReader reads the blocks of a row one by one.
type countReader struct {
	row   []byte
	at    int    // where the members of the block at hand begin
	next  int    // where they end
	n     int64  // members of the block at hand
	bound []byte // its bound; changed by the next step
}

// readCounts returns a reader of the row with the given bound. buf is room for bounds.
func readCounts(row, bound, buf []byte) (countReader, error) {
	r := countReader{row: row, bound: append(buf, bound...)}
	return r, r.members()
}

// members reads the members of a block.
func (r *countReader) members() error {
	n, err := r.number()
	r.n = int64(n)
	return err
}

// countMost is more members than any block has. Sums of so many do not overflow.
const countMost = 1 << 40

func (r *countReader) number() (uint64, error) {
	if r.next < len(r.row) && r.row[r.next] < 1<<7 { // as nearly all are
		r.at, r.next = r.next, r.next+1
		return uint64(r.row[r.at]), nil
	}
	n, w := binary.Uvarint(r.row[r.next:])
	if w <= 0 || n > countMost {
		return 0, errCounts
	}
	r.at, r.next = r.next, r.next+w
	return n, nil
}

// more reports whether there is another block.
func (r *countReader) more() bool { return r.next < len(r.row) }

// step goes on to the next block, which there is.
func (r *countReader) step() error {
	shared, err := r.number()
	if err != nil {
		return err
	}
	rest, err := r.number()
	if err != nil {
		return err
	}
	left := r.row[r.next:]
	if shared > uint64(len(r.bound)) || rest == 0 || rest > uint64(len(left)) {
		return errCounts
	}
	// Bounds rise: the rest is above what it takes the place of.
	if bytes.Compare(left[:rest], r.bound[shared:]) <= 0 {
		return errCounts
	}
	r.bound = append(r.bound[:shared], left[:rest]...)
	r.next += int(rest)
	return r.members()
}

// parseCounts returns the blocks of the row with the given bound.
func parseCounts(row, bound []byte) ([]countBlock, error) {
	r, err := readCounts(row, bound, nil)
	blocks := []countBlock{{bytes.Clone(r.bound), r.n}}
	for err == nil && r.more() {
		if err = r.step(); err == nil {
			blocks = append(blocks, countBlock{bytes.Clone(r.bound), r.n})
		}
	}
	return blocks, err
}

// sumCounts returns the members of all blocks of a row, whose bounds it passes without a look.
func sumCounts(row []byte) (sum int64, err error) {
	r := countReader{row: row}
	if err := r.members(); err != nil {
		return 0, err
	}
	for sum = r.n; r.more(); sum += r.n {
		if r.skip() {
			continue
		}
		if _, err := r.number(); err != nil { // of shared bytes
			return 0, err
		}
		rest, err := r.number()
		if err != nil {
			return 0, err
		}
		if rest > uint64(len(row)-r.next) {
			return 0, errCounts
		}
		r.next += int(rest)
		if err := r.members(); err != nil {
			return 0, err
		}
	}
	return sum, nil
}

// skip goes on to the members of the next block if their number has at most two bytes, and what is before it
// one each. Nearly always that is so, and a rank is found by adding up thousands of blocks.
func (r *countReader) skip() bool {
	left := r.row[r.next:]
	if len(left) < 2 || left[0]|left[1] >= 1<<7 {
		return false
	}
	at := 2 + int(left[1])
	if at+2 > len(left) {
		return false
	}
	switch low, high := left[at], left[at+1]; {
	case low < 1<<7:
		r.n, r.next = int64(low), r.next+at+1
	case high < 1<<7:
		r.n, r.next = int64(low&(1<<7-1))|int64(high)<<7, r.next+at+2
	default:
		return false
	}
	return true
}

// addCount returns a row in which the block that tail lies in has delta members more, and how many that is.
func addCount(row, bound, tail []byte, delta int64) (changed []byte, n int64, err error) {
	var buf [64]byte
	r, err := readCounts(row, bound, buf[:0])
	at, next, n := r.at, r.next, r.n
	for err == nil && r.more() {
		if err = r.step(); err == nil && bytes.Compare(r.bound, tail) > 0 {
			break
		}
		at, next, n = r.at, r.next, r.n
	}
	if n += delta; err == nil && n < 0 {
		err = errCounts
	}
	if err != nil {
		return nil, 0, err
	}
	changed = append(make([]byte, 0, len(row)+1), row[:at]...)
	changed = binary.AppendUvarint(changed, uint64(n))
	return append(changed, row[next:]...), n, nil
}

// countBetween is the shortest bound above the tail before and not above at, which is the next one.
func countBetween(before, at []byte) []byte {
	return bytes.Clone(at[:commonLen(before, at)+1])
}
