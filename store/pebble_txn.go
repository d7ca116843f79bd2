package store

import (
	"context"
	"fmt"
)

// ApplyMutations implements MVCCStore.
func (s *pebbleStore) ApplyMutations(ctx context.Context, mutations []*KVPairMutation, readKeys [][]byte, startTS, commitTS uint64) error {
	c := Commit{TS: commitTS, Mutations: mutations, Check: &Check{StartTS: startTS, ReadKeys: readKeys}}
	return s.applyCommit(ctx, c, directPath, 0)
}

// ApplyMutationsRaft implements MVCCStore.
func (s *pebbleStore) ApplyMutationsRaft(ctx context.Context, mutations []*KVPairMutation, readKeys [][]byte, startTS, commitTS uint64) error {
	return s.ApplyMutationsRaftAt(ctx, mutations, readKeys, startTS, commitTS, 0)
}

// ApplyMutationsRaftAt implements MVCCStore.
func (s *pebbleStore) ApplyMutationsRaftAt(ctx context.Context, mutations []*KVPairMutation, readKeys [][]byte, startTS, commitTS, appliedIndex uint64) error {
	c := Commit{TS: commitTS, Mutations: mutations, Check: &Check{StartTS: startTS, ReadKeys: readKeys}}
	return s.applyCommit(ctx, c, raftPath, appliedIndex)
}

func (s *pebbleStore) applyCommit(ctx context.Context, c Commit, path writePath, appliedIndex uint64) error {
	staged, err := s.stageCommits(ctx, []Commit{c}, path, appliedIndex)
	if err != nil {
		return err
	}
	return staged.Wait()
}

// Stage implements Engine. Staging no commits at all is legal: Wait then waits
// for whatever was staged before.
func (s *pebbleStore) Stage(ctx context.Context, commits []Commit) (Staged, error) {
	for i := range commits {
		if commits[i].TS == 0 {
			return nil, fmt.Errorf("store: commit %d: %w", i, errZeroCommitTS)
		}
	}
	staged, err := s.stageCommits(ctx, commits, directPath, 0)
	if err != nil {
		return nil, err // an untyped nil
	}
	return staged, nil
}

// stageCommits encodes the commits, which takes no lock, and stages them.
func (s *pebbleStore) stageCommits(ctx context.Context, commits []Commit, path writePath, appliedIndex uint64) (*stagedBatch, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	size, err := commitsSize(commits, s.seal.overhead())
	if err != nil {
		return nil, err
	}
	if err := s.enter(); err != nil {
		return nil, err
	}
	defer s.gate.leave()
	rows := s.newRowEncoder(path)
	w := write{batch: s.db.NewBatchWithSize(size), path: path, appliedIndex: appliedIndex, commits: commits}
	checked := false
	for i := range commits {
		c := &commits[i]
		for _, m := range c.Mutations {
			if err := rows.put(w.batch, m, c.TS); err != nil {
				return nil, firstError(err, w.batch.Close())
			}
		}
		w.highTS = max(w.highTS, c.TS)
		if i == 0 || c.TS < w.lowTS {
			w.lowTS = c.TS
		}
		checked = checked || c.Check != nil
	}
	if checked {
		w.locked = func() error { return s.checkCommits(ctx, commits) }
	}
	return s.stage(w)
}

// commitsSize validates every mutation and returns about how many bytes their
// batch takes, if each row takes overhead more than a clear one.
func commitsSize(commits []Commit, overhead int) (int, error) {
	size := 64 // the engine's own rows
	for i := range commits {
		for j, m := range commits[i].Mutations {
			if err := checkSize(m); err != nil {
				return 0, fmt.Errorf("mutation %d: %w", j, err)
			}
			size += len(m.Key) + len(m.Value) + keyOverheadSize + 1 + 8 + 12 + overhead
			if size > batchSizeMost {
				return 0, ErrBatchTooLarge
			}
		}
	}
	return size, nil
}

// conflictCheck verifies commits against one view of the engine and against
// the commits before them in the same call.
type conflictCheck struct {
	s       *pebbleStore
	ctx     context.Context
	point   *pointReader
	earlier map[string]uint64 // newest timestamp that an earlier commit of the call writes
}

