package store

import (
	"errors"
	"hash/crc32"
)

// The stream that Snapshot writes and Restore reads. It says nothing of the
// engine, so that any store reads what any other wrote. Integers are big endian.
//
//	| magic (8) | version (4) | lastCommitTS (8) | floor (8) | appliedIndex (8) | sum (4) |     header
//	| length (4), 1..65536 | content (length) | sum (4) |                                      block, any number
//	| 0 (4) | keys (8) | versions (8) | content bytes (8) | sum (4) |                          trailer, then nothing
//
// A sum is the CRC-32C of every byte of the stream before it, earlier sums left
// out; so a block that was dropped, doubled or moved is noticed at its own sum,
// before anything of it is used.
//
// The contents of the blocks, one after the other, are a sequence of records. A
// record may lie across blocks.
//
//	| 1 (1) | length (4), 0..1 MiB | key |                                                     begins a key
//	| 2 (1) | flags (1) | commitTS (8) | [expireAt (8)] | length (4), 0..256 MiB | value |     a value of that key
//	| 3 (1) | commitTS (8) |                                                                   a tombstone of that key
//	| 4 (1) | flags (1) | commitTS (8) | length (4) | start | [length (4) | end] |               a range tombstone
//
// Range tombstones come first, by commitTS, flags and start. Keys rise bytewise; the versions of a key, at least one, fall by commitTS.
const (
	snapshotMagic   = "EKVSNAP\n" // part of the format; never change
	snapshotVersion = 1           // part of the format

	snapshotHeaderSize  = 8 + 4 + 3*8
	snapshotTrailerSize = 3 * 8
	snapshotBlockSize   = 64 << 10 // part of the format: a reader refuses longer blocks

	snapshotRecordKey       = 1 // part of the format; never change
	snapshotRecordValue     = 2 // part of the format; never change
	snapshotRecordTombstone = 3 // part of the format; never change
	snapshotRecordRange     = 4 // part of the format; never change

	snapshotFlagExpiry = 1 << 0 // of a value: an expireAt follows; every other bit is 0

	// The flags of a range tombstone are rangeFlagExpired and rangeFlagEnd.
)

// Errors of reading a snapshot, beside ErrInvalidChecksum and the limits.
var (
	// ErrNotSnapshot says that the bytes do not begin as a snapshot does.
	ErrNotSnapshot = errors.New("store: not a snapshot")

	// ErrSnapshotTooNew says that a later release has written the snapshot.
	// Restore it with that release.
	ErrSnapshotTooNew = errors.New("store: snapshot has a format newer than this program knows; restore it with a newer release")

	// ErrSnapshotTruncated says that the stream ends before its trailer does.
	ErrSnapshotTruncated = errors.New("store: snapshot is truncated")

	// ErrSnapshotMalformed says that the checksums hold but the content breaks
	// a rule of the format.
	ErrSnapshotMalformed = errors.New("store: snapshot is malformed")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// snapshotHeader is what a snapshot says of the store as a whole.
type snapshotHeader struct {
	LastCommitTS uint64
	Floor        uint64 // reads below it fail; 0 is no floor
	AppliedIndex uint64
}
