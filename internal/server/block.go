package server

import (
	"errors"
	"os"
	"sync/atomic"
	"time"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/relay"
	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/txn"
)

// waiter is a call that waits, and its session with it: a blocking call that has found
// nothing, or any call that a pause holds back. The connection's goroutine reads ahead
// meanwhile, so that a client that hangs up is noticed at once; whoever ends the wait
// wakes it by a read deadline.
//
// Until the end is decided, the sequencer may carry out the call at any time. It writes
// to out and not to the session, of which it knows only that it waits.
type waiter struct {
	c        *session
	call     call // with arguments of its own
	db       int
	keys     []dbKey
	block    *command.Block // nil while a pause holds the call back
	deadline time.Time      // zero: never
	silent   bool           // the reply is not to be sent
	took     time.Duration  // by the attempt that found nothing
	begun    bool           // it can be found by those who end waits
	away     *relay.Stream  // on which the leader is asked; nil: it is carried out here

	// Of attempts in the sequencer, which owns them until the call has been served.
	out     resp.Writer   // the reply
	lost    command.Error // what the reply would have told of has come to nothing, or may have; by the time that ready is closed
	refused *denied       // why the reply is an error, if the user may not make the call any more
	tried   time.Duration

	// ready is closed when an outcome that the session has not decided itself may be
	// acted on: when what it tells of is durable.
	ready  chan struct{}
	closed bool // ready is; under facts.mu of the session

	// The rest is under the lock of waiters.
	number uint64 // in order of beginning
	how    outcome
	turns  []*turn
}

// outcome is how a wait ends. It is decided once.
type outcome int

const (
	undecided outcome = iota
	served            // the call was carried out, or the pause is over
	timedOut          // its time is over, or is to be taken for over
	unblocked         // it ends with an error
	deposed           // so does it: others may change the keys now, unseen here
	left              // the client has gone, or has to go: nothing is taken for it any more
)

// parking is what a session that waits shares with those who end waits.
type parking struct {
	waiter atomic.Pointer[waiter] // nil unless it waits
	gone   bool                   // it is being closed: waits end as they begin; under the lock of waiters
}

// block takes down that a call has to wait. The wait begins when its transaction has
// ended, in the sequencer, where nothing can come in between; or if it is not there, with
// park.
func (c *session) block(k call, b *command.Block, took time.Duration) {
	w := &waiter{
		c: c, call: call{args: ownArgs(k.args), route: k.route}, db: c.db, block: b,
		silent: c.mute || c.skip, took: took, ready: make(chan struct{}),
	}
	w.out.SetProto(c.out.Proto())
	if b.Timeout > 0 {
		w.deadline = c.arrived.Add(b.Timeout)
	}
	for _, key := range b.Keys {
		w.keys = append(w.keys, dbKey{c.db, string(key)})
	}
	c.blocked = w
	c.facts.lastCall.Store(k.route.cmd)
}

// beginBlocked begins the wait of a call that has blocked in the sequencer.
func (c *session) beginBlocked() {
	if c.blocked != nil && c.seq != nil && !c.ending {
		c.srv.waiters.begin(c.blocked)
	}
}

// giveUp ends a wait that has begun in a run which has failed.
func (c *session) giveUp() {
	if c.blocked != nil && c.blocked.begun {
		c.srv.waiters.decide(c.blocked, left)
	}
	c.blocked = nil
}

// park waits until the call that has blocked has an end, and answers it. It returns
// the calls behind it, which move out of the buffer that is read into meanwhile.
func (c *session) park(calls [][][]byte) [][][]byte {
	w := c.blocked
	c.blocked = nil
	if len(w.keys) > 0 && !w.begun && c.forwards() {
		mark, silent := c.out.Len(), w.silent
		if w = c.waitAway(w.call); w == nil {
			if silent {
				c.out.Truncate(mark)
			}
			return calls
		}
		w.silent = silent
	}
	if err := c.beginWait(w); err != nil {
		if told := c.toldOf(err, w.call); told != "" {
			if w.begun {
				c.srv.waiters.decide(w, left)
			}
			c.parking.waiter.Store(nil)
			c.output.settle()
			c.holding = true
			c.out.Error(told.Error())
			return calls
		}
		c.ending = true
		c.srv.storeFailed(err)
		return nil
	}
	calls = ownCalls(calls)
	c.facts.lastTime.Store(c.clock.UnixNano())
	c.flush()
	stop := func() {}
	if w.block.Start != nil {
		stop = w.block.Start(func() { c.srv.waiters.expire(w) })
	}
	answered := func(outcome) {}
	if w.away != nil {
		answered = c.askAway(w)
	}
	how := c.await(w)
	stop()
	answered(how)
	c.clock = c.srv.opts.Now()
	c.arrived = c.clock
	c.answer(w, how)
	return calls
}

