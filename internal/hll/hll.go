package hll

import (
	"encoding/binary"
	"errors"
)

// What can be wrong with a string.
var (
	// ErrHeader says that a string does not begin as a HyperLogLog does, or is a dense one
	// of another length.
	ErrHeader = errors.New("hll: not a HyperLogLog")
	// ErrCorrupt says that the opcodes of a sparse HyperLogLog are not those of its registers.
	ErrCorrupt = errors.New("hll: corrupt HyperLogLog")
)

// Registers is the number of registers.
const Registers = 1 << indexBits

// Sizes that make up the layout; part of the format, never change.
const (
	indexBits    = 14
	registerBits = 6
	registerMost = 1<<registerBits - 1
	headerSize   = 16
	denseSize    = headerSize + Registers*registerBits/8

	encodingAt = 4
	dense      = 0
	sparse     = 1

	cardinalityAt = 8
	staleAt       = 15
	stale         = 0x80
)

const magic = "HYLL"

// Sketch is a HyperLogLog:
//
//	| HYLL | encoding (1) | zeros (3) | cached cardinality (8, little endian) | registers |
//
// The cached cardinality is out of date if its highest bit is set. A dense Sketch has all
// registers, six bits each, the lowest bits of a byte first; a sparse one has opcodes (see
// sparse.go). The methods that change a Sketch change its bytes in place or replace them.
type Sketch struct{ b []byte }

// New returns a Sketch that has seen nothing.
func New() Sketch {
	b := make([]byte, headerSize, headerSize+2)
	copy(b, magic)
	b[encodingAt] = sparse
	return Sketch{appendZeros(b, Registers)}
}

// Open returns the Sketch that b holds, ErrHeader if it holds none. It looks at the header only.
func Open(b []byte) (Sketch, error) {
	if len(b) < headerSize || string(b[:len(magic)]) != magic || b[encodingAt] > sparse ||
		b[encodingAt] == dense && len(b) != denseSize {
		return Sketch{}, ErrHeader
	}
	return Sketch{b}, nil
}

// Bytes returns the string that holds the Sketch.
func (s *Sketch) Bytes() []byte { return s.b }

// Dense reports whether the Sketch has all of its registers.
func (s *Sketch) Dense() bool { return s.b[encodingAt] == dense }

// Cached returns the cardinality that the Sketch remembers, and whether it is up to date.
func (s *Sketch) Cached() (uint64, bool) {
	return binary.LittleEndian.Uint64(s.b[cardinalityAt:]), s.b[staleAt]&stale == 0
}

// Remember keeps the cardinality of the Sketch as it is.
func (s *Sketch) Remember(n uint64) { binary.LittleEndian.PutUint64(s.b[cardinalityAt:], n) }

// Forget says that the cardinality that the Sketch remembers is out of date.
func (s *Sketch) Forget() { s.b[staleAt] |= stale }

// Add makes the Sketch see an element and reports whether that has changed it. A sparse one that
// would be longer than sparseMost bytes becomes dense.
func (s *Sketch) Add(element []byte, sparseMost int) (bool, error) {
	index, run := place(element)
	return s.Raise(index, run, sparseMost)
}

// Raise sets the register index, which is below Registers, to value, from 1 to 63, if it is
// less, and reports whether it was. A sparse Sketch that would be longer than sparseMost bytes
// becomes dense.
func (s *Sketch) Raise(index int, value byte, sparseMost int) (bool, error) {
	if s.Dense() {
		return s.raiseDense(index, value), nil
	}
	return s.raiseSparse(index, value, sparseMost)
}

// raiseDense is Raise for a Sketch that is dense.
func (s *Sketch) raiseDense(index int, value byte) bool {
	registers := s.b[headerSize:]
	if value <= register(registers, index) {
		return false
	}
	setRegister(registers, index, value)
	s.Forget()
	return true
}

// register returns a register of a dense Sketch.
func register(registers []byte, index int) byte {
	at, shift := index*registerBits/8, index*registerBits%8
	v := uint(registers[at]) >> shift
	if shift > 8-registerBits {
		v |= uint(registers[at+1]) << (8 - shift)
	}
	return byte(v & registerMost)
}

func setRegister(registers []byte, index int, value byte) {
	at, shift := index*registerBits/8, index*registerBits%8
	registers[at] = registers[at]&^byte(registerMost<<shift) | value<<shift
	if shift > 8-registerBits {
		registers[at+1] = registers[at+1]&^byte(registerMost>>(8-shift)) | value>>(8-shift)
	}
}

// ToDense gives the Sketch all of its registers.
func (s *Sketch) ToDense() error {
	if s.Dense() {
		return nil
	}
	b := make([]byte, denseSize)
	copy(b, s.b[:headerSize])
	b[encodingAt] = dense
	err := s.eachRun(func(first, n int, value byte) {
		for i := first; i < first+n && value > 0; i++ {
			setRegister(b[headerSize:], i, value)
		}
	})
	if err != nil {
		return err
	}
	s.b = b
	return nil
}

// Maxima are registers that take the highest values of several Sketches.
type Maxima [Registers]byte

// Merge raises registers of m to those of s.
func (m *Maxima) Merge(s Sketch) error {
	if s.Dense() {
		for i := range m {
			m[i] = max(m[i], register(s.b[headerSize:], i))
		}
		return nil
	}
	return s.eachRun(func(first, n int, value byte) {
		for i := first; i < first+n && value > 0; i++ {
			m[i] = max(m[i], value)
		}
	})
}
