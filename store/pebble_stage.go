package store

import (
	"encoding/binary"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
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

// write is a batch on its way into the engine.
type write struct {
	batch        *pebble.Batch
	path         writePath
	highTS       uint64           // highest commit timestamp in it; 0 if it commits nothing
	lowTS        uint64           // lowest one
	appliedIndex uint64           // 0 leaves the recorded one
	commits      []Commit         // the versions in it: every mutation has its row in batch
	ranges       []rangeTombstone // range tombstones that it adds; each has its row in batch
	rangesGone   bool             // it deletes rows of range tombstones
	rows         rowEncoder       // of its rows
	// locked, if not nil, runs under the apply lock: it checks for conflicts and
	// may add to the write. What it sees stays true until the batch is in.
	locked func(w *write) error
}

// commit writes w and returns when it counts. It closes the batch.
func (s *pebbleStore) commit(w write) error {
	staged, err := s.stage(w)
	if err != nil {
		return err
	}
	return staged.Wait()
}

// stage hands w to the engine as one atomic write, after which every read sees
// it. It closes the batch if it fails.
func (s *pebbleStore) stage(w write) (*stagedBatch, error) {
	s.apply.Lock()
	defer s.apply.Unlock()
	b, err := s.stageLocked(&w)
	if err != nil {
		return nil, firstError(err, w.batch.Close())
	}
	return b, nil
}

func (s *pebbleStore) stageLocked(w *write) (*stagedBatch, error) {
	if err := s.failure(); err != nil {
		return nil, err
	}
	if w.locked != nil {
		if err := w.locked(w); err != nil {
			return nil, err
		}
	}
	cut, err := s.admitLate(w)
	if err != nil {
		return nil, err
	}
	w.rangesGone = w.rangesGone || cut
	// The highest timestamp is written every time, so that no batch is empty
	// and to open a store takes one look.
	highTS := max(s.apply.stagedTS, w.highTS)
	index := max(s.apply.stagedIndex, w.appliedIndex)
	if err := putMeta(w.batch, metaLastCommitTS, highTS); err != nil {
		return nil, err
	}
	if w.appliedIndex != 0 {
		if err := putMeta(w.batch, metaAppliedIndex, index); err != nil {
			return nil, err
		}
	}
	if w.batch.Len() > batchSizeMost {
		return nil, ErrBatchTooLarge
	}
	undo, err := s.noteClean(w)
	if err != nil {
		undo()
		return nil, err
	}
	b := &stagedBatch{s: s, batch: w.batch, highTS: highTS, epoch: s.apply.epoch}
	b.synced = w.path == directPath || w.path == raftPath && s.fsmSync
	if err := s.show(w, b.synced); err != nil {
		undo()
		return nil, err
	}
	s.apply.stagedTS, s.apply.stagedIndex = highTS, index
	s.appliedIndex.Store(index)
	s.noteForCompaction(w)
	if w.path == raftPath {
		s.reach(b.epoch, highTS)
	}
	return b, nil
}

// show makes the batch visible, and what is kept in memory of the rows agree with it.
func (s *pebbleStore) show(w *write, synced bool) error {
	s.inFlight.Store(max(w.lowTS, 1))
	defer s.inFlight.Store(0)
	if len(w.ranges) > 0 || w.rangesGone {
		s.rangeMoves.Add(1)
		defer s.rangeMoves.Add(1)
	}
	if err := s.applyBatch(w.batch, synced); err != nil {
		return err
	}
	s.gaps.note(w.commits)
	s.versions.wrote(w.commits, s.apply.stagedTS)
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

// applyBatch makes b visible and, if it is to be synced, starts that without
// waiting for it. A log that fails while the engine changes it for a new one
// ends the process inside the engine, which has then lost its locks.
func (s *pebbleStore) applyBatch(b *pebble.Batch, synced bool) error {
	if synced {
		return s.db.ApplyNoSyncWait(b, pebble.Sync)
	}
	return s.db.Apply(b, pebble.NoSync)
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

// reach raises lastCommitTS to ts, unless a restore has replaced what had ts.
func (s *pebbleStore) reach(epoch, ts uint64) {
	if s.lastCommitTS.Load() >= ts {
		return
	}
	s.publish.Lock()
	defer s.publish.Unlock()
	if s.publish.epoch == epoch && s.lastCommitTS.Load() < ts {
		s.lastCommitTS.Store(ts)
	}
}

// stagedBatch is a batch that reads see and that may not be durable yet.
type stagedBatch struct {
	s      *pebbleStore
	batch  *pebble.Batch
	epoch  uint64
	highTS uint64 // of it and of everything staged before it
	synced bool   // it counts only when it is durable
}

var _ Staged = (*stagedBatch)(nil)

// Wait implements Staged. The log is written in the order of staging, so when
// this batch is durable, all before it are; that is why their highest timestamp
// can be shown, whoever waits first.
func (b *stagedBatch) Wait() error {
	if !b.synced {
		return b.batch.Close()
	}
	if err := b.batch.SyncWait(); err != nil {
		return b.s.fail(err)
	}
	if err := b.s.failure(); err != nil {
		return err
	}
	b.s.reach(b.epoch, b.highTS)
	return b.batch.Close()
}
