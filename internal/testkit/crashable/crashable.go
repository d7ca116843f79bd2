// Package crashable is a disk in memory that can be crashed while it is written to. It imports nothing of the module, so that tests
// inside any package may use it.
package crashable

import "github.com/cockroachdb/pebble/v2/vfs"

// FS is a file system of vfs.NewCrashableMem that may be cloned at any moment. The bare one may not: its ReuseForWrite,
// with which the engine begins the next file of its log, locks twice for reading what CrashClone locks for writing
// (vfs/mem_fs.go, as of v2.1.7), and both wait for ever when the one comes between the two of the other.
type FS struct{ *vfs.MemFS }

// ReuseForWrite implements vfs.FS. A crash may come between the two steps; it finds what one after the first does.
func (f FS) ReuseForWrite(oldname, newname string, category vfs.DiskWriteCategory) (vfs.File, error) {
	if err := f.Rename(oldname, newname); err != nil {
		return nil, err
	}
	return f.OpenReadWrite(newname, category)
}
