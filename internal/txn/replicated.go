package txn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/store"
)

// What of a log may be on its way: enough that the next runs are made while some are being
// committed, and so little that batches form, and that what is evaluated has few layers to look through.
const (
	flightsMost     = 6
	flightBytesMost = 16 << 20
)

// replicated puts runs into a log. They come into the engine when they are committed; until then
// each is a layer that evaluations see on top of it. When the lead ends all layers go, and the next
// term begins with the engine alone.
//
// What was read is told only if nobody else can have written meanwhile: a run that ends with a part of it is
// committed only if this node has still led when it was proposed, behind all reads of the run; any
// other needs a barrier, and the same lead behind it.
type replicated struct {
	log    Log
	engine store.Engine
	clock  *hlc.Clock
	meter  *meter
	wait   time.Duration // for a barrier
	now    func() time.Time
	ctx    context.Context
	stop   context.CancelFunc
	lowest atomic.Uint64             // see oldest
	known  atomic.Pointer[time.Time] // what had been acknowledged before is in the engine; nil: nobody knows

	// The sequencer's:
	term    uint64          // 0 while this node does not lead
	changed <-chan struct{} // the lead of the term has ended
	ended   uint64          // this and all lower terms have
	number  uint64          // of the next proposal of the term
	flights []*flight       // oldest first; each lies on the one before it, and the first one on the engine
	size    int             // bytes of the layers
}

// flight is a part of a run that is on its way.
type flight struct {
	overlay
	ts     uint64 // its newest commit
	number uint64
	fate
}

// fate is what becomes of something. It is a store.Staged.
type fate struct {
	known chan struct{}
	err   error // once it is known
}

func newFate() fate { return fate{known: make(chan struct{})} }

func (f *fate) end(err error) {
	f.err = err
	close(f.known)
}

// Wait implements store.Staged.
func (f *fate) Wait() error {
	<-f.known
	return f.err
}

func (f *fate) isKnown() bool {
	select {
	case <-f.known:
		return true
	default:
		return false
	}
}

// NewReplicated returns a DB over an engine to which a log is applied, that has its updates put into the log
// while this node leads. Nobody but the log may write to the engine. The log has to answer until Close has returned.
func NewReplicated(engine store.Engine, clock *hlc.Clock, log Log, opts Options) *Local {
	l := &Local{engine: engine, clock: clock, opts: opts.withDefaults(), runs: make(chan run, flightsMost)}
	r := &replicated{log: log, engine: engine, clock: clock, meter: &l.meter, wait: l.opts.BarrierWait, now: l.opts.Now}
	r.ctx, r.stop = context.WithCancel(context.Background())
	r.lowest.Store(math.MaxUint64)
	l.to, l.copies, l.passedMost, l.txMost = r, true, replicatedPassedMost, replicatedTxBytesMost
	return l.start()
}

// replicatedPassedMost is passedMost where a part costs an entry of the log, and leaves what was passed to be passed
// again until it is applied: about as much work as one such wait.
const replicatedPassedMost = 1 << 14

func (r *replicated) begin(s *Seq) error {
	for {
		term, leading, changed := r.log.Lead()
		if !leading || term <= r.ended {
			r.endTerm(s)
			return ErrNotLeader
		}
		if term != r.term {
			r.endTerm(s)
			r.beginTerm(s, term, changed)
		}
		if !r.dropApplied(s) {
			return nil
		}
		r.startOver(s)
	}
}

func (r *replicated) beginTerm(s *Seq, term uint64, changed <-chan struct{}) {
	r.term, r.changed, r.number = term, changed, 0
	r.fromEngine(s)
	r.meter.lead(true)
}

func (r *replicated) endTerm(s *Seq) {
	if r.term == 0 {
		return
	}
	r.ended, r.term = max(r.ended, r.term), 0
	r.fromEngine(s)
	r.lowest.Store(math.MaxUint64)
	r.meter.lead(false)
}

// fromEngine forgets all layers.
func (r *replicated) fromEngine(s *Seq) {
	r.flights, r.size = nil, 0
	s.base.ts = r.engine.LastCommitTS()
	r.lowest.Store(s.base.ts)
	r.clock.Observe(s.base.ts) // no commit comes before one that is there already
	s.pending.reset()
	s.pending.base = &s.base
	s.epoch++
}

// startOver is called when the first layer is known not to be committed, and then none is. It
// returns when all of them are known, which must not meet with others of their numbers, or the lead has ended.
func (r *replicated) startOver(s *Seq) {
	first := r.flights[0]
	if errors.Is(first.err, ErrUnknown) {
		r.ended = max(r.ended, r.term)
		return
	}
	for _, l := range r.flights {
		select {
		case <-l.known:
		case <-r.changed:
			return
		}
		if errors.Is(l.err, ErrUnknown) {
			r.ended = max(r.ended, r.term)
			return
		}
	}
	r.number = first.number
	r.fromEngine(s)
}

