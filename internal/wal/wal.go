// Package wal answers one question: what must survive a crash that is not in the engine's tables yet?
//
// It is a write-ahead log: records in the order in which they were appended, in files of which each begins where the one before it ends.
// Whoever appends carries on at once; whoever waits for a record writes and syncs, for all that have appended by then, on its
// own goroutine. To hand that to another one and to be woken again would take as long as a sync of a fast disk.
//
// The owner says which records it does not need any more. Files that have only such are written again under another name.
//
// The package imports of this module only what fills its files. It does not know what is in a record.
package wal

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Position is a place in the log: how many bytes were appended before it since the log was created, heads of records included.
type Position uint64

// Options say where a log is. FS and Dir are required.
type Options struct {
	FS  vfs.FS
	Dir string

	// New says that there may be no log yet. One that had files and has none any more is else not opened.
	New bool

	// FileSize is from how many bytes on a file gets no further records. 0 means 8 MiB.
	FileSize int64

	// Ahead is how far files are filled with zeros, see package zerofill.
	Ahead int

	// Needed returns the position of the first record that has to stay: all before it are durable elsewhere. It is called
	// whenever a file is full, by who waits for a record. Without it all records stay until the log is opened again.
	Needed func() (Position, error)

	// Now is the clock that syncs are measured by. Without it they take no time.
	Now func() time.Time

	large int // largeSize but in tests
}

const (
	defaultFileSize = 8 << 20
	writeSize       = 256 << 10 // what is appended and not written at most, unless others are just writing
	largeSize       = 1 << 20   // from which on a record is not copied as a whole
	bytesPerSync    = 512 << 10 // what nobody waits for reaches the disk in steps of this, not in one long stall
)

// Log is an open log. Its methods are safe for any number of goroutines.
type Log struct {
	o Options

	mu      sync.Mutex
	idle    sync.Cond // busy has become false
	busy    bool      // somebody writes to the file; they own file
	pending []byte    // what was appended and is not written yet
	spare   []byte    // room for the next ones
	end     Position
	synced  Position
	failed  error // set once; nothing is written from then on
	file    file
	stats   Stats

	ahead  chan struct{} // see SyncAhead
	helper sync.WaitGroup
}

// Append adds a record of what content has, from 1 byte up to 4 GiB less one, and returns where it ends: the position to wait for. If the log has failed
// it returns why. Content is not used any more when it returns.
func (l *Log) Append(content []byte) (end Position, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	large := len(content) >= l.o.large
	for large && l.busy {
		l.idle.Wait()
	}
	if l.failed != nil {
		return 0, l.failed
	}
	at := l.end
	l.end += Position(headSize + len(content))
	end = l.end
	if large {
		l.work(appendHead(nil, at, content), content, false)
		return end, l.failed
	}
	l.pending = append(appendHead(l.pending, at, content), content...)
	if len(l.pending) >= writeSize && !l.busy {
		l.work(nil, nil, false)
	}
	return end, l.failed
}

// End returns the position that the next record gets.
func (l *Log) End() Position {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.end
}

// EndWith returns where the next record ends if its content has this many bytes.
func (l *Log) EndWith(content int) Position { return l.End() + headSize + Position(content) }

// Sync returns when everything before end is durable, or with why it cannot be: then a crash may take back what was not durable before.
func (l *Log) Sync(end Position) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.synced < end && l.failed == nil {
		if l.busy {
			l.idle.Wait()
		} else {
			l.work(nil, nil, true)
		}
	}
	if l.synced < end {
		return l.failed
	}
	return nil
}

// SyncAhead begins to sync what was appended, for a caller who has something else to do before Sync, which takes longer than it does to wake
// up another goroutine.
func (l *Log) SyncAhead() {
	select {
	case l.ahead <- struct{}{}:
	default: // it has just been asked for
	}
}

func (l *Log) help() {
	defer l.helper.Done()
	for range l.ahead {
		_ = l.Sync(l.End()) // who waits for it gets the error
	}
}

// work writes what was appended, and a large record behind it if there is one, and syncs that or does not. The caller holds the lock,
// which is free meanwhile, and nobody is busy.
func (l *Log) work(head, content []byte, sync bool) {
	pending, end := l.pending, l.end
	l.busy, l.pending, l.spare = true, l.spare[:0], nil
	l.mu.Unlock()
	took, err := l.write(sync, pending, head, content)
	l.mu.Lock()
	l.busy = false
	if cap(pending) <= largeSize {
		l.spare = pending
	}
	l.stats.wrote(&l.file, len(pending)+len(head)+len(content))
	switch {
	case err != nil:
		l.failed = failure(err)
	case sync:
		l.synced = end
		l.stats.synced(took)
	}
	l.idle.Broadcast()
}

func (l *Log) write(sync bool, pending, head, content []byte) (took time.Duration, err error) {
	if l.file.size() >= l.o.FileSize {
		if err := l.file.next(); err != nil {
			return 0, err
		}
	}
	if len(pending) > 0 {
		if err := l.file.write(pending); err != nil {
			return 0, err
		}
	}
	if len(content) > 0 {
		if err := l.file.writeLarge(head, content); err != nil {
			return 0, err
		}
	}
	if !sync {
		return 0, nil
	}
	began := l.o.Now()
	err = l.file.Sync()
	return l.o.Now().Sub(began), err
}

// Purge calls flush, which raises what Options.Needed returns above all that was appended before. What was is in no file
// then: those that had it are removed, and not written again.
func (l *Log) Purge(flush func() error) error {
	if err := l.renew(true); err != nil {
		return err
	}
	err := flush()
	if renewErr := l.renew(false); err == nil {
		err = renewErr
	}
	return err
}

// renew goes on in a new file, and removes those that are not needed; while purging also those that are not needed any more later on.
func (l *Log) renew(purging bool) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.busy {
		l.idle.Wait()
	}
	if l.failed != nil {
		return l.failed
	}
	l.busy = true
	l.mu.Unlock()
	l.file.purging = true
	err := l.file.next()
	l.file.purging = purging
	l.mu.Lock()
	l.busy = false
	l.stats.wrote(&l.file, 0)
	if err != nil {
		l.failed = failure(err)
	}
	l.idle.Broadcast()
	return l.failed
}

func failure(err error) error { return fmt.Errorf("write-ahead log: %w", err) }

// errClosed is what a log fails with that is closed.
var errClosed = errors.New("write-ahead log: closed")

// Close makes everything durable that was appended. The log is not used any more.
func (l *Log) Close() error {
	err := l.close()
	l.helper.Wait()
	return err
}

func (l *Log) close() error {
	err := l.Sync(l.End())
	l.mu.Lock()
	defer l.mu.Unlock()
	for l.busy {
		l.idle.Wait()
	}
	if errors.Is(l.failed, errClosed) {
		return nil
	}
	close(l.ahead)
	closeErr := l.file.close()
	if l.failed = errClosed; err == nil {
		err = closeErr
	}
	return err
}
