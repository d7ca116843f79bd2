package store_test

import (
	"context"
	"io"
	"reflect"
	"testing"

	"github.com/elastickv/elastickv/store"
)

// What a program outside this module may rely on: the names of the package with
// exactly these types. This file and api_functions_test.go need only compile;
// what the tests below look at is what a compiler lets pass.

// mvccStore has the methods of MVCCStore, all of them and no other.
type mvccStore interface {
	GetAt(ctx context.Context, key []byte, ts uint64) ([]byte, error)
	ExistsAt(ctx context.Context, key []byte, ts uint64) (bool, error)
	ScanAt(ctx context.Context, start []byte, end []byte, limit int, ts uint64) ([]*store.KVPair, error)
	ReverseScanAt(ctx context.Context, start []byte, end []byte, limit int, ts uint64) ([]*store.KVPair, error)
	PutAt(ctx context.Context, key []byte, value []byte, commitTS uint64, expireAt uint64) error
	DeleteAt(ctx context.Context, key []byte, commitTS uint64) error
	PutWithTTLAt(ctx context.Context, key []byte, value []byte, commitTS uint64, expireAt uint64) error
	ExpireAt(ctx context.Context, key []byte, expireAt uint64, commitTS uint64) error
	LatestCommitTS(ctx context.Context, key []byte) (uint64, bool, error)
	CommittedVersionAt(ctx context.Context, key []byte, commitTS uint64) (bool, error)
	ApplyMutations(ctx context.Context, mutations []*store.KVPairMutation, readKeys [][]byte, startTS, commitTS uint64) error
	ApplyMutationsRaft(ctx context.Context, mutations []*store.KVPairMutation, readKeys [][]byte, startTS, commitTS uint64) error
	ApplyMutationsRaftAt(ctx context.Context, mutations []*store.KVPairMutation, readKeys [][]byte, startTS, commitTS, appliedIndex uint64) error
	DeletePrefixAt(ctx context.Context, prefix []byte, excludePrefix []byte, commitTS uint64) error
	DeletePrefixAtRaft(ctx context.Context, prefix []byte, excludePrefix []byte, commitTS uint64) error
	DeletePrefixAtRaftAt(ctx context.Context, prefix []byte, excludePrefix []byte, commitTS, appliedIndex uint64) error
	LastCommitTS() uint64
	WriteConflictCountsByPrefix() map[string]uint64
	Compact(ctx context.Context, minTS uint64) error
	Snapshot() (store.Snapshot, error)
	Restore(buf io.Reader) error
	Close() error
}

// snapshot, retentionController and hybridClock are the smaller interfaces.
type (
	snapshot interface {
		io.WriterTo
		io.Closer
	}
	retentionController interface {
		MinRetainedTS() uint64
		SetMinRetainedTS(ts uint64)
	}
	hybridClock interface{ Now() uint64 }
)

// An interface that converts into another and back has the same methods.
var (
	_ mvccStore                 = store.MVCCStore(nil)
	_ store.MVCCStore           = mvccStore(nil)
	_ snapshot                  = store.Snapshot(nil)
	_ store.Snapshot            = snapshot(nil)
	_ retentionController       = store.RetentionController(nil)
	_ store.RetentionController = retentionController(nil)
	_ hybridClock               = store.HybridClock(nil)
	_ store.HybridClock         = hybridClock(nil)

	_ store.MVCCStore           = store.Engine(nil)
	_ store.RetentionController = store.Engine(nil)
)

// A struct without a name is assigned only from one of the same fields, in the
// same order and with the same tags.
var (
	_ struct{ Key, Value []byte } = store.KVPair{}
	_ struct {
		Op         store.OpType
		Key, Value []byte
		ExpireAt   uint64
	} = store.KVPairMutation{}
	_ struct {
		TS        uint64
		Value     []byte
		Tombstone bool
		ExpireAt  uint64
	} = store.VersionedValue{}

	_ struct{ Len int64 }      = store.HashMeta{}
	_ struct{ LenDelta int64 } = store.HashMetaDelta{}
	_ struct{ Len int64 }      = store.SetMeta{}
	_ struct{ LenDelta int64 } = store.SetMetaDelta{}
	_ struct{ Len int64 }      = store.ZSetMeta{}
	_ struct{ LenDelta int64 } = store.ZSetMetaDelta{}
	_ struct {
		Head int64 `json:"h"`
		Tail int64 `json:"t"`
		Len  int64 `json:"l"`
	} = store.ListMeta{}
	_ struct{ HeadDelta, LenDelta int64 } = store.ListMetaDelta{}
	_ struct {
		Length          int64
		LastMs, LastSeq uint64
	} = store.StreamMeta{}
)

// The error of a conflict, and variables that are errors and nothing narrower.
var (
	_ error                                  = (*store.WriteConflictError)(nil)
	_ func(*store.WriteConflictError) string = (*store.WriteConflictError).Error
	_ func(*store.WriteConflictError) error  = (*store.WriteConflictError).Unwrap

	_ *[]byte = &store.Tombstone
)

