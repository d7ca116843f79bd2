package store

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/elastickv/elastickv/internal/wal"
)

// The write-ahead log is ours and not the engine's: see package wal. A record of it is a batch, as the engine encodes it. Each says
// in a row where in the log the next one begins. So the tables of the engine, which have all of the first batches and nothing of later ones, say up to where
// they have the log, and an opening carries on from there.

// openLog opens the log, and gives the engine what it has that no table has. A new store, and one of the format that left the log to the
// engine, have none yet.
func (s *pebbleStore) openLog(isNew bool) error {
	var needed wal.Position
	replayed := false
	row, ok, err := s.metaRow(metaLogged)
	if err == nil && ok {
		needed, err = parseLogged(row)
	}
	if err != nil {
		return err
	}
	s.wal, err = wal.Open(wal.Options{
		FS: s.fs, Dir: s.dir, New: isNew, FileSize: s.logSize, Ahead: s.logAhead, Now: s.stalls.now, Needed: s.flushedTo,
	}, needed, func(record []byte) error {
		replayed = true
		return s.replay(record)
	})
	if err == nil && replayed && s.wal.Stats().Files > logFilesKept {
		if _, err = s.db.AsyncFlush(); err != nil {
			err = firstError(err, s.wal.Close())
		}
	}
	return err
}

// logFilesKept is how many files the log may have when the store is opened before what was replayed is written to tables: a store that is
// opened again and again, and written to little, gets another file each time.
const logFilesKept = 8

// flushedTo returns up to where the tables have the log.
func (s *pebbleStore) flushedTo() (at wal.Position, err error) {
	iter, err := s.db.NewIter(&inTables.askUpperFilters)
	if err != nil {
		return 0, err
	}
	defer func() { err = firstError(err, iter.Close()) }()
	if !iter.SeekGE(metaLogged) || compareKeys(iter.Key(), metaLogged) != 0 {
		return 0, iter.Error()
	}
	row, err := iter.ValueAndErr()
	if err != nil {
		return 0, err
	}
	return parseLogged(row)
}

func parseLogged(row []byte) (wal.Position, error) {
	if len(row) != 8 {
		return 0, fmt.Errorf("%w: row %q of %d bytes", errValueDamaged, metaLogged, len(row))
	}
	return wal.Position(binary.BigEndian.Uint64(row)), nil
}

// errRecordDamaged says that a record of the log is whole and no batch.
var errRecordDamaged = errors.New("a record of the write-ahead log is no batch")

// replay gives the engine a batch from the log.
func (s *pebbleStore) replay(record []byte) error {
	b := s.db.NewBatch()
	if err := b.SetRepr(cloneBytes(record)); err != nil {
		return firstError(fmt.Errorf("%w: %w", errRecordDamaged, err), b.Close())
	}
	return firstError(s.give(b), b.Close())
}

// appendToLog adds the row to b that says where the log ends with it, and then b to the log. The caller holds the apply lock.
func (s *pebbleStore) appendToLog(b *pebble.Batch) (end wal.Position, err error) {
	row := b.SetDeferred(len(metaLogged), 8)
	copy(row.Key, metaLogged)
	binary.BigEndian.PutUint64(row.Value, uint64(s.wal.EndWith(b.Len())))
	if err := row.Finish(); err != nil {
		return 0, err
	}
	return s.wal.Append(b.Repr())
}

// give makes b visible. Rows of it are in the log already.
func (s *pebbleStore) give(b *pebble.Batch) error {
	defer s.views.changing()()
	if err := s.unflushed.note(b); err != nil {
		return err
	}
	if err := s.db.Apply(b, pebble.NoSync); err != nil {
		return err
	}
	s.unflushed.noted(b)
	return nil
}
