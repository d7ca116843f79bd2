package store

import "errors"

// Errors of reading.
var (
	// ErrKeyNotFound says that no version is visible at the read timestamp:
	// there is none, or the newest is a tombstone or has expired.
	ErrKeyNotFound = errors.New("not found")

	// ErrExpired marks a version whose expiry is at or before the timestamp it
	// was judged at. Reads report ErrKeyNotFound; this one names the cause.
	ErrExpired = errors.New("expired")

	// ErrReadTSCompacted says that the read timestamp lies below the retention
	// floor: versions it would need may be gone. Read at or above MinRetainedTS.
	ErrReadTSCompacted = errors.New("read timestamp has been compacted")

	// ErrDeltaScanTruncated says that a collection has more than
	// MaxDeltaScanLimit unfolded deltas, so that its length cannot be told
	// until they are folded into its base meta.
	ErrDeltaScanTruncated = errors.New("too many unfolded deltas")
)

// Errors of writing.
var (
	// ErrWriteConflict is what every *WriteConflictError unwraps to.
	ErrWriteConflict = errors.New("write conflict")

	// ErrUnknownOp says that a mutation's Op is neither put nor delete.
	ErrUnknownOp = errors.New("unknown op")

	// ErrDeletedNotNewest says that a commit deletes spans at a timestamp that is
	// not above everything written before, or that one of the same call follows it
	// with a lower timestamp.
	ErrDeletedNotNewest = errors.New("deleted spans need a commit timestamp above all earlier ones")

	// ErrValueTooLarge says that a value exceeds 256 MiB.
	ErrValueTooLarge = errors.New("value too large")

	// ErrSnapshotKeyTooLarge says that a key exceeds 1 MiB. It is reported when
	// writing, so that whatever was accepted fits into a snapshot, and when
	// restoring a stream that claims such a key.
	ErrSnapshotKeyTooLarge = errors.New("mvcc snapshot key too large")
)

// Errors of snapshots and of what a store cannot do.
var (
	// ErrSnapshotVersionCountTooLarge says that one key has more than 1<<20
	// versions in a snapshot. Compact first.
	ErrSnapshotVersionCountTooLarge = errors.New("mvcc snapshot version count too large")

	// ErrInvalidChecksum says that a snapshot's bytes do not match their checksum.
	ErrInvalidChecksum = errors.New("invalid checksum")

	// ErrNotSupported says that this store cannot do what was asked.
	ErrNotSupported = errors.New("not supported")

	// ErrClosed says that the store was closed before the call.
	ErrClosed = errors.New("store is closed")
)
