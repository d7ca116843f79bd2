package store

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// The value of a version's row:
//
//	| flags (1) | [expireAt (8, big endian)] | value … |
//
// The flags, from the lowest bit: 0 tombstone; 1-2 encryption state; 3 an
// expireAt follows; 4-7 are 0. A tombstone is its flags alone.
const (
	valueFlagTombstone = 1 << 0    // part of the format; never change
	valueStateMask     = 0b11 << 1 // part of the format; never change
	valueStateClear    = 0b00 << 1 // part of the format; never change
	valueStateSealed   = 0b01 << 1 // part of the format; never change
	valueFlagExpiry    = 1 << 3    // part of the format; never change
	valueFlagsKnown    = valueFlagTombstone | valueStateMask | valueFlagExpiry
)

// Errors of decoding a stored value.
var (
	// ErrEncryptedValueReservedState says that a stored value carries an encryption
	// state (binary 10 or 11) whose meaning a later release has defined. Taking
	// its bytes for a value would hand out nonsense, so the read fails.
	ErrEncryptedValueReservedState = errors.New("store: value has a reserved encryption state; read it with a newer release")

	// ErrValueSealed says that a stored value is encrypted and the store was
	// opened without a cipher.
	ErrValueSealed = errors.New("store: value is encrypted and the store was opened without a cipher")

	errValueDamaged = errors.New("store: damaged row value")
)

// valueHeaderSize returns the number of bytes in front of the value.
func valueHeaderSize(v VersionedValue) int {
	if v.ExpireAt != 0 && !v.Tombstone {
		return 1 + 8
	}
	return 1
}

// appendValueHeader appends what stands in front of v's bytes.
func appendValueHeader(dst []byte, v VersionedValue) []byte {
	switch {
	case v.Tombstone:
		return append(dst, valueFlagTombstone|valueStateClear)
	case v.ExpireAt == 0:
		return append(dst, valueStateClear)
	}
	return binary.BigEndian.AppendUint64(append(dst, valueFlagExpiry|valueStateClear), v.ExpireAt)
}

// valueExpiry returns the expiry in the header of a row, 0 if there is none, and does
// not look at the rest.
func valueExpiry(row []byte) uint64 {
	if len(row) < 1+8 || row[0]&valueFlagExpiry == 0 {
		return 0
	}
	return binary.BigEndian.Uint64(row[1:])
}

// parseValue decodes a row's value. The result's Value aliases b and is not nil
// unless the version is a tombstone; TS is left to the caller.
func parseValue(b []byte) (VersionedValue, error) {
	if len(b) == 0 {
		return VersionedValue{}, fmt.Errorf("%w: no flags", errValueDamaged)
	}
	flags, rest := b[0], b[1:]
	switch flags & valueStateMask {
	case valueStateClear:
	case valueStateSealed:
		return VersionedValue{}, ErrValueSealed
	default:
		return VersionedValue{}, ErrEncryptedValueReservedState
	}
	if flags&^valueFlagsKnown != 0 {
		return VersionedValue{}, fmt.Errorf("%w: flags %#02x", errValueDamaged, flags)
	}
	if flags&valueFlagTombstone != 0 {
		if flags != valueFlagTombstone || len(rest) != 0 {
			return VersionedValue{}, fmt.Errorf("%w: tombstone with flags %#02x and %d bytes", errValueDamaged, flags, len(rest))
		}
		return VersionedValue{Tombstone: true}, nil
	}
	if flags&valueFlagExpiry == 0 {
		return VersionedValue{Value: rest[:len(rest):len(rest)]}, nil
	}
	if len(rest) < 8 {
		return VersionedValue{}, fmt.Errorf("%w: expiry of %d bytes", errValueDamaged, len(rest))
	}
	expireAt := binary.BigEndian.Uint64(rest)
	if expireAt == 0 {
		return VersionedValue{}, fmt.Errorf("%w: expiry of 0", errValueDamaged)
	}
	return VersionedValue{Value: rest[8:len(rest):len(rest)], ExpireAt: expireAt}, nil
}
