package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// A row of the engine that holds a version has the key
//
//	| 0x01 | group (4, big endian) | user key … | 0x00 | ^commitTS (8, big endian) | 0x09 |
//
// and the bound below every version of a user key is the same, cut off after
// the 0x00. The last byte of a key so tells how many bytes to take off to get the bound: 9
// or 0. The 0x00 before the timestamp makes that true of every bound, whatever
// the user key ends in; and it keeps the order, because a user key that is a
// prefix of another one is followed by 0x00 where the other goes on with a byte
// that is at least that, and is the longer key. ^commitTS sorts the newest
// version first.
//
// The group separates stores that share an engine; a store by itself is group 0.
// The engine's own rows are bounds too, of another namespace:
//
//	| 0x00 | name … | 0x00 |
const (
	namespaceMeta = 0x00 // part of the format; never change
	namespaceData = 0x01 // part of the format; never change

	keySentinel     = 0x00  // part of the format; never change
	keySuffixSize   = 8 + 1 // ^commitTS and the length byte, which counts itself
	keyHeadSize     = 1 + 4 // namespace and group
	keyOverheadSize = keyHeadSize + 1 + keySuffixSize
	keyGroup        = uint32(0)
)

// The rows of the engine that say something of the store as a whole. Each holds a
// big-endian uint64, but for the compaction cursor, which holds a bound.
var (
	metaLastCommitTS     = []byte("\x00lastCommitTS\x00")     // part of the format; never change
	metaRetentionFloor   = []byte("\x00retentionFloor\x00")   // part of the format; never change
	metaAppliedIndex     = []byte("\x00appliedIndex\x00")     // part of the format; never change
	metaCompactionCursor = []byte("\x00compactionCursor\x00") // part of the format; never change
	metaClean            = []byte("\x00clean\x00")            // part of the format; never change
	metaLogged           = []byte("\x00logged\x00")           // part of the format; never change
)

// appendKeyBound appends the bound of userKey: it sorts before all versions of
// userKey and after all versions of every lesser key.
func appendKeyBound(dst, userKey []byte) []byte {
	dst = append(dst, namespaceData)
	dst = binary.BigEndian.AppendUint32(dst, keyGroup)
	dst = append(dst, userKey...)
	return append(dst, keySentinel)
}

// appendVersionKey appends the key of userKey's version at ts.
func appendVersionKey(dst, userKey []byte, ts uint64) []byte {
	return appendKeySuffix(appendKeyBound(dst, userKey), ts)
}

// appendKeySuffix turns a bound into the key of the version at ts.
func appendKeySuffix(bound []byte, ts uint64) []byte {
	return append(binary.BigEndian.AppendUint64(bound, ^ts), keySuffixSize)
}

// appendDataEnd appends the bound above every version.
func appendDataEnd(dst []byte) []byte {
	if keyGroup == math.MaxUint32 {
		return append(dst, namespaceData+1, keySentinel)
	}
	dst = append(dst, namespaceData)
	dst = binary.BigEndian.AppendUint32(dst, keyGroup+1)
	return append(dst, keySentinel)
}

// errKeyDamaged says that a row's key is none that this package writes.
var errKeyDamaged = errors.New("store: damaged row key")

// parseVersionKey takes apart a key as appendVersionKey builds it. userKey
// aliases key.
func parseVersionKey(key []byte) (userKey []byte, ts uint64, err error) {
	n := len(key) - keySuffixSize
	if n <= keyHeadSize || key[len(key)-1] != keySuffixSize || key[0] != namespaceData || key[n-1] != keySentinel {
		return nil, 0, fmt.Errorf("%w %x", errKeyDamaged, key)
	}
	return key[keyHeadSize : n-1], ^binary.BigEndian.Uint64(key[n:]), nil
}
