package store

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"slices"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/elastickv/elastickv/internal/wal"
)

// restoreTableSize is about how many bytes of rows go into one table of a restore.
const restoreTableSize = 64 << 20

// Restore implements MVCCStore. The stream is gathered, in tables of the engine,
// in a folder of its own; only when it has turned out to be whole do these tables
// take the place of everything, in one edit of the engine's manifest. Reads
// that are under way go on in what they have begun to read.
func (s *pebbleStore) Restore(buf io.Reader) (err error) {
	if err := s.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	s.restoring.Lock()
	defer s.restoring.Unlock()
	if err := s.failure(); err != nil {
		return err
	}
	t := &restoreTables{s: s, dir: s.fs.PathJoin(s.dir, restoreFolder)}
	if err := s.fs.MkdirAll(t.dir, folderMode); err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	defer func() {
		t.abandon()
		if cleanErr := s.fs.RemoveAll(t.dir); cleanErr != nil {
			s.log.Warn("store: restore left files behind, which the next opening removes", slog.Any("err", cleanErr))
		}
	}()
	if err := t.gather(buf); err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	return s.replace(t)
}

// replace puts the tables of t in the place of all rows.
func (s *pebbleStore) replace(t *restoreTables) error {
	s.apply.Lock()
	defer s.apply.Unlock()
	if err := s.failure(); err != nil {
		return err
	}
	err := t.rows.current()
	if err == nil {
		// From now on nothing of the log is needed that was written before. What of that no restore replaces is in tables by then: the engine
		// writes those to tables first that are in memory and have rows that are replaced, and every batch has such a one.
		err = t.addMeta(s.wal.End())
	}
	if err != nil {
		return fmt.Errorf("store: restore: %w", err)
	}
	s.publish.Lock()
	defer s.publish.Unlock()
	// A read that meets the new rows must not pass by the old floor, nor one
	// that meets the old rows by the new one.
	oldFloor := s.floor.Load()
	s.floor.Store(max(oldFloor, t.header.Floor))
	s.gaps.suspend()
	defer s.gaps.resume()
	s.versions.suspend()
	defer s.versions.resume()
	s.pages.suspend()
	defer s.pages.resume()
	s.rangeMoves.Add(1)
	defer s.rangeMoves.Add(1)
	if err = s.watermark.Lower(0); err == nil {
		err = s.ingest(t.paths)
	}
	if err != nil {
		s.floor.Store(oldFloor)
		return fmt.Errorf("store: restore: %w", err)
	}
	var none *rangeIndex
	s.ranges.Store(none.with(t.ranges))
	s.apply.epoch++
	s.publish.epoch = s.apply.epoch
	s.apply.stagedTS, s.apply.stagedFloor, s.apply.stagedIndex = t.header.LastCommitTS, t.header.Floor, t.header.AppliedIndex
	s.apply.clean, s.apply.lateLow = 0, maxTS
	s.apply.bounds = commitBounds{}
	s.lastCommitTS.Store(t.header.LastCommitTS)
	s.shownTS.Store(t.header.LastCommitTS)
	s.floor.Store(t.header.Floor)
	s.appliedIndex.Store(t.header.AppliedIndex)
	s.log.Info("store: restored", slog.Uint64("keys", t.keys), slog.Uint64("versions", t.versions),
		slog.Uint64("last_commit_ts", t.header.LastCommitTS))
	return nil
}

// ingest swaps all rows, but for those of the registry of writers, for those of the tables.
func (s *pebbleStore) ingest(paths []string) error {
	everything := pebble.KeyRange{Start: metaWriterEnd, End: []byte{namespaceExpiry + 1, keySentinel}}
	defer s.views.retire() // they would keep all the tables that go
	defer s.views.changing()()
	_, err := s.db.IngestAndExcise(context.Background(), paths, nil, nil, everything)
	return err
}

// restoreTables writes the rows of a snapshot into tables, in constant memory.
type restoreTables struct {
	s      *pebbleStore
	dir    string
	header snapshotHeader
	ranges []rangeTombstone
	paths  []string // every table begun

	rows     rowEncoder
	w        *sstable.Writer // of the last of paths; nil between tables
	size     int             // of the rows in w
	lastKey  []byte
	keys     uint64
	versions uint64
	row      []byte // a buffer
	key      []byte // a buffer
}

