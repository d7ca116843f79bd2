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
func (r *reader) packBytes(elements []packed) [][]byte {
	if r.take(int64(len(elements)) * sliceSize); r.err != nil {
		return nil
	}
	out := make([][]byte, len(elements))
	for i, e := range elements {
		out[i] = r.packString(e)
	}
	return out
}

// packString returns an element as a string.
func (r *reader) packString(e packed) []byte {
	if e.isNum {
		r.take(digitsSize)
	}
	if r.err != nil {
		return nil
	}
	return e.bytes()
}

// collect returns the elements that each gives to add. It calls each twice: to count them, and when
// they have been accounted for. each returns false if what it reads is not well formed.
func (r *reader) collect(each func(add func(packed)) bool) []packed {
	n := 0
	ok := each(func(packed) { n++ })
	if r.check(ok); r.err != nil {
		return nil
	}
	if r.take(int64(n) * packedSize); r.err != nil {
		return nil
	}
	out := make([]packed, 0, n)
	each(func(e packed) { out = append(out, e) })
	return out
}

// release gives back what a list that is not needed any more has been accounted for.
func (r *reader) release(elements []packed) { r.memory += int64(len(elements)) * packedSize }
