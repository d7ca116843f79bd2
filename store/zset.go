package store

import (
	"encoding/binary"
	"math"
)

// The tags of a sorted set's rows. A member has two: one to find its score by
// its name, one that lies in the order of scores, then names.
//
//	ZSetMetaPrefix       len(4) userKey                     -> Len(8)
//	ZSetMemberPrefix     len(4) userKey member              -> Score(8), IEEE 754
//	ZSetScorePrefix      len(4) userKey sortable(8) member  -> nothing
//	ZSetMetaDeltaPrefix  len(4) userKey commitTS(8) seq(4)  -> LenDelta(8)
const (
	ZSetMetaPrefix      = "!zs|meta|"   // part of the format; never change
	ZSetMemberPrefix    = "!zs|mem|"    // part of the format; never change
	ZSetScorePrefix     = "!zs|scr|"    // part of the format; never change
	ZSetMetaDeltaPrefix = "!zs|meta|d|" // part of the format; never change
)

const (
	zsetMetaKind   = wideKind(ZSetMetaPrefix)
	zsetMemberKind = wideKind(ZSetMemberPrefix)
	zsetScoreKind  = wideKind(ZSetScorePrefix)
	zsetDeltaKind  = wideKind(ZSetMetaDeltaPrefix)
)

// ZSetMeta is the base metadata of a sorted set.
type ZSetMeta struct {
	Len int64 // members, without what unfolded deltas add
}

// ZSetMetaDelta is a change of a sorted set's number of members.
type ZSetMetaDelta struct {
	LenDelta int64
}

// MarshalZSetMeta encodes m in 8 bytes.
func MarshalZSetMeta(m ZSetMeta) []byte { return marshalInt64(m.Len) }

// UnmarshalZSetMeta decodes exactly 8 bytes and refuses a negative length.
func UnmarshalZSetMeta(b []byte) (ZSetMeta, error) {
	n, err := unmarshalLen(b, "sorted set meta")
	return ZSetMeta{Len: n}, err
}

// MarshalZSetMetaDelta encodes d in 8 bytes.
func MarshalZSetMetaDelta(d ZSetMetaDelta) []byte { return marshalInt64(d.LenDelta) }

// UnmarshalZSetMetaDelta decodes exactly 8 bytes.
func UnmarshalZSetMetaDelta(b []byte) (ZSetMetaDelta, error) {
	n, err := unmarshalInt64(b, "sorted set meta delta")
	return ZSetMetaDelta{LenDelta: n}, err
}

// MarshalZSetScore encodes score in 8 bytes: IEEE 754, big endian.
func MarshalZSetScore(score float64) []byte {
	return binary.BigEndian.AppendUint64(make([]byte, 0, 8), math.Float64bits(score))
}

// UnmarshalZSetScore decodes exactly 8 bytes.
func UnmarshalZSetScore(b []byte) (float64, error) {
	if len(b) != 8 {
		return 0, sizeError("sorted set score", len(b), 8)
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b)), nil
}

// ZSetMetaKey returns the key of a sorted set's metadata.
func ZSetMetaKey(userKey []byte) []byte { return zsetMetaKind.prefix(userKey, 0) }

// AppendZSetMetaKey appends ZSetMetaKey to dst.
func AppendZSetMetaKey(dst, userKey []byte) []byte { return zsetMetaKind.append(dst, userKey) }

// ZSetMemberKey returns the key that holds the score of member.
func ZSetMemberKey(userKey, member []byte) []byte {
	return AppendZSetMemberKey(make([]byte, 0, zsetMemberKind.size(userKey, len(member))), userKey, member)
}

// AppendZSetMemberKey appends ZSetMemberKey to dst.
func AppendZSetMemberKey(dst, userKey, member []byte) []byte {
	return append(zsetMemberKind.append(dst, userKey), member...)
}

// ZSetMemberScanPrefix returns the prefix of the keys of all members.
func ZSetMemberScanPrefix(userKey []byte) []byte { return zsetMemberKind.prefix(userKey, 0) }