// dropApplied moves the base up to what the engine has of the layers, and reports whether the next one is lost. It looks
// at each once: one that becomes known meanwhile may be committed.
func (r *replicated) dropApplied(s *Seq) (lost bool) {
	n := 0
	for ; n < len(r.flights) && r.flights[n].isKnown(); n++ {
		if lost = r.flights[n].err != nil; lost {
			break
		}
		s.base.ts = r.flights[n].ts
		r.size -= r.flights[n].writes.size
	}
	if n == 0 {
		return lost
	}
	r.flights = slices.Delete(r.flights, 0, n)
	if len(r.flights) > 0 {
		r.flights[0].base = &s.base
	} else {
		s.pending.base = &s.base
	}
	r.lowest.Store(s.base.ts)
	return lost
}

func (r *replicated) put(s *Seq, commits []store.Commit) (store.Staged, error) {
	r.makeRoom(s)
	l := &flight{overlay: overlay{writes: s.pending.writes, base: s.pending.base}, number: r.number,
		ts: commits[len(commits)-1].TS, fate: newFate()}
	r.flights = append(r.flights, l)
	r.size += l.writes.size
	r.number++
	s.pending = overlay{base: &l.overlay}
	r.log.Propose(r.term, l.number, commits, l.end)
	return l, nil
}

// makeRoom waits until there is room for a layer, or none is needed: behind one that is lost none will be committed.
func (r *replicated) makeRoom(s *Seq) {
	for r.dropApplied(s); len(r.flights) >= flightsMost || r.size >= flightBytesMost; r.dropApplied(s) {
		select {
		case <-r.flights[0].known:
		case <-r.changed:
			return
		}
		if r.flights[0].err != nil {
			return
		}
	}
}

// putChecked compares what the transaction has read with the layers here, and has the engine do the rest: what both do
// not have is in no run before this one.
func (r *replicated) putChecked(s *Seq, tx *Tx) error {
	var own commits
	own.add(tx, r.clock.Now())
	c := own.all()[0]
	c.Check = tx.check()
	r.dropApplied(s)
	for _, l := range r.flights {
		if l.ts <= tx.startTS { // it is applied, and that was seen
			continue
		}
		if key, found := l.writes.touched(&c); found {
			return store.NewWriteConflictError(key)
		}
	}
	if key, found := s.pending.touched(&c); found {
		return store.NewWriteConflictError(key)
	}
	if err := r.engine.Verify(r.ctx, c); err != nil {
		return err
	}
	s.commit(tx, c.TS)
	if s.full() {
		return s.stage()
	}
	return nil
}

func (r *replicated) settle(s *Seq) error {
	if err := s.stage(); err != nil {
		return err
	}
	for _, l := range r.flights {
		select {
		case <-l.known:
		case <-r.changed:
			return errLeadEnded
		}
	}
	if r.dropApplied(s); len(r.flights) > 0 {
		return r.flights[0].err
	}
	return nil
}

var errLeadEnded = fmt.Errorf("%w: the lead of this node has ended", ErrNotCommitted)

func (r *replicated) proof() store.Staged {
	f, term := newFate(), r.term
	go func() {
		err := r.fresh(r.ctx)
		if now, leading, _ := r.log.Lead(); err != nil {
			err = fmt.Errorf("%w: %w", ErrNotCommitted, err)
		} else if !leading || now != term {
			err = errLeadEnded
		}
		f.end(err)
	}()
	return &f
}

func (r *replicated) fresh(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, r.wait, ErrNoMajority)
	defer cancel()
	err := r.log.Barrier(ctx)
	if err != nil && ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return err
}

func (r *replicated) recent(ctx context.Context, within time.Duration) error {
	if age, known := r.stale(); known && age <= within || within == AnyAge {
		return nil
	}
	var asked time.Time // before the answer
	if r.now != nil {
		asked = r.now()
	}
	if err := r.fresh(ctx); err != nil {
		return err
	}
	for old := r.known.Load(); r.now != nil && (old == nil || old.Before(asked)); old = r.known.Load() {
		if r.known.CompareAndSwap(old, &asked) {
			return nil
		}
	}
	return nil
}

func (r *replicated) stale() (age time.Duration, known bool) {
	k := r.known.Load()
	if k == nil {
		return 0, false
	}
	return r.now().Sub(*k), true
}

// oldest is what the layers lie on.
func (r *replicated) oldest() uint64 { return r.lowest.Load() }

func (r *replicated) close() { r.stop() }

// arena keeps copies of what is written until nobody has the memory that it is in.
type arena struct{ free []byte }

const arenaBytes = 64 << 10

// keep returns a copy of b, which is nobody's else.
func (a *arena) keep(b []byte) []byte {
	if len(b) > arenaBytes/4 {
		return slices.Clone(b)
	}
	if len(b) > cap(a.free)-len(a.free) {
		a.free = make([]byte, 0, arenaBytes)
	}
	n := len(a.free)
	a.free = append(a.free, b...)
	return a.free[n:len(a.free):len(a.free)]
}
