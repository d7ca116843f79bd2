package server

import (
	"time"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/eviction"
)

// errOutOfMemory refuses commands that could make the dataset larger.
const errOutOfMemory = command.Error("OOM command not allowed when used memory > 'maxmemory'.")

// refusalByMemory is why a call cannot be carried out for want of room. Inside the sequencer keys are
// evicted first; elsewhere it is what came of that last.
func (c *session) refusalByMemory(k call) error {
	cfg := c.srv.cfg.Load()
	if cfg.maxMemory == 0 {
		c.full = false
		return nil
	}
	if c.seq != nil {
		c.full = c.srv.makeRoom(c.seq)
	} else {
		nothing := eviction.PolicyNamed(cfg.policy).Order == eviction.Nothing
		c.full = c.srv.overLimit(cfg) && (nothing || c.srv.room.full.Load())
	}
	if c.full && c.needsRoom(k) {
		return errOutOfMemory
	}
	return nil
}

// needsRoom reports whether a call may make the dataset larger, or the commands that are queued.
func (c *session) needsRoom(k call) bool {
	switch {
	case c.grows(k):
		return true
	case k.route.exec:
		return c.multi.grows
	}
	return c.multi.on && !k.route.leaves
}

// grows reports whether a call by itself may make the dataset larger.
func (c *session) grows(k call) bool {
	return k.route.cmd.Has(command.DenyOOM) || k.route.scripted && c.srv.scripts.engine.NeedsRoom(k.route.cmd, k.args)
}

// OutOfMemory implements script.Host.
func (c *session) OutOfMemory() bool { return c.full }

// measurePatience is how long CONFIG SET waits for the dataset to be counted, so that what follows it
// finds the limit in force unless there is much to count.
const measurePatience = time.Second

// settled waits until the dataset has been counted after CONFIG SET, and begins to evict, if the session
// can wait: inside the sequencer the loop does both.
func (c *session) settled(ready <-chan struct{}) {
	if c.seq != nil {
		return
	}
	defer func() {
		if c.srv.overLimit(c.srv.cfg.Load()) {
			c.srv.makeRoomOnce(c.srv.scripts.calm.Load().ctx)
		}
	}()
	t := time.NewTimer(measurePatience)
	defer t.Stop()
	select {
	case <-ready:
	case <-t.C:
	case <-c.srv.ctx.Done():
	}
}
