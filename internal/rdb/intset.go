package rdb

import (
	"encoding/binary"
	"math"
	"slices"
)

// An intset: the numbers in ascending order, each once, all of the same width.
//
//	| width (4) | numbers (4) | number … |      little endian
const intsetHeader = 4 + 4

// intset reads the numbers of an intset.
func (r *reader) intset(b []byte) []packed {
	if len(b) <= intsetHeader {
		r.fail()
		return nil
	}
	width, count := int(binary.LittleEndian.Uint32(b)), uint64(binary.LittleEndian.Uint32(b[4:]))
	b = b[intsetHeader:]
	if width != 2 && width != 4 && width != 8 || count*uint64(width) != uint64(len(b)) {
		r.fail()
		return nil
	}
	return r.collect(func(add func(packed)) bool {
		for at := 0; at < len(b); at += width {
			n := signed(b[at : at+width])
			if at > 0 && signed(b[at-width:at]) >= n {
				return false
			}
			add(packed{num: n, isNum: true})
		}
		return true
	})
}

// appendIntset adds numbers, which it puts in order, as an intset.
func appendIntset(dst []byte, numbers []int64) []byte {
	slices.Sort(numbers)
	width := 2
	switch low, high := numbers[0], numbers[len(numbers)-1]; {
	case low < math.MinInt32 || high > math.MaxInt32:
		width = 8
	case low < math.MinInt16 || high > math.MaxInt16:
		width = 4
	}
	dst = binary.LittleEndian.AppendUint32(dst, uint32(width))
	dst = binary.LittleEndian.AppendUint32(dst, uint32(len(numbers)))
	var buf [8]byte
	for _, n := range numbers {
		binary.LittleEndian.PutUint64(buf[:], uint64(n))
		dst = append(dst, buf[:width]...)
	}
	return dst
}
