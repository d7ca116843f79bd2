package store

// The tags of a set's rows.
//
//	SetMetaPrefix       len(4) userKey                     -> Len(8)
//	SetMemberPrefix     len(4) userKey member              -> nothing
//	SetMetaDeltaPrefix  len(4) userKey commitTS(8) seq(4)  -> LenDelta(8)
const (
	SetMetaPrefix      = "!st|meta|"   // part of the format; never change
	SetMemberPrefix    = "!st|mem|"    // part of the format; never change
	SetMetaDeltaPrefix = "!st|meta|d|" // part of the format; never change
)

const (
	setMetaKind   = wideKind(SetMetaPrefix)
	setMemberKind = wideKind(SetMemberPrefix)
	setDeltaKind  = wideKind(SetMetaDeltaPrefix)
)

// SetMeta is the base metadata of a set.
type SetMeta struct {
	Len int64 // members, without what unfolded deltas add
}

// SetMetaDelta is a change of a set's number of members.
type SetMetaDelta struct {
	LenDelta int64
}

// MarshalSetMeta encodes m in 8 bytes.
func MarshalSetMeta(m SetMeta) []byte { return marshalInt64(m.Len) }

// UnmarshalSetMeta decodes exactly 8 bytes and refuses a negative length.
func UnmarshalSetMeta(b []byte) (SetMeta, error) {
	n, err := unmarshalLen(b, "set meta")
	return SetMeta{Len: n}, err
}

// MarshalSetMetaDelta encodes d in 8 bytes.
func MarshalSetMetaDelta(d SetMetaDelta) []byte { return marshalInt64(d.LenDelta) }

// UnmarshalSetMetaDelta decodes exactly 8 bytes.
func UnmarshalSetMetaDelta(b []byte) (SetMetaDelta, error) {
	n, err := unmarshalInt64(b, "set meta delta")
	return SetMetaDelta{LenDelta: n}, err
}

// SetMetaKey returns the key of a set's metadata.
func SetMetaKey(userKey []byte) []byte { return setMetaKind.prefix(userKey, 0) }

// AppendSetMetaKey appends SetMetaKey to dst.
func AppendSetMetaKey(dst, userKey []byte) []byte { return setMetaKind.append(dst, userKey) }

// SetMemberKey returns the key of one member.
func SetMemberKey(userKey, member []byte) []byte {
	return AppendSetMemberKey(make([]byte, 0, setMemberKind.size(userKey, len(member))), userKey, member)
}

// AppendSetMemberKey appends SetMemberKey to dst.
func AppendSetMemberKey(dst, userKey, member []byte) []byte {
	return append(setMemberKind.append(dst, userKey), member...)
}

// SetMemberScanPrefix returns the prefix of the keys of all members of a set.
func SetMemberScanPrefix(userKey []byte) []byte { return setMemberKind.prefix(userKey, 0) }

// SetMetaDeltaKey returns the key of one delta.
func SetMetaDeltaKey(userKey []byte, commitTS uint64, seqInTxn uint32) []byte {
	return setDeltaKind.deltaKey(userKey, commitTS, seqInTxn)
}

// SetMetaDeltaScanPrefix returns the prefix of the keys of all deltas of a set.
func SetMetaDeltaScanPrefix(userKey []byte) []byte { return setDeltaKind.prefix(userKey, 0) }

// IsSetMetaKey reports whether key has SetMetaPrefix. Delta keys have it too:
// test IsSetMetaDeltaKey first.
func IsSetMetaKey(key []byte) bool { return setMetaKind.matches(key) }

// IsSetMemberKey reports whether key has SetMemberPrefix.
func IsSetMemberKey(key []byte) bool { return setMemberKind.matches(key) }

// IsSetMetaDeltaKey reports whether key has SetMetaDeltaPrefix.
func IsSetMetaDeltaKey(key []byte) bool { return setDeltaKind.matches(key) }

// ExtractSetMemberName returns the member of a member key of userKey, or nil.
// The result aliases key.
func ExtractSetMemberName(key, userKey []byte) []byte {
	name, _ := setMemberKind.tailOf(key, userKey)
	return name
}

// ExtractSetUserKeyFromMeta returns the user key of a meta key, or nil. The
// result aliases key.
func ExtractSetUserKeyFromMeta(key []byte) []byte { return setMetaKind.userKey(key, 0) }

// ExtractSetUserKeyFromMember returns the user key of a member key, or nil. The
// result aliases key.
func ExtractSetUserKeyFromMember(key []byte) []byte { return setMemberKind.userKeyMin(key, 0) }

// ExtractSetUserKeyFromDelta returns the user key of a delta key, or nil. The
// result aliases key.
func ExtractSetUserKeyFromDelta(key []byte) []byte { return setDeltaKind.userKey(key, deltaTailSize) }
