package store

import (
	"bytes"
	"encoding/binary"
	"fmt"
)

// The tags of a list's rows. Meta and item keys carry the user key without its
// length. seq is made sortable by flipping its sign bit, so that negative
// numbers, which pushes at the head make, come first.
//
//	ListMetaPrefix       userKey                            -> Head(8) Tail(8) Len(8)
//	ListItemPrefix       userKey seq(8)                     -> element
//	ListMetaDeltaPrefix  len(4) userKey commitTS(8) seq(4)  -> HeadDelta(8) LenDelta(8)
//	ListClaimPrefix      len(4) userKey seq(8)              -> marker
//
// A claim says that a pop has taken the element at seq: two pops of one element
// write the same key, and the later conflicts.
const (
	ListMetaPrefix      = "!lst|meta|"   // part of the format; never change
	ListItemPrefix      = "!lst|itm|"    // part of the format; never change
	ListMetaDeltaPrefix = "!lst|meta|d|" // part of the format; never change
	ListClaimPrefix     = "!lst|claim|"  // part of the format; never change
)

const (
	listMetaKind  = bareKind(ListMetaPrefix)
	listItemKind  = bareKind(ListItemPrefix)
	listDeltaKind = wideKind(ListMetaDeltaPrefix)
	listClaimKind = wideKind(ListClaimPrefix)
)

// The widths of a list's metas.
const (
	listMetaSize      = 3 * 8 // part of the format; never change
	listMetaDeltaSize = 2 * 8 // part of the format; never change
)

// ListMeta is the base metadata of a list. Its elements have the sequence
// numbers [Head, Tail), without what unfolded deltas change.
type ListMeta struct {
	Head int64 `json:"h"` // sequence number of the first element
	Tail int64 `json:"t"` // Head + Len
	Len  int64 `json:"l"`
}

// ListMetaDelta is what one push or pop changes.
type ListMetaDelta struct {
	HeadDelta int64
	LenDelta  int64
}

// MarshalListMeta encodes meta in 24 bytes. The stored tail is Head+Len, whatever
// meta.Tail holds. A negative Len and a tail out of range are errors.
func MarshalListMeta(meta ListMeta) ([]byte, error) {
	if meta.Len < 0 || addOverflows(meta.Head, meta.Len) {
		return nil, errLenRange("list meta", meta.Len)
	}
	b := make([]byte, 0, listMetaSize)
	b = binary.BigEndian.AppendUint64(b, uint64(meta.Head))
	b = binary.BigEndian.AppendUint64(b, uint64(meta.Head+meta.Len))
	return binary.BigEndian.AppendUint64(b, uint64(meta.Len)), nil
}

// UnmarshalListMeta decodes exactly 24 bytes and refuses a negative length and
// a tail that is not Head+Len.
func UnmarshalListMeta(b []byte) (ListMeta, error) {
	if len(b) != listMetaSize {
		return ListMeta{}, sizeError("list meta", len(b), listMetaSize)
	}
	m := ListMeta{
		Head: int64(binary.BigEndian.Uint64(b)),
		Tail: int64(binary.BigEndian.Uint64(b[8:])),
		Len:  int64(binary.BigEndian.Uint64(b[16:])),
	}
	if m.Len < 0 || addOverflows(m.Head, m.Len) {
		return ListMeta{}, errLenRange("list meta", m.Len)
	}
	if m.Tail != m.Head+m.Len {
		return ListMeta{}, fmt.Errorf("list meta: tail %d is not head %d + length %d", m.Tail, m.Head, m.Len)
	}
	return m, nil
}

// MarshalListMetaDelta encodes d in 16 bytes.
func MarshalListMetaDelta(d ListMetaDelta) []byte {
	b := make([]byte, 0, listMetaDeltaSize)
	b = binary.BigEndian.AppendUint64(b, uint64(d.HeadDelta))
	return binary.BigEndian.AppendUint64(b, uint64(d.LenDelta))
}

// UnmarshalListMetaDelta decodes exactly 16 bytes.
func UnmarshalListMetaDelta(b []byte) (ListMetaDelta, error) {
	if len(b) != listMetaDeltaSize {
		return ListMetaDelta{}, sizeError("list meta delta", len(b), listMetaDeltaSize)
	}
	return ListMetaDelta{
		HeadDelta: int64(binary.BigEndian.Uint64(b)),
		LenDelta:  int64(binary.BigEndian.Uint64(b[8:])),
	}, nil
}

