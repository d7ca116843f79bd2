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

	syncs sync.Mutex // held while the file is synced; before mu
	mu    struct {
		sync.Mutex
		f       vfs.File
		n       uint64 // what was raised last
		written uint64 // what the file says; behind n only while it is synced
		place   int64  // the next one to be written
		dirty   bool   // something was written since the last sync began
		syncing bool   // f is that of who syncs, without the lock
	}
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
	w := &File{}
	w.mu.f = f
	found := false
	for i := range int64(2) {
		b := make([]byte, markSize)
		if k, err := f.ReadAt(b, i*placeSize); err != nil && !errors.Is(err, io.EOF) {
			return nil, errors.Join(err, f.Close())
		} else if id, n, ok := parseMark(b[:k]); ok && (!found || n >= w.mu.n) {
			w.id, w.mu.n, w.mu.written, w.mu.place, found = id, n, n, 1-i, true
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
func (w *File) At() uint64 {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.mu.n
}

// Raise says that the log is durable up to n. It does not sync, and does not wait for who does.
func (w *File) Raise(n uint64) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.n = max(w.mu.n, n)
	if w.mu.syncing {
		return nil
	}
	return w.writeLocked()
}

// writeLocked writes what the file does not say yet.
func (w *File) writeLocked() error {
	if w.mu.written == w.mu.n {
		return nil
	}
	if _, err := w.mu.f.WriteAt(appendMark(make([]byte, 0, markSize), w.id, w.mu.n), w.mu.place*placeSize); err != nil {
		return err
	}
	w.mu.written, w.mu.place, w.mu.dirty = w.mu.n, 1-w.mu.place, true
	return nil
}

// Sync has what was raised survive a power cut, too.
func (w *File) Sync() error {
	w.syncs.Lock()
	defer w.syncs.Unlock()
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.mu.dirty {
		return nil
	}
	w.mu.dirty, w.mu.syncing = false, true
	w.mu.Unlock()
	err := w.mu.f.SyncData()
	w.mu.Lock()
	w.mu.syncing = false
	return errors.Join(err, w.writeLocked())
}

// Close syncs and closes the file, once. Nobody uses it any more.
func (w *File) Close() error { return errors.Join(w.Sync(), w.mu.f.Close()) }
