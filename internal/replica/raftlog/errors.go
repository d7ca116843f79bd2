package raftlog

import "errors"

// Errors of opening a log or a group. A group that has lost something must not go on: it could vote
// against its own vote, or lose what a majority was told is safe.
var (
	// ErrDamaged says that the log has a gap, a row that is none, or a file that was changed.
	ErrDamaged = errors.New("raftlog: the log is damaged")

	// ErrLogLost says that the data has more than the log, so that the log, and with it votes,
	// is not the newest one.
	ErrLogLost = errors.New("raftlog: the log is older than the data")

	// ErrStateLost says that the data lacks entries that the log has no more.
	ErrStateLost = errors.New("raftlog: the data is older than the log")

	// ErrNoGroup says that the log has nothing of a group.
	ErrNoGroup = errors.New("raftlog: the log has nothing of this group")

	// ErrGroupExists says that the log has a group of this id already.
	ErrGroupExists = errors.New("raftlog: the group exists")

	// ErrNewerFormat says that a later release has written the folder.
	ErrNewerFormat = errors.New("raftlog: a format newer than this program knows; use the release that has written it")
)
