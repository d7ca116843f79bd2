package rdb

import "encoding/binary"

// A ziplist, which Redis wrote before 7.0:
//
//	| bytes in all (4) | where the last element begins (4) | elements (2) | element … | 0xff |
//
// all little endian. The number of elements is 0xffff if there are as many or more. An
// element is the length of the one before it, in one byte or as 0xfe and four, and
// its content:
//
//	| 00 n (6) | n bytes |
//	| 01 n (14) | n bytes |                big endian
//	| 0x80 | n (4) | n bytes |             big endian
//	| 0xc0 | n (2) |, 0xd0 (4), 0xe0 (8), 0xf0 (3), 0xfe (1)     the number n, signed
//	| 1111 n (4) |                         the number n-1, n from 1 to 13
const (
	ziplistHeader  = 4 + 4 + 2
	ziplistEnd     = 0xff
	ziplistUncount = 0xffff
	ziplistLong    = 0xfe // in front of a length of four bytes
)

// ziplistWidths are the widths of numbers by the byte in front of them.
var ziplistWidths = map[byte]int{0xc0: 2, 0xd0: 4, 0xe0: 8, 0xf0: 3, 0xfe: 1}

// ziplist reads all elements of a ziplist.
func (r *reader) ziplist(b []byte) []packed {
	if len(b) < ziplistHeader+1 || binary.LittleEndian.Uint32(b) != uint32(len(b)) || b[len(b)-1] != ziplistEnd {
		r.fail()
		return nil
	}
	tail, count := binary.LittleEndian.Uint32(b[4:]), int(binary.LittleEndian.Uint16(b[8:]))
	last := 0
	out := r.collect(func(add func(packed)) bool {
		at, before := ziplistHeader, 0
		last = at
		for at < len(b)-1 {
			e, size := ziplistElement(b[at:len(b)-1], before)
			if size == 0 {
				return false
			}
			add(e)
			last, before = at, size
			at += size
		}
		return true
	})
	r.check(uint64(tail) == uint64(last) && (count == ziplistUncount || count == len(out)))
	return out
}

// ziplistElement reads the first element of b, that follows one of so many bytes, and
// returns how many it has itself; 0 if it is none.
func ziplistElement(b []byte, before int) (e packed, size int) {
	head := 1
	if b[0] == ziplistLong {
		head = 5
	}
	if len(b) <= head || b[0] == ziplistEnd {
		return packed{}, 0
	}
	said := uint64(b[0])
	if head == 5 {
		said = uint64(binary.LittleEndian.Uint32(b[1:]))
	}
	e, n := ziplistContent(b[head:])
	if n == 0 || said != uint64(before) {
		return packed{}, 0
	}
	return e, head + n
}

func ziplistContent(b []byte) (e packed, size int) {
	var head, n uint64
	switch first := b[0]; {
	case first < 0x40:
		head, n = 1, uint64(first)
	case first < 0x80 && len(b) > 1:
		head, n = 2, uint64(first&63)<<8|uint64(b[1])
	case first == 0x80 && len(b) > 4:
		head, n = 5, uint64(binary.BigEndian.Uint32(b[1:]))
	case first >= 0xf1 && first <= 0xfd:
		return packed{num: int64(first&15) - 1, isNum: true}, 1
	default:
		width := ziplistWidths[first]
		if width == 0 || len(b) <= width {
			return packed{}, 0
		}
		return packed{num: signed(b[1 : 1+width]), isNum: true}, 1 + width
	}
	if head+n > uint64(len(b)) {
		return packed{}, 0
	}
	return packed{str: b[head : head+n : head+n]}, int(head + n)
}
