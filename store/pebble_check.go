package store

import (
	"bytes"
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

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

// conflictCheck verifies commits against one view of the engine and against
// the commits before them in the same call.
type conflictCheck struct {
	s       *pebbleStore
	ctx     context.Context
	highest uint64            // no version is above it, those of earlier commits of the call included
	ranges  *rangeIndex       // of the present, which does not change under the apply lock
	reader  *pointReader      // nil until it is needed
	earlier map[string]uint64 // newest timestamp that an earlier commit of the call writes
	deleted []rangeTombstone  // what earlier commits of the call delete
}

// checkCommits runs under the apply lock.
func (s *pebbleStore) checkCommits(ctx context.Context, commits []Commit) (err error) {
	c := conflictCheck{s: s, ctx: ctx, highest: s.apply.stagedTS, ranges: s.ranges.Load()}
	defer func() {
		if c.reader != nil {
			c.reader.close()
		}
	}()
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
	c.highest = max(c.highest, commit.TS)
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
	if check.StartTS < c.highest {
		if err := c.compare(commit, check); err != nil {
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

// compare looks at everything that commit has touched, one by one.
func (c *conflictCheck) compare(commit *Commit, check *Check) error {
	if c.s.apply.bounds.slots == nil {
		c.s.apply.bounds.begin(c.s.apply.stagedTS)
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
	return nil
}

func (c *conflictCheck) verifyKey(kind string, key []byte, startTS uint64) error {
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
	if bound := c.s.apply.bounds.of(key); bound <= startTS && !c.ranges.newerThan(startTS) {
		return bound, nil
	}
	v, none, known, _ := c.s.versions.newest(key)
	if !known {
		if err := c.open(); err != nil {
			return 0, err
		}
		ts, ok, err := c.reader.seek(key, maxTS)
		if err != nil {
			return 0, err
		}
		if none = !ok; ok && ts <= startTS && c.ranges.newerThan(startTS) {
			if v, err = c.reader.decode(); err != nil {
				return 0, err
			}
		}
		v.TS = ts
	}
	if none {
		return 0, nil
	}
	if v.TS > startTS || !c.ranges.newerThan(startTS) {
		return v.TS, nil
	}
	return c.ranges.over(key, v, maxTS).TS, nil
}

// open opens the reader, if that has not happened yet.
func (c *conflictCheck) open() (err error) {
	if c.reader == nil {
		c.reader, err = c.s.openPoint()
	}
	return err
}

// verifySpan fails with the lowest key of span that has a version above startTS.
func (c *conflictCheck) verifySpan(kind string, span Span, startTS uint64) error {
	if span.empty() {
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
	ranges := rangeCursor{index: c.ranges}
	options := c.s.spanOptions(span)
	if !ranges.index.marksAbove(span, startTS) {
		options.PointKeyFilters = committedIn(startTS+1, maxTS)
		ranges.index = nil
	}
	rows, decoder := 0, c.s.newRowDecoder()
	iter, err := c.s.db.NewIter(&options)
	if err != nil {
		return nil, false, err
	}
	defer func() { err = firstError(err, iter.Close()) }()
	for ok := iter.First(); ok; ok = iter.NextPrefix() {
		if rows++; rows%ctxCheckEvery == 0 && c.ctx.Err() != nil {
			return nil, false, c.ctx.Err()
		}
		userKey, newest, err := parseVersionKey(iter.Key())
		if err != nil {
			return nil, false, err
		}
		if newest <= startTS && ranges.index != nil {
			if newest, err = buriedAt(iter, &decoder, &ranges); err != nil {
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
// at: that of the row, or of a range tombstone over it.
func buriedAt(iter *pebble.Iterator, rows *rowDecoder, ranges *rangeCursor) (uint64, error) {
	userKey, ts, err := parseVersionKey(iter.Key())
	if err != nil {
		return 0, err
	}
	row, err := iter.ValueAndErr()
	if err != nil {
		return 0, err
	}
	v, err := rows.version(iter.Key(), row) // that nothing has changed goes by what it says
	v.TS = ts
	return ranges.over(userKey, v, maxTS).TS, err
}

func (c *conflictCheck) conflict(kind string, key []byte) error {
	c.s.conflicts.add(kind, key)
	return NewWriteConflictError(key)
}
