// Package zerofill is a file system that fills the files of a log with zeros ahead of what is written to them.
//
// A sync of a file that has grown writes where its blocks are, too, and waits for that: once more than for what was written, and
// for the journal where there is one. A file that was as long before has nothing to be written but the blocks themselves. An engine
// allots blocks to its log beforehand, but blocks that nobody has written are marked as such, and to take back the mark is a change like
// any other; and it writes files again that it does not need any more, but a young one has none, or shorter ones.
//
// Zeros behind the last write look like the end of a log that a crash has cut off, as do the blocks that an engine allots.
//
// The package imports nothing of this module.
package zerofill

import (
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// Ahead is how far a file is filled beyond what is written to it, in bytes: of small writes it takes some fifty until that is used up.
const Ahead = 256 << 10

// smallMost is what is written between two syncs, at most, that is worth filling ahead: a fill takes as long as another write of
// the same length, and saves as much time as a write of about 80 KiB takes.
const smallMost = 32 << 10

// page is how much is filled at once. The system keeps what was written at once together, and who asks it how much a process has
// written to the disk (write_bytes of proc(5), say) gets all of that for every byte that is changed in it later.
const page = 4 << 10

var zeros [Ahead]byte

// FS is a file system whose logs are filled.
type FS struct {
	vfs.FS
	// Ahead is how far a file is filled, in bytes, at most the constant of that name. 0 is as much as that, for files of a disk alone: those in
	// memory, which have no descriptor, gain nothing.
	Ahead int
}

// Unwrap implements vfs.FS.
func (w FS) Unwrap() vfs.FS { return w.FS }

// Create implements vfs.FS.
func (w FS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := w.FS.Create(name, c)
	return w.filled(name, f, err)
}

// ReuseForWrite implements vfs.FS.
func (w FS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	f, err := w.FS.ReuseForWrite(oldname, newname, c)
	return w.filled(newname, f, err)
}

func (w FS) filled(name string, f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	if _, _, isLog := wal.ParseLogFilename(w.PathBase(name)); !isLog {
		return f, nil
	}
	return File(f, w.Ahead)
}

// File returns f, of which nothing was written yet since it was opened, as one that is filled; ahead is as in FS. If it fails, f is closed.
func File(f vfs.File, ahead int) (vfs.File, error) {
	if ahead == 0 && f.Fd() == vfs.InvalidFd {
		return f, nil
	}
	info, err := f.Stat()
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	fill := zeros[:]
	if ahead > 0 {
		fill = zeros[:ahead]
	}
	return &file{File: f, fill: fill, size: info.Size()}, nil
}

// file is a log. The engine writes to it and syncs it from one goroutine at a time, from the beginning to the end.
type file struct {
	vfs.File
	fill   []byte
	size   int64 // up to where something was written once
	at     int64 // the next write
	synced int64 // where it was at the last sync
}

// Write implements vfs.File.
func (f *file) Write(p []byte) (int, error) {
	n, err := f.File.Write(p)
	f.at += int64(n)
	return n, err
}

// Sync implements vfs.File.
func (f *file) Sync() error {
	f.ahead()
	return f.File.Sync()
}

// SyncData implements vfs.File.
func (f *file) SyncData() error {
	f.ahead()
	return f.File.SyncData()
}

// ahead fills the file if it has grown since the last sync. It may fail, of which a full disk is the usual reason: what the engine
// has written is there all the same, and if the disk is broken the sync says so.
func (f *file) ahead() {
	written := f.at - f.synced
	f.synced = f.at
	if f.at <= f.size {
		return
	}
	f.size = f.at
	if written > smallMost {
		return
	}
	for rest := f.fill; len(rest) > 0; {
		n, err := f.WriteAt(rest[:min(page-int(f.size%page), len(rest))], f.size)
		if f.size += int64(n); err != nil {
			return
		}
		rest = rest[n:]
	}
}
