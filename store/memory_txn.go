package store

import (
	"context"
	"errors"
	"fmt"
	"math"
)

// maxTS is the timestamp that reads the newest versions.
const maxTS = math.MaxUint64

// errZeroCommitTS says that a commit of Stage has no timestamp.
var errZeroCommitTS = errors.New("commit timestamp is 0")

// ApplyMutations implements MVCCStore.
func (s *mvccStore) ApplyMutations(ctx context.Context, mutations []*KVPairMutation, readKeys [][]byte, startTS, commitTS uint64) error {
	return s.ApplyMutationsRaftAt(ctx, mutations, readKeys, startTS, commitTS, 0)
}

// ApplyMutationsRaft implements MVCCStore.
func (s *mvccStore) ApplyMutationsRaft(ctx context.Context, mutations []*KVPairMutation, readKeys [][]byte, startTS, commitTS uint64) error {
	return s.ApplyMutationsRaftAt(ctx, mutations, readKeys, startTS, commitTS, 0)
}

// ApplyMutationsRaftAt implements MVCCStore.
func (s *mvccStore) ApplyMutationsRaftAt(ctx context.Context, mutations []*KVPairMutation, readKeys [][]byte, startTS, commitTS, appliedIndex uint64) error {
	check := &Check{StartTS: startTS, ReadKeys: readKeys}
	return s.apply(ctx, []Commit{{TS: commitTS, Mutations: mutations, Check: check}}, appliedIndex)
}

// Stage implements Engine. There is no disk to wait for: what it returns is
// durable already, as far as memory can be.
func (s *mvccStore) Stage(ctx context.Context, commits []Commit) (Staged, error) {
	for i, c := range commits {
		if c.TS == 0 {
			return nil, fmt.Errorf("commit %d: %w", i, errZeroCommitTS)
		}
	}
	if err := s.apply(ctx, commits, 0); err != nil {
		return nil, err
	}
	return memoryStaged{}, nil
}

// memoryStaged is a batch that is finished.
type memoryStaged struct{}

// Wait implements Staged.
func (memoryStaged) Wait() error { return nil }

// apply checks all commits, each against the store and the commits before it,
// and then writes them all.
func (s *mvccStore) apply(ctx context.Context, commits []Commit, appliedIndex uint64) error {
	for _, c := range commits {
		if err := validateMutations(c.Mutations); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usableLocked(ctx); err != nil {
		return err
	}
	pending := map[string]uint64{}
	for _, c := range commits {
		if err := s.checkLocked(ctx, c, pending); err != nil {
			return err
		}
		for _, m := range c.Mutations {
			pending[string(m.Key)] = max(pending[string(m.Key)], c.TS)
		}
	}
	for _, c := range commits {
		s.commitLocked(c.TS, c.Mutations)
	}
	s.mu.appliedIndex = max(s.mu.appliedIndex, appliedIndex)
	return nil
}

// checkLocked verifies what c relies on. pending holds the newest timestamps
// that earlier commits of the same call are going to write.
func (s *mvccStore) checkLocked(ctx context.Context, c Commit, pending map[string]uint64) error {
	if c.Check == nil {
		return nil
	}
	start := c.Check.StartTS
	changed := func(key []byte) bool {
		newest, _ := s.rowLocked(key).newest()
		return max(newest, pending[string(key)]) > start
	}
	for _, m := range c.Mutations {
		if changed(m.Key) {
			return s.conflict(WriteConflictKindWrite, m.Key)
		}
	}
	for _, key := range c.Check.ReadKeys {
		if changed(key) {
			return s.conflict(WriteConflictKindRead, key)
		}
	}
	for _, span := range c.Check.ReadRanges {
		key, found, err := s.changedInLocked(ctx, span, start, pending)
		if err != nil {
			return err
		}
		if found {
			return s.conflict(WriteConflictKindRead, key)
		}
	}
	// Below the floor, a newer tombstone may have been there and be gone.
	checked := len(c.Mutations) + len(c.Check.ReadKeys) + len(c.Check.ReadRanges)
	if checked > 0 && start < s.mu.floor {
		return fmt.Errorf("conflict check from %d: %w", start, ErrReadTSCompacted)
	}
	return nil
}

// changedInLocked returns the lowest key of span that has a version, tombstones
// included, above start.
func (s *mvccStore) changedInLocked(ctx context.Context, span Span, start uint64, pending map[string]uint64) ([]byte, bool, error) {
	var lowest []byte
	err := s.eachLocked(ctx, span, Ascending, func(r *memoryRow) bool {
		if newest, _ := r.newest(); newest > start {
			lowest = []byte(r.key)
			return false
		}
		return true
	})
	if err != nil {
		return nil, false, err
	}
	for key, ts := range pending {
		above := key >= string(span.Start)
		below := span.End == nil || key < string(span.End)
		if above && below && ts > start && (lowest == nil || key < string(lowest)) {
			lowest = []byte(key)
		}
	}
	return lowest, lowest != nil, nil
}

func (s *mvccStore) conflict(kind string, key []byte) error {
	s.conflicts.add(kind, key)
	return NewWriteConflictError(key)
}