// checkCommits runs under the apply lock.
func (s *pebbleStore) checkCommits(ctx context.Context, commits []Commit) error {
	point, err := s.openPoint()
	if err != nil {
		return err
	}
	defer point.close()
	c := conflictCheck{s: s, ctx: ctx, point: point}
	// What the last commit writes concerns nobody.
	last := len(commits) - 1
	for last > 0 && commits[last].Check == nil {
		last--
	}
	for i := range commits[:last+1] {
		if err := c.verify(&commits[i]); err != nil {
			return err
		}
		if i < last {
			c.remember(&commits[i])
		}
	}
	return nil
}

func (c *conflictCheck) remember(commit *Commit) {
	if c.earlier == nil {
		c.earlier = make(map[string]uint64, len(commit.Mutations))
	}
	for _, m := range commit.Mutations {
		c.earlier[string(m.Key)] = max(c.earlier[string(m.Key)], commit.TS)
	}
}

// verify fails if anything that commit wrote or read has a version above its
// start; in order of mutations, read keys, ranges.
func (c *conflictCheck) verify(commit *Commit) error {
	check := commit.Check
	if check == nil {
		return nil
	}
	for _, m := range commit.Mutations {
		if err := c.verifyKey(WriteConflictKindWrite, m.Key, check.StartTS); err != nil {
			return err
		}
	}
	for _, key := range check.ReadKeys {
		if err := c.verifyKey(WriteConflictKindRead, key, check.StartTS); err != nil {
			return err
		}
	}
	for _, span := range check.ReadRanges {
		if err := c.verifySpan(span, check.StartTS); err != nil {
			return err
		}
	}
	some := len(commit.Mutations)+len(check.ReadKeys)+len(check.ReadRanges) > 0
	if some && check.StartTS < c.s.floor.Load() {
		// A newer tombstone may have been compacted away together with its
		// key, so that what was found proves nothing.
		return fmt.Errorf("store: conflict check from timestamp %d: %w", check.StartTS, ErrReadTSCompacted)
	}
	return nil
}

func (c *conflictCheck) verifyKey(kind string, key []byte, startTS uint64) error {
	if startTS == maxTS {
		return nil
	}
	v, _, known, _ := c.s.versions.newest(key)
	newest := v.TS
	if !known {
		var err error
		if newest, _, err = c.point.seek(key, maxTS); err != nil {
			return err
		}
	}
	if max(newest, c.earlier[string(key)]) > startTS {
		return c.conflict(kind, key)
	}
	return nil
}

// verifySpan fails with the lowest key of span that has a version above startTS.
func (c *conflictCheck) verifySpan(span Span, startTS uint64) error {
	lowest, found, err := c.changedIn(span, startTS)
	if err != nil {
		return err
	}
	for key, ts := range c.earlier {
		in := key >= string(span.Start) && (span.End == nil || key < string(span.End))
		if in && ts > startTS && (!found || key < string(lowest)) {
			lowest, found = []byte(key), true
		}
	}
	if found {
		return c.conflict(WriteConflictKindRead, lowest)
	}
	return nil
}

// changedIn returns the lowest key of span whose newest version in the engine is
// above startTS.
func (c *conflictCheck) changedIn(span Span, startTS uint64) (key []byte, found bool, err error) {
	iter, err := c.s.openSpan(span)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = firstError(err, iter.Close()) }()
	rows := 0
	for ok := iter.First(); ok; ok = iter.NextPrefix() {
		if rows++; rows%ctxCheckEvery == 0 && c.ctx.Err() != nil {
			return nil, false, c.ctx.Err()
		}
		userKey, newest, err := parseVersionKey(iter.Key())
		if err != nil {
			return nil, false, err
		}
		if newest > startTS {
			return cloneBytes(userKey), true, nil
		}
	}
	return nil, false, iter.Error()
}

func (c *conflictCheck) conflict(kind string, key []byte) error {
	c.s.conflicts.add(kind, key)
	return NewWriteConflictError(key)
}
