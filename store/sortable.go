package store

import (
	"encoding/binary"
	"math"
)

// sortableSize is the width of a sortable number.
const sortableSize = 8 // part of the format; never change

const signBit = uint64(1) << 63

// EncodeSortableFloat64 returns eight bytes that order as the numbers do, under
// a bytewise comparison: -Inf < … < 0 < … < +Inf. Minus zero becomes plain zero,
// because the two are one score. A NaN has no place in the order.
//
//	f >= 0:  bits with the sign set         f < 0:  every bit inverted
func EncodeSortableFloat64(f float64) [8]byte {
	if f == 0 {
		f = 0 // drops the sign of -0
	}
	bits := math.Float64bits(f)
	if bits&signBit == 0 {
		bits |= signBit
	} else {
		bits = ^bits
	}
	var b [sortableSize]byte
	binary.BigEndian.PutUint64(b[:], bits)
	return b
}

// DecodeSortableFloat64 is the inverse of EncodeSortableFloat64.
func DecodeSortableFloat64(b [8]byte) float64 {
	bits := binary.BigEndian.Uint64(b[:])
	if bits&signBit != 0 {
		bits &^= signBit
	} else {
		bits = ^bits
	}
	return math.Float64frombits(bits)
}

// appendSortableInt64 appends n so that bytes order as the signed numbers do:
// big endian with the sign bit flipped.
func appendSortableInt64(dst []byte, n int64) []byte {
	return binary.BigEndian.AppendUint64(dst, uint64(n)^signBit)
}

// sortableInt64 decodes the eight bytes that appendSortableInt64 has written.
func sortableInt64(b []byte) int64 {
	return int64(binary.BigEndian.Uint64(b) ^ signBit)
}
