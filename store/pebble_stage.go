package store

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"

	"github.com/elastickv/elastickv/internal/wal"
)

// batchSizeMost bounds one atomic write, far enough below the engine's 4 GiB
// that its own rows always fit.
const batchSizeMost = 2 << 30

// writePath says when a write counts.
type writePath uint8

const (
	directPath writePath = iota // once it is durable
	raftPath                    // once it is applied: its log can replay it
	idlePath                    // never: nobody waits for it, and it can be done again
)

// write is a batch on its way into the engine, and then, as a Staged, to the disk.
type write struct {
	s            *pebbleStore
	batch        *pebble.Batch
	path         writePath
	highTS       uint64           // highest commit timestamp in it; 0 if it commits nothing
	lowTS        uint64           // lowest one
	appliedIndex uint64           // 0 leaves the recorded one
	commits      []Commit         // the versions in it: every mutation has its row in batch
	ordered      []version        // the same as inOrder returns it; nil until somebody has asked
	ranges       []rangeTombstone // range tombstones that it adds; each has its row in batch
	rangesGone   bool             // it deletes rows of range tombstones
	rows         rowEncoder       // of its rows
	deletes      bool             // a commit deletes spans
	checked      bool             // a commit has to be checked
	ctx          context.Context  // of the caller, whom a long check may outlast; nil if nothing is checked
	// locked, if not nil, runs under the apply lock and may add to the write. What it sees stays true until the batch is in.
	locked func(w *write) error

	// When it is staged:
	epoch    uint64
	stagedTS uint64       // highest timestamp of it and of everything staged before
	synced   bool         // it counts only when it is durable
	end      wal.Position // of its record in the log

	single single // where a write of one commit keeps it, in the same piece of memory
}

// writes keeps those that nobody holds any more.
var writes = sync.Pool{New: func() any { return new(write) }}

// newBareWrite returns a write that has no batch yet.
func (s *pebbleStore) newBareWrite(path writePath) *write {
	w := writes.Get().(*write)
	w.s, w.path = s, path
	return w
}

// release gives up w, which is not used again.
func (w *write) release() {
	*w = write{}
	writes.Put(w)
}

// keyTriesMost is how often a write is encoded while the active key changes.
const keyTriesMost = 8

// underOneKey calls try, which encodes a write and commits it, until the active key has not
// changed in between.
func underOneKey(try func() error) error {
	err := try()
	for n := 1; n < keyTriesMost && err != nil && errors.Is(err, errKeyTooOld); n++ {
		err = try()
	}
	return err
}

// single is what a write of one commit consists of.
type single struct {
	commits   [1]Commit
	check     Check
	mutations [1]*KVPairMutation
	mutation  KVPairMutation
}

var _ Staged = (*write)(nil)

// newWrite returns a write of an empty batch.
func (s *pebbleStore) newWrite(path writePath) *write {
	w := s.newBareWrite(path)
	w.batch, w.rows = s.db.NewBatch(), s.newRowEncoder(path)
	return w
}

// at says that everything in w is committed at ts.
func (w *write) at(ts uint64) *write {
	w.highTS, w.lowTS = ts, ts
	return w
}

// commit stages w and returns when it counts. It closes the batch.
func (w *write) commit() error {
	if err := w.stage(); err != nil {
		return err
	}
	return w.Wait()
}

// stage hands w to the engine as one atomic write, after which every read sees
// it. It closes the batch if it fails.
func (w *write) stage() error {
	w.s.apply.Lock()
	defer w.s.apply.Unlock()
	if err := w.stageLocked(); err != nil {
		return firstError(err, w.batch.Close())
	}
	return nil
}

func (w *write) stageLocked() error {
	s := w.s
	if err := s.failure(); err != nil {
		return err
	}
	if w.deletes {
		if err := s.checkDeleted(w.commits); err != nil {
			return err
		}
	}
	if w.checked {
		if err := s.checkCommits(w.ctx, w.commits); err != nil {
			return err
		}
	}
	if w.locked != nil {
		if err := w.locked(w); err != nil {
			return err
		}
	}
	cut, err := s.admitLate(w)
	if err != nil {
		return err
	}
	w.rangesGone = w.rangesGone || cut
	if err := w.rows.current(); err != nil {
		return err
	}
	w.epoch, w.stagedTS = s.apply.epoch, max(s.apply.stagedTS, w.highTS)
	w.synced = w.path == directPath || w.path == raftPath && s.fsmSync
	index := max(s.apply.stagedIndex, w.appliedIndex)
	if w.wantsMark() {
		if err := putMeta(w.batch, metaLastCommitTS, w.stagedTS); err != nil {
			return err
		}
		s.apply.unmarked = 0
	}
	if w.appliedIndex != 0 {
		if err := putMeta(w.batch, metaAppliedIndex, index); err != nil {
			return err
		}
	}
	if w.batch.Len() > batchSizeMost {
		return ErrBatchTooLarge
	}
	clean, err := s.noteClean(w)
	if err == nil {
		err = s.show(w)
	}
	if err != nil {
		s.apply.clean = clean
		return err
	}
	s.apply.stagedTS, s.apply.stagedIndex = w.stagedTS, index
	s.shownTS.Store(w.stagedTS)
	s.appliedIndex.Store(index)
	s.noteForCompaction(w)
	if w.path != idlePath {
		s.written.Add(uint64(w.batch.Count()))
	}
	if w.path == raftPath {
		return s.reach(w)
	}
	return nil
}

