package store

import (
	"slices"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// diskWatch is a file system that counts the reads for which a file has to ask the disk, because the
// machine does not have it in memory. Time alone does not tell: on a busy machine a read takes long for many reasons.
// A read that nobody can tell of counts. Those that are made from one end of a file to the other are read ahead, and do not.
type diskWatch struct {
	vfs.FS
	waits *atomic.Uint64
}

// Open implements vfs.FS.
func (w diskWatch) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	f, err := w.FS.Open(name, opts...)
	if err != nil || slices.Contains(opts, vfs.SequentialReadsOption) {
		return f, err
	}
	return &watchedFile{File: f, fd: f.Fd(), waits: w.waits}, nil
}

// Unwrap implements vfs.FS.
func (w diskWatch) Unwrap() vfs.FS { return w.FS }

// watchedFile is a file that was opened to be read.
type watchedFile struct {
	vfs.File
	fd    uintptr
	waits *atomic.Uint64
	blind atomic.Bool // its file system does not say what is in memory
}

// ReadAt implements vfs.File.
func (f *watchedFile) ReadAt(b []byte, offset int64) (n int, err error) {
	if !f.blind.Load() && f.fd != vfs.InvalidFd {
		n, err = readPresent(f.fd, b, offset)
		if err != nil {
			f.blind.Store(true)
		}
		if n == len(b) {
			return n, nil
		}
	}
	f.waits.Add(1)
	more, err := f.File.ReadAt(b[n:], offset+int64(n))
	return n + more, err
}
