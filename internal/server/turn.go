package server

import (
	"errors"
	"runtime"
	"sync/atomic"

	"github.com/elastickv/elastickv/internal/netpoll"
	"github.com/elastickv/elastickv/internal/txn"
)

// A session whose connection is watched has no goroutine while it rests, nor while the
// sequencer carries out commands for it or they become durable. It belongs to one after the other of:
// nobody, at rest; its loop, for a turn; the sequencer and then the syncer, for a unit; and a
// goroutine of its own, for whatever takes long or has to wait, in the ways of serve. Whoever has it
// hands it on as the last thing they do with it.

// quickReply is the length of replies, in bytes, that are not worth a goroutine.
const quickReply = 64 << 10

// receipt is what was read for a turn that is to be taken. Its zero value is none.
type receipt struct {
	read  bool
	calls [][][]byte
	err   error
}

// receive reads what has arrived ahead of the turn.
func (c *session) receive() {
	calls, err := c.next()
	c.received = receipt{read: true, calls: calls, err: err}
}

// arrivals returns what receive has read, or else reads.
func (c *session) arrivals() ([][][]byte, error) {
	if r := c.received; r.read {
		c.received = receipt{}
		return r.calls, r.err
	}
	return c.next()
}

// turn carries out what has arrived, until nothing is left or the session is handed on. It waits for nothing. What a loop carries
// out by itself it answers later on: see loop.answer.
func (c *session) turn(l *loop) {
	for {
		calls, err := c.arrivals()
		switch {
		case errors.Is(err, netpoll.ErrWouldBlock):
			if c.polled.Rest() {
				return
			}
		case err != nil:
			c.readFailed(err)
			go c.finish()
			return
		default:
			c.begin()
			if !c.proceed(l, calls) {
				return
			}
		}
	}
}

// proceed carries out calls, and reports false if it has handed the session on.
func (c *session) proceed(l *loop, calls [][][]byte) bool {
	for len(calls) > 0 && !c.over() {
		if c.srv.pauses.active.Load() {
			go c.proceedSlowly(calls)
			return false
		}
		next := c.find(calls[0])
		switch c.place(&next) {
		case inSequencer:
			c.hold()
			c.unit.prepare(next, calls, c.out.Len())
			c.srv.submit(l, c)
			return false
		case anywhere:
			if l != nil && next.route != nil && next.route.keyed && c.srv.loops.cold(c.clock, c.srv.db.ReadWaits()) || c.srv.shared() && next.reads() {
				break
			}
			c.hold()
			if calls = c.quickly(next, calls); !c.slow() {
				continue
			}
		case outside, atLeader:
		}
		go c.proceedSlowly(calls)
		return false
	}
	if l != nil {
		l.replies = append(l.replies, c)
		return false
	}
	return c.answered()
}

// reads reports whether the call looks at a snapshot, for which it may have to wait.
func (k *call) reads() bool { return k.route != nil && (k.route.keyed || k.route.exec) }

// slow reports whether what is to be done next may take time.
func (c *session) slow() bool {
	return c.blocked != nil || len(c.overdue) > 0 || c.out.Len() > quickReply
}

// answered ends a batch of calls. It reports false if it was the last.
func (c *session) answered() bool {
	c.facts.lastTime.Store(c.clock.UnixNano())
	c.flush()
	if c.ending {
		go c.finish()
		return false
	}
	return true
}

// proceedSlowly is proceed for a goroutine of its own, which may wait. Then the turn goes on.
func (c *session) proceedSlowly(calls [][][]byte) {
	growStack()
	c.waits = true
	if len(c.overdue) > 0 {
		c.removeOverdue()
	}
	c.carryOn(calls)
	c.waits = false
	if c.answered() {
		c.turn(nil)
	}
}

// growStack gives a goroutine the stack that a read of the engine needs, while there is little on it. Otherwise
// it is copied three or four times, each time with more frames, which takes as long as the read of a dozen rows.
//
//go:noinline
func growStack() {
	var room [12 << 10]byte
	runtime.KeepAlive(&room)
}

// unitEnded goes on when a unit is durable, or has failed.
func (c *session) unitEnded(err error) {
	calls := c.endUnit(err)
	switch {
	case len(calls) > 0 && !c.over() || c.slow() && !c.ending:
		go c.proceedSlowly(calls)
	case !c.answered():
	case c.in.Buffered() || !c.polled.Rest():
		go c.turn(nil)
	}
}

// finish ends a session that has no goroutine of its own.
func (c *session) finish() {
	defer c.srv.sessions.remove(c)
	c.end()
}

// unit is what the sequencer carries out for a session in one go: a call that has to run there, and
// all those behind it that may.
type unit struct {
	first call
	calls [][][]byte // that wait, first included
	done  int        // how many of them have been carried out
	from  int        // length of the replies before it

	queued txn.Task // for a session without a goroutine
}

func (u *unit) prepare(first call, calls [][][]byte, from int) {
	u.first, u.calls, u.done, u.from = first, calls, 0, from
}

// task returns the task that carries out the unit and then goes on.
func (u *unit) task(c *session) *txn.Task {
	if u.queued.Run == nil {
		u.queued.Run, u.queued.Then = c.runUnit, c.unitEnded
	}
	return &u.queued
}

// source is where a session reads from. It counts the bytes.
type source struct {
	c     *session
	total *atomic.Int64
}

func (r *source) Read(b []byte) (n int, err error) {
	if r.c.polled == nil || r.c.waits {
		n, err = r.c.conn.Read(b)
	} else {
		n, err = r.c.polled.ReadNow(b)
	}
	r.total.Add(int64(n))
	r.c.facts.received.Add(int64(n))
	return n, err
}
