package hll

import (
	"fmt"
	"slices"
	"strings"
)

// The opcodes of a sparse Sketch stand for runs of registers, which are all registers in
// order:
//
//	00nnnnnn            n+1 registers are zero
//	01nnnnnn nnnnnnnn   n+1 registers are zero
//	1vvvvvnn            n+1 registers are v+1
//
// All of it is part of the format; never change.
const (
	longZeros = 0x40
	values    = 0x80
	kinds     = 0xc0

	zerosMost  = 64 // registers of one short opcode of zeros
	valuesMost = 4  // registers of one opcode of values
	valueMost  = 32
)

// opcode is a decoded opcode.
type opcode struct {
	size  int  // bytes
	n     int  // registers
	value byte // of each of them
}

// readOpcode decodes the opcode that b begins with.
func readOpcode(b []byte) (opcode, error) {
	switch {
	case b[0]&values != 0:
		return opcode{1, int(b[0]&3) + 1, b[0]>>2&31 + 1}, nil
	case b[0]&kinds != longZeros:
		return opcode{1, int(b[0]&63) + 1, 0}, nil
	case len(b) < 2:
		return opcode{}, ErrCorrupt
	}
	return opcode{2, int(b[0]&63)<<8 + int(b[1]) + 1, 0}, nil
}

// appendZeros appends the opcode of n registers, at least one, that are zero.
func appendZeros(b []byte, n int) []byte {
	if n <= zerosMost {
		return append(b, byte(n-1))
	}
	return append(b, longZeros|byte((n-1)>>8), byte(n-1))
}

// valueOpcode is the opcode of n registers, 1 to 4, of one value, 1 to 32.
func valueOpcode(value byte, n int) byte { return values | (value-1)<<2 | byte(n-1) }

// appendRun appends the opcode of n registers of one value, if n is above 0.
func appendRun(b []byte, value byte, n int) []byte {
	switch {
	case n == 0:
		return b
	case value == 0:
		return appendZeros(b, n)
	}
	return append(b, valueOpcode(value, n))
}

// eachRun calls fn with every run of registers of one value. It fails if they are not exactly
// Registers; fn has then been called for some of them.
func (s *Sketch) eachRun(fn func(first, n int, value byte)) error {
	first := 0
	for b := s.b[headerSize:]; len(b) > 0; {
		op, err := readOpcode(b)
		if err != nil || first+op.n > Registers {
			return ErrCorrupt
		}
		fn(first, op.n, op.value)
		first += op.n
		b = b[op.size:]
	}
	if first != Registers {
		return ErrCorrupt
	}
	return nil
}

// raiseSparse is Raise for a Sketch that is sparse. It reads no further than it has to, so it
// may not see what is corrupt behind.
func (s *Sketch) raiseSparse(index int, value byte, most int) (bool, error) {
	if value > valueMost {
		return s.raiseAsDense(index, value)
	}
	first, at, before := 0, headerSize, headerSize // before: where the opcode before that at at stands
	var op opcode
	for {
		if at >= len(s.b) {
			return false, ErrCorrupt
		}
		var err error
		if op, err = readOpcode(s.b[at:]); err != nil {
			return false, err
		}
		if index < first+op.n {
			break
		}
		before, at, first = at, at+op.size, first+op.n
	}
	if op.value >= value {
		return false, nil
	}
	var buf [5]byte
	split := appendRun(buf[:0], op.value, index-first)
	split = append(split, valueOpcode(value, 1))
	split = appendRun(split, op.value, first+op.n-1-index)
	if longer := len(split) - op.size; longer > 0 && len(s.b)+longer > most {
		return s.raiseAsDense(index, value)
	}
	s.b = slices.Replace(s.b, at, at+op.size, split...)
	s.join(before)
	s.Forget()
	return true, nil
}

// raiseAsDense raises a register of a sparse Sketch, of which it is less, by making it dense.
func (s *Sketch) raiseAsDense(index int, value byte) (bool, error) {
	if err := s.ToDense(); err != nil {
		return false, err
	}
	return s.raiseDense(index, value), nil
}

// joinSteps is how many opcodes join looks at. It is part of what makes two servers come to
// the same bytes; never change.
const joinSteps = 5

// join makes one of neighbours among the opcodes from at on that have the same value.
func (s *Sketch) join(at int) {
	for range joinSteps {
		if at >= len(s.b) {
			return
		}
		op, err := readOpcode(s.b[at:])
		if err != nil {
			return
		}
		if next := at + 1; op.value > 0 && next < len(s.b) && s.b[next]&values != 0 {
			other, _ := readOpcode(s.b[next:])
			if n := op.n + other.n; other.value == op.value && n <= valuesMost {
				s.b[next] = valueOpcode(op.value, n)
				s.b = slices.Delete(s.b, at, next)
				continue
			}
		}
		at += op.size
	}
}

// Decode lists the opcodes of a sparse Sketch for people: z and Z for zeros, v for values.
func (s *Sketch) Decode() string {
	var out strings.Builder
	for b := s.b[headerSize:]; len(b) > 0; {
		op, err := readOpcode(b)
		if err != nil {
			break
		}
		switch {
		case op.value > 0:
			fmt.Fprintf(&out, "v:%d,%d ", op.value, op.n)
		case op.size == 1:
			fmt.Fprintf(&out, "z:%d ", op.n)
		default:
			fmt.Fprintf(&out, "Z:%d ", op.n)
		}
		b = b[op.size:]
	}
	return strings.TrimSuffix(out.String(), " ")
}
