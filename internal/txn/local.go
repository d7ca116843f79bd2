package txn

import (
	"context"
	"sync"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/store"
)

// Options are the settings of a Local. The zero value works.
type Options struct {
	// RunBytes is the size, in bytes of keys and values, at which a run is
	// handed to the engine although more transactions wait. 0 means 4 MiB.
	RunBytes int

	// Now is the time, of a clock that nobody sets: it has to have a monotonic part. It says how old
	// what ViewStale reads is, where several machines keep the data; without it ViewStale is View.
	Now func() time.Time

	// BarrierWait is how long reads wait for the proof that they are not stale. 0 means 5 seconds.
	BarrierWait time.Duration

	// PinAge is for how long an optimistic transaction keeps the history that it
	// reads from being dropped; its reads and its commit may fail with
	// store.ErrReadTSCompacted after that. One that was forgotten would else
	// keep history for ever. 0 means 10 minutes.
	PinAge time.Duration
}

func (o Options) withDefaults() Options {
	if o.RunBytes <= 0 {
		o.RunBytes = 4 << 20
	}
	if o.BarrierWait <= 0 {
		o.BarrierWait = 5 * time.Second
	}
	if o.PinAge <= 0 {
		o.PinAge = 10 * time.Minute
	}
	return o
}

// Local is the DB of the engine of this machine; where its runs go is a sink.
//
// One goroutine, the sequencer, takes all updates that wait, runs them back to
// back and stages their writes as one batch; a second waits for the batches to
// become durable, in order, and wakes the callers. While one batch is being
// synced the next is made, so batches grow with the load by themselves. Who waits anyway may do the work of
// both, for all that wait: see Perform.
type Local struct {
	engine store.Engine
	clock  *hlc.Clock
	opts   Options

	to         sink
	copies     bool // what is written is read by later runs when its transaction's caller has gone
	passedMost int  // see passedMost
	txMost     int  // bytes that a transaction may write

	queue queue
	turn  chan struct{} // holds one while somebody makes a run
	seq   *Seq          // theirs
	runs  chan run      // from the sequencer to the syncer; bounded so that batches form
	lost  loss          // theirs who conclude runs
	done  sync.WaitGroup
	pins  pins
	meter meter
	told  told
}

// run is what the sequencer did in one turn.
type run struct {
	tasks []*Task // those that it has taken
	parts []part
	proof store.Staged // that what was read behind the last part may be told; nil if there is no need
	epoch uint64
	after []after
	// failed is why some of the run has not happened, and nobody can tell which part by their own result.
	failed error
	ts     uint64 // the newest commit of it and of those before it
}

// after is somebody who wants to hear what becomes of a run.
type after struct {
	part    int    // that has all that they ask about
	durable func() // for those who want to hear of nothing else
	either  func(error)
}

func (a *after) tell(err error) {
	switch {
	case a.either != nil:
		a.either(err)
	case err == nil:
		a.durable()
	}
}

// part is what of a run was put where runs go at once.
type part struct {
	store.Staged
	noted noted
}

// NewLocal returns a DB over engine. The clock is moved past everything that
// the engine holds, so no commit timestamp is issued twice, even if the wall
// clock was set back. The Local does not own the engine, but no one else may
// write to it.
func NewLocal(engine store.Engine, clock *hlc.Clock, opts Options) *Local {
	clock.Observe(engine.LastCommitTS())
	l := &Local{engine: engine, clock: clock, opts: opts.withDefaults(), runs: make(chan run, 1)}
	l.to, l.passedMost, l.txMost = direct{l}, passedMost, txBytesMost
	return l.start()
}

func (l *Local) start() *Local {
	engine, clock := l.engine, l.clock
	l.queue.init()
	l.told.init(engine.LastCommitTS())
	l.pins.init(engine, clock, l.opts.PinAge)
	l.meter.init(l)
	l.seq, l.turn = newSeq(l), make(chan struct{}, 1)
	l.done.Add(2)
	go l.sequence()
	go l.sync()
	return l
}

// View implements DB.
func (l *Local) View(ctx context.Context, fn func(*Tx) error) error {
	if err := l.to.fresh(ctx); err != nil {
		return err
	}
	return l.viewPresent(ctx, fn)
}

// ViewStale implements DB.
func (l *Local) ViewStale(ctx context.Context, within time.Duration, fn func(*Tx) error) error {
	if err := l.to.recent(ctx, within); err != nil {
		return err
	}
	return l.viewPresent(ctx, fn)
}

// Staleness implements DB.
func (l *Local) Staleness() (age time.Duration, known bool) { return l.to.stale() }

