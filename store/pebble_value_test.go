package store

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"testing"
)

func TestValueBytes(t *testing.T) {
	for _, c := range []struct {
		name string
		v    VersionedValue
		want string
	}{
		{"empty", VersionedValue{Value: []byte{}}, "00"},
		{"value", VersionedValue{Value: []byte("hi")}, "00" + "6869"},
		{"expiry", VersionedValue{Value: []byte("hi"), ExpireAt: 0x0102030405060708}, "08" + "0102030405060708" + "6869"},
		{"latest expiry, empty", VersionedValue{Value: []byte{}, ExpireAt: math.MaxUint64}, "08" + "ffffffffffffffff"},
		{"tombstone", VersionedValue{Tombstone: true}, "01"},
	} {
		row := append(appendValueHeader(nil, c.v, valueStateClear), c.v.Value...)
		if got := hex.EncodeToString(row); got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
		if n := valueHeaderSize(c.v); n != len(row)-len(c.v.Value) {
			t.Errorf("%s: header size %d", c.name, n)
		}
		back, err := parseValue(row)
		if err != nil || !bytes.Equal(back.Value, c.v.Value) || back.ExpireAt != c.v.ExpireAt || back.Tombstone != c.v.Tombstone {
			t.Errorf("%s: got back %+v, %v", c.name, back, err)
		}
		if (back.Value == nil) != c.v.Tombstone {
			t.Errorf("%s: got back a nil value: %t", c.name, back.Value == nil)
		}
	}
}

func TestValueRefused(t *testing.T) {
	for _, c := range []struct {
		name, row string
		want      error
	}{
		{"nothing", "", errValueDamaged},
		{"sealed", "02" + "6869", ErrValueSealed},
		{"sealed with expiry", "0a" + "0000000000000001", ErrValueSealed},
		{"state 10", "04" + "6869", ErrEncryptedValueReservedState},
		{"state 11", "06" + "6869", ErrEncryptedValueReservedState},
		{"state 11 with everything", "ff", ErrEncryptedValueReservedState},
		{"unknown flag", "10" + "6869", errValueDamaged},
		{"highest flag", "80", errValueDamaged},
		{"cut expiry", "08" + "00000000000001", errValueDamaged},
		{"expiry of 0", "08" + "0000000000000000", errValueDamaged},
		{"tombstone with a value", "01" + "00", errValueDamaged},
		{"tombstone with expiry", "09" + "0000000000000001", errValueDamaged},
	} {
		row, err := hex.DecodeString(c.row)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := parseValue(row); !errors.Is(err, c.want) {
			t.Errorf("%s: got %+v, %v, want %v", c.name, v, err, c.want)
		}
	}
}

func FuzzParseValue(f *testing.F) {
	f.Fuzz(func(t *testing.T, row []byte) {
		v, err := parseValue(row)
		if err != nil {
			return
		}
		if again := append(appendValueHeader(nil, v, valueStateClear), v.Value...); !bytes.Equal(again, row) {
			t.Fatalf("%x decodes to %+v, which encodes to %x", row, v, again)
		}
	})
}