// gather reads the whole stream and finishes the tables, durably.
func (t *restoreTables) gather(buf io.Reader) error {
	// A replica takes over a snapshot in the place of log entries, so its rows are
	// written as those are.
	t.rows = t.s.newRowEncoder(raftPath)
	buf, err := openSnapshot(buf, t.s.seal.cipher)
	if err != nil {
		return err
	}
	err = readSnapshot(buf, snapshotSink{
		header:  func(h snapshotHeader) error { t.header = h; return nil },
		ranged:  func(r rangeTombstone) error { t.ranges = append(t.ranges, r); return nil },
		version: t.add,
	})
	if err != nil {
		return err
	}
	if err := t.finish(); err != nil {
		return err
	}
	return t.addRanges()
}

// add writes one version.
func (t *restoreTables) add(key []byte, v VersionedValue) error {
	if t.versions == 0 || !bytes.Equal(key, t.lastKey) {
		t.keys++
		t.lastKey = key
		// The versions of a key stay in one table.
		if t.size >= restoreTableSize {
			if err := t.finish(); err != nil {
				return err
			}
		}
	}
	t.versions++
	t.header.LastCommitTS = max(t.header.LastCommitTS, v.TS)
	t.key = appendVersionKey(t.key[:0], key, v.TS)
	var err error
	if t.row, err = t.rows.append(t.row[:0], t.key, v); err != nil {
		return err
	}
	return t.set(t.key, t.row)
}

// addRanges writes the range tombstones. They are in memory anyway, and a table of their
// own, because they sort last.
func (t *restoreTables) addRanges() error {
	for _, r := range t.ranges {
		t.header.LastCommitTS = max(t.header.LastCommitTS, r.ts)
		key := appendRangeKey(nil, r)
		row, err := t.rows.append(nil, key, VersionedValue{Tombstone: true})
		if err != nil {
			return err
		}
		if err := t.set(key, row); err != nil {
			return err
		}
	}
	return t.finish()
}

// addMeta writes the engine's own rows, and makes everything durable. They are a table of their own, because
// they are known last and sort first. The log is not needed up to its end.
func (t *restoreTables) addMeta(end wal.Position) error {
	rows := []struct {
		key   []byte
		value uint64
	}{
		{metaLastCommitTS, t.header.LastCommitTS},
		{metaRetentionFloor, t.header.Floor},
		{metaAppliedIndex, t.header.AppliedIndex},
		{metaLogged, uint64(end)},
	}
	slices.SortFunc(rows, func(a, b struct {
		key   []byte
		value uint64
	}) int {
		return compareKeys(a.key, b.key)
	})
	for _, r := range rows {
		if err := t.set(r.key, binary.BigEndian.AppendUint64(nil, r.value)); err != nil {
			return err
		}
	}
	if err := t.finish(); err != nil {
		return err
	}
	return syncFolder(t.s.fs, t.dir)
}

func (t *restoreTables) set(key, row []byte) error {
	if t.w == nil {
		path := t.s.fs.PathJoin(t.dir, fmt.Sprintf("%06d.sst", len(t.paths)))
		f, err := t.s.fs.Create(path, vfs.WriteCategoryUnspecified)
		if err != nil {
			return err
		}
		t.paths = append(t.paths, path)
		last := len(t.s.engine.Levels) - 1
		options := t.s.engine.MakeWriterOptions(last, t.s.db.TableFormat())
		t.w = sstable.NewWriter(objstorageprovider.NewFileWritable(f), options)
		t.size = 0
	}
	t.size += len(key) + len(row)
	return t.w.Set(key, row)
}

// finish closes the current table; that makes it durable.
func (t *restoreTables) finish() error {
	if t.w == nil {
		return nil
	}
	w := t.w
	t.w = nil
	return w.Close()
}

// abandon closes a table that will not be used.
func (t *restoreTables) abandon() {
	if t.w != nil {
		_ = t.w.Close()
		t.w = nil
	}
}
