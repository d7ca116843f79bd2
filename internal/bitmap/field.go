package bitmap

import "math"

// Field is an integer that lies in a bitmap, highest bit first.
type Field struct {
	At     uint64 // its first bit
	Bits   int    // from 1 to 64 if it is signed, in two's complement, else to 63
	Signed bool
}

// Size is the number of bytes that a bitmap needs to hold the field.
func (f Field) Size() int64 { return int64((f.At+uint64(f.Bits)-1)>>3) + 1 }

// Get returns the field's value. What lies behind the end of b is 0.
func (f Field) Get(b []byte) int64 {
	var v uint64
	for i := range uint64(f.Bits) {
		v = v<<1 | uint64(Get(b, f.At+i))
	}
	if f.Signed {
		unused := 64 - f.Bits
		return int64(v<<unused) >> unused
	}
	return int64(v)
}

// Set writes the lowest bits of v into b, which reaches to the field's end.
func (f Field) Set(b []byte, v int64) {
	for i := range f.Bits {
		Set(b, f.At+uint64(i), int(v>>(f.Bits-1-i))&1)
	}
}

// Overflow says what becomes of a value that a field has no room for.
type Overflow int

// The kinds of Overflow.
const (
	Wrap     Overflow = iota // its highest bits are lost
	Saturate                 // the nearest value that has room takes its place
	Fail                     // there is no result
)

// Fit returns v as the field can hold it, and false if it cannot and o is Fail. To an
// unsigned field, a v below 0 is larger than all that it can hold.
func (f Field) Fit(v int64, o Overflow) (int64, bool) {
	least, most := f.limits()
	switch {
	case least <= v && v <= most:
		return v, true
	case !f.Signed || v > most:
		return f.handle(v, most, o)
	}
	return f.handle(v, least, o)
}

// Add returns v, which the field can hold, and n, as far as the field can hold their sum;
// false if it cannot and o is Fail.
func (f Field) Add(v, n int64, o Overflow) (int64, bool) {
	least, most := f.limits()
	sum := int64(uint64(v) + uint64(n)) // bits that are lost do not matter when it wraps
	switch {
	case n > 0 && uint64(n) > uint64(most)-uint64(v):
		return f.handle(sum, most, o)
	case n < 0 && -uint64(n) > uint64(v)-uint64(least):
		return f.handle(sum, least, o)
	}
	return sum, true
}

func (f Field) limits() (least, most int64) {
	if f.Signed {
		most = math.MaxInt64 >> (64 - f.Bits)
		return -most - 1, most
	}
	return 0, math.MaxInt64 >> (63 - f.Bits)
}

// handle returns what o makes of v, which the field cannot hold and whose nearest is limit.
func (f Field) handle(v, limit int64, o Overflow) (int64, bool) {
	switch o {
	case Saturate:
		return limit, true
	case Fail:
		return 0, false
	}
	unused := 64 - f.Bits
	if f.Signed {
		return v << unused >> unused, true
	}
	return int64(uint64(v) << unused >> unused), true
}
