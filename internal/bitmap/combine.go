package bitmap

import "encoding/binary"

// Op is a way to combine bitmaps bit by bit.
type Op int

// The ways to combine bitmaps.
const (
	And Op = iota
	Or
	Xor
	Not // of one bitmap
)

// Combination is what an operation makes of one bitmap after the other. It is as long as the
// longest of them; those that are shorter have zeros behind their end. It keeps none of them.
type Combination struct {
	op  Op
	out []byte
	any bool // there has been one
}

// NewCombination begins without any bitmap.
func NewCombination(op Op) *Combination { return &Combination{op: op} }

// Add takes in one more bitmap. For Not there is but one.
func (c *Combination) Add(b []byte) {
	first := !c.any
	c.any = true
	if len(b) > len(c.out) {
		grown := make([]byte, len(b))
		copy(grown, c.out)
		c.out = grown
	}
	switch {
	case first:
		copy(c.out, b)
		if c.op == Not {
			invert(c.out)
		}
	case c.op == And:
		and(c.out, b)
	case c.op == Or:
		or(c.out, b)
	case c.op == Xor:
		xor(c.out, b)
	}
}

// Bytes returns the result.
func (c *Combination) Bytes() []byte { return c.out }

func invert(b []byte) {
	i := 0
	for ; len(b)-i >= 8; i += 8 {
		binary.NativeEndian.PutUint64(b[i:], ^binary.NativeEndian.Uint64(b[i:]))
	}
	for ; i < len(b); i++ {
		b[i] = ^b[i]
	}
}

func and(out, b []byte) {
	i := 0
	for ; len(b)-i >= 8; i += 8 {
		binary.NativeEndian.PutUint64(out[i:], binary.NativeEndian.Uint64(out[i:])&binary.NativeEndian.Uint64(b[i:]))
	}
	for ; i < len(b); i++ {
		out[i] &= b[i]
	}
	clear(out[i:])
}

func or(out, b []byte) {
	i := 0
	for ; len(b)-i >= 8; i += 8 {
		binary.NativeEndian.PutUint64(out[i:], binary.NativeEndian.Uint64(out[i:])|binary.NativeEndian.Uint64(b[i:]))
	}
	for ; i < len(b); i++ {
		out[i] |= b[i]
	}
}

func xor(out, b []byte) {
	i := 0
	for ; len(b)-i >= 8; i += 8 {
		binary.NativeEndian.PutUint64(out[i:], binary.NativeEndian.Uint64(out[i:])^binary.NativeEndian.Uint64(b[i:]))
	}
	for ; i < len(b); i++ {
		out[i] ^= b[i]
	}
}
