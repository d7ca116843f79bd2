package store_test

import (
	"log/slog"

	"github.com/elastickv/elastickv/store"
)

// The functions of the package, each with exactly the type that callers rely on.

// Hashes.
var (
	_ func(key, userKey []byte) []byte                              = store.ExtractHashFieldName
	_ func(key []byte) []byte                                       = store.ExtractHashUserKeyFromDelta
	_ func(key []byte) []byte                                       = store.ExtractHashUserKeyFromField
	_ func(key []byte) []byte                                       = store.ExtractHashUserKeyFromMeta
	_ func(userKey, fieldName []byte) []byte                        = store.HashFieldKey
	_ func(userKey []byte) []byte                                   = store.HashFieldScanPrefix
	_ func(userKey []byte, commitTS uint64, seqInTxn uint32) []byte = store.HashMetaDeltaKey
	_ func(userKey []byte) []byte                                   = store.HashMetaDeltaScanPrefix
	_ func(userKey []byte) []byte                                   = store.HashMetaKey
	_ func(key []byte) bool                                         = store.IsHashFieldKey
	_ func(key []byte) bool                                         = store.IsHashMetaDeltaKey
	_ func(key []byte) bool                                         = store.IsHashMetaKey
	_ func(m store.HashMeta) []byte                                 = store.MarshalHashMeta
	_ func(d store.HashMetaDelta) []byte                            = store.MarshalHashMetaDelta
	_ func(b []byte) (store.HashMeta, error)                        = store.UnmarshalHashMeta
	_ func(b []byte) (store.HashMetaDelta, error)                   = store.UnmarshalHashMetaDelta
)

// Sets.
var (
	_ func(key, userKey []byte) []byte                              = store.ExtractSetMemberName
	_ func(key []byte) []byte                                       = store.ExtractSetUserKeyFromDelta
	_ func(key []byte) []byte                                       = store.ExtractSetUserKeyFromMember
	_ func(key []byte) []byte                                       = store.ExtractSetUserKeyFromMeta
	_ func(key []byte) bool                                         = store.IsSetMemberKey
	_ func(key []byte) bool                                         = store.IsSetMetaDeltaKey
	_ func(key []byte) bool                                         = store.IsSetMetaKey
	_ func(m store.SetMeta) []byte                                  = store.MarshalSetMeta
	_ func(d store.SetMetaDelta) []byte                             = store.MarshalSetMetaDelta
	_ func(userKey, member []byte) []byte                           = store.SetMemberKey
	_ func(userKey []byte) []byte                                   = store.SetMemberScanPrefix
	_ func(userKey []byte, commitTS uint64, seqInTxn uint32) []byte = store.SetMetaDeltaKey
	_ func(userKey []byte) []byte                                   = store.SetMetaDeltaScanPrefix
	_ func(userKey []byte) []byte                                   = store.SetMetaKey
	_ func(b []byte) (store.SetMeta, error)                         = store.UnmarshalSetMeta
	_ func(b []byte) (store.SetMetaDelta, error)                    = store.UnmarshalSetMetaDelta
)

// Sorted sets, their scores and the order of numbers.
var (
	_ func(b [8]byte) float64                                           = store.DecodeSortableFloat64
	_ func(f float64) [8]byte                                           = store.EncodeSortableFloat64
	_ func(key, userKey []byte) []byte                                  = store.ExtractZSetMemberName
	_ func(key, userKey []byte) (score float64, member []byte, ok bool) = store.ExtractZSetScoreAndMember
	_ func(key []byte) []byte                                           = store.ExtractZSetUserKeyFromDelta
	_ func(key []byte) []byte                                           = store.ExtractZSetUserKeyFromMember
	_ func(key []byte) []byte                                           = store.ExtractZSetUserKeyFromMeta
	_ func(key []byte) []byte                                           = store.ExtractZSetUserKeyFromScore
	_ func(key []byte) bool                                             = store.IsZSetMemberKey
	_ func(key []byte) bool                                             = store.IsZSetMetaDeltaKey
	_ func(key []byte) bool                                             = store.IsZSetMetaKey
	_ func(key []byte) bool                                             = store.IsZSetScoreKey
	_ func(m store.ZSetMeta) []byte                                     = store.MarshalZSetMeta
	_ func(d store.ZSetMetaDelta) []byte                                = store.MarshalZSetMetaDelta
	_ func(score float64) []byte                                        = store.MarshalZSetScore
	_ func(b []byte) (float64, error)                                   = store.UnmarshalZSetScore
	_ func(userKey, member []byte) []byte                               = store.ZSetMemberKey
	_ func(userKey []byte) []byte                                       = store.ZSetMemberScanPrefix
	_ func(userKey []byte, commitTS uint64, seqInTxn uint32) []byte     = store.ZSetMetaDeltaKey
	_ func(userKey []byte) []byte                                       = store.ZSetMetaDeltaScanPrefix
	_ func(userKey []byte) []byte                                       = store.ZSetMetaKey
	_ func(userKey []byte, score float64, member []byte) []byte         = store.ZSetScoreKey
	_ func(userKey []byte, score float64) []byte                        = store.ZSetScoreRangeScanPrefix
	_ func(userKey []byte) []byte                                       = store.ZSetScoreScanPrefix
	_ func(b []byte) (store.ZSetMeta, error)                            = store.UnmarshalZSetMeta
	_ func(b []byte) (store.ZSetMetaDelta, error)                       = store.UnmarshalZSetMetaDelta
)