// ListMetaKey returns the key of a list's metadata.
func ListMetaKey(userKey []byte) []byte {
	return AppendListMetaKey(make([]byte, 0, len(listMetaKind)+len(userKey)), userKey)
}

// AppendListMetaKey appends ListMetaKey to dst.
func AppendListMetaKey(dst, userKey []byte) []byte { return listMetaKind.append(dst, userKey) }

// ListItemKey returns the key of the element at seq. Between two item keys of
// one list there may be items of another whose user key is longer, because the
// key does not say where the user key ends: a scan asks ExtractListItemSeq of
// every key and passes over those that it refuses.
func ListItemKey(userKey []byte, seq int64) []byte {
	return AppendListItemKey(make([]byte, 0, len(listItemKind)+len(userKey)+sortableSize), userKey, seq)
}

// AppendListItemKey appends ListItemKey to dst.
func AppendListItemKey(dst, userKey []byte, seq int64) []byte {
	return appendSortableInt64(listItemKind.append(dst, userKey), seq)
}

// ListMetaDeltaKey returns the key of one delta.
func ListMetaDeltaKey(userKey []byte, commitTS uint64, seqInTxn uint32) []byte {
	return listDeltaKind.deltaKey(userKey, commitTS, seqInTxn)
}

// ListMetaDeltaScanPrefix returns the prefix of the keys of all deltas of a list.
func ListMetaDeltaScanPrefix(userKey []byte) []byte { return listDeltaKind.prefix(userKey, 0) }

// ListClaimKey returns the key that a pop of the element at seq writes.
func ListClaimKey(userKey []byte, seq int64) []byte {
	return appendSortableInt64(listClaimKind.prefix(userKey, sortableSize), seq)
}

// ListClaimScanPrefix returns the prefix of the keys of all claims of a list.
func ListClaimScanPrefix(userKey []byte) []byte { return listClaimKind.prefix(userKey, 0) }

// IsListMetaKey reports whether key has ListMetaPrefix. Delta keys have it too:
// test IsListMetaDeltaKey first.
func IsListMetaKey(key []byte) bool { return listMetaKind.matches(key) }

// IsListItemKey reports whether key has ListItemPrefix.
func IsListItemKey(key []byte) bool { return listItemKind.matches(key) }

// IsListMetaDeltaKey reports whether key has ListMetaDeltaPrefix. So does the
// meta key of a list whose user key begins with "d|"; only a user key that
// imitates a whole delta passes ExtractListUserKeyFromDelta, too. Whoever lets
// users choose such keys must keep them apart.
func IsListMetaDeltaKey(key []byte) bool { return listDeltaKind.matches(key) }

// IsListClaimKey reports whether key has ListClaimPrefix.
func IsListClaimKey(key []byte) bool { return listClaimKind.matches(key) }

// ExtractListItemSeq returns the sequence number of an item key of userKey.
func ExtractListItemSeq(itemKey, userKey []byte) (int64, bool) {
	if !listItemKind.matches(itemKey) {
		return 0, false
	}
	rest, ok := bytes.CutPrefix(itemKey[len(listItemKind):], userKey)
	if !ok || len(rest) != sortableSize {
		return 0, false
	}
	return sortableInt64(rest), true
}

// ExtractListUserKey returns the user key of a meta or item key, or nil. The
// result aliases key.
func ExtractListUserKey(key []byte) []byte {
	switch {
	case listMetaKind.matches(key):
		return key[len(listMetaKind):len(key):len(key)]
	case listItemKind.matches(key) && len(key) >= len(listItemKind)+sortableSize:
		n := len(key) - sortableSize
		return key[len(listItemKind):n:n]
	}
	return nil
}

// ExtractListUserKeyFromDelta returns the user key of a delta key, or nil. The
// result aliases key.
func ExtractListUserKeyFromDelta(key []byte) []byte { return listDeltaKind.userKey(key, deltaTailSize) }

// ExtractListUserKeyFromClaim returns the user key of a claim key, or nil. The
// result aliases key.
func ExtractListUserKeyFromClaim(key []byte) []byte { return listClaimKind.userKey(key, sortableSize) }

// bareKind is the leading tag of a row whose user key stands without a length.
type bareKind string

func (k bareKind) append(dst, userKey []byte) []byte {
	return append(append(dst, k...), userKey...)
}

func (k bareKind) matches(key []byte) bool {
	return len(key) >= len(k) && string(key[:len(k)]) == string(k)
}
