package wal

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// What a log can lack. No crash takes it.
var (
	ErrGone = errors.New("the write-ahead log is gone: it has no file")
	ErrCut  = errors.New("a file of the write-ahead log is missing, damaged or cut short, and what was written behind it would be without what was written before")
)

// Open opens the log and calls replay for every record from needed on, in order. What a crash has torn off at the end of the
// newest file is no part of the log; nobody was told that it is durable. It fails with ErrGone or ErrCut, or as replay does, and has then
// changed nothing.
func Open(o Options, needed Position, replay func(content []byte) error) (*Log, error) {
	if o.FileSize <= 0 {
		o.FileSize = defaultFileSize
	}
	if o.large == 0 {
		o.large = largeSize
	}
	if o.Now == nil {
		o.Now = func() time.Time { return time.Time{} }
	}
	l := &Log{o: o, ahead: make(chan struct{}, 1)}
	l.idle.L = &l.mu
	f := &l.file
	f.o, f.end = &l.o, needed
	var err error
	if f.begin, err = list(o.FS, o.Dir); err != nil {
		return nil, err
	}
	switch {
	case len(f.begin) == 0 && !o.New:
		return nil, ErrGone
	case len(f.begin) > 0 && f.begin[0] > needed:
		return nil, fmt.Errorf("%w: the first one is %s, of a log that is needed from %x on", ErrCut, fileName(f.begin[0]), uint64(needed))
	}
	for i, begin := range f.begin {
		last := i+1 == len(f.begin)
		if !last && f.begin[i+1] <= needed {
			continue
		}
		end, err := f.replay(begin, needed, replay)
		if err != nil {
			return nil, err
		}
		if !last && end != f.begin[i+1] {
			return nil, fmt.Errorf("%w: %s ends at %x", ErrCut, fileName(begin), uint64(end))
		}
		f.end = end
	}
	if n := len(f.begin); n > 0 { // else the next one would begin where this one may not end any more, after a power cut
		if err := syncOpened(o.FS.Open(f.path(f.begin[n-1]))); err != nil {
			return nil, err
		}
	}
	if err := f.start(needed); err != nil {
		return nil, err
	}
	l.end, l.synced = f.end, f.end
	l.stats.Syncs = make([]uint64, len(SyncBounds))
	l.stats.wrote(f, 0)
	l.helper.Add(1)
	go l.help()
	return l, nil
}

// replay calls fn for the records of a file from needed on, and returns where the last whole one ends, or needed if there is none.
func (f *file) replay(begin, needed Position, fn func(content []byte) error) (end Position, err error) {
	opened, err := f.o.FS.Open(f.path(begin), vfs.SequentialReadsOption)
	if err != nil {
		return 0, err
	}
	defer func() {
		if closeErr := opened.Close(); err == nil {
			err = closeErr
		}
	}()
	info, err := opened.Stat()
	if err != nil {
		return 0, err
	}
	from := max(begin, needed)
	skip := int64(from - begin)
	rest := io.NewSectionReader(opened, skip, max(info.Size()-skip, 0))
	r := records{r: bufio.NewReaderSize(rest, 256<<10), at: from, left: rest.Size()}
	for {
		content, ok, err := r.next()
		if err != nil || !ok {
			return r.at, err
		}
		if err := fn(content); err != nil {
			return 0, err
		}
	}
}
