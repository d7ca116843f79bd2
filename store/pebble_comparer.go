package store

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// keyComparer orders rows by bound and then newest version first. The engine
// stores its name and refuses to open a folder of another order, so an order
// that differs in anything needs another name.
var keyComparer = &pebble.Comparer{
	Name: "elastickv.mvcc.v1", // part of the format; never change

	Compare:              compareKeys,
	Equal:                bytes.Equal,
	Split:                splitKey,
	ComparePointSuffixes: bytes.Compare,
	CompareRangeSuffixes: bytes.Compare,
	AbbreviatedKey:       abbreviateKey,
	Separator:            separateKeys,
	Successor:            succeedKey,
	ImmediateSuccessor:   func(dst, bound []byte) []byte { return append(append(dst, bound...), keySentinel) },
	FormatKey:            func(key []byte) fmt.Formatter { return formattedKey(key) },
	ValidateKey:          validateKey,
}

// splitKey returns the length of the bound that key begins with. It is total: a
// last byte that is no suffix length leaves the key whole, so that the order
// of damaged keys is an order too.
func splitKey(key []byte) int {
	if n := len(key); n >= keySuffixSize && key[n-1] == keySuffixSize {
		return n - keySuffixSize
	}
	return len(key)
}

// compareKeys compares bounds first. One comparison of the whole keys would not
// do: it would set the timestamp of "a" against the rest of "a\x00b".
//
// What both bounds have for certain, whatever the keys end in, comes before the rest: it
// nearly always decides, and the end of a key, which may be another cache line, is then
// not looked at.
func compareKeys(a, b []byte) int {
	if n := min(len(a), len(b)) - keySuffixSize; n > 0 {
		if c := bytes.Compare(a[:n], b[:n]); c != 0 {
			return c
		}
	}
	an, bn := splitKey(a), splitKey(b)
	if c := bytes.Compare(a[:an], b[:bn]); c != 0 {
		return c
	}
	return bytes.Compare(a[an:], b[bn:])
}

// abbreviateKey returns the first eight bytes of the bound. The zeros that fill
// a short one do not disturb the order, for a bound sorts before its extensions.
func abbreviateKey(key []byte) uint64 {
	bound := key[:splitKey(key)]
	if len(bound) >= 8 {
		return binary.BigEndian.Uint64(bound)
	}
	var b [8]byte
	copy(b[:], bound)
	return binary.BigEndian.Uint64(b[:])
}

// separateKeys appends a short bound k with a <= k < b, or a itself if none is
// shorter to be had. a < b.
func separateKeys(dst, a, b []byte) []byte {
	ka, okA := cutSentinel(a)
	kb, okB := cutSentinel(b)
	if !okA || !okB || len(ka) == 0 || len(kb) == 0 || bytes.Equal(ka, kb) {
		return append(dst, a...)
	}
	n := len(dst)
	dst = pebble.DefaultComparer.Separator(dst, ka, kb)
	if bytes.Equal(dst[n:], ka) {
		return append(dst[:n], a...)
	}
	return append(dst, keySentinel)
}

// succeedKey appends a short bound k with a <= k, or a itself.
func succeedKey(dst, a []byte) []byte {
	if len(a) == 0 {
		return append(dst, keySentinel)
	}
	ka, ok := cutSentinel(a)
	if !ok {
		return append(dst, a...)
	}
	n := len(dst)
	dst = pebble.DefaultComparer.Successor(dst, ka)
	if bytes.Equal(dst[n:], ka) {
		return append(dst[:n], a...)
	}
	return append(dst, keySentinel)
}

// cutSentinel returns key's bound without its last byte, if that is the sentinel.
func cutSentinel(key []byte) ([]byte, bool) {
	n := splitKey(key)
	if n == 0 || key[n-1] != keySentinel {
		return nil, false
	}
	return key[:n-1], true
}

func validateKey(key []byte) error {
	if _, ok := cutSentinel(key); !ok {
		return fmt.Errorf("%w %x", errKeyDamaged, key)
	}
	return nil
}

// formattedKey prints a row's key in messages of the engine.
type formattedKey []byte

// Format writes group, user key and timestamp, or the bytes of any other key.
func (k formattedKey) Format(s fmt.State, _ rune) {
	if userKey, ts, err := parseVersionKey(k); err == nil {
		fmt.Fprintf(s, "%d/%q@%d", binary.BigEndian.Uint32(k[1:]), userKey, ts)
		return
	}
	if bound, ok := cutSentinel(k); ok && len(bound) >= keyHeadSize && k[0] == namespaceData {
		fmt.Fprintf(s, "%d/%q", binary.BigEndian.Uint32(k[1:]), bound[keyHeadSize:])
		return
	}
	fmt.Fprintf(s, "%q", []byte(k))
}