// markEvery is how many rows may be written without one that says how high the timestamps
// are. What is above the last one has to be looked for when the store is opened.
const markEvery = 256

// wantsMark reports whether w has to hold the row of the highest timestamp. It does without
// if a version in it says the same, or if w raises nothing and is not empty. So most
// writes are rows of versions alone; and what deletes rows, and might so delete the highest
// timestamp, or marks a moment commits nothing and always has that row.
func (w *write) wantsMark() bool {
	w.s.apply.unmarked += int(w.batch.Count())
	if w.highTS == 0 || w.rangesGone || w.s.apply.unmarked >= markEvery {
		return true
	}
	highest, any := uint64(0), false
	for i := range w.commits {
		if c := &w.commits[i]; len(c.Mutations) > 0 {
			highest, any = max(highest, c.TS), true
		}
	}
	for _, t := range w.ranges {
		highest, any = max(highest, t.ts), true
	}
	return !any || highest < w.stagedTS && w.stagedTS > w.s.apply.stagedTS
}

// syncAheadRows is how many rows the engine takes longer to put into place than another goroutine needs to begin a sync.
const syncAheadRows = 128

// show makes the batch visible, and what is kept in memory of the rows agree with it.
func (s *pebbleStore) show(w *write) error {
	s.inFlight.Store(max(w.lowTS, 1))
	defer s.inFlight.Store(0)
	if len(w.ranges) > 0 || w.rangesGone {
		s.rangeMoves.Add(1)
		defer s.rangeMoves.Add(1)
	}
	end, err := s.appendToLog(w.batch)
	if err != nil {
		return s.fail(err)
	}
	if w.end = end; w.synced && w.batch.Count() >= syncAheadRows {
		s.wal.SyncAhead()
	}
	if err := s.give(w.batch); err != nil {
		return s.fail(err) // it is in the log, and would come back
	}
	s.gaps.note(w.commits)
	s.apply.bounds.note(w.commits)
	s.versions.wrote(w.commits)
	s.pages.wrote(w, s.lastCommitTS.Load())
	if w.rangesGone {
		return s.loadRanges()
	}
	if len(w.ranges) > 0 {
		s.ranges.Store(s.ranges.Load().with(w.ranges))
	}
	return nil
}

func putMeta(b *pebble.Batch, key []byte, v uint64) error {
	var row [8]byte
	binary.BigEndian.PutUint64(row[:], v)
	return b.Set(key, row[:], nil)
}

// fail records the first failure to write and returns it.
func (s *pebbleStore) fail(cause error) error {
	err := fmt.Errorf("%w, so nothing more can be made durable: %w; restart after checking the disk", ErrLogFailed, oneLine{cause})
	if s.failed.CompareAndSwap(nil, &err) {
		s.log.Error(err.Error())
	}
	return s.failure()
}

// failure returns what fail has recorded, or nil.
func (s *pebbleStore) failure() error {
	if err := s.failed.Load(); err != nil {
		return *err
	}
	return nil
}

// reach raises lastCommitTS to what w has, or is behind, unless a restore has replaced that.
func (s *pebbleStore) reach(w *write) error {
	if s.lastCommitTS.Load() >= w.stagedTS {
		return nil
	}
	s.publish.Lock()
	if s.publish.epoch == w.epoch && s.lastCommitTS.Load() < w.stagedTS {
		s.lastCommitTS.Store(w.stagedTS)
		s.noteCommitted(w)
	}
	s.publish.Unlock()
	return s.watermark.Write()
}

// Wait implements Staged. The log is written in the order of staging, so when
// this batch is durable, all before it are; that is why their highest timestamp
// can be shown, whoever waits first.
func (w *write) Wait() error {
	if !w.synced {
		return w.batch.Close()
	}
	if err := w.s.wal.Sync(w.end); err != nil {
		return w.s.fail(err)
	}
	if err := w.s.failure(); err != nil {
		return err
	}
	if err := w.s.reach(w); err != nil {
		return w.s.fail(err)
	}
	return w.batch.Close()
}
