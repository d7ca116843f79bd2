package server

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elastickv/elastickv/internal/command"
)

// heldByWritePause reports whether a pause of writes holds back a call.
func (c *session) heldByWritePause(k call) bool {
	return c.changes(k) || !k.route.scripted && k.route.cmd.Has(command.MayReplicate)
}

// pauses hold back commands for a time that CLIENT PAUSE has set.
type pauses struct {
	active atomic.Bool

	mu    sync.Mutex
	until time.Time
	all   bool      // every command, not only those that write
	held  []*waiter // sessions that wait for the end
}

// begin starts a pause. One that is in force can be made longer and stricter,
// but not shorter or weaker.
func (p *pauses) begin(now, until time.Time, all bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.active.Load() && now.Before(p.until) {
		all = all || p.all
		if until.Before(p.until) {
			until = p.until
		}
	}
	p.until, p.all = until, all
	p.active.Store(true)
}

// end ends the pause and returns those who wait for that.
func (p *pauses) end() []*waiter {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.active.Store(false)
	held := p.held
	p.held = nil
	return held
}

// holds returns for how long a command has to wait.
func (p *pauses) holds(now time.Time, writes bool) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.active.Load() {
		return 0
	}
	left := p.until.Sub(now)
	if left <= 0 {
		p.active.Store(false) // who waits has a deadline
		return 0
	}
	if !p.all && !writes {
		return 0
	}
	return left
}

// join adds one who waits, and reports false if there is no pause any more.
func (p *pauses) join(w *waiter) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.active.Load() {
		p.held = append(p.held, w)
	}
	return p.active.Load()
}

func (p *pauses) leave(w *waiter) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if i := slices.Index(p.held, w); i >= 0 {
		p.held = slices.Delete(p.held, i, i+1)
	}
}

// endPause lets everybody go on.
func (s *Server) endPause() {
	for _, w := range s.pauses.end() {
		if _, mine := s.waiters.decide(w, served); mine {
			w.wake()
		}
	}
}

// paused reports whether a call has to wait for the end of a pause.
func (c *session) paused(k call) bool {
	return c.srv.pauses.active.Load() && c.srv.pauses.holds(c.srv.opts.Now(), c.wouldWrite(k)) > 0
}

// waitForPause waits until no pause holds the first of the calls back. It returns
// the calls, which may have moved.
func (c *session) waitForPause(calls [][][]byte) [][][]byte {
	waited := false
	for c.srv.pauses.active.Load() && !c.srv.stopping() && !c.ending {
		now := c.srv.opts.Now()
		k := c.find(calls[0])
		d := c.srv.pauses.holds(now, c.wouldWrite(k))
		if d <= 0 {
			break
		}
		if k.route != nil {
			c.facts.lastCall.Store(k.route.cmd)
		}
		if !waited {
			waited = true
			calls = ownCalls(calls)
			c.flush() // what has been answered is not held back
		}
		c.waitUntil(now.Add(d))
	}
	if waited {
		c.clock = c.srv.opts.Now()
		c.arrived = c.clock
	}
	return calls
}

// waitUntil waits until the pause has been ended, or for a time.
func (c *session) waitUntil(t time.Time) {
	w := &waiter{c: c, deadline: t, ready: make(chan struct{})}
	c.srv.waiters.begin(w)
	if !c.srv.pauses.join(w) {
		c.srv.waiters.decide(w, served)
		c.parking.waiter.Store(nil)
		return
	}
	if c.await(w) == left {
		c.ending = true
	}
	c.srv.pauses.leave(w)
}

// wouldWrite reports whether a pause of writes holds a call back: a queued command is
// only queued.
func (c *session) wouldWrite(k call) bool {
	switch {
	case k.route == nil || c.refusal(k) != nil || c.multi.on && !k.route.atOnce:
		return false
	case k.route.exec:
		return c.multi.pauses && !c.multi.aborted
	}
	return c.heldByWritePause(k)
}
