package raftlog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/batchrepr"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/wal"
)

// When it is opened the engine replays those files of its log that are not in tables yet, one after the other. It believes what looks like the
// end of a file: so if damage looks like that, and so does the number of the next file in the head of a chunk, or if a file is missing, it goes
// on with the next file, and what lay between is gone without a word. But every write has its number, and what is in the tables are the first
// ones: so what is replayed has to go on there, and have no hole.

// checkReplay fails unless the writes in the files of the engine's log that are not in its tables are the next ones, one after the other. It
// changes nothing.
func (p *promised) checkReplay(dir string, o Options, lock *pebble.Lock) error {
	tables, err := p.inTables(dir, o, lock)
	if err != nil {
		return err
	}
	files, err := wal.Scan(wal.Dir{FS: o.FS, Dirname: dir})
	if err != nil {
		return err
	}
	last := tables
	for _, file := range files {
		if last, err = p.follow(file, tables, last); err != nil {
			return err
		}
	}
	return nil
}

// inTables returns how many writes are in the tables of the engine.
func (p *promised) inTables(dir string, o Options, lock *pebble.Lock) (writes uint64, err error) {
	eo := engineOptions(o)
	eo.FS, eo.ReadOnly, eo.Lock = withoutLog{o.FS}, true, lock
	db, err := pebble.Open(dir, eo)
	if damaged(err) || errors.Is(err, pebble.ErrDBDoesNotExist) {
		return 0, fmt.Errorf("%w: %w", ErrDamaged, err)
	}
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	row, ok, err := rowOf(db, writesKey)
	if err != nil || !ok {
		return 0, err
	}
	return p.count(row)
}

// withoutLog is a disk on which the engine finds no log.
type withoutLog struct{ vfs.FS }

// List implements vfs.FS.
func (w withoutLog) List(dir string) ([]string, error) {
	names, err := w.FS.List(dir)
	return slices.DeleteFunc(names, func(name string) bool { return strings.HasSuffix(name, ".log") }), err
}

// follow reads a file of the engine's log as the engine does, up to where that takes it to end. It returns the last write
// up to there, if last was the one before.
func (p *promised) follow(file wal.LogicalLog, tables, last uint64) (end uint64, err error) {
	r := file.OpenForRead()
	defer func() { err = errors.Join(err, r.Close()) }()
	var batch bytes.Buffer
	for {
		record, _, err := r.NextRecord()
		if errors.Is(err, io.EOF) || damaged(err) {
			return last, nil // nothing behind it is replayed; if a later file has more, there is a hole
		}
		if err != nil {
			return last, err
		}
		batch.Reset()
		if _, err := batch.ReadFrom(record); err != nil {
			return last, err
		}
		writes, ok, err := p.writesIn(batch.Bytes())
		switch {
		case err != nil:
			return last, err
		case !ok || writes <= tables: // of a release that did not count, or of a file that is not replayed
		case writes != last+1:
			return last, fmt.Errorf("%w: file %v of the engine's log has write %d, and what comes before it ends at %d", ErrForgotten, file.Num, writes, last)
		default:
			last = writes
		}
	}
}

// writesIn returns how many writes of this log there are with a batch of the engine, if that says it.
func (p *promised) writesIn(batch []byte) (writes uint64, ok bool, err error) {
	for rows := batchrepr.Read(batch); ; {
		kind, key, row, more, err := rows.Next()
		if err != nil {
			return 0, false, fmt.Errorf("%w: %w", ErrDamaged, err)
		}
		if !more {
			return 0, false, nil
		}
		if kind == pebble.InternalKeyKindSet && bytes.Equal(key, writesKey) {
			id, writes, _, whole := parseWrites(row)
			return writes, whole && id == p.mark.ID(), nil
		}
	}
}
