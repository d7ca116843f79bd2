package lua

import "math/bits"

// countsByPower counts array indices: counts[i] is the number of keys n with
// 2^(i-1) < n <= 2^i.
type countsByPower [arrayBitsMax + 1]int

// add counts k if it can be an index of an array part, and reports whether it did.
func (c *countsByPower) add(k Value) bool {
	f, ok := k.AsNumber()
	if n := int(f); ok && float64(n) == f && n >= 1 && n <= 1<<arrayBitsMax {
		c[ceilLog2(n)]++
		return true
	}
	return false
}

// arraySize returns the largest power of two so that more than half of the indices up to
// it are in use, and the number of keys up to there.
func (c *countsByPower) arraySize(indices int) (size, used int) {
	sum := 0
	for i, power := 0, 1; i < len(c) && power/2 < indices; i, power = i+1, power*2 {
		sum += c[i]
		if c[i] > 0 && sum > power/2 {
			size, used = power, sum
		}
		if sum == indices {
			break
		}
	}
	return size, used
}

// rehash makes room for key extra, and divides the keys anew between the two parts.
func (t *Table) rehash(extra Value) {
	var counts countsByPower
	indices, total := 0, 1
	for i := range t.array {
		if !t.array[i].IsNil() {
			counts[ceilLog2(i+1)]++
			indices++
			total++
		}
	}
	for i := range t.nodes {
		if !t.nodes[i].val.IsNil() {
			if counts.add(t.nodes[i].key) {
				indices++
			}
			total++
		}
	}
	if counts.add(extra) {
		indices++
	}
	size, used := counts.arraySize(indices)
	t.resize(size, total-used)
}

// resize gives the two parts room for array and hash keys, and puts every key in its new
// place.
func (t *Table) resize(array, hash int) {
	if hash > 0 {
		hash = 1 << ceilLog2(hash)
	}
	if array > len(t.array) {
		t.owner.charge(sizeofValue * (array - len(t.array)))
	}
	t.owner.charge(sizeofNode * hash)

	old, lost := t.nodes, []Value(nil)
	switch {
	case array > len(t.array):
		grown := make([]Value, array)
		copy(grown, t.array)
		t.array = grown
	case array < len(t.array):
		lost = t.array[array:]
		t.array = append([]Value(nil), t.array[:array]...)
	}
	t.nodes, t.free = nil, hash
	if hash > 0 {
		t.nodes = make([]node, hash)
	}
	for i, v := range lost {
		if !v.IsNil() {
			t.SetInt(array+i+1, v)
		}
	}
	for i := len(old) - 1; i >= 0; i-- {
		if !old[i].val.IsNil() {
			t.Set(old[i].key, old[i].val)
		}
	}
}

// growArray gives the array part room for n values.
func (t *Table) growArray(n int) {
	if n <= len(t.array) {
		return
	}
	hash := 0
	if len(t.nodes) > 0 {
		hash = len(t.nodes)
	}
	t.resize(n, hash)
}

// ceilLog2 returns the smallest i with n <= 2^i; n is at least 1.
func ceilLog2(n int) int { return bits.Len(uint(n - 1)) }