// viewPresent is a view of what the engine has.
func (l *Local) viewPresent(ctx context.Context, fn func(*Tx) error) error {
	now := l.clock.Now()
	h, ts, _ := l.pins.take(present, heldSince(now, 0)) // of what is gone the engine's reads tell
	if now <= ts {
		l.clock.Observe(ts) // it may be another machine's
		now = l.clock.Now()
	}
	err := l.view(ctx, ts, now, fn)
	l.pins.release(h)
	return err
}

// ViewAt implements DB.
func (l *Local) ViewAt(ctx context.Context, ts uint64, fn func(*Tx) error) error {
	if ts > l.engine.LastCommitTS() { // below that nothing comes any more
		if err := l.to.fresh(ctx); err != nil {
			return err
		}
	}
	last := l.engine.LastCommitTS() // behind which nothing was staged together with something before
	h, at, err := l.pins.take(ts, heldSince(l.clock.Now(), 0))
	if err == nil {
		err = l.view(ctx, at, ts, func(tx *Tx) error {
			tx.past = at != last
			return fn(tx)
		})
	}
	l.pins.release(h)
	return err
}

func (l *Local) view(ctx context.Context, ts, now uint64, fn func(*Tx) error) error {
	v := &struct { // one piece of memory for both
		tx   Tx
		base snapshot
	}{Tx{now: now, startTS: ts, readOnly: true}, snapshot{ctx: ctx, engine: l.engine, ts: ts}}
	v.tx.view.base = &v.base
	return Protect(func() error { return fn(&v.tx) })
}

// Update implements DB.
func (l *Local) Update(ctx context.Context, fn func(*Tx) error) error {
	return l.submit(ctx, func(s *Seq) error { return s.Do(fn) })
}

// Sequence implements DB.
func (l *Local) Sequence(ctx context.Context, fn func(*Seq)) error {
	return l.submit(ctx, func(s *Seq) error { fn(s); return nil })
}

// Begin implements DB.
func (l *Local) Begin(ctx context.Context) (*Tx, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := l.to.fresh(ctx); err != nil { // it may write nothing, and so never be checked
		return nil, err
	}
	now := l.clock.Now()
	h, ts, _ := l.pins.take(present, heldSince(now, optimistic))
	if now <= ts {
		l.clock.Observe(ts)
		now = l.clock.Now()
	}
	tx := &Tx{now: now, startTS: ts, most: l.txMost, reads: &readSet{}}
	tx.view.base = &pinned{snapshot: snapshot{ctx: ctx, engine: l.engine, ts: ts}, pin: h}
	return tx, nil
}

// Commit implements DB.
func (l *Local) Commit(ctx context.Context, tx *Tx) error {
	if tx.ended {
		return ErrFinished
	}
	tx.ended = true
	defer l.pins.unpin(tx)
	if tx.view.empty() {
		return nil // one snapshot is serialisable by itself
	}
	return l.submit(ctx, func(s *Seq) error { return l.to.putChecked(s, tx) })
}

// DropHistory lets go of versions that no read at or above ts needs; reads
// below it fail from then on. What reads of the present need stays, however old
// it is: without writes the present is the moment of the last one. So does what
// transactions in progress need, optimistic ones up to Options.PinAge.
//
// Where several machines keep the data, each drops its own history: what reads return does not depend
// on it, only how far back they may go. To remove what has expired is an update, and the leader's.
func (l *Local) DropHistory(ctx context.Context, ts uint64) error {
	ts = min(ts, l.engine.LastCommitTS())
	if l.to.oldest() < ts {
		_ = l.submit(ctx, func(*Seq) error { return nil }) // before a run the sequencer moves up; else there is none
	}
	return l.engine.Compact(ctx, l.pins.settle(min(ts, l.to.oldest())))
}

// ReadWaits implements DB.
func (l *Local) ReadWaits() time.Duration { return l.engine.ReadWaits() }

// Settled implements DB.
func (l *Local) Settled() { l.told.wait(l.engine.LastCommitTS()) }

// Close implements DB.
func (l *Local) Close() error {
	l.meter.stop() // which may wait for the sequencer
	l.queue.close()
	l.done.Wait()
	l.turn <- struct{}{} // behind who performs
	l.to.close()
	l.meter.close()
	return nil
}

