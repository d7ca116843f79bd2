package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
)

// wideKind is the leading tag of one kind of row of a collection that is spread
// over many keys. All such rows are laid out alike, so that the rows of one
// collection are neighbours and no user key can run into another's rows:
//
//	| tag … | length of user key (4, big endian) | user key … | tail … |
//
// The tail is what tells the rows of one collection apart: a field name, a
// member, a score, a sequence number.
type wideKind string // part of the format; never change

// userKeyLenSize is the width of the length before a user key.
const userKeyLenSize = 4

// size returns the length of a key with a user key and a tail of these lengths.
func (k wideKind) size(userKey []byte, tail int) int {
	return len(k) + userKeyLenSize + len(userKey) + tail
}

// append appends a key up to its tail.
func (k wideKind) append(dst, userKey []byte) []byte {
	dst = append(dst, k...)
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(userKey)))
	return append(dst, userKey...)
}

// prefix returns what the keys of userKey have in common, in a slice with room
// for a tail of the given length.
func (k wideKind) prefix(userKey []byte, tail int) []byte {
	return k.append(make([]byte, 0, k.size(userKey, tail)), userKey)
}

// matches reports whether key begins with the tag.
func (k wideKind) matches(key []byte) bool {
	return len(key) >= len(k) && string(key[:len(k)]) == string(k)
}

// split takes key apart. Both parts alias key, are clipped to their length and
// are never nil when ok is true.
func (k wideKind) split(key []byte) (userKey, tail []byte, ok bool) {
	if !k.matches(key) {
		return nil, nil, false
	}
	rest := key[len(k):]
	if len(rest) < userKeyLenSize {
		return nil, nil, false
	}
	// A length near 1<<32 must not wrap: compare in 64 bits, before any addition.
	n := uint64(binary.BigEndian.Uint32(rest))
	rest = rest[userKeyLenSize:]
	if n > uint64(len(rest)) {
		return nil, nil, false
	}
	return rest[:n:n], rest[n:len(rest):len(rest)], true
}

// userKey returns the user key of a key whose tail is exactly tail bytes long,
// or nil.
func (k wideKind) userKey(key []byte, tail int) []byte {
	uk, t, ok := k.split(key)
	if !ok || len(t) != tail {
		return nil
	}
	return uk
}

// userKeyMin returns the user key of a key whose tail is at least tail bytes
// long, or nil.
func (k wideKind) userKeyMin(key []byte, tail int) []byte {
	uk, t, ok := k.split(key)
	if !ok || len(t) < tail {
		return nil
	}
	return uk
}

// tailOf returns the tail of key if key belongs to userKey.
func (k wideKind) tailOf(key, userKey []byte) ([]byte, bool) {
	uk, tail, ok := k.split(key)
	if !ok || !bytes.Equal(uk, userKey) {
		return nil, false
	}
	return tail, true
}

// lenSize is the width of an encoded length or change of length.
const lenSize = 8 // part of the format; never change

// marshalInt64 encodes n in eight bytes, big endian, two's complement.
func marshalInt64(n int64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 0, lenSize), uint64(n))
}

// unmarshalInt64 decodes exactly eight bytes; what names them in the error.
func unmarshalInt64(b []byte, what string) (int64, error) {
	if len(b) != lenSize {
		return 0, sizeError(what, len(b), lenSize)
	}
	return int64(binary.BigEndian.Uint64(b)), nil
}

// unmarshalLen decodes a length, which is never negative.
func unmarshalLen(b []byte, what string) (int64, error) {
	n, err := unmarshalInt64(b, what)
	if err != nil {
		return 0, err
	}
	if n < 0 {
		return 0, fmt.Errorf("%s: negative length %d", what, n)
	}
	return n, nil
}

func sizeError(what string, got, want int) error {
	return fmt.Errorf("%s: %d bytes, want %d", what, got, want)
}

// errLenRange reports a length that is negative or that carries a position past
// the range of int64.
func errLenRange(what string, length int64) error {
	return fmt.Errorf("%s: length %d out of range", what, length)
}

// addOverflows reports whether a+b, with b >= 0, exceeds the range of int64.
func addOverflows(a, b int64) bool { return a > math.MaxInt64-b }
