package store

import (
	"context"
	"io"
)

// Tombstone is the one-byte body that marks a deletion where a deletion has to
// be shown as bytes.
var Tombstone = []byte{0x00}

// HybridClock issues strictly increasing hybrid-logical timestamps.
type HybridClock interface {
	// Now returns a timestamp above every one that it has returned before.
	Now() uint64
}

// KVPair is one row of a scan. The caller owns both slices.
type KVPair struct {
	Key   []byte
	Value []byte
}

// OpType is the kind of a mutation.
type OpType int

// The kinds of mutation.
const (
	OpTypePut OpType = iota
	OpTypeDelete
)

// KVPairMutation is one write of a transaction.
type KVPairMutation struct {
	Op    OpType
	Key   []byte
	Value []byte
	// ExpireAt is the hybrid-logical timestamp from which on the value is no
	// longer visible; 0 means never.
	ExpireAt uint64
}

// VersionedValue is one committed version of a key.
type VersionedValue struct {
	TS        uint64 // commit timestamp
	Value     []byte // empty, never nil, for a put of no bytes
	Tombstone bool
	ExpireAt  uint64 // hybrid-logical timestamp; 0 means never
}

// clone returns v with a value of its own.
func (v VersionedValue) clone() VersionedValue {
	if v.Value != nil {
		v.Value = cloneBytes(v.Value)
	}
	return v
}

// ExpiredAt reports whether the version has an expiry at or before ts.
func (v VersionedValue) ExpiredAt(ts uint64) bool { return v.ExpireAt != 0 && v.ExpireAt <= ts }

// MVCCStore keeps versions of keys. Keys are arbitrary bytes, the empty key
// included; a nil value is an empty value. Every method is safe for concurrent
// use, and no method keeps a slice it was given after it returns.
//
// A read at ts sees the newest version with a commit timestamp <= ts; a
// tombstone, or an expiry at or before ts, makes the key not found. Reads at a
// ts below the retention floor (but not at 0 or math.MaxUint64) fail with
// ErrReadTSCompacted.
//
// Writes are durable when the method returns, with the exception of the Raft
// variants, whose durability is a mode of the store because their caller's log
// can replay them.
type MVCCStore interface {
	// GetAt returns a copy of the value visible at ts, or ErrKeyNotFound.
	GetAt(ctx context.Context, key []byte, ts uint64) ([]byte, error)
	// ExistsAt reports whether a value is visible at ts.
	ExistsAt(ctx context.Context, key []byte, ts uint64) (bool, error)
	// ScanAt returns up to limit visible rows of [start, end) in ascending
	// bytewise order of keys. A nil end is unbounded, an empty non-nil end
	// covers nothing, and a limit of 0 or less returns no rows. Rows that are
	// not visible do not count.
	ScanAt(ctx context.Context, start []byte, end []byte, limit int, ts uint64) ([]*KVPair, error)
	// ReverseScanAt is ScanAt in descending order of keys.
	ReverseScanAt(ctx context.Context, start []byte, end []byte, limit int, ts uint64) ([]*KVPair, error)
	// PutAt commits a value at commitTS. A version of the same key and
	// timestamp is replaced; a timestamp below the newest takes its place in
	// the history.
	PutAt(ctx context.Context, key []byte, value []byte, commitTS uint64, expireAt uint64) error
	// DeleteAt commits a tombstone at commitTS, also for a key that is not there.
	DeleteAt(ctx context.Context, key []byte, commitTS uint64) error
	// PutWithTTLAt is PutAt for callers that always have an expiry.
	PutWithTTLAt(ctx context.Context, key []byte, value []byte, commitTS uint64, expireAt uint64) error
	// ExpireAt commits the value visible at commitTS once more, at commitTS,
	// with the expiry expireAt (0 removes it). ErrKeyNotFound if none is visible.
	ExpireAt(ctx context.Context, key []byte, expireAt uint64, commitTS uint64) error
	// LatestCommitTS returns the commit timestamp of the newest version, be it a
	// value, a tombstone or expired, and whether the key has any version.
	LatestCommitTS(ctx context.Context, key []byte) (uint64, bool, error)
	// CommittedVersionAt reports whether key has a version, tombstones
	// included, of exactly commitTS. With unique commit timestamps that answers
	// whether one particular transaction was committed.
	CommittedVersionAt(ctx context.Context, key []byte, commitTS uint64) (bool, error)
	// ApplyMutations commits all mutations at commitTS, or none. It fails with a
	// *WriteConflictError if the newest version of a mutation's key, and then of
	// a read key, has a timestamp above startTS. Of two mutations of one key the
	// later wins. An empty list is legal and advances LastCommitTS.
	ApplyMutations(ctx context.Context, mutations []*KVPairMutation, readKeys [][]byte, startTS, commitTS uint64) error
	// ApplyMutationsRaft is ApplyMutations for a caller whose own log makes the
	// write durable; whether it is fsynced follows ELASTICKV_FSM_SYNC_MODE.
	ApplyMutationsRaft(ctx context.Context, mutations []*KVPairMutation, readKeys [][]byte, startTS, commitTS uint64) error
	// ApplyMutationsRaftAt also records appliedIndex in the same atomic write;
	// 0 leaves the recorded index as it is.
	ApplyMutationsRaftAt(ctx context.Context, mutations []*KVPairMutation, readKeys [][]byte, startTS, commitTS, appliedIndex uint64) error
	// DeletePrefixAt deletes at commitTS every key that has the prefix and is
	// visible at commitTS, except those that have excludePrefix. An empty prefix means
	// every key, an empty excludePrefix excludes none. There is no conflict check.
	DeletePrefixAt(ctx context.Context, prefix []byte, excludePrefix []byte, commitTS uint64) error
	// DeletePrefixAtRaft is DeletePrefixAt with the durability of ApplyMutationsRaft.
	DeletePrefixAtRaft(ctx context.Context, prefix []byte, excludePrefix []byte, commitTS uint64) error
	// DeletePrefixAtRaftAt also records appliedIndex, as ApplyMutationsRaftAt does.
	DeletePrefixAtRaftAt(ctx context.Context, prefix []byte, excludePrefix []byte, commitTS, appliedIndex uint64) error
	// LastCommitTS returns the highest commit timestamp that no crash can take
	// back. Reads at it see a moment that stays as it is.
	LastCommitTS() uint64
	// WriteConflictCountsByPrefix returns a copy of the conflict counters, by
	// the labels that EncodeWriteConflictLabel builds.
	WriteConflictCountsByPrefix() map[string]uint64
	// Compact drops versions that no read at or above minTS can see and raises
	// the retention floor to minTS. It does nothing if the floor is there already.
	Compact(ctx context.Context, minTS uint64) error
	// Snapshot returns an image of this moment. Close it after use.
	Snapshot() (Snapshot, error)
	// Restore replaces everything with the snapshot read from buf, or fails and
	// leaves the store as it is.
	Restore(buf io.Reader) error
	// Close ends the use of the store. Calls after it fail.
	Close() error
}

// Snapshot streams a point-in-time image of a store.
type Snapshot interface {
	io.WriterTo
	io.Closer
}

// RetentionController tells and sets the retention floor: reads below it may
// fail with ErrReadTSCompacted. The floor never goes down.
type RetentionController interface {
	// MinRetainedTS returns the floor; 0 is none.
	MinRetainedTS() uint64
	// SetMinRetainedTS raises the floor to ts, and does nothing if it is there already.
	SetMinRetainedTS(ts uint64)
}
