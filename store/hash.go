package store

// The tags of a hash's rows.
//
//	HashMetaPrefix       len(4) userKey                     -> Len(8)
//	HashFieldPrefix      len(4) userKey field               -> value
//	HashMetaDeltaPrefix  len(4) userKey commitTS(8) seq(4)  -> LenDelta(8)
const (
	HashMetaPrefix      = "!hs|meta|"   // part of the format; never change
	HashFieldPrefix     = "!hs|fld|"    // part of the format; never change
	HashMetaDeltaPrefix = "!hs|meta|d|" // part of the format; never change
)

const (
	hashMetaKind  = wideKind(HashMetaPrefix)
	hashFieldKind = wideKind(HashFieldPrefix)
	hashDeltaKind = wideKind(HashMetaDeltaPrefix)
)

// HashMeta is the base metadata of a hash.
type HashMeta struct {
	Len int64 // fields, without what unfolded deltas add
}

// HashMetaDelta is a change of a hash's number of fields.
type HashMetaDelta struct {
	LenDelta int64
}

// MarshalHashMeta encodes m in 8 bytes.
func MarshalHashMeta(m HashMeta) []byte { return marshalInt64(m.Len) }

// UnmarshalHashMeta decodes exactly 8 bytes and refuses a negative length.
func UnmarshalHashMeta(b []byte) (HashMeta, error) {
	n, err := unmarshalLen(b, "hash meta")
	return HashMeta{Len: n}, err
}

// MarshalHashMetaDelta encodes d in 8 bytes.
func MarshalHashMetaDelta(d HashMetaDelta) []byte { return marshalInt64(d.LenDelta) }

// UnmarshalHashMetaDelta decodes exactly 8 bytes.
func UnmarshalHashMetaDelta(b []byte) (HashMetaDelta, error) {
	n, err := unmarshalInt64(b, "hash meta delta")
	return HashMetaDelta{LenDelta: n}, err
}

// HashMetaKey returns the key of a hash's metadata.
func HashMetaKey(userKey []byte) []byte { return hashMetaKind.prefix(userKey, 0) }

// AppendHashMetaKey appends HashMetaKey to dst.
func AppendHashMetaKey(dst, userKey []byte) []byte { return hashMetaKind.append(dst, userKey) }

// HashFieldKey returns the key of one field.
func HashFieldKey(userKey, fieldName []byte) []byte {
	return AppendHashFieldKey(make([]byte, 0, hashFieldKind.size(userKey, len(fieldName))), userKey, fieldName)
}

// AppendHashFieldKey appends HashFieldKey to dst.
func AppendHashFieldKey(dst, userKey, fieldName []byte) []byte {
	return append(hashFieldKind.append(dst, userKey), fieldName...)
}

// HashFieldScanPrefix returns the prefix of the keys of all fields of a hash.
func HashFieldScanPrefix(userKey []byte) []byte { return hashFieldKind.prefix(userKey, 0) }

// HashMetaDeltaKey returns the key of one delta.
func HashMetaDeltaKey(userKey []byte, commitTS uint64, seqInTxn uint32) []byte {
	return hashDeltaKind.deltaKey(userKey, commitTS, seqInTxn)
}

// HashMetaDeltaScanPrefix returns the prefix of the keys of all deltas of a hash.
func HashMetaDeltaScanPrefix(userKey []byte) []byte { return hashDeltaKind.prefix(userKey, 0) }

// IsHashMetaKey reports whether key has HashMetaPrefix. Delta keys have it too:
// test IsHashMetaDeltaKey first.
func IsHashMetaKey(key []byte) bool { return hashMetaKind.matches(key) }

// IsHashFieldKey reports whether key has HashFieldPrefix.
func IsHashFieldKey(key []byte) bool { return hashFieldKind.matches(key) }

// IsHashMetaDeltaKey reports whether key has HashMetaDeltaPrefix.
func IsHashMetaDeltaKey(key []byte) bool { return hashDeltaKind.matches(key) }

// ExtractHashFieldName returns the field name of a field key of userKey, or nil.
// The result aliases key.
func ExtractHashFieldName(key, userKey []byte) []byte {
	name, _ := hashFieldKind.tailOf(key, userKey)
	return name
}

// ExtractHashUserKeyFromMeta returns the user key of a meta key, or nil. The
// result aliases key.
func ExtractHashUserKeyFromMeta(key []byte) []byte { return hashMetaKind.userKey(key, 0) }

// ExtractHashUserKeyFromField returns the user key of a field key, or nil. The
// result aliases key.
func ExtractHashUserKeyFromField(key []byte) []byte { return hashFieldKind.userKeyMin(key, 0) }

// ExtractHashUserKeyFromDelta returns the user key of a delta key, or nil. The
// result aliases key.
func ExtractHashUserKeyFromDelta(key []byte) []byte { return hashDeltaKind.userKey(key, deltaTailSize) }
