package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"

	"github.com/cockroachdb/pebble/v2"

	"github.com/elastickv/elastickv/encryption"
)

// open prepares the folder, opens the engine and reads its own rows.
func (s *pebbleStore) open() (err error) {
	if s.dir == "" {
		return errors.New("store: open: no folder given")
	}
	defer func() {
		if err == nil {
			return
		}
		if what := machineFault(err); what != nil && !errors.Is(err, what) {
			err = folderError(s.dir, what, err)
		}
	}()
	f := folder{fs: s.fs, dir: s.dir}
	if _, err := f.inspect(); err != nil {
		return err
	}
	if s.lock, err = f.lock(); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = firstError(err, s.lock.Close())
		}
	}()
	// Another process may have been faster between the look and the lock.
	state, err := f.inspect()
	if err != nil {
		return err
	}
	switch state {
	case folderFinished:
		return s.openEngine(false)
	case folderOlder:
		if err := f.prepareMark(); err != nil {
			return fmt.Errorf("store: open %s: %w", s.dir, err)
		}
	default:
		if err := f.beginCreation(); err != nil {
			return fmt.Errorf("store: create %s: %w", s.dir, err)
		}
	}
	if err := s.openEngine(true); err != nil {
		return err
	}
	if err := f.finishCreation(); err != nil {
		return firstError(fmt.Errorf("store: create %s: %w", s.dir, err), s.closeEngine())
	}
	return nil
}

// openEngine opens the engine and the log, or begins one.
func (s *pebbleStore) openEngine(newLog bool) error {
	// What a restore had gathered when the process ended is of no use.
	if err := s.fs.RemoveAll(s.fs.PathJoin(s.dir, restoreFolder)); err != nil {
		return fmt.Errorf("store: open %s: %w", s.dir, err)
	}
	logger := newEngineLogger(s.log)
	s.engine = engineOptions(diskWatch{wholeBlobs{s.fs, s.log}, &s.views.waits}, s.cacheSize, s.progress.clock, logger)
	s.engine.Lock = s.lock
	if err := s.blobs.open(s.fs, s.dir, s.engine); err != nil {
		return folderError(s.dir, ErrDamagedFolder, err)
	}
	s.engine.Experimental.SpanPolicyFunc = pointReadPolicy(s.points)
	if s.tune != nil {
		s.tune(s.engine)
	}
	s.stalls.listen(s.engine.EventListener)
	s.unflushed.open(s.engine.MemTableSize)
	s.views.listen(s.engine.EventListener)
	s.unflushed.listen(s.engine.EventListener) // behind the views, see there
	db, err := openDB(s.dir, s.engine, logger)
	if err != nil {
		return folderError(s.dir, ErrDamagedFolder, err)
	}
	if err := s.blobs.check(db); err != nil {
		return folderError(s.dir, ErrDamagedFolder, firstError(err, db.Close()))
	}
	s.db, s.views.db = db, db
	if err := s.openLog(newLog); err != nil {
		return folderError(s.dir, ErrDamagedFolder, firstError(err, db.Close()))
	}
	if err := s.readMeta(); err != nil {
		return firstError(s.metaError(err), s.closeEngine())
	}
	if err := s.openWatermark(); err != nil {
		return firstError(err, s.closeEngine())
	}
	s.log.Debug("store: opened", slog.String("dir", s.dir),
		slog.Uint64("last_commit_ts", s.LastCommitTS()), slog.Uint64("floor", s.MinRetainedTS()))
	return nil
}

func (s *pebbleStore) closeEngine() error { return firstError(s.wal.Close(), s.db.Close()) }

// metaError says why the engine's own rows cannot be read. A folder whose keys are missing
// is not damaged, as far as anyone can tell.
func (s *pebbleStore) metaError(err error) error {
	if errors.Is(err, ErrValueSealed) || errors.As(err, new(*encryption.UnknownKeyError)) {
		return fmt.Errorf("store: open %s: %w", s.dir, oneLine{err})
	}
	return folderError(s.dir, ErrDamagedFolder, err)
}

// openDB opens the engine. It also fails when the engine reports that it cannot go on, or
// that work of its own has failed. Then the engine is left as it stands: what it
// has begun cannot be called off, and it may keep the lock on its folder until the process ends.
func openDB(dir string, o *pebble.Options, logger *engineLogger) (*pebble.DB, error) {
	type result struct {
		db  *pebble.DB
		err error
	}
	opened := make(chan result, 1)
	go func() {
		db, err := pebble.Open(dir, o)
		opened <- result{db, err}
	}()
	select {
	case r := <-opened:
		if r.err != nil || logger.state.CompareAndSwap(engineOpening, engineOpen) {
			return r.db, r.err
		}
		return nil, <-logger.failed
	case err := <-logger.failed:
		return nil, err
	}
}

// readMeta reads the engine's own rows. What it costs depends on the range tombstones that
// retention has not passed yet and on what the last writes were, and on no other data.
func (s *pebbleStore) readMeta() error {
	for _, m := range []struct {
		key    []byte
		loaded func(uint64)
	}{
		{metaLastCommitTS, func(v uint64) { s.apply.stagedTS = v }},
		{metaRetentionFloor, func(v uint64) { s.apply.stagedFloor = v; s.floor.Store(v) }},
		{metaAppliedIndex, func(v uint64) { s.apply.stagedIndex = v; s.appliedIndex.Store(v) }},
		{metaClean, func(v uint64) { s.apply.clean = v }},
	} {
		row, ok, err := s.metaRow(m.key)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if len(row) != 8 {
			return fmt.Errorf("%w: row %q of %d bytes", errValueDamaged, m.key, len(row))
		}
		m.loaded(binary.BigEndian.Uint64(row))
	}
	if err := s.checkSealedMark(); err != nil {
		return err
	}
	if err := s.loadRanges(); err != nil {
		return err
	}
	if err := s.findHighest(); err != nil {
		return err
	}
	row, ok, err := s.metaRow(metaCompactionCursor)
	if err != nil || !ok {
		return err
	}
	s.compaction.pass, err = parseCompactionPass(row)
	return err
}

// findHighest raises the highest timestamp to that of the highest version. Those above the
// row that says it are of the last batches, and tables without such ones are not read.
func (s *pebbleStore) findHighest() (err error) {
	highest := s.apply.stagedTS
	if ranges := s.ranges.Load(); ranges != nil {
		highest = max(highest, ranges.high)
	}
	if highest < maxTS {
		options := s.spanOptions(Span{})
		options.PointKeyFilters = committedIn(highest+1, maxTS)
		iter, err := s.db.NewIter(&options)
		if err != nil {
			return err
		}
		defer func() { err = firstError(err, iter.Close()) }()
		for ok := iter.First(); ok; ok = iter.Next() {
			_, ts, err := parseVersionKey(iter.Key())
			if err != nil {
				return err
			}
			highest = max(highest, ts)
		}
		if err := iter.Error(); err != nil {
			return err
		}
	}
	s.apply.stagedTS = highest
	s.lastCommitTS.Store(highest)
	s.shownTS.Store(highest)
	return nil
}

// metaRow returns a copy of one of the engine's own rows.
func (s *pebbleStore) metaRow(key []byte) ([]byte, bool, error) {
	row, closer, err := s.db.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	row = cloneBytes(row)
	return row, true, closer.Close()
}
