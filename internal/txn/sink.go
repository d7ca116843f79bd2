package txn

import (
	"context"
	"math"
	"time"

	"github.com/elastickv/elastickv/store"
)

// sink is where the runs of a sequencer go. What takes a Seq is called by the sequencer alone.
type sink interface {
	// begin is called before each run. It fails if none can be made.
	begin(s *Seq) error

	// put takes commits, the next part of the run: what is pending in s. From then on all that s
	// evaluates sees them, beneath what is pending. They count when Wait has returned nil. Unless the DB
	// copies what is written, nobody looks at them when put has returned.
	put(s *Seq, commits []store.Commit) (store.Staged, error)

	// putChecked commits an optimistic transaction behind everything in the run so far.
	putChecked(s *Seq, tx *Tx) error

	// settle puts what is pending and returns when the base of s has everything.
	settle(s *Seq) error

	// proof returns what has to be waited for before anybody is told what was read behind the last part of a
	// run; nil is nothing.
	proof() store.Staged

	// fresh returns when the engine has everything that was acknowledged before the call, recent when it has
	// everything that was acknowledged longer ago than within. stale is how long ago that is at least.
	fresh(ctx context.Context) error
	recent(ctx context.Context, within time.Duration) error
	stale() (age time.Duration, known bool)

	// oldest returns a timestamp below which the sequencer reads nothing.
	oldest() uint64

	// close is called when the sequencer has ended.
	close()
}

// direct puts runs straight into the engine: they are staged, and synced by it.
type direct struct{ db *Local }

func (direct) begin(*Seq) error { return nil }

func (d direct) put(s *Seq, commits []store.Commit) (store.Staged, error) {
	st, err := d.db.engine.Stage(context.Background(), commits)
	if err != nil {
		return nil, err
	}
	s.base.moved(commits)
	return st, nil
}

// putChecked leaves it to the engine to compare what the transaction has read with what has been committed.
func (d direct) putChecked(s *Seq, tx *Tx) error {
	if err := s.stage(); err != nil {
		return err
	}
	ts := d.db.clock.Now()
	deleted, mutations := s.made.add(tx, ts)
	d.db.meter.note(&s.pending, tx, ts, deleted, mutations)
	all := s.made.all()
	all[0].Check = tx.check()
	defer s.made.reset(true)
	return s.put(all)
}

func (direct) settle(s *Seq) error { return s.stage() }

func (direct) proof() store.Staged { return nil }

func (direct) fresh(context.Context) error { return nil }

func (direct) recent(context.Context, time.Duration) error { return nil }

func (direct) stale() (time.Duration, bool) { return 0, true }

// oldest is no bound: what is staged is never below what the engine shows.
func (direct) oldest() uint64 { return math.MaxUint64 }

func (direct) close() {}
