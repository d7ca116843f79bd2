package rdb

import "strconv"

// packed is an element of a listpack, a ziplist or an intset: bytes, or an
// integer that is kept as a number.
type packed struct {
	str   []byte
	num   int64
	isNum bool
}

// bytes returns the element as the string that it stands for.
func (p packed) bytes() []byte {
	if p.isNum {
		return strconv.AppendInt(nil, p.num, 10)
	}
	return p.str
}

// integer returns the element as a number, and whether it is one.
func (p packed) integer() (int64, bool) {
	if p.isNum {
		return p.num, true
	}
	return canonicalInt(p.str)
}

// intDigitsMax is the length of the longest 64-bit integer.
const intDigitsMax = 20

// canonicalInt returns the number that b stands for, if b is how it is printed.
func canonicalInt(b []byte) (int64, bool) {
	if len(b) == 0 || len(b) > intDigitsMax {
		return 0, false
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	return n, err == nil && strconv.FormatInt(n, 10) == string(b)
}

// packBytes returns the elements as strings.
func packBytes(elements []packed) [][]byte {
	out := make([][]byte, len(elements))
	for i, e := range elements {
		out[i] = e.bytes()
	}
	return out
}

// pack adds an element to what has been read.
func (r *reader) pack(list []packed, e packed) []packed {
	if r.take(0); r.err != nil {
		return list
	}
	return append(list, e)
}
