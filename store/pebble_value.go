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
// expireAt follows; 4-7 are 0. A tombstone has no expireAt and no value. Where the state
// is sealed, an envelope stands in the place of the value.
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
	ErrValueSealed = errors.New("store: value is encrypted and the store was opened without a cipher; open it with WithEncryption")

	errValueDamaged = errors.New("store: damaged row value")
)

// valueHeaderSize returns the number of bytes in front of the value.
func valueHeaderSize(v VersionedValue) int {
	if v.ExpireAt != 0 && !v.Tombstone {
		return 1 + 8
	}
	return 1
}

// valueHeaderSizeOf returns the number of bytes of a header that begins with flags.
func valueHeaderSizeOf(flags byte) int {
	if flags&valueFlagExpiry != 0 {
		return 1 + 8
	}
	return 1
}

// appendValueHeader appends what stands in front of v's bytes; state is one of
// valueStateClear and valueStateSealed.
func appendValueHeader(dst []byte, v VersionedValue, state byte) []byte {
	switch {
	case v.Tombstone:
		return append(dst, valueFlagTombstone|state)
	case v.ExpireAt == 0:
		return append(dst, state)
	}
	return binary.BigEndian.AppendUint64(append(dst, valueFlagExpiry|state), v.ExpireAt)
}

// valueSealed reports whether a row is marked as sealed.
func valueSealed(row []byte) bool {
	return len(row) > 0 && row[0]&valueStateMask == valueStateSealed
}

// parseValueHeader decodes what stands in front of a row's value, and returns how many
// bytes that is. TS and Value are left to the caller.
func parseValueHeader(row []byte) (v VersionedValue, size int, err error) {
	if len(row) == 0 {
		return VersionedValue{}, 0, fmt.Errorf("%w: no flags", errValueDamaged)
	}
	flags := row[0]
	if state := flags & valueStateMask; state != valueStateClear && state != valueStateSealed {
		return VersionedValue{}, 0, ErrEncryptedValueReservedState
	}
	if flags&^valueFlagsKnown != 0 {
		return VersionedValue{}, 0, fmt.Errorf("%w: flags %#02x", errValueDamaged, flags)
	}
	if flags&valueFlagExpiry == 0 {
		return VersionedValue{Tombstone: flags&valueFlagTombstone != 0}, 1, nil
	}
	if flags&valueFlagTombstone != 0 {
		return VersionedValue{}, 0, fmt.Errorf("%w: tombstone with flags %#02x", errValueDamaged, flags)
	}
	if len(row) < 1+8 {
		return VersionedValue{}, 0, fmt.Errorf("%w: expiry of %d bytes", errValueDamaged, len(row)-1)
	}
	expireAt := binary.BigEndian.Uint64(row[1:])
	if expireAt == 0 {
		return VersionedValue{}, 0, fmt.Errorf("%w: expiry of 0", errValueDamaged)
	}
	return VersionedValue{ExpireAt: expireAt}, 1 + 8, nil
}

// parseValue decodes a row that is not sealed. The result's Value aliases row and is
// not nil unless the version is a tombstone; TS is left to the caller.
func parseValue(row []byte) (VersionedValue, error) {
	if len(row) > 0 && row[0] == valueStateClear { // as nearly all are
		return VersionedValue{Value: row[1:len(row):len(row)]}, nil
	}
	if valueSealed(row) {
		return VersionedValue{}, ErrValueSealed
	}
	v, n, err := parseValueHeader(row)
	if err != nil {
		return VersionedValue{}, err
	}
	if !v.Tombstone {
		v.Value = row[n:len(row):len(row)]
	} else if len(row) > n {
		return VersionedValue{}, fmt.Errorf("%w: tombstone with %d bytes", errValueDamaged, len(row)-n)
	}
	return v, nil
}
