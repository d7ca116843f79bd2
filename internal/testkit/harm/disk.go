package harm

import (
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// slowFS is a disk that takes its time to sync.
type slowFS struct{ vfs.FS }

// Create implements vfs.FS.
func (s slowFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return slow(s.FS.Create(name, c))
}

// ReuseForWrite implements vfs.FS.
func (s slowFS) ReuseForWrite(oldname, newname string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return slow(s.FS.ReuseForWrite(oldname, newname, c))
}

// OpenReadWrite implements vfs.FS.
func (s slowFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return slow(s.FS.OpenReadWrite(name, c, opts...))
}

// OpenDir implements vfs.FS.
func (s slowFS) OpenDir(name string) (vfs.File, error) { return slow(s.FS.OpenDir(name)) }

// Unwrap implements vfs.FS.
func (s slowFS) Unwrap() vfs.FS { return s.FS }

func slow(f vfs.File, err error) (vfs.File, error) {
	if err != nil {
		return nil, err
	}
	return slowFile{f}, nil
}

type slowFile struct{ vfs.File }

func (slowFile) wait() { time.Sleep(time.Duration(atomic.LoadInt64(&told.sync))) } // as a disk would

// Sync implements vfs.File.
func (f slowFile) Sync() error { f.wait(); return f.File.Sync() }

// SyncData implements vfs.File.
func (f slowFile) SyncData() error { f.wait(); return f.File.SyncData() }

// SyncTo implements vfs.File.
func (f slowFile) SyncTo(length int64) (fullSync bool, err error) {
	f.wait()
	return f.File.SyncTo(length)
}
