package server

import (
	"errors"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/txn"
)

// errNotServed takes back an attempt that has no reply.
var errNotServed = errors.New("server: there is nothing yet for the call that waits")

// serveWaiters carries out calls that wait for keys that have changed: keys in the order
// in which they changed, for each key those who wait in the order in which they began
// to. What a call changes may concern others; they come after those of keys that
// changed before. It comes to an end because only calls that get their reply change
// anything, and those wait no longer.
func (s *Server) serveWaiters(seq *txn.Seq) {
	t := &s.waiters
	if t.keys.Load() == 0 || t.serving {
		return
	}
	t.serving = true
	defer func() { t.serving = false }()
	for q := t.nextReady(); q != nil; q = t.nextReady() {
		s.serveQueue(seq, q)
	}
}

func (s *Server) serveQueue(seq *txn.Seq, q *queue) {
	look := &lookout{key: q.key}
	for w := s.waiters.step(q, false); w != nil; w = s.waiters.step(q, look.none()) {
		if !look.known || look.fits(w) {
			s.attempt(seq, w, look)
		}
	}
}

// lookout is the key that has changed, on whose account waiters are called.
type lookout struct {
	key   dbKey
	known bool // nothing has been changed since kind was seen
	kind  keyspace.Kind
}

func (l *lookout) none() bool { return l.known && l.kind == keyspace.KindNone }

// fits reports whether the waiter may find something at the key.
func (l *lookout) fits(w *waiter) bool {
	return w.block.Kind == keyspace.KindNone || w.block.Kind == l.kind
}

// attempt carries out a call that waits, in a transaction of its own. Either it gets
// its reply, and its session is told as soon as that is durable; or nothing has
// happened, because there is nothing for it yet, or because the wait has found another
// end meanwhile. look is nil if it is not on account of a key.
func (s *Server) attempt(seq *txn.Seq, w *waiter, look *lookout) {
	began := s.opts.Now()
	err := s.update(seq, &telling{by: w.c}, func(root *keyspace.Space) error {
		if err := s.try(root, w, look); err != nil {
			return err
		}
		if _, mine := s.waiters.decide(w, served); !mine {
			return errNotServed
		}
		return nil
	})
	w.tried += s.opts.Now().Sub(began)
	if look != nil {
		look.known = err != nil
	}
	switch {
	case err == nil:
		w.c.output.owe()
		s.attempted(w)
		seq.AfterAll(w.served)
	case !errors.Is(err, errNotServed):
		s.log.Error("a call that waits could not be carried out", "client", w.c.id, "err", err)
	}
}

// served lets the session tell what has come of its call. If the store has failed nobody is told anything.
func (w *waiter) served(err error) {
	w.lost = errorOf(err)
	if err == nil || w.lost != "" {
		w.wake()
	}
}

// attempted takes down a call that has got its reply in the sequencer.
func (s *Server) attempted(w *waiter) {
	if w.refused == nil {
		s.ended(w, w.out.Bytes(), w.took+w.tried)
		return
	}
	s.stats.rejected(w.call.route, w.refused)
	w.c.logDenied(w.refused.Decision, deniedDirectly, w.call)
}

// try leaves the reply in w.out, or returns an error.
func (s *Server) try(root *keyspace.Space, w *waiter, look *lookout) error {
	root.Mute(keyspace.ClassMiss) // that a key is not there was told when the wait began
	keys := root.DB(w.db)
	w.out.Reset()
	if look != nil {
		kind, err := keys.Kind([]byte(look.key.key))
		if err != nil {
			return err
		}
		look.kind = kind
		if !look.fits(w) {
			return errNotServed
		}
	}
	k := w.call
	if err := permit(w.c.facts.user.Load(), k.route.cmd, k.args); err != nil {
		w.refused = err.(*denied)
		w.out.Error(err.Error())
		return nil
	}
	ctx := &command.Ctx{
		Args: k.args, Cmd: k.route.cmd, Out: &w.out, Keys: keys, Env: s.env.Load(), Caller: w.c, MayBlock: true,
		Untouched: w.c.untouched(k.route.cmd),
	}
	if err := s.table.Run(ctx); err != nil {
		s.commandFailed(w.c, err)
	}
	if ctx.Blocked != nil {
		return errNotServed
	}
	return nil
}
