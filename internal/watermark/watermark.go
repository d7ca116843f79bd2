// Package watermark answers one question: how far was a log durable, at least?
//
// A log that a disk has changed at its end looks like one whose last writes a power cut has torn off, and
// the engine opens both alike. So a small file beside the log says up to which write it was durable. It is
// written behind each sync, without one of its own: the end of the process loses nothing of it, and a power cut
// what was not synced here since. What it says is true for ever, so an older one is only weaker.
//
// The package imports nothing of this module. It does not know what the numbers count.
package watermark

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrDamaged says that the file is none, or that nothing of it can be read. No crash leaves it so.
var ErrDamaged = errors.New("the watermark is damaged")

// ID is the name of a log, by chance: nobody who does not see the folder knows it.
type ID [16]byte

// A file has two places that are written in turns, each in a sector of its own, so that one is whole whatever
// becomes of the other. The higher one counts.
//
//	| "elastickv mark 1" (16) | id (16) | number (8) | CRC-32C of these (4) |     at 0, and at 4096
const (
	head      = "elastickv mark 1" // part of the format; never change
	markSize  = len(head) + len(ID{}) + 8 + 4
	placeSize = 4096 // part of the format; never change
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func appendMark(dst []byte, id ID, n uint64) []byte {
	from := len(dst)
	dst = append(append(dst, head...), id[:]...)
	dst = binary.BigEndian.AppendUint64(dst, n)
	return binary.BigEndian.AppendUint32(dst, crc32.Checksum(dst[from:], castagnoli))
}

func parseMark(b []byte) (id ID, n uint64, ok bool) {
	if len(b) < markSize || !bytes.HasPrefix(b, []byte(head)) {
		return id, 0, false
	}
	b = b[:markSize]
	sum := markSize - 4
	copy(id[:], b[len(head):])
	return id, binary.BigEndian.Uint64(b[sum-8:]), crc32.Checksum(b[:sum], castagnoli) == binary.BigEndian.Uint32(b[sum:])
}

// File is a watermark. Its methods are safe for any number of goroutines.
type File struct {
	id ID // immutable
	// What was noted last, and what the file says. Who finds them different and nobody writing writes.
	n, written atomic.Uint64

	io    sync.Mutex // held while the file is written or synced; n may rise meanwhile
	f     vfs.File   // io's, as are all fields below
	place int64      // the next one to be written
	dirty bool       // something was written since the last sync
}

// Create makes the watermark of a new log, which was durable up to 0. If it is interrupted, there is none.
func Create(fsys vfs.FS, dir, name string) (*File, error) {
	var id ID
	_, _ = rand.Read(id[:]) // never fails
	path, unfinished := fsys.PathJoin(dir, name), fsys.PathJoin(dir, name+".new")
	f, err := fsys.Create(unfinished, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	// Both places, so that the file never grows.
	marks := append(appendMark(nil, id, 0), make([]byte, placeSize-markSize)...)
	_, err = f.Write(appendMark(marks, id, 0))
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return nil, err
	}
	if err := fsys.Rename(unfinished, path); err != nil {
		return nil, err
	}
	d, err := fsys.OpenDir(dir)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(d.Sync(), d.Close()); err != nil {
		return nil, err
	}
	return Open(fsys, dir, name)
}

// Open opens a watermark. If there is none, the error is fs.ErrNotExist.
func Open(fsys vfs.FS, dir, name string) (*File, error) {
	path := fsys.PathJoin(dir, name)
	if _, err := fsys.Stat(path); err != nil { // OpenReadWrite would make one
		return nil, err
	}
	f, err := fsys.OpenReadWrite(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return nil, err
	}
	w := &File{f: f}
	found := false
	for i := range int64(2) {
		b := make([]byte, markSize)
		k, err := f.ReadAt(b, i*placeSize)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, errors.Join(err, f.Close())
		}
		if id, n, ok := parseMark(b[:k]); ok && (!found || n >= w.At()) {
			w.id, w.place, found = id, 1-i, true
			w.n.Store(n)
			w.written.Store(n)
		}
	}
	if !found {
		return nil, errors.Join(fmt.Errorf("%s: %w", path, ErrDamaged), f.Close())
	}
	return w, nil
}

// ID returns the name of the log.
func (w *File) ID() ID { return w.id }

// At returns up to where the log was durable, at least.
func (w *File) At() uint64 { return w.n.Load() }

// Raise says that the log is durable up to n. It does not sync, and waits for nobody: who is writing or syncing the file at the
// moment writes that, too.
func (w *File) Raise(n uint64) error {
	w.Note(n)
	return w.Write()
}

// Note is the part of Raise that does not write.
func (w *File) Note(n uint64) {
	for before := w.n.Load(); before < n && !w.n.CompareAndSwap(before, n); {
		before = w.n.Load()
	}
}

// Write writes what was noted.
func (w *File) Write() error {
	for w.n.Load() != w.written.Load() && w.io.TryLock() {
		err := w.writeLocked(w.n.Load())
		w.io.Unlock()
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *File) writeLocked(n uint64) error {
	if _, err := w.f.WriteAt(appendMark(make([]byte, 0, markSize), w.id, n), w.place*placeSize); err != nil {
		return err
	}
	w.place, w.dirty = 1-w.place, true
	w.written.Store(n)
	return nil
}

// Sync has what was raised survive a power cut, too.
func (w *File) Sync() error { return errors.Join(w.sync(), w.Write()) }

func (w *File) sync() error {
	w.io.Lock()
	defer w.io.Unlock()
	if w.n.Load() != w.written.Load() {
		if err := w.writeLocked(w.n.Load()); err != nil {
			return err
		}
	}
	if !w.dirty {
		return nil
	}
	w.dirty = false
	return w.f.SyncData()
}

// Lower says that the log is about to be replaced by one that is durable up to n only, and syncs that. If it is interrupted, the
// watermark is either. Nobody notes anything meanwhile.
func (w *File) Lower(n uint64) error {
	w.io.Lock()
	defer w.io.Unlock()
	w.n.Store(n)
	for range 2 { // the higher place would count
		if err := w.writeLocked(n); err != nil {
			return err
		}
	}
	w.dirty = false
	return w.f.SyncData()
}

// Close syncs and closes the file, once. Nobody uses it any more.
func (w *File) Close() error { return errors.Join(w.sync(), w.f.Close()) }
