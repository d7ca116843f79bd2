package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Committer commits optimistic transactions of one store. It draws each commit
// timestamp and applies the transaction in one step, so commit timestamps rise in
// the order of application, and whoever reads at a timestamp that StartTS returned
// sees everything that will ever be committed at or below it. Without that, a
// transaction could come in late, below the start of another one that then
// takes no notice of it. It is safe for concurrent use.
//
// It holds for what goes through one Committer: make one for each store. What is
// written elsewhere, under timestamps of the same clock, must not be what
// transactions of the Committer rely on. Deltas of hashes, sets and sorted sets may be.
type Committer struct {
	s     MVCCStore
	e     Engine // s, if it can stage; else nil
	clock HybridClock

	mu struct {
		sync.Mutex        // held from drawing a commit timestamp until it is applied
		drawn      uint64 // the highest timestamp drawn
		staged     uint64 // the highest commit timestamp of what was applied
	}
}

// Change is what a transaction has relied on and what it writes.
type Change struct {
	// ReadKeys are keys that may not have changed since the start. Keys of
	// Mutations need not be named: they are checked as well.
	ReadKeys [][]byte
	// Mutations returns the writes of a commit at commitTS, under which the keys of
	// deltas are named. It calls nothing of the store or the Committer. nil says that
	// there is nothing to commit.
	Mutations func(commitTS uint64) []*KVPairMutation
}

const (
	// sharedAttempts is how often a transaction is tried beside others. Whoever
	// has lost so often is tried alone.
	sharedAttempts = 4
	// aloneAttempts bounds the tries in which only writers from outside the
	// Committer can be in the way.
	aloneAttempts = 16
)

// NewCommitter returns a Committer that takes its timestamps from clock. The
// clock must be above everything that s holds; one that starts anew is shown
// LastCommitTS first. With an Engine commits that wait for the disk at the same
// time share their syncs; with any other MVCCStore one waits for the other.
func NewCommitter(s MVCCStore, clock HybridClock) *Committer {
	e, _ := s.(Engine)
	return &Committer{s: s, e: e, clock: clock}
}

// StartTS returns a timestamp at which reads see everything that was committed
// before the call, and from which a transaction can start. What they see may not be
// durable yet; LastCommitTS of the store is the timestamp for reads that must not
// be taken back.
func (c *Committer) StartTS() (uint64, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.drawLocked()
}

// Update runs a transaction: plan reads the store at startTS and returns what to
// write, and Update commits that, unless what plan has relied on has changed
// since. Then it starts again, and after a few times without letting others of
// the Committer in between; so plan must not use the Committer. It also starts
// again if the retention floor has overtaken startTS. What remains in the way is
// returned: a *WriteConflictError or ErrReadTSCompacted.
//
// Update returns the commit timestamp once the commit is durable. If there was
// nothing to commit, it returns startTS once everything plan can have seen is
// durable.
func (c *Committer) Update(ctx context.Context, plan func(startTS uint64) (Change, error)) (uint64, error) {
	var err error
	for attempt := range sharedAttempts + aloneAttempts {
		stage := c.stageShared
		if attempt >= sharedAttempts {
			stage = c.stageAlone
		}
		var ts uint64
		var staged Staged
		if ts, staged, err = stage(ctx, plan); err == nil && staged != nil {
			err = staged.Wait()
		}
		if err == nil {
			return ts, nil
		}
		if !startedTooEarly(err) {
			return 0, err
		}
	}
	return 0, fmt.Errorf("given up after %d attempts: %w", sharedAttempts+aloneAttempts, err)
}

// startedTooEarly reports whether a later start can help.
func startedTooEarly(err error) bool {
	return errors.Is(err, ErrWriteConflict) || errors.Is(err, ErrReadTSCompacted)
}

// view calls read with a timestamp at which it sees everything that has been
// committed, durable or not, and once more with a later one if the retention floor
// has overtaken that.
func (c *Committer) view(read func(startTS uint64) error) error {
	var err error
	for range sharedAttempts {
		var startTS uint64
		if startTS, err = c.StartTS(); err != nil {
			return err
		}
		if err = read(startTS); !errors.Is(err, ErrReadTSCompacted) {
			return err
		}
	}
	return err
}

func (c *Committer) stageShared(ctx context.Context, plan func(uint64) (Change, error)) (uint64, Staged, error) {
	startTS, err := c.StartTS()
	if err != nil {
		return 0, nil, err
	}
	change, err := plan(startTS)
	if err != nil {
		return 0, nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.stageLocked(ctx, change, startTS)
}

func (c *Committer) stageAlone(ctx context.Context, plan func(uint64) (Change, error)) (uint64, Staged, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	startTS, err := c.drawLocked()
	if err != nil {
		return 0, nil, err
	}
	change, err := plan(startTS)
	if err != nil {
		return 0, nil, err
	}
	return c.stageLocked(ctx, change, startTS)
}

// drawLocked returns a timestamp above all that were drawn or committed.
func (c *Committer) drawLocked() (uint64, error) {
	last := max(c.mu.drawn, c.s.LastCommitTS())
	ts := c.clock.Now()
	if ts <= last {
		return 0, fmt.Errorf("the clock gives %d, and the store is at %d already: show it the store's LastCommitTS", ts, last)
	}
	c.mu.drawn = ts
	return ts, nil
}

// stageLocked commits change. The caller waits for what it returns, if that is
// not nil, without the lock.
func (c *Committer) stageLocked(ctx context.Context, change Change, startTS uint64) (uint64, Staged, error) {
	if change.Mutations == nil {
		staged, err := c.stageNothingLocked(ctx)
		return startTS, staged, err
	}
	ts, err := c.drawLocked()
	if err != nil {
		return 0, nil, err
	}
	mutations := change.Mutations(ts)
	if c.e == nil {
		err = c.s.ApplyMutations(ctx, mutations, change.ReadKeys, startTS, ts)
		return ts, nil, err
	}
	check := &Check{StartTS: startTS, ReadKeys: change.ReadKeys}
	staged, err := c.e.Stage(ctx, []Commit{{TS: ts, Mutations: mutations, Check: check}})
	if err != nil {
		return 0, nil, err
	}
	c.mu.staged = ts
	return ts, staged, nil
}

// stageNothingLocked returns what to wait for until all that was applied is
// durable, or nil if it is.
func (c *Committer) stageNothingLocked(ctx context.Context) (Staged, error) {
	if c.e == nil || c.mu.staged <= c.s.LastCommitTS() {
		return nil, nil
	}
	return c.e.Stage(ctx, nil)
}
