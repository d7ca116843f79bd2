package server

import (
	"context"
	"errors"
	"time"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/tracking"
	"github.com/elastickv/elastickv/internal/txn"
)

// shared reports whether several machines keep the data, so that reads may have to wait for others.
func (s *Server) shared() bool { return s.opts.Cluster != nil }

// leads reports whether updates are made here, and so what is read can be said to have changed.
func (s *Server) leads() bool {
	if !s.shared() {
		return true
	}
	leading, _ := s.opts.Cluster.Lead()
	return leading
}

// leadLoop sees to it that nobody goes on waiting for what this node will not hear of when another leads.
func (s *Server) leadLoop(ctx context.Context) {
	led := false
	for {
		leading, changed := s.opts.Cluster.Lead()
		s.following.Store(!leading)
		if led && !leading {
			s.leadLost()
		}
		led = leading
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

// clusterLoop finds out, time and again, what nobody who needs it is to wait for: which nodes are heard of, and
// that what this one has, if it follows, is not old.
func (s *Server) clusterLoop(ctx context.Context) {
	for {
		enough := s.cfg.Load().maxStaleness() / 4
		t := time.NewTimer(enough)
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
		s.countReplicas()
		s.closeLinks(s.unneeded)
		if s.following.Load() {
			_ = s.db.ViewStale(ctx, enough, func(*txn.Tx) error { return nil }) // if it is not to be known, clients are told
		}
	}
}

// leadLost ends waits, has watched keys count as changed, and clients forget what they have read.
func (s *Server) leadLost() {
	for _, c := range s.sessions.all() {
		c.unblock(deposed)
	}
	s.watches.touchAll()
	var due tracking.Due
	s.tracking.Collect(&due, 0, tracking.Change{})
	read, broadcast := s.tracking.Settle(&due)
	s.sendInvalidations(read)
	s.sendInvalidations(broadcast)
}

// touchAll marks every session that watches anything.
func (w *watches) touchAll() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, all := range w.byKey {
		for c := range all {
			c.dirty.Store(true)
		}
	}
}

// errorOf is what a client is told of an error of the DB that leaves everything in order; "" if it is none.
func errorOf(err error) command.Error {
	switch {
	case errors.Is(err, txn.ErrUnknown):
		return errOutcomeUnknown
	case errors.Is(err, txn.ErrNotLeader):
		return errNotLeader
	case errors.Is(err, txn.ErrNotCommitted):
		return errNotCommitted
	case errors.Is(err, txn.ErrNoMajority):
		return errNoMajority
	}
	return ""
}

// unitLost answers a unit that has come to nothing, or may have.
func (c *session) unitLost(told command.Error, first call, calls [][][]byte, done int) [][][]byte {
	if c.blocked != nil {
		c.giveUp()
		c.output.settle() // somebody may have served it, in the same run
		c.holding = true
	}
	switch {
	case done == 0:
		c.step(call{args: first.args, err: told})
		return calls[1:]
	case c.guest: // nothing of what it has done is about the session
		for range done {
			c.out.Error(told.Error())
		}
		return calls[done:]
	case !c.mute && !c.skip:
		c.out.Error(told.Error())
	}
	if done > 1 {
		c.ending = true // what they have done to the session may be what their replies would have told
		return nil
	}
	return calls[1:]
}