// beginWait begins a wait that has not begun in the sequencer. A call that waits for
// keys has looked at a snapshot; what has changed since is seen by carrying it out
// again, in the sequencer.
func (c *session) beginWait(w *waiter) error {
	switch {
	case w.begun:
		return nil
	case len(w.keys) == 0:
		c.srv.waiters.begin(w)
		return nil
	}
	return c.srv.db.Sequence(c.srv.ctx, func(seq *txn.Seq) {
		c.srv.waiters.begin(w)
		c.srv.attempt(seq, w, nil)
	})
}

// await reads ahead until the wait has an end, and returns which.
func (c *session) await(w *waiter) outcome {
	c.setAlarm(w)
	err := c.in.ReadAhead(c.aheadMost())
	if errors.Is(err, resp.ErrBacklog) {
		c.srv.log.Warn("client closed: what it sends while it waits is over the limit", "client", c.id, "addr", c.remote)
	}
	how, mine := c.srv.waiters.decide(w, c.reason(err))
	if !mine && how != left {
		select {
		case <-w.ready:
		case <-c.srv.ctx.Done(): // what was done for it will never be durable
			how = left
		}
	}
	c.parking.waiter.Store(nil)
	c.timed = true // or so it may be: the next read begins without a deadline
	return how
}

// aheadMost is how many bytes a client may send while it waits. One that has not logged in
// can wait for the end of a pause.
func (c *session) aheadMost() int {
	if !c.authed {
		return resp.UnauthenticatedLimits.MaxCommand
	}
	return int(c.srv.cfg.Load().queryLimit)
}

// setAlarm sets the time at which the session wakes up by itself, unless somebody has
// woken it already.
func (c *session) setAlarm(w *waiter) {
	c.facts.mu.Lock()
	defer c.facts.mu.Unlock()
	if !w.closed && !c.facts.mu.interrupted {
		_ = c.conn.SetReadDeadline(w.deadline)
	}
}

// wake lets the session act on an outcome that others have decided.
func (w *waiter) wake() {
	f := &w.c.facts
	f.mu.Lock()
	defer f.mu.Unlock()
	w.closed = true
	_ = w.c.conn.SetReadDeadline(time.Unix(1, 0))
	close(w.ready)
}

// reason is how a wait ends if nobody has ended it before reading ahead has failed.
func (c *session) reason(err error) outcome {
	c.facts.mu.Lock()
	defer c.facts.mu.Unlock()
	if errors.Is(err, os.ErrDeadlineExceeded) && !c.facts.mu.interrupted {
		return timedOut
	}
	return left
}

// answer gives a call that has waited its reply.
func (c *session) answer(w *waiter, how outcome) {
	c.holding = true
	c.output.settle()
	mark := c.out.Len()
	switch how {
	case served:
		if w.lost != "" {
			c.out.Error(w.lost.Error())
		} else {
			c.out.Raw(w.out.Bytes())
		}
	case timedOut:
		w.block.Expired(&c.out)
	case unblocked:
		c.out.Error(errUnblocked.Error())
	case deposed:
		c.out.Error(errDeposed.Error())
	case undecided, left:
		c.ending = true
		return
	}
	if how != served { // else the sequencer has taken it down
		c.srv.ended(w, c.out.Bytes()[mark:], w.took)
	}
	if w.silent {
		c.out.Truncate(mark)
	}
}

// ended takes down a call that has waited and has got its reply.
func (s *Server) ended(w *waiter, reply []byte, took time.Duration) {
	s.stats.ran(w.call.route, took, reply)
	s.logSlow(w.c, w.call, took)
}

// ownCalls copies calls out of the buffer that they were read into.
func ownCalls(calls [][][]byte) [][][]byte {
	if len(calls) == 0 {
		return nil
	}
	out := make([][][]byte, len(calls))
	for i, args := range calls {
		out[i] = ownArgs(args)
	}
	return out
}

func ownArgs(args [][]byte) [][]byte {
	size := 0
	for _, a := range args {
		size += len(a)
	}
	return copyArgs(args, size)
}
