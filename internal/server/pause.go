package server

import (
	"sync"
	"sync/atomic"
	"time"
)

// pauses hold back commands for a time that CLIENT PAUSE has set.
type pauses struct {
	active atomic.Bool

	mu    sync.Mutex
	until time.Time
	all   bool // every command, not only those that write
	over  chan struct{}
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
	if p.over == nil {
		p.over = make(chan struct{})
	}
	p.until, p.all = until, all
	p.active.Store(true)
}

func (p *pauses) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.endLocked()
}

func (p *pauses) endLocked() {
	p.active.Store(false)
	if p.over != nil {
		close(p.over)
		p.over = nil
	}
}

// holds returns for how long a command has to wait, and a channel that is
// closed if the pause ends before.
func (p *pauses) holds(now time.Time, writes bool) (time.Duration, <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.active.Load() {
		return 0, nil
	}
	left := p.until.Sub(now)
	if left <= 0 {
		p.endLocked()
		return 0, nil
	}
	if !p.all && !writes {
		return 0, nil
	}
	return left, p.over
}

// paused reports whether a call has to wait for the end of a pause.
func (c *session) paused(k call) bool {
	if !c.srv.pauses.active.Load() {
		return false
	}
	d, _ := c.srv.pauses.holds(c.srv.opts.Now(), c.wouldWrite(k))
	return d > 0
}

// waitForPause waits until no pause holds the call back.
func (c *session) waitForPause(k call) {
	if !c.srv.pauses.active.Load() {
		return
	}
	for c.srv.pauses.active.Load() && !c.srv.stopping() {
		d, over := c.srv.pauses.holds(c.srv.opts.Now(), c.wouldWrite(k))
		if d <= 0 {
			return
		}
		c.flush() // what has been answered is not held back
		t := time.NewTimer(d)
		select {
		case <-t.C:
		case <-over:
		case <-c.srv.stop:
		}
		t.Stop()
	}
	c.clock = c.srv.opts.Now()
}

// wouldWrite reports whether a call changes keys: a queued command does not.
func (c *session) wouldWrite(k call) bool {
	switch {
	case k.route == nil || c.refusal(k) != nil || c.multi.on && !k.route.atOnce:
		return false
	case k.route.exec:
		return c.multi.writes && !c.multi.aborted
	}
	return c.changes(k)
}
