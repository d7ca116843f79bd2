package store

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"

	"github.com/cockroachdb/pebble/v2/record"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// errLogCut says that the engine would not read a file of its log to the end.
var errLogCut = errors.New("the file of the log is cut short; the disk has changed it, and writes in it are lost")

// wholeLogs is a file system on which a file of the engine's log opens only if it is whole. The engine opens those that it is about to
// replay. It has ended each of them before it began the next one, and syncs it then; but it believes whatever looks like
// the end of a file, and goes on with the next one: a chunk whose head has the number of that, or nothing at all. What
// comes behind it would be missing in between, without a word. A file that is gone altogether is not noticed.
type wholeLogs struct{ vfs.FS }

// Open implements vfs.FS.
func (w wholeLogs) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	if _, _, isLog := wal.ParseLogFilename(w.PathBase(name)); isLog {
		if err := w.check(name); err != nil {
			return nil, err
		}
	}
	return w.FS.Open(name, opts...)
}

// Unwrap implements vfs.FS.
func (w wholeLogs) Unwrap() vfs.FS { return w.FS }

// check fails if the engine would take something for the end of a file that is none. The newest one has none, and what is not even like one
// the engine refuses itself.
func (w wholeLogs) check(name string) error {
	files, err := wal.Scan(wal.Dir{FS: w.FS, Dirname: w.PathDir(name)})
	if err != nil {
		return err
	}
	number, _, _ := wal.ParseLogFilename(w.PathBase(name))
	file, ok := files.Get(number)
	if !ok || number == files[len(files)-1].Num {
		return nil
	}
	at, ends, err := logEnd(file)
	if err != nil || !ends {
		return err
	}
	f, err := w.FS.Open(name)
	if err != nil {
		return err
	}
	whole, err := endsAt(f, at, uint32(number))
	if err := firstError(err, f.Close()); err != nil {
		return err
	}
	if !whole {
		return errLogCut
	}
	return nil
}

// logEnd returns where the engine takes a file of its log to end, if it does.
func logEnd(file wal.LogicalLog) (at int64, ends bool, err error) {
	r := file.OpenForRead()
	defer func() { err = firstError(err, r.Close()) }()
	for {
		_, offset, err := r.NextRecord()
		switch {
		case errors.Is(err, io.EOF):
			return offset.Physical, true, nil
		case record.IsInvalidRecord(err):
			return 0, false, nil
		case err != nil:
			return 0, false, err
		}
	}
}

// What the engine ends a file with: a chunk without content, which has the number of the next file.
//
//	| 0 (4) | 0 (2) | 5 | number of the file, and one (4, little endian) |     it lies in one block
const (
	logBlock   = 32 << 10
	logEndSize = 11
	logEndKind = 5
	chunkHead  = 19 // what is left of a block and has no room for this is zeros
)

// endsAt reports whether f has, at or behind the last chunk that ends there, the end of the file of this number.
func endsAt(f io.ReaderAt, at int64, number uint32) (bool, error) {
	var b [chunkHead + logEndSize]byte
	n, err := f.ReadAt(b[:], at)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	want := [logEndSize]byte{6: logEndKind}
	binary.LittleEndian.PutUint32(want[7:], number+1)
	rest := int(logBlock - at%logBlock)
	for _, skip := range []int{0, rest} {
		if skip < chunkHead && skip+logEndSize <= n && bytes.Equal(b[skip:skip+logEndSize], want[:]) {
			return true, nil
		}
	}
	return false, nil
}
