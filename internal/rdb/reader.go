package rdb

import (
	"encoding/binary"
	"math"
	"strconv"
)

// memoryMost is how many bytes a value may take in memory while it is read, as counted by
// reader.take: small payloads can ask for far more than anyone can store. It is enough for
// whatever one transaction can write.
const memoryMost = 3 << 29

// What things take in memory, in bytes.
const (
	sliceSize  = 24
	packedSize = 40
	digitsSize = 24 // of a number that becomes a string
	nameSize   = 48 // of a place in a map of names, beside the name
	grown      = 3  // how many times as much a list takes while it grows
)

// How lengths and strings are written: the upper two bits of the first byte.
//
//	| 00 n (6 bits) |                    n
//	| 01 n (14 bits) |                   n, big endian
//	| 0x80 | n (4) |                     n, big endian
//	| 0x81 | n (8) |                     n, big endian
//	| 11 how (6 bits) | … |              a string in another form
const (
	len6      = 0
	len14     = 1
	lenForm   = 3
	len32     = 0x80
	len64     = 0x81
	formInt8  = 0
	formInt16 = 1
	formInt32 = 2
	formLZF   = 3
)

// reader takes a payload apart. After an error it returns zeros; whoever counts
// looks at err each time, since no count in a payload can be relied on.
type reader struct {
	b      []byte
	err    error
	memory int64 // that may still be taken
}

func (r *reader) fail() {
	if r.err == nil {
		r.err = ErrFormat
	}
	r.b = nil
}

// check fails unless ok.
func (r *reader) check(ok bool) {
	if !ok {
		r.fail()
	}
}

// take accounts for n bytes of memory.
func (r *reader) take(n int64) {
	if r.memory -= n; r.memory < 0 && r.err == nil {
		r.fail()
		r.err = ErrTooLarge
	}
}

// count reads how many elements follow, each of which has at least so many bytes, and accounts
// for a list of them.
func (r *reader) count(least uint64, size int64) int {
	n := r.length()
	if r.check(n <= uint64(len(r.b))/least); r.err != nil {
		return 0
	}
	if r.take(int64(n) * size); r.err != nil {
		return 0
	}
	return int(n)
}

// bytes returns the next n bytes, of the payload itself.
func (r *reader) bytes(n uint64) []byte {
	if r.err != nil || n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	b := r.b[:n:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) byte() byte {
	if b := r.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

// fixed returns the next n bytes, at most 8, as a little-endian number.
func (r *reader) fixed(n uint64) uint64 {
	var buf [8]byte
	copy(buf[:], r.bytes(n))
	return binary.LittleEndian.Uint64(buf[:])
}

// moment reads Unix milliseconds.
func (r *reader) moment() int64 { return int64(r.fixed(8)) }

// length reads a length, or another number that is written like one.
func (r *reader) length() uint64 {
	n, form := r.lengthOrForm()
	r.check(!form)
	return n
}

// lengthOrForm reads a length, or how the string that follows is written.
func (r *reader) lengthOrForm() (n uint64, form bool) {
	first := r.byte()
	switch {
	case first>>6 == len6:
		return uint64(first), false
	case first>>6 == len14:
		return uint64(first&63)<<8 | uint64(r.byte()), false
	case first>>6 == lenForm:
		return uint64(first & 63), true
	case first == len32:
		if b := r.bytes(4); b != nil {
			return uint64(binary.BigEndian.Uint32(b)), false
		}
	case first == len64:
		if b := r.bytes(8); b != nil {
			return binary.BigEndian.Uint64(b), false
		}
	default:
		r.fail()
	}
	return 0, false
}

// string reads a string, which may be part of the payload. It is never nil
// unless the reader has failed.
func (r *reader) string() []byte {
	n, form := r.lengthOrForm()
	if !form {
		return r.bytes(n)
	}
	switch n {
	case formInt8:
		return r.integer(int64(int8(r.fixed(1))))
	case formInt16:
		return r.integer(int64(int16(r.fixed(2))))
	case formInt32:
		return r.integer(int64(int32(r.fixed(4))))
	case formLZF:
		return r.compressed()
	}
	r.fail()
	return nil
}

func (r *reader) integer(n int64) []byte {
	r.take(digitsSize)
	if r.err != nil {
		return nil
	}
	return strconv.AppendInt(nil, n, 10)
}

func (r *reader) compressed() []byte {
	size, n := r.length(), r.length()
	src := r.bytes(size)
	if r.take(int64(min(n, 1<<40))); r.err != nil {
		return nil
	}
	out, err := lzfExpand(src, n)
	if err != nil {
		r.fail()
		return nil
	}
	return out
}

// score reads a score as eight bytes.
func (r *reader) score() float64 {
	f := math.Float64frombits(r.fixed(8))
	r.check(!math.IsNaN(f))
	return f
}

// Lengths of a score in digits that stand for something else.
const (
	scoreNaN      = 253
	scoreInf      = 254
	scoreMinusInf = 255
)

// scoreInDigits reads a score as Redis 2.6 wrote it.
func (r *reader) scoreInDigits() float64 {
	switch n := r.byte(); n {
	case scoreNaN:
		r.fail()
	case scoreInf:
		return math.Inf(1)
	case scoreMinusInf:
		return math.Inf(-1)
	default:
		return r.parseScore(r.bytes(uint64(n)))
	}
	return 0
}

func (r *reader) parseScore(b []byte) float64 {
	f, err := strconv.ParseFloat(string(b), 64)
	r.check(err == nil && !math.IsNaN(f))
	return f
}
