package rdb

import (
	"errors"
	"fmt"
)

// Marks of a library of functions: as Redis 7.0 writes it, and as its release candidates did.
const (
	opFunction  = 246
	opFunction2 = 245
)

// ErrNotFunctions says that a payload holds something other than libraries of functions.
var ErrNotFunctions = errors.New("rdb: given type is not a function")

// AppendFunctions adds the payload that FUNCTION DUMP answers for libraries with these
// sources to dst, which is empty.
//
//	| 245 | source | 245 | source | … | version (2) | CRC-64 (8) |
func AppendFunctions(dst []byte, sources [][]byte) []byte {
	w := &writer{b: dst}
	for _, src := range sources {
		w.kind(opFunction2)
		w.string(src)
	}
	return appendFooter(w.b, versionWritten)
}

// ParseFunctions returns the sources of the libraries in a payload of FUNCTION DUMP.
func ParseFunctions(payload []byte) ([][]byte, error) {
	b, err := body(payload)
	if err != nil {
		return nil, err
	}
	r := &reader{b: b, memory: memoryMost}
	var sources [][]byte
	for len(r.b) > 0 {
		switch r.byte() {
		case opFunction2:
			sources = append(sources, r.string())
		case opFunction:
			sources = append(sources, r.oldFunction())
		default:
			return nil, ErrNotFunctions
		}
	}
	if r.err != nil {
		return nil, r.err
	}
	return sources, nil
}

// oldFunction reads a library whose name stands beside its source, and writes it into
// the source's first line.
func (r *reader) oldFunction() []byte {
	name, engine := r.string(), r.string()
	if r.length() != 0 {
		r.string() // a description, which nothing shows any more
	}
	return fmt.Appendf(nil, "#!%s name=%s\n%s", engine, name, r.string())
}