// Constants without a type fit any that can hold them.
type (
	word   string
	number float32
)

const (
	_ word   = store.HashMetaPrefix + store.HashFieldPrefix + store.HashMetaDeltaPrefix
	_ word   = store.SetMetaPrefix + store.SetMemberPrefix + store.SetMetaDeltaPrefix
	_ word   = store.ZSetMetaPrefix + store.ZSetMemberPrefix + store.ZSetScorePrefix + store.ZSetMetaDeltaPrefix
	_ word   = store.ListMetaPrefix + store.ListItemPrefix + store.ListMetaDeltaPrefix + store.ListClaimPrefix
	_ word   = store.StreamMetaPrefix + store.StreamEntryPrefix
	_ word   = store.WriteConflictKindWrite + store.WriteConflictKindRead
	_ number = store.MaxDeltaScanLimit + store.StreamIDBytes

	_ store.OpType = store.OpTypePut + store.OpTypeDelete
)

func TestConstants(t *testing.T) {
	for want, got := range map[string]string{
		"!hs|meta|": store.HashMetaPrefix, "!hs|fld|": store.HashFieldPrefix, "!hs|meta|d|": store.HashMetaDeltaPrefix,
		"!st|meta|": store.SetMetaPrefix, "!st|mem|": store.SetMemberPrefix, "!st|meta|d|": store.SetMetaDeltaPrefix,
		"!zs|meta|": store.ZSetMetaPrefix, "!zs|mem|": store.ZSetMemberPrefix, "!zs|scr|": store.ZSetScorePrefix,
		"!zs|meta|d|": store.ZSetMetaDeltaPrefix,
		"!lst|meta|":  store.ListMetaPrefix, "!lst|itm|": store.ListItemPrefix, "!lst|meta|d|": store.ListMetaDeltaPrefix,
		"!lst|claim|":   store.ListClaimPrefix,
		"!stream|meta|": store.StreamMetaPrefix, "!stream|entry|": store.StreamEntryPrefix,
		"write": store.WriteConflictKindWrite, "read": store.WriteConflictKindRead,
		"\x00": string(store.Tombstone),
	} {
		if got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	for _, c := range []struct {
		name      string
		got, want int
	}{
		{"MaxDeltaScanLimit", store.MaxDeltaScanLimit, 1024}, {"StreamIDBytes", store.StreamIDBytes, 16},
		{"OpTypePut", int(store.OpTypePut), 0}, {"OpTypeDelete", int(store.OpTypeDelete), 1},
	} {
		if c.got != c.want {
			t.Errorf("%s is %d, want %d", c.name, c.got, c.want)
		}
	}
}

// What an error says is part of the contract: logs and tests of callers look for it.
func TestErrorTexts(t *testing.T) {
	for want, err := range map[string]*error{
		"expired":                               &store.ErrExpired,
		"invalid checksum":                      &store.ErrInvalidChecksum,
		"not found":                             &store.ErrKeyNotFound,
		"not supported":                         &store.ErrNotSupported,
		"unknown op":                            &store.ErrUnknownOp,
		"value too large":                       &store.ErrValueTooLarge,
		"write conflict":                        &store.ErrWriteConflict,
		"read timestamp has been compacted":     &store.ErrReadTSCompacted,
		"mvcc snapshot key too large":           &store.ErrSnapshotKeyTooLarge,
		"mvcc snapshot version count too large": &store.ErrSnapshotVersionCountTooLarge,
	} {
		if got := (*err).Error(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	if store.ErrDeltaScanTruncated == nil || store.ErrEncryptedValueReservedState == nil {
		t.Error("an error without a fixed text is nil")
	}
}

// Types whose inside is the package's own.
func TestOpaqueTypes(t *testing.T) {
	for _, option := range []reflect.Type{reflect.TypeFor[store.MVCCStoreOption](), reflect.TypeFor[store.PebbleStoreOption]()} {
		if option.Kind() != reflect.Func || option.NumIn() != 1 || option.NumOut() != 0 || option.In(0).Kind() != reflect.Pointer {
			t.Errorf("%v is a %v, want a function that is given the store", option, option.Kind())
		}
	}
	if kind := reflect.TypeFor[store.OpType]().Kind(); kind != reflect.Int {
		t.Errorf("OpType is a %v, want an int", kind)
	}
	conflict := reflect.TypeFor[store.WriteConflictError]()
	for _, field := range reflect.VisibleFields(conflict) {
		if field.IsExported() {
			t.Errorf("WriteConflictError shows its field %s", field.Name)
		}
	}
	if n := reflect.PointerTo(conflict).NumMethod(); n != 2 {
		t.Errorf("*WriteConflictError has %d methods, want Error and Unwrap", n)
	}
	if n := reflect.TypeFor[store.MVCCStore]().NumMethod(); n != 22 {
		t.Errorf("MVCCStore has %d methods, want 22", n)
	}
}