// ZSetScoreKey returns the key of member in the order of scores.
func ZSetScoreKey(userKey []byte, score float64, member []byte) []byte {
	dst := make([]byte, 0, zsetScoreKind.size(userKey, sortableSize+len(member)))
	return AppendZSetScoreKey(dst, userKey, score, member)
}

// AppendZSetScoreKey appends ZSetScoreKey to dst.
func AppendZSetScoreKey(dst, userKey []byte, score float64, member []byte) []byte {
	s := EncodeSortableFloat64(score)
	dst = append(zsetScoreKind.append(dst, userKey), s[:]...)
	return append(dst, member...)
}

// ZSetScoreScanPrefix returns the prefix of the score keys of all members.
func ZSetScoreScanPrefix(userKey []byte) []byte { return zsetScoreKind.prefix(userKey, 0) }

// ZSetScoreRangeScanPrefix returns the prefix of the score keys of all members
// with exactly this score: where a scan from or to the score begins or ends.
func ZSetScoreRangeScanPrefix(userKey []byte, score float64) []byte {
	return ZSetScoreKey(userKey, score, nil)
}

// ZSetMetaDeltaKey returns the key of one delta.
func ZSetMetaDeltaKey(userKey []byte, commitTS uint64, seqInTxn uint32) []byte {
	return zsetDeltaKind.deltaKey(userKey, commitTS, seqInTxn)
}

// ZSetMetaDeltaScanPrefix returns the prefix of the keys of all deltas.
func ZSetMetaDeltaScanPrefix(userKey []byte) []byte { return zsetDeltaKind.prefix(userKey, 0) }

// IsZSetMetaKey reports whether key has ZSetMetaPrefix. Delta keys have it too:
// test IsZSetMetaDeltaKey first.
func IsZSetMetaKey(key []byte) bool { return zsetMetaKind.matches(key) }

// IsZSetMemberKey reports whether key has ZSetMemberPrefix.
func IsZSetMemberKey(key []byte) bool { return zsetMemberKind.matches(key) }

// IsZSetScoreKey reports whether key has ZSetScorePrefix.
func IsZSetScoreKey(key []byte) bool { return zsetScoreKind.matches(key) }

// IsZSetMetaDeltaKey reports whether key has ZSetMetaDeltaPrefix.
func IsZSetMetaDeltaKey(key []byte) bool { return zsetDeltaKind.matches(key) }

// ExtractZSetMemberName returns the member of a member key of userKey, or nil.
// The result aliases key.
func ExtractZSetMemberName(key, userKey []byte) []byte {
	name, _ := zsetMemberKind.tailOf(key, userKey)
	return name
}

// ExtractZSetScoreAndMember returns what a score key of userKey holds. member
// aliases key.
func ExtractZSetScoreAndMember(key, userKey []byte) (score float64, member []byte, ok bool) {
	tail, ok := zsetScoreKind.tailOf(key, userKey)
	if !ok || len(tail) < sortableSize {
		return 0, nil, false
	}
	return DecodeSortableFloat64([sortableSize]byte(tail)), tail[sortableSize:], true
}

// ExtractZSetUserKeyFromMeta returns the user key of a meta key, or nil. The
// result aliases key.
func ExtractZSetUserKeyFromMeta(key []byte) []byte { return zsetMetaKind.userKey(key, 0) }

// ExtractZSetUserKeyFromMember returns the user key of a member key, or nil. The
// result aliases key.
func ExtractZSetUserKeyFromMember(key []byte) []byte { return zsetMemberKind.userKeyMin(key, 0) }

// ExtractZSetUserKeyFromScore returns the user key of a score key, or nil. The
// result aliases key.
func ExtractZSetUserKeyFromScore(key []byte) []byte {
	return zsetScoreKind.userKeyMin(key, sortableSize)
}

// ExtractZSetUserKeyFromDelta returns the user key of a delta key, or nil. The
// result aliases key.
func ExtractZSetUserKeyFromDelta(key []byte) []byte { return zsetDeltaKind.userKey(key, deltaTailSize) }