// Lists.
var (
	_ func(itemKey, userKey []byte) (int64, bool)                   = store.ExtractListItemSeq
	_ func(key []byte) []byte                                       = store.ExtractListUserKey
	_ func(key []byte) []byte                                       = store.ExtractListUserKeyFromClaim
	_ func(key []byte) []byte                                       = store.ExtractListUserKeyFromDelta
	_ func(key []byte) bool                                         = store.IsListClaimKey
	_ func(key []byte) bool                                         = store.IsListItemKey
	_ func(key []byte) bool                                         = store.IsListMetaDeltaKey
	_ func(key []byte) bool                                         = store.IsListMetaKey
	_ func(userKey []byte, seq int64) []byte                        = store.ListClaimKey
	_ func(userKey []byte) []byte                                   = store.ListClaimScanPrefix
	_ func(userKey []byte, seq int64) []byte                        = store.ListItemKey
	_ func(userKey []byte, commitTS uint64, seqInTxn uint32) []byte = store.ListMetaDeltaKey
	_ func(userKey []byte) []byte                                   = store.ListMetaDeltaScanPrefix
	_ func(userKey []byte) []byte                                   = store.ListMetaKey
	_ func(meta store.ListMeta) ([]byte, error)                     = store.MarshalListMeta
	_ func(d store.ListMetaDelta) []byte                            = store.MarshalListMetaDelta
	_ func(b []byte) (store.ListMeta, error)                        = store.UnmarshalListMeta
	_ func(b []byte) (store.ListMetaDelta, error)                   = store.UnmarshalListMetaDelta
)

// Streams.
var (
	_ func(b []byte) (ms, seq uint64, ok bool)                 = store.DecodeStreamID
	_ func(ms, seq uint64) []byte                              = store.EncodeStreamID
	_ func(entryKey, userKey []byte) (ms, seq uint64, ok bool) = store.ExtractStreamEntryID
	_ func(key []byte) []byte                                  = store.ExtractStreamUserKeyFromEntry
	_ func(key []byte) []byte                                  = store.ExtractStreamUserKeyFromMeta
	_ func(key []byte) bool                                    = store.IsStreamEntryKey
	_ func(key []byte) bool                                    = store.IsStreamMetaKey
	_ func(m store.StreamMeta) ([]byte, error)                 = store.MarshalStreamMeta
	_ func(userKey []byte, ms, seq uint64) []byte              = store.StreamEntryKey
	_ func(userKey []byte) []byte                              = store.StreamEntryScanPrefix
	_ func(userKey []byte) []byte                              = store.StreamMetaKey
	_ func(b []byte) (store.StreamMeta, error)                 = store.UnmarshalStreamMeta
)

// Conflicts, prefixes, stores and their options.
var (
	_ func(label string) (kind, keyClass string, ok bool)                        = store.DecodeWriteConflictLabel
	_ func(kind, keyClass string) string                                         = store.EncodeWriteConflictLabel
	_ func(key []byte) error                                                     = store.NewWriteConflictError
	_ func(prefix []byte) []byte                                                 = store.PrefixScanEnd
	_ func(err error) ([]byte, bool)                                             = store.WriteConflictKey
	_ func(opts ...store.MVCCStoreOption) store.MVCCStore                        = store.NewMVCCStore
	_ func(dir string, opts ...store.PebbleStoreOption) (store.MVCCStore, error) = store.NewPebbleStore
	_ func(l *slog.Logger) store.MVCCStoreOption                                 = store.WithLogger
	_ func(l *slog.Logger) store.PebbleStoreOption                               = store.WithPebbleLogger
)
