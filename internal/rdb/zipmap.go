package rdb

import "encoding/binary"

// A zipmap, in which Redis before 2.6 kept small hashes:
//
//	| fields (1) | length | name | length | unused (1) | value | unused … | … | 0xff |
//
// A length is one byte, or 0xfe and four, little endian. The number of fields is 0xfe
// if there are as many or more.
const (
	zipmapEnd     = 0xff
	zipmapLong    = 0xfe
	zipmapUncount = 0xfe
)

// zipmap reads the names and values of a zipmap, by turns.
func (r *reader) zipmap(b []byte) []packed {
	if len(b) < 2 || b[len(b)-1] != zipmapEnd {
		r.fail()
		return nil
	}
	out := r.collect(func(add func(packed)) bool {
		in := reader{b: b[1 : len(b)-1]}
		for len(in.b) > 0 {
			name := in.bytes(in.zipmapLength())
			n := in.zipmapLength()
			unused := in.byte()
			value := in.bytes(n)
			in.bytes(uint64(unused))
			add(packed{str: name})
			add(packed{str: value})
		}
		return in.err == nil
	})
	r.check(b[0] == zipmapUncount || int(b[0]) == len(out)/2)
	return out
}

func (r *reader) zipmapLength() uint64 {
	switch n := r.byte(); n {
	case zipmapEnd:
		r.fail()
		return 0
	case zipmapLong:
		return uint64(binary.LittleEndian.Uint32(append(r.bytes(4), 0, 0, 0, 0)))
	default:
		return uint64(n)
	}
}
