package store

import (
	"bytes"
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
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
	w := write{
		batch: s.db.NewBatchWithSize(size), path: path, rows: s.newRowEncoder(path),
		appliedIndex: appliedIndex, commits: commits,
	}
	checked, deletes := false, false
	for i := range commits {
		c := &commits[i]
		deletes = deletes || len(c.Deleted) > 0
		for _, span := range c.Deleted {
			if err := w.deleteRange(rangeTombstone{span: span, ts: c.TS, expired: true}); err != nil {
				return nil, firstError(err, w.batch.Close())
			}
		}
		for _, m := range c.Mutations {
			if err := w.rows.put(w.batch, m, c.TS); err != nil {
				return nil, firstError(err, w.batch.Close())
			}
		}
		w.highTS = max(w.highTS, c.TS)
		if i == 0 || c.TS < w.lowTS {
			w.lowTS = c.TS
		}
		checked = checked || c.Check != nil
	}
	w.locked = func(w *write) error {
		if deletes {
			if err := s.checkDeleted(commits); err != nil {
				return err
			}
		}
		if !checked {
			return nil
		}
		return s.checkCommits(ctx, commits)
	}
	return s.stage(w)
}

// checkDeleted fails if a commit deletes spans at a timestamp that is not the newest. It
// runs under the apply lock.
func (s *pebbleStore) checkDeleted(commits []Commit) error {
	highest, deleted := s.apply.stagedTS, uint64(0)
	for i := range commits {
		c := &commits[i]
		if len(c.Deleted) > 0 && c.TS <= highest || c.TS < deleted {
			return fmt.Errorf("store: commit %d at %d, newest is %d: %w", i, c.TS, highest, ErrDeletedNotNewest)
		}
		highest = max(highest, c.TS)
		if len(c.Deleted) > 0 {
			deleted = c.TS
		}
	}
	return nil
}

// commitsSize validates every mutation and span and returns about how many bytes their
// batch takes, if each row takes overhead more than a clear one.
func commitsSize(commits []Commit, overhead int) (int, error) {
	size := 64 // the engine's own rows
	for i := range commits {
		for j, span := range commits[i].Deleted {
			if err := checkSpan(span); err != nil {
				return 0, fmt.Errorf("deleted span %d: %w", j, err)
			}
			size += len(span.Start) + len(span.End) + overhead + 64
		}
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
	deleted []rangeTombstone  // what earlier commits of the call delete
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
	for _, span := range commit.Deleted {
		if !span.empty() {
			c.deleted = append(c.deleted, rangeTombstone{span: span, ts: commit.TS})
		}
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
	for _, span := range commit.Deleted {
		if err := c.verifySpan(WriteConflictKindWrite, span, check.StartTS); err != nil {
			return err
		}
	}
	for _, key := range check.ReadKeys {
		if err := c.verifyKey(WriteConflictKindRead, key, check.StartTS); err != nil {
			return err
		}
	}
	for _, span := range check.ReadRanges {
		if err := c.verifySpan(WriteConflictKindRead, span, check.StartTS); err != nil {
			return err
		}
	}
	some := len(commit.Mutations)+len(commit.Deleted)+len(check.ReadKeys)+len(check.ReadRanges) > 0
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
	newest, err := c.newest(key, startTS)
	if err != nil {
		return err
	}
	changed := max(newest, c.earlier[string(key)]) > startTS
	for _, t := range c.deleted {
		changed = changed || t.ts > startTS && t.span.Contains(key)
	}
	if changed {
		return c.conflict(kind, key)
	}
	return nil
}

// newest returns the timestamp of the newest version of key, be it a range tombstone; or
// one that is not above startTS if none is.
func (c *conflictCheck) newest(key []byte, startTS uint64) (uint64, error) {
	v, none, known, _ := c.s.versions.newest(key)
	if !known {
		ts, ok, err := c.point.seek(key, maxTS)
		if err != nil {
			return 0, err
		}
		if none = !ok; ok && ts <= startTS && c.point.ranges.newerThan(startTS) {
			if v, err = c.point.decode(); err != nil {
				return 0, err
			}
		}
		v.TS = ts
	}
	if none {
		return 0, nil
	}
	if v.TS > startTS || !c.point.ranges.newerThan(startTS) {
		return v.TS, nil
	}
	return c.point.ranges.over(key, v, maxTS).TS, nil
}

// verifySpan fails with the lowest key of span that has a version above startTS.
func (c *conflictCheck) verifySpan(kind string, span Span, startTS uint64) error {
	if startTS == maxTS || span.empty() {
		return nil
	}
	lowest, found, err := c.changedIn(span, startTS)
	if err != nil {
		return err
	}
	changed := func(key []byte) {
		if span.Contains(key) && (!found || bytes.Compare(key, lowest) < 0) {
			lowest, found = key, true
		}
	}
	for key, ts := range c.earlier {
		if ts > startTS {
			changed([]byte(key))
		}
	}
	for _, t := range c.deleted {
		if t.ts <= startTS {
			continue
		}
		if first := span.Start; t.span.Contains(first) {
			changed(append([]byte{}, first...))
		} else {
			changed(t.span.Start)
		}
	}
	if found {
		return c.conflict(kind, lowest)
	}
	return nil
}

// changedIn returns the lowest key of span that has a version above startTS in the
// store. Blocks without any such version are not read, unless a range tombstone
// says that there may be one.
func (c *conflictCheck) changedIn(span Span, startTS uint64) (key []byte, found bool, err error) {
	ranges := rangeCursor{index: c.point.ranges}
	options := c.s.spanOptions(span)
	if !ranges.index.marksAbove(span, startTS) {
		options.PointKeyFilters = committedIn(startTS+1, maxTS)
		ranges.index = nil
	}
	iter, err := c.s.db.NewIter(&options)
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
		if newest <= startTS && ranges.index != nil {
			if newest, err = c.buriedAt(iter, &ranges, userKey, newest); err != nil {
				return nil, false, err
			}
		}
		if newest > startTS {
			return cloneBytes(userKey), true, nil
		}
	}
	return nil, false, iter.Error()
}

// buriedAt returns the timestamp of the newest version of the key whose newest row iter is
// at: that of the row, ts, or of a range tombstone over it.
func (c *conflictCheck) buriedAt(iter *pebble.Iterator, ranges *rangeCursor, userKey []byte, ts uint64) (uint64, error) {
	row, err := iter.ValueAndErr()
	if err != nil {
		return 0, err
	}
	v, err := c.point.rows.header(row)
	v.TS = ts
	return ranges.over(userKey, v, maxTS).TS, err
}

func (c *conflictCheck) conflict(kind string, key []byte) error {
	c.s.conflicts.add(kind, key)
	return NewWriteConflictError(key)
}
