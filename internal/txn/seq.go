package txn

import (
	"context"
	"hash/maphash"
	"runtime/debug"

	"github.com/elastickv/elastickv/store"
)

// Seq is the sequencer's workbench while one run of transactions is made: the
// engine as of the last staged run, and on top of it what the run has written
// so far. It belongs to the sequencer's goroutine.
type Seq struct {
	db      *Local
	base    staged
	pending overlay // writes of this run, on top of base
	made    commits // what has to be put of them
	parts   []part  // of the run, that have been put already
	covered bool    // all that the present task has done is in them
	count   int     // commits so far
	epoch   uint64  // what was evaluated in another one has nothing to do with this one's
	arena   arena
	failed  error // why a part of the run could not be staged; ends the run
	after   []after
	tx      Tx // reused from transaction to transaction
}

func newSeq(db *Local) *Seq {
	s := &Seq{db: db}
	s.base.snapshot = snapshot{ctx: context.Background(), engine: db.engine, ts: db.engine.LastCommitTS()}
	s.base.ahead.seed = maphash.MakeSeed()
	s.pending.base = &s.base
	return s
}

// Do runs fn in a transaction of its own. What fn wrote is committed, at the
// transaction's Now, if fn returns nil, and dropped if it returns an error or
// panics; transactions that Do runs later see it. It is durable only when the
// Sequence that this is part of has returned.
func (s *Seq) Do(fn func(*Tx) error) error {
	s.covered = false
	tx := &s.tx
	tx.view.reset()
	*tx = Tx{view: overlay{writes: tx.view.writes, base: &s.pending}, now: s.db.clock.Now(), startTS: s.base.ts, most: s.db.txMost}
	if err := Protect(func() error { return fn(tx) }); err != nil {
		return err
	}
	if tx.view.empty() {
		return nil
	}
	s.commit(tx, tx.now)
	if s.full() {
		err := s.stage()
		s.covered = err == nil
		return err
	}
	return nil
}

// full reports whether the run is to be staged before it goes on.
func (s *Seq) full() bool {
	return s.pending.size > s.db.opts.RunBytes || s.pending.passed > s.db.passedMost
}

// passedMost is how many deleted keys and spans walks may pass in one run.
// Transactions that each take the first of many keys would pass all that were
// taken before; the engine knows better how to leave those out.
const passedMost = 256

// commit moves the writes of tx into the run, as committed at ts.
func (s *Seq) commit(tx *Tx, ts uint64) {
	deleted, mutations := s.made.add(tx, ts)
	if s.db.copies {
		for i := range mutations {
			m := &mutations[i]
			m.Key, m.Value = s.arena.keep(m.Key), s.arena.keep(m.Value)
		}
	}
	s.db.meter.note(&s.pending, tx, ts, deleted, mutations)
	s.count++
	for _, span := range deleted {
		s.pending.sweep(span)
	}
	first := len(s.made.mutations) - len(mutations)
	for i := range mutations {
		m := &mutations[i]
		wr := write{key: m.Key, value: m.Value, expireAt: m.ExpireAt, deleted: m.Op == store.OpTypeDelete}
		if s.made.kinds[first+i] == newestVersion {
			if before := s.pending.find(m.Key); before >= 0 && s.pending.log[before].mutation > 0 {
				s.made.supersede(int(s.pending.log[before].mutation) - 1)
			}
			wr.mutation = int32(first + i + 1)
		}
		s.pending.add(wr)
	}
}

// stage puts the run so far where runs go. If that fails, nothing of the run
// since the last stage has happened.
func (s *Seq) stage() error {
	if all := s.made.all(); s.failed == nil && len(all) > 0 {
		s.failed = s.put(all)
	}
	s.made.reset(!s.db.copies)
	s.pending.reset()
	s.pending.passed = 0
	s.db.meter.end(s.db.meter.take(), false) // what is still open
	return s.failed
}

func (s *Seq) put(commits []store.Commit) error {
	noted := s.db.meter.take()
	st, err := s.db.to.put(s, commits)
	if err != nil {
		s.db.meter.end(noted, false)
		return err
	}
	s.parts = append(s.parts, part{st, noted})
	return nil
}

// perform runs a task, as part of the run.
func (s *Seq) perform(t *Task) {
	s.covered = false
	t.first = len(s.parts)
	count := s.count
	t.err = Protect(func() error { return t.fn(s) })
	t.wrote = s.count != count
	t.last = s.present()
}

// AfterSync has fn called as soon as everything that the sequencer has done up to
// now is durable, before the Sequence that asks for it returns. Calls come in the order
// in which they were asked for, across all callers, on one goroutine that all of
// them share: fn is quick, waits for nothing and does not use the DB. It is not
// called if the run fails.
func (s *Seq) AfterSync(fn func()) { s.after = append(s.after, after{part: s.present(), durable: fn}) }

// AfterAll is AfterSync for those who want to hear of a failure, too: fn is called with the error of a
// Sequence that would have done all that, which is nil if it is durable.
func (s *Seq) AfterAll(fn func(error)) {
	s.after = append(s.after, after{part: s.present(), either: fn})
}

// present is the part of the run that has all that was done up to now.
func (s *Seq) present() int {
	if s.covered {
		return len(s.parts) - 1
	}
	return len(s.parts)
}

// endRun stages what is left and returns what the syncer needs to know of the run.
func (s *Seq) endRun(tasks []*Task) run {
	err := s.stage()
	r := run{tasks: tasks, epoch: s.epoch, parts: s.parts, after: s.after, failed: err, ts: s.base.ts}
	if n := len(tasks); n > 0 && tasks[n-1].last >= len(s.parts) {
		r.proof = s.db.to.proof()
	}
	s.parts, s.after, s.failed = nil, nil, nil
	return r
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
