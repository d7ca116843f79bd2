package hll

import (
	"encoding/binary"
	"math/bits"
)

// seed is what Redis begins its hashes with; part of the format, never change.
const seed = 0xadc83b19

// place returns the register of an element, and the length of the run of zeros, with the one
// that ends it, that its hash shows there.
func place(element []byte) (index int, run byte) {
	h := murmur64A(element, seed)
	return int(h % Registers), byte(bits.TrailingZeros64(h>>indexBits|1<<(64-indexBits))) + 1
}

// murmur64A is MurmurHash64A by Austin Appleby, reading little endian.
func murmur64A(b []byte, seed uint64) uint64 {
	const m, r = 0xc6a4a7935bd1e995, 47
	h := seed ^ uint64(len(b))*m
	for ; len(b) >= 8; b = b[8:] {
		k := binary.LittleEndian.Uint64(b) * m
		k ^= k >> r
		h = (h ^ k*m) * m
	}
	if len(b) > 0 {
		var tail [8]byte
		copy(tail[:], b)
		h = (h ^ binary.LittleEndian.Uint64(tail[:])) * m
	}
	h = (h ^ h>>r) * m
	return h ^ h>>r
}
