package keyspace

import (
	"bytes"
	"cmp"
	"slices"
)

// UnionSets returns the members of all sets, each once, in ascending order.
func UnionSets(sets []*Set) ([][]byte, error) {
	var out [][]byte
	for _, t := range sets {
		err := t.Walk(nil, func(member []byte) bool {
			out = append(out, append([]byte{}, member...))
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	slices.SortFunc(out, bytes.Compare)
	return slices.CompactFunc(out, bytes.Equal), nil
}

// InterSets calls fn with each member that is in every set, in ascending order,
// until it returns false. member is fn's to keep. It goes through the smallest
// set, page by page, and looks for its members in the others.
func InterSets(sets []*Set, fn func(member []byte) bool) error {
	sets, err := smallestSetFirst(sets)
	if err != nil || !sets[0].Exists() {
		return err
	}
	const pageLen = 256
	for start := []byte(nil); ; {
		var page [][]byte
		err := sets[0].Walk(start, func(member []byte) bool {
			page = append(page, append([]byte{}, member...))
			return len(page) < pageLen
		})
		if err != nil {
			return err
		}
		for _, m := range page {
			common, err := inAll(sets[1:], m)
			if err != nil {
				return err
			}
			if common && !fn(m) {
				return nil
			}
		}
		if len(page) < pageLen {
			return nil
		}
		start = append(bytes.Clone(page[pageLen-1]), 0)
	}
}

func inAll(sets []*Set, member []byte) (bool, error) {
	for _, t := range sets {
		if ok, err := t.Has(member); err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}

// smallestSetFirst returns sets in order of their lengths.
func smallestSetFirst(sets []*Set) ([]*Set, error) {
	sets = slices.Clone(sets)
	for _, t := range sets {
		n, err := t.Len()
		if err != nil {
			return nil, err
		}
		t.length = n // Len remembers it for sets that are there
	}
	slices.SortStableFunc(sets, func(a, b *Set) int { return cmp.Compare(a.length, b.length) })
	return sets, nil
}

// DiffSets returns the members of the first set that are in no other, in ascending order.
func DiffSets(sets []*Set) ([][]byte, error) {
	var left [][]byte
	err := sets[0].Walk(nil, func(member []byte) bool {
		left = append(left, append([]byte{}, member...))
		return true
	})
	for _, t := range sets[1:] {
		if err != nil || len(left) == 0 {
			break
		}
		left, err = t.subtractFrom(left)
	}
	return left, err
}

// subtractFrom returns the members in left that are not in the set. left is in
// ascending order and is overwritten. The set is gone through alongside left, or,
// if it is much the larger, asked for every member.
func (t *Set) subtractFrom(left [][]byte) ([][]byte, error) {
	const walkGain = 4 // rows that a walk passes in the time of one look-up
	n, err := t.Len()
	if err != nil {
		return nil, err
	}
	kept := left[:0]
	if n > walkGain*int64(len(left)) {
		for _, m := range left {
			ok, err := t.Has(m)
			if err != nil {
				return nil, err
			}
			if !ok {
				kept = append(kept, m)
			}
		}
		return kept, nil
	}
	err = t.Walk(left[0], func(member []byte) bool {
		for len(left) > 0 && bytes.Compare(left[0], member) < 0 {
			kept = append(kept, left[0])
			left = left[1:]
		}
		if len(left) > 0 && bytes.Equal(left[0], member) {
			left = left[1:]
		}
		return len(left) > 0
	})
	return append(kept, left...), err
}