// submit queues fn and waits until all that it did is durable. If ctx ends before the
// sequencer has come to it, it is taken back; once begun it is waited for whatever
// happens to ctx: its outcome must not stay unknown.
func (l *Local) submit(ctx context.Context, fn func(*Seq) error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	done := make(chan error, 1)
	t := &Task{fn: fn, Then: func(err error) { done <- err }}
	if !l.queue.put(context.Background(), true, t) {
		return ErrClosed
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
	}
	if t.take() {
		return context.Cause(ctx)
	}
	return <-done
}

// Enqueue implements DB.
func (l *Local) Enqueue(ctx context.Context, tasks ...*Task) { l.enqueue(ctx, true, tasks) }

// enqueue puts tasks into the queue, and wakes the sequencer for them or not. It reports false if they have been answered,
// since it takes none any more.
func (l *Local) enqueue(ctx context.Context, wake bool, tasks []*Task) bool {
	for _, t := range tasks {
		t.begin()
	}
	if !l.queue.put(ctx, wake, tasks...) {
		for _, t := range tasks {
			t.Then(ErrClosed)
		}
		return false
	}
	if ctx.Err() != nil { // it may have ended before they could be found
		l.Withdraw()
	}
	return true
}

// Withdraw implements DB.
func (l *Local) Withdraw() {
	for t, cause := range l.queue.overdue() {
		if t.take() {
			t.Then(cause)
		}
	}
}

// Prefetch implements DB.
func (l *Local) Prefetch(keys [][]byte) { l.engine.Prefetch(keys) }

// Perform implements DB. With a log a run takes as long as others need to answer, and the next ones are made meanwhile:
// so those are the sequencer's.
func (l *Local) Perform(ctx context.Context, tasks ...*Task) {
	if l.copies {
		l.Enqueue(ctx, tasks...)
		return
	}
	if !l.enqueue(ctx, false, tasks) {
		return
	}
	l.turn <- struct{}{}
	l.told.drain() // of the sequencer's runs: the syncer is to have nothing to do
	r, any := l.makeRun()
	if any {
		l.conclude(&r)
	}
	<-l.turn
	r.answer()
}

// sequence is the sequencer's loop.
func (l *Local) sequence() {
	defer l.done.Done()
	defer close(l.runs)
	for l.queue.wait() {
		l.turn <- struct{}{}
		if r, any := l.makeRun(); any {
			l.runs <- r
		}
		<-l.turn
	}
}

// makeRun carries out the tasks that wait and stages their writes, or reports false if there are none. It is for those who
// have the turn.
func (l *Local) makeRun() (r run, any bool) {
	waiting := l.queue.takeAll()
	if len(waiting) == 0 {
		return run{}, false
	}
	l.told.begun.Add(1)
	tasks := make([]*Task, 0, len(waiting))
	refused := l.to.begin(l.seq)
	for _, t := range waiting {
		if t.take() {
			if t.err = refused; refused == nil {
				l.seq.perform(t)
			}
			tasks = append(tasks, t)
		}
	}
	if refused != nil {
		return run{tasks: tasks, epoch: l.seq.epoch, ts: l.seq.base.ts}, true
	}
	return l.seq.endRun(tasks), true
}

// sync is the syncer's loop: it answers the tasks of the sequencer's runs once those are durable.
func (l *Local) sync() {
	defer l.done.Done()
	for r := range l.runs {
		l.conclude(&r)
		r.answer()
	}
}

// conclude waits until a run is durable, and calls whoever wants to know of that. A run
// without writes passes through too, since it may have read what is not durable
// yet. An error is final for its epoch: what came after may have read what is lost. Runs are concluded in the order they
// were made in.
func (l *Local) conclude(r *run) {
	lost := &l.lost
	lost.begin(r.epoch)
	for i := range r.parts {
		p := &r.parts[i]
		err := p.Wait()
		l.meter.end(p.noted, err == nil)
		lost.add(err)
	}
	if r.proof != nil {
		lost.addProof(r.proof.Wait())
	}
	if r.failed != nil {
		failAll(r.tasks, r.failed)
	}
	if lost.err != nil || lost.from < len(lost.parts) {
		for _, t := range r.tasks {
			t.err = lost.outcome(t)
		}
	}
	for _, a := range r.after {
		if err := lost.of(a.part); err != nil {
			a.tell(err)
		} else {
			a.tell(r.failed)
		}
	}
	l.told.end(r.ts)
}

// answer tells the tasks of a run what has become of them.
func (r *run) answer() {
	for _, t := range r.tasks {
		t.Then(t.err)
	}
}

// failAll reports err to every task of a run. A task that has failed by itself keeps its error.
func failAll(tasks []*Task, err error) {
	for _, t := range tasks {
		if t.err == nil {
			t.err = err
		}
	}
}
