package txn

import (
	"context"
	"runtime/debug"

	"github.com/elastickv/elastickv/store"
)

// Seq is the sequencer's workbench while one run of transactions is made: the
// engine as of the last staged run, and on top of it what the run has written
// so far. It belongs to the sequencer's goroutine.
type Seq struct {
	db      *Local
	base    snapshot // what has been staged, durable or not
	pending overlay  // writes of this run, on top of base
	commits []store.Commit
	staged  []store.Staged // parts of the run that are staged already
	failed  error          // why a part of the run could not be staged; ends the run
	after   []func()       // to be called when the run is durable
	tx      Tx             // reused from transaction to transaction
}

func newSeq(db *Local) *Seq {
	s := &Seq{db: db}
	s.base = snapshot{ctx: context.Background(), engine: db.engine, ts: db.engine.LastCommitTS()}
	s.pending.base = &s.base
	return s
}

// Do runs fn in a transaction of its own. What fn wrote is committed, at the
// transaction's Now, if fn returns nil, and dropped if it returns an error or
// panics; transactions that Do runs later see it. It is durable only when the
// Sequence that this is part of has returned.
func (s *Seq) Do(fn func(*Tx) error) error {
	tx := &s.tx
	tx.view.reset()
	*tx = Tx{view: overlay{writes: tx.view.writes, base: &s.pending}, now: s.db.clock.Now(), startTS: s.base.ts}
	if err := Protect(func() error { return fn(tx) }); err != nil {
		return err
	}
	if tx.view.empty() {
		return nil
	}
	s.commit(tx)
	if s.pending.size > s.db.opts.RunBytes || s.pending.passed > passedMost {
		return s.stage()
	}
	return nil
}

// passedMost is how many deleted keys and spans walks may pass in one run.
// Transactions that each take the first of many keys would pass all that were
// taken before; the engine knows better how to leave those out.
const passedMost = 256

// commit moves the writes of tx into the run.
func (s *Seq) commit(tx *Tx) {
	c := store.Commit{TS: tx.now, Deleted: tx.view.deleted(), Mutations: tx.view.mutations()}
	s.db.meter.note(&s.pending, tx, &c)
	s.commits = append(s.commits, c)
	for _, span := range c.Deleted {
		s.pending.sweep(span)
	}
	for _, m := range c.Mutations {
		s.pending.add(write{key: m.Key, value: m.Value, expireAt: m.ExpireAt, deleted: m.Op == store.OpTypeDelete})
	}
}

// stage hands the run so far to the engine. If that fails, nothing of the run
// since the last stage has happened.
func (s *Seq) stage() error {
	commits := s.commits
	s.commits = nil
	s.pending.reset()
	s.pending.passed = 0
	if s.failed == nil && len(commits) > 0 {
		s.failed = s.stageCommits(commits)
	}
	s.db.meter.staged(false) // what is still open
	return s.failed
}

func (s *Seq) stageCommits(commits []store.Commit) error {
	st, err := s.db.engine.Stage(context.Background(), commits)
	s.db.meter.staged(err == nil)
	if err != nil {
		return err
	}
	s.staged = append(s.staged, st)
	s.base.ts = commits[len(commits)-1].TS
	return nil
}

// commitChecked commits an optimistic transaction after everything in the run
// so far. The engine compares what it read with what has been committed.
func (s *Seq) commitChecked(tx *Tx) error {
	if err := s.stage(); err != nil {
		return err
	}
	c := store.Commit{
		TS:        s.db.clock.Now(),
		Deleted:   tx.view.deleted(),
		Mutations: tx.view.mutations(),
		Check:     &store.Check{StartTS: tx.startTS, ReadKeys: tx.reads.keys, ReadRanges: tx.reads.spans},
	}
	s.db.meter.note(&s.pending, tx, &c)
	return s.stageCommits([]store.Commit{c})
}

// AfterSync has fn called as soon as everything that the sequencer has done up to
// now is durable, before the Sequence that asks for it returns. Calls come in the order
// in which they were asked for, across all callers, on one goroutine that all of
// them share: fn is quick, waits for nothing and does not use the DB. It is not
// called if the run fails.
func (s *Seq) AfterSync(fn func()) { s.after = append(s.after, fn) }

// endRun stages what is left and returns what the syncer needs to know of the run. An
// error means that some of the run did not happen, and nobody can tell which part
// by their own result.
func (s *Seq) endRun() (run, error) {
	err := s.stage()
	r := run{staged: s.staged, after: s.after, ts: s.base.ts}
	s.staged, s.after, s.failed = nil, nil, nil
	if err != nil {
		r.after = nil
	}
	return r, err
}

// Protect calls fn and turns a panic into a *PanicError.
func Protect(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return fn()
}
