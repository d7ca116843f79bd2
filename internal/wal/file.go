package wal

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/elastickv/elastickv/internal/zerofill"
)

// The name of a file is the position that it begins at, in hexadecimal:
//
//	wal-0000000000a3c01f.log
const (
	namePrefix = "wal-" // part of the format; never change
	nameSuffix = ".log" // part of the format; never change
	nameDigits = 16
)

func fileName(begin Position) string {
	return fmt.Sprintf("%s%0*x%s", namePrefix, nameDigits, uint64(begin), nameSuffix)
}

// IsFile reports whether a log has a file of this name, and at which position it begins.
func IsFile(name string) (begin Position, ok bool) {
	digits, isFile := strings.CutPrefix(name, namePrefix)
	digits, isLog := strings.CutSuffix(digits, nameSuffix)
	n, err := strconv.ParseUint(digits, 16, 64)
	begin = Position(n)
	return begin, isFile && isLog && err == nil && name == fileName(begin)
}

// list returns where the files in a folder begin, in order.
func list(fs vfs.FS, dir string) ([]Position, error) {
	names, err := fs.List(dir)
	if err != nil {
		return nil, err
	}
	var begins []Position
	for _, name := range names {
		if begin, ok := IsFile(name); ok {
			begins = append(begins, begin)
		}
	}
	slices.Sort(begins)
	return begins, nil
}

// sparesMost is how many files that are not needed wait until they are written again. The system knows their blocks already, so a sync
// of what is written there is a shorter one.
const sparesMost = 4

// file is the one that is written to, with those before it.
type file struct {
	vfs.File
	o       *Options
	purging bool       // what is not needed any more is removed
	end     Position   // where the next record goes
	begin   []Position // of those that are needed still or wait to be written again, oldest first, and then of this one
}

// size is how many bytes were written to it.
func (f *file) size() int64 { return int64(f.end - f.begin[len(f.begin)-1]) }

func (f *file) write(text []byte) error {
	n, err := f.File.Write(text)
	f.end += Position(n)
	return err
}

// writeLarge writes a head and what belongs to it, which is the caller's still: a file may change what it is given.
func (f *file) writeLarge(head, content []byte) error {
	part := append(make([]byte, 0, writeSize), head...)
	for len(content) > 0 {
		n := min(len(content), writeSize-len(part))
		if err := f.write(append(part, content[:n]...)); err != nil {
			return err
		}
		part, content = part[:0], content[n:]
	}
	return nil
}

func (f *file) path(begin Position) string { return f.o.FS.PathJoin(f.o.Dir, fileName(begin)) }

// next ends the file and begins another one. What is in an older file is durable as a whole: so any end of it that comes too early is
// damage.
func (f *file) next() error {
	if err := f.File.Sync(); err != nil {
		return err
	}
	if err := f.close(); err != nil {
		return err
	}
	var needed Position
	if f.o.Needed != nil {
		var err error
		if needed, err = f.o.Needed(); err != nil {
			return err
		}
	}
	return f.start(needed)
}

// close closes the file, if one is open.
func (f *file) close() error {
	closing := f.File
	if f.File = nil; closing == nil {
		return nil
	}
	return closing.Close()
}

// start begins a file at the end. Records before needed are not needed. It is there before others go: a log has one at any time.
func (f *file) start(needed Position) error {
	if n := len(f.begin); n > 0 && f.begin[n-1] == f.end {
		f.begin = f.begin[:n-1] // it has nothing, and is begun again
	}
	spares := f.spares(needed)
	path := f.path(f.end)
	var opened vfs.File
	var err error
	if f.purging || len(spares) == 0 {
		opened, err = f.o.FS.Create(path, vfs.WriteCategoryUnspecified)
	} else {
		opened, err = f.o.FS.ReuseForWrite(f.path(spares[0]), path, vfs.WriteCategoryUnspecified)
		spares, f.begin = spares[1:], f.begin[1:]
	}
	if err != nil {
		return err
	}
	if opened, err = zerofill.File(opened, f.o.Ahead); err != nil {
		return err
	}
	f.File = vfs.NewSyncingFile(opened, vfs.SyncingFileOptions{NoSyncOnClose: true, BytesPerSync: bytesPerSync, PreallocateSize: int(f.o.FileSize + f.o.FileSize/10)})
	f.begin = append(f.begin, f.end)
	if err := syncFolder(f.o.FS, f.o.Dir); err != nil {
		return err
	}
	return f.remove(spares)
}

// remove removes some of these files, or all of them if the log is being purged.
func (f *file) remove(spares []Position) error {
	most := sparesMost - 1
	if f.purging {
		most = 0
	}
	if len(spares) <= most {
		return nil
	}
	for _, begin := range spares[:len(spares)-most] {
		if err := f.o.FS.Remove(f.path(begin)); err != nil {
			return err
		}
		f.begin = f.begin[1:]
	}
	return syncFolder(f.o.FS, f.o.Dir)
}

// spares returns the files all of whose records are before needed. The first of the others begins at or before it.
func (f *file) spares(needed Position) []Position {
	n := 0
	for n+1 < len(f.begin) && f.begin[n+1] <= needed {
		n++
	}
	if n+1 == len(f.begin) && f.end <= needed {
		n++
	}
	return f.begin[:n]
}

func syncFolder(fs vfs.FS, dir string) error { return syncOpened(fs.OpenDir(dir)) }

// syncOpened syncs what was opened, and closes it.
func syncOpened(f vfs.File, err error) error {
	if err != nil {
		return err
	}
	err = f.Sync()
	if closeErr := f.Close(); err == nil {
		err = closeErr
	}
	return err
}
