package rdb

import (
	"encoding/binary"
	"math"
)

// A listpack:
//
//	| bytes in all (4) | elements (2) | element … | 0xff |        little endian
//
// The number of elements is 0xffff if there are as many or more. An element is its
// content and, for walking backwards, the length of that:
//
//	| 0 n (7) |                           the number n
//	| 10 n (6) | n bytes |
//	| 110 n (13) |                        the number n, signed
//	| 1110 n (12) | n bytes |
//	| 0xf0 | n (4) | n bytes |
//	| 0xf1 | n (2) |, 0xf2 (3), 0xf3 (4), 0xf4 (8)    the number n, signed
const (
	listpackHeader  = 4 + 2
	listpackEnd     = 0xff
	listpackUncount = 0xffff
	listpackStr32   = 0xf0
	listpackInt16   = 0xf1
	listpackInt24   = 0xf2
	listpackInt32   = 0xf3
	listpackInt64   = 0xf4
)

// listpack reads all elements of a listpack.
func (r *reader) listpack(b []byte) []packed {
	if len(b) < listpackHeader+1 || binary.LittleEndian.Uint32(b) != uint32(len(b)) || b[len(b)-1] != listpackEnd {
		r.fail()
		return nil
	}
	count := int(binary.LittleEndian.Uint16(b[4:]))
	out := r.collect(func(add func(packed)) bool {
		var buf [5]byte
		for rest := b[listpackHeader : len(b)-1]; len(rest) > 0; {
			e, size := listpackElement(rest)
			back := appendBacklen(buf[:0], size)
			if size == 0 || size+len(back) > len(rest) || string(rest[size:size+len(back)]) != string(back) {
				return false
			}
			add(e)
			rest = rest[size+len(back):]
		}
		return true
	})
	r.check(count == listpackUncount || count == len(out))
	return out
}

// listpackElement reads the first element of b, and returns how many bytes it has
// without its length for walking backwards; 0 if it is none.
func listpackElement(b []byte) (e packed, size int) {
	number := func(n int64, size int) (packed, int) { return packed{num: n, isNum: true}, size }
	var head, n uint64
	switch first := b[0]; {
	case first < 0x80:
		return number(int64(first), 1)
	case first < 0xc0:
		head, n = 1, uint64(first&63)
	case first < 0xe0 && len(b) > 1:
		return number(int64(int16(uint16(first)<<8|uint16(b[1]))<<3)>>3, 2)
	case first >= 0xe0 && first < 0xf0 && len(b) > 1:
		head, n = 2, uint64(first&15)<<8|uint64(b[1])
	case first == listpackStr32 && len(b) > 4:
		head, n = 5, uint64(binary.LittleEndian.Uint32(b[1:]))
	case first >= listpackInt16 && first <= listpackInt64:
		width := [...]int{2, 3, 4, 8}[first-listpackInt16]
		if len(b) > width {
			return number(signed(b[1:1+width]), 1+width)
		}
		return packed{}, 0
	default:
		return packed{}, 0
	}
	if head+n > uint64(len(b)) {
		return packed{}, 0
	}
	return packed{str: b[head : head+n : head+n]}, int(head + n)
}

// signed returns the little-endian number of the bytes of b, at most 8.
func signed(b []byte) int64 {
	var buf [8]byte
	copy(buf[8-len(b):], b)
	return int64(binary.LittleEndian.Uint64(buf[:])) >> (8 * (8 - len(b)))
}

// appendBacklen adds the length of an element in the form that is read from its end:
// seven bits a byte, the highest first, and all but the first byte marked. The bounds
// are Redis', one below what would fit.
func appendBacklen(dst []byte, n int) []byte {
	switch {
	case n <= 1<<7-1:
		return append(dst, byte(n))
	case n < 1<<14-1:
		return append(dst, byte(n>>7), byte(n)|128)
	case n < 1<<21-1:
		return append(dst, byte(n>>14), byte(n>>7)|128, byte(n)|128)
	case n < 1<<28-1:
		return append(dst, byte(n>>21), byte(n>>14)|128, byte(n>>7)|128, byte(n)|128)
	}
	return append(dst, byte(n>>28), byte(n>>21)|128, byte(n>>14)|128, byte(n>>7)|128, byte(n)|128)
}

// listpackWriter makes a listpack.
type listpackWriter struct {
	b     []byte // header and elements
	count int
}

func newListpack() *listpackWriter { return &listpackWriter{b: make([]byte, listpackHeader, 256)} }

// add adds a string, as a number if it is how one is printed.
func (l *listpackWriter) add(s []byte) {
	if n, ok := canonicalInt(s); ok {
		l.addInt(n)
		return
	}
	l.element(func(b []byte) []byte {
		switch n := len(s); {
		case n < 1<<6:
			b = append(b, 0x80|byte(n))
		case n < 1<<12:
			b = append(b, 0xe0|byte(n>>8), byte(n))
		default:
			b = binary.LittleEndian.AppendUint32(append(b, listpackStr32), uint32(n))
		}
		return append(b, s...)
	})
}

// addInt adds a number.
func (l *listpackWriter) addInt(n int64) {
	l.element(func(b []byte) []byte {
		switch {
		case n >= 0 && n < 1<<7:
			return append(b, byte(n))
		case n >= -1<<12 && n < 1<<12:
			return append(b, 0xc0|byte(n>>8)&31, byte(n))
		case n >= math.MinInt16 && n <= math.MaxInt16:
			return append(b, listpackInt16, byte(n), byte(n>>8))
		case n >= -1<<23 && n < 1<<23:
			return append(b, listpackInt24, byte(n), byte(n>>8), byte(n>>16))
		case n >= math.MinInt32 && n <= math.MaxInt32:
			return binary.LittleEndian.AppendUint32(append(b, listpackInt32), uint32(n))
		}
		return binary.LittleEndian.AppendUint64(append(b, listpackInt64), uint64(n))
	})
}

func (l *listpackWriter) element(content func([]byte) []byte) {
	from := len(l.b)
	l.b = content(l.b)
	l.b = appendBacklen(l.b, len(l.b)-from)
	l.count++
}

// finish returns the listpack.
func (l *listpackWriter) finish() []byte {
	b := append(l.b, listpackEnd)
	binary.LittleEndian.PutUint32(b, uint32(len(b)))
	binary.LittleEndian.PutUint16(b[4:], uint16(min(l.count, listpackUncount)))
	return b
}
