package store

import (
	"bytes"
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
	if err := s.ApplyCommitsRaftAt(ctx, commits, 0); err != nil {
		return nil, err
	}
	return memoryStaged{}, nil
}

// Verify implements Engine.
func (s *mvccStore) Verify(ctx context.Context, c Commit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usableLocked(ctx); err != nil {
		return err
	}
	return s.checkLocked(ctx, c, nil)
}

// ApplyCommitsRaftAt implements Engine.
func (s *mvccStore) ApplyCommitsRaftAt(ctx context.Context, commits []Commit, appliedIndex uint64) error {
	for i, c := range commits {
		if c.TS == 0 {
			return fmt.Errorf("commit %d: %w", i, errZeroCommitTS)
		}
	}
	return s.apply(ctx, commits, appliedIndex)
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
		for i, span := range c.Deleted {
			if max(len(span.Start), len(span.End)) > maxKeySize+1 {
				return fmt.Errorf("deleted span %d: %w", i, ErrSnapshotKeyTooLarge)
			}
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usableLocked(ctx); err != nil {
		return err
	}
	highest, deleted := s.mu.lastCommitTS, uint64(0)
	for i, c := range commits {
		if len(c.Deleted) > 0 && c.TS <= highest || c.TS < deleted {
			return fmt.Errorf("commit %d at %d: %w", i, c.TS, ErrDeletedNotNewest)
		}
		highest = max(highest, c.TS)
		if len(c.Deleted) > 0 {
			deleted = c.TS
		}
	}
	for i, c := range commits {
		if err := s.checkLocked(ctx, c, commits[:i]); err != nil {
			return err
		}
	}
	for _, c := range commits {
		s.deleteSpansLocked(c.TS, c.Deleted)
		s.commitLocked(c.TS, c.Mutations)
	}
	s.mu.appliedIndex = max(s.mu.appliedIndex, appliedIndex)
	return nil
}

// checkLocked verifies what c relies on. earlier are the commits of the same call
// that are going to be written before it.
func (s *mvccStore) checkLocked(ctx context.Context, c Commit, earlier []Commit) error {
	if c.Check == nil {
		return nil
	}
	type touched struct {
		kind string
		span Span
	}
	var all []touched
	for _, m := range c.Mutations {
		all = append(all, touched{WriteConflictKindWrite, keySpan(m.Key)})
	}
	for _, span := range c.Deleted {
		all = append(all, touched{WriteConflictKindWrite, span})
	}
	for _, key := range c.Check.ReadKeys {
		all = append(all, touched{WriteConflictKindRead, keySpan(key)})
	}
	for _, span := range c.Check.ReadRanges {
		all = append(all, touched{WriteConflictKindRead, span})
	}
	start := c.Check.StartTS
	for _, t := range all {
		key, found, err := s.changedInLocked(ctx, t.span, start, earlier)
		if err != nil {
			return err
		}
		if found {
			return s.conflict(t.kind, key)
		}
	}
	// Below the floor, a newer tombstone may have been there and be gone.
	if len(all) > 0 && start < s.mu.floor {
		return fmt.Errorf("conflict check from %d: %w", start, ErrReadTSCompacted)
	}
	return nil
}

// keySpan covers key alone.
func keySpan(key []byte) Span { return Span{Start: key, End: append(cloneBytes(key), 0)} }

// changedInLocked returns the lowest key of span that has a version, tombstones
// included, above start; be it in the store or in one of earlier.
func (s *mvccStore) changedInLocked(ctx context.Context, span Span, start uint64, earlier []Commit) ([]byte, bool, error) {
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
	changed := func(key []byte) {
		if span.Contains(key) && (lowest == nil || bytes.Compare(key, lowest) < 0) {
			lowest = cloneBytes(key)
		}
	}
	for _, c := range earlier {
		if c.TS <= start {
			continue
		}
		for _, m := range c.Mutations {
			changed(m.Key)
		}
		for _, deleted := range c.Deleted {
			if deleted.Contains(span.Start) {
				changed(span.Start)
			} else if deleted.Contains(deleted.Start) {
				changed(deleted.Start)
			}
		}
	}
	return lowest, lowest != nil, nil
}

func (s *mvccStore) conflict(kind string, key []byte) error {
	s.conflicts.add(kind, key)
	return NewWriteConflictError(key)
}
