package bitmap

import (
	"encoding/binary"
	"math/bits"
)

// Get returns bit at of b, 0 or 1. Bits beyond the end are 0.
func Get(b []byte, at uint64) int {
	if at>>3 >= uint64(len(b)) {
		return 0
	}
	return int(b[at>>3]>>(7-at&7)) & 1
}

// Set makes bit at of b, which reaches that far, 0 or 1.
func Set(b []byte, at uint64, bit int) {
	mask := byte(1) << (7 - at&7)
	if bit == 0 {
		b[at>>3] &^= mask
	} else {
		b[at>>3] |= mask
	}
}

// Span is the bits from First to Last, both included. It is empty if Last lies before First.
type Span struct{ First, Last int64 }

// Count returns how many bits of a span, which lies within b, are 1.
func Count(b []byte, s Span) int64 {
	if s.First > s.Last {
		return 0
	}
	first, last := s.First>>3, s.Last>>3
	head, tail := edges(s)
	n := countBytes(b[first : last+1])
	n -= int64(bits.OnesCount8(b[first] &^ head))
	n -= int64(bits.OnesCount8(b[last] &^ tail))
	return n
}

// edges are the bits of a span's first and last byte that belong to it, as far as the
// start and, by itself, the end say.
func edges(s Span) (head, tail byte) {
	return 0xff >> (s.First & 7), 0xff << (7 - s.Last&7)
}

func countBytes(b []byte) int64 {
	var n int
	for len(b) >= 8 {
		n += bits.OnesCount64(binary.NativeEndian.Uint64(b))
		b = b[8:]
	}
	for _, c := range b {
		n += bits.OnesCount8(c)
	}
	return int64(n)
}

// Position returns the first bit of a span, which lies within b, that is bit, 0 or 1; -1 if
// there is none.
func Position(b []byte, s Span, bit int) int64 {
	if s.First > s.Last {
		return -1
	}
	fill := byte(0) // a byte that has no such bit
	if bit == 0 {
		fill = 0xff
	}
	first, last := s.First>>3, s.Last>>3
	head, tail := edges(s)
	at, found := first, (b[first]^fill)&head
	if found == 0 && first < last {
		at = first + 1 + leading(b[first+1:last], fill)
		found = b[at] ^ fill
	}
	if at == last {
		found &= tail
	}
	if found == 0 {
		return -1
	}
	return at<<3 + int64(bits.LeadingZeros8(found))
}

// leading returns how many bytes b begins with that are fill.
func leading(b []byte, fill byte) int64 {
	word := uint64(fill) * 0x0101010101010101
	i := 0
	for len(b)-i >= 8 && binary.NativeEndian.Uint64(b[i:]) == word {
		i += 8
	}
	for i < len(b) && b[i] == fill {
		i++
	}
	return int64(i)
}
