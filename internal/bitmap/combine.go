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

// Combine returns what op makes of one or more bitmaps. The result is as long as the longest of
// them; those that are shorter have zeros behind their end.
func Combine(op Op, sources [][]byte) []byte {
	longest := 0
	for _, b := range sources {
		longest = max(longest, len(b))
	}
	out := make([]byte, longest)
	copy(out, sources[0])
	if op == Not {
		invert(out)
		return out
	}
	for _, b := range sources[1:] {
		switch op {
		case And:
			and(out, b)
		case Or:
			or(out, b)
		case Xor:
			xor(out, b)
		}
	}
	return out
}

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
