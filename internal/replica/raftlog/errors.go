package raftlog

import "errors"

// Errors of opening a log or a group. A group that has lost something must not go on: it could vote
// against its own vote, or lose what a majority was told is safe.
var (
	// ErrDamaged says that the log has a gap, a row that is none, or a file that was changed.
	ErrDamaged = errors.New("raftlog: the log is damaged")

	// ErrForgotten says that writes are missing that were on the disk, and that others may have been told of.
	ErrForgotten = errors.New("raftlog: the log has lost what it has promised")

	// ErrLogLost says that the data has more than the log, so that the log, and with it votes,
	// is not the newest one.
	ErrLogLost = errors.New("raftlog: the log is older than the data")

	// ErrStateLost says that the data lacks entries that the log has no more.
	ErrStateLost = errors.New("raftlog: the data is older than the log")

	// ErrSealed says that entries are sealed, and the log was opened without keys.
	ErrSealed = errors.New("raftlog: the log is sealed; open it with the keys of its node")

	// ErrTampered says that an entry on the disk is not what was written there, or that its key is missing. It comes with
	// ErrDamaged.
	ErrTampered = errors.New("raftlog: a sealed entry is not what was written, or its key is missing")

	// ErrNoGroup says that the log has nothing of a group.
	ErrNoGroup = errors.New("raftlog: the log has nothing of this group")

	// ErrGroupExists says that the log has a group of this id already.
	ErrGroupExists = errors.New("raftlog: the group exists")

	// ErrNewerFormat says that a later release has written the folder.
	ErrNewerFormat = errors.New("raftlog: a format newer than this program knows; use the release that has written it")
)
