package keyspace

import (
	"bytes"
	"math"
	"slices"
)

// Insert puts value in front of the element of index i, or at the end if i is
// the length of the list, which must not be empty. The shorter part of the list moves by one.
func (l *List) Insert(i int64, value []byte) error {
	side, moving, to := Left, ListRange{0, i}, int64(0)
	if i > l.n-i {
		side, moving, to = Right, ListRange{i, l.n}, i+1
	}
	values, err := l.collect(moving, Left)
	if err != nil {
		return err
	}
	if err := l.extend(side, 1); err != nil {
		return err
	}
	l.s.changed(l.key)
	if err := l.putAll(to, values); err != nil {
		return err
	}
	if err := l.put(i, value); err != nil {
		return err
	}
	return l.writeMeta()
}

// putAll writes elements from index i on.
func (l *List) putAll(i int64, values [][]byte) error {
	for k, v := range values {
		if err := l.put(i+int64(k), v); err != nil {
			return err
		}
	}
	return nil
}

// Remove removes the elements equal to value and returns how many there were:
// all of them if count is 0, else at most that many, looked for from the left, or
// from the right if count is below 0.
func (l *List) Remove(value []byte, count int64) (int64, error) {
	from, most := Left, count
	switch {
	case count == 0 || count == math.MinInt64:
		most = math.MaxInt64
	case count < 0:
		from, most = Right, -count
	}
	var gone []int64
	err := l.Walk(ListRange{0, l.n}, from, func(i int64, v []byte) bool {
		if bytes.Equal(v, value) {
			gone = append(gone, i)
		}
		return int64(len(gone)) < most
	})
	if err != nil || len(gone) == 0 {
		return 0, err
	}
	if from == Right {
		slices.Reverse(gone)
	}
	return int64(len(gone)), l.removeAt(gone)
}

// removeAt removes the elements at the given indices, which rise. Gaps on the
// left are closed from the left and the others from the right, parted so that
// as few elements as possible move.
func (l *List) removeAt(gone []int64) error {
	if int64(len(gone)) == l.n {
		return l.drop(Left, l.n)
	}
	part := cheapestPart(gone, l.n)
	if err := l.closeFromRight(gone[part:]); err != nil { // leaves the indices on the left as they are
		return err
	}
	return l.closeFromLeft(gone[:part])
}

// cheapestPart returns how many of the gaps in a list of n elements are best
// closed from the left.
func cheapestPart(gone []int64, n int64) int {
	best, fewest := 0, int64(math.MaxInt64)
	for part := range len(gone) + 1 {
		var moves int64
		if part > 0 {
			moves += gone[part-1] + 1 - int64(part)
		}
		if part < len(gone) {
			moves += n - gone[part] - int64(len(gone)-part)
		}
		if moves < fewest {
			best, fewest = part, moves
		}
	}
	return best
}

// closeFromLeft closes gaps by moving what stands on their left.
func (l *List) closeFromLeft(gone []int64) error {
	if len(gone) == 0 {
		return nil
	}
	kept, err := l.collectBetween(ListRange{0, gone[len(gone)-1]}, gone)
	if err != nil {
		return err
	}
	if err := l.putAll(int64(len(gone)), kept); err != nil {
		return err
	}
	return l.drop(Left, int64(len(gone)))
}

// closeFromRight closes gaps by moving what stands on their right.
func (l *List) closeFromRight(gone []int64) error {
	if len(gone) == 0 {
		return nil
	}
	kept, err := l.collectBetween(ListRange{gone[0] + 1, l.n}, gone[1:])
	if err != nil {
		return err
	}
	if err := l.putAll(gone[0], kept); err != nil {
		return err
	}
	return l.drop(Right, int64(len(gone)))
}

// collectBetween returns copies of the elements of r but for those at the
// indices gone, which rise.
func (l *List) collectBetween(r ListRange, gone []int64) ([][]byte, error) {
	var kept [][]byte
	err := l.Walk(r, Left, func(i int64, value []byte) bool {
		if len(gone) > 0 && gone[0] == i {
			gone = gone[1:]
		} else {
			kept = append(kept, bytes.Clone(value))
		}
		return true
	})
	return kept, err
}
