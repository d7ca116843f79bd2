package server

import (
	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/tracking"
)

// tracks is what a session knows of its own tracking, so that most need not ask the table.
type tracks struct {
	on     bool // of what it reads
	optIn  bool
	optOut bool
	// caching says that CLIENT CACHING has pointed out the next command, or transaction.
	caching bool
	// script is the keys that scripts have declared whose transaction is on a snapshot, as
	// long as they have called nothing that reads.
	script [][]byte
}

// counts reports whether what the client reads now counts as read.
func (t *tracks) counts() bool {
	return t.on && (!t.optIn || t.caching) && (!t.optOut || !t.caching)
}

// after ends CLIENT CACHING behind the command that it was for.
func (t *tracks) after(c *session, k call) {
	if t.caching && !c.multi.on && (k.route == nil || !k.route.cmd.IsSubOf("client")) {
		t.caching = false
	}
}

// trackedKeys returns the keys that a call reads and that its client may keep.
func trackedKeys(k call) [][]byte {
	if !k.route.cmd.Has(command.ReadOnly) || k.route.scripted {
		return nil
	}
	return keysOf(k)
}

// keysOf returns the keys that a call names.
func keysOf(k call) [][]byte {
	var keys [][]byte
	for _, at := range k.route.cmd.KeyPositions(k.args) {
		keys = append(keys, k.args[at])
	}
	return keys
}

// rememberReads notes what calls are going to read on a snapshot, before that is taken: of a change
// that is not in it the client is told for sure.
func (c *session) rememberReads(calls ...call) {
	if !c.tracking.counts() || c.seq != nil {
		return
	}
	var keys, declared [][]byte
	for _, k := range calls {
		keys = append(keys, trackedKeys(k)...)
		if k.route.scripted {
			declared = append(declared, keysOf(k)...)
		}
	}
	c.remember(tracking.Durable, keys)
	for _, key := range declared {
		if !c.srv.tracking.Knows(tracking.ID(c.id), key) {
			c.tracking.script = append(c.tracking.script, key)
		}
	}
	c.remember(tracking.Durable, declared)
}

// forgetScripts takes back what scripts have declared that have not read anything.
func (c *session) forgetScripts() {
	if len(c.tracking.script) > 0 {
		c.srv.tracking.Forget(tracking.ID(c.id), c.tracking.script...)
		c.tracking.script = nil
	}
}

// rememberReadsInOrder notes what a call is going to read inside the sequencer, where it sees all
// changes that were made before.
func (c *session) rememberReadsInOrder(k call) {
	if !c.tracking.counts() || c.seq == nil || c.tx == nil {
		return
	}
	if keys := trackedKeys(k); len(keys) > 0 {
		c.telling.collect(c.srv.tracking, c.tx.Changes())
		c.remember(tracking.Latest, keys)
	}
}

func (c *session) remember(v tracking.View, keys [][]byte) {
	if len(keys) > 0 {
		c.srv.sendInvalidations(c.srv.tracking.Remember(tracking.ID(c.id), v, keys...))
	}
}

// rememberScript notes that the script which is being carried out has called something that reads:
// all keys that it has declared count as read then.
func (c *session) rememberScript() {
	c.tracking.script = nil // noted before the snapshot was taken
	if c.tracking.counts() && c.seq != nil && c.tx != nil {
		c.telling.collect(c.srv.tracking, c.tx.Changes())
		c.remember(tracking.Latest, keysOf(c.running))
	}
}

// stopTracking ends the tracking of the session.
func (c *session) stopTracking() {
	c.srv.tracking.Disable(tracking.ID(c.id))
	c.tracking = tracks{}
}

// sendInvalidations tells clients to forget keys.
func (s *Server) sendInvalidations(all []tracking.Notice) {
	for _, n := range all {
		var m invalidation
		m.keys = n.Keys
		for _, to := range n.To {
			s.invalidate(&m, to)
		}
	}
}

// invalidation is a message to forget keys, in the forms that have been asked for so far.
type invalidation struct {
	keys    [][]byte // nil: all
	push    []byte   // in protocol 3
	message []byte   // on a channel, in protocol 2
}

// invalidateChannel is the channel on which a client in protocol 2 hears what others have to forget.
const invalidateChannel = "__redis__:invalidate"

// invalidate tells one client, or another in its place, to forget keys. Who cannot be told in
// its protocol is not told.
func (s *Server) invalidate(m *invalidation, to tracking.Target) {
	c := s.sessions.find(int64(to.ID))
	if c == nil {
		return
	}
	if to.Redirect != 0 {
		other := s.sessions.find(int64(to.Redirect))
		if other == nil {
			s.tracking.Break(to.ID)
			c.tellBroken(int64(to.Redirect))
			return
		}
		c = other
	}
	switch {
	case c.facts.proto.Load() == 3:
		c.push(m.asPush())
	case to.Redirect != 0 && c.facts.subscribed.Load():
		c.push(m.asMessage())
	}
}

// tellBroken tells a client that whom it has redirected invalidations to is gone.
func (c *session) tellBroken(id int64) {
	if c.facts.proto.Load() != 3 {
		return
	}
	var w resp.Writer
	w.SetProto(3)
	w.Push(2)
	w.BulkString("tracking-redir-broken")
	w.Int(id)
	c.push(w.Bytes())
}

func (m *invalidation) asPush() []byte {
	if m.push == nil {
		var w resp.Writer
		w.SetProto(3)
		w.Push(2)
		w.BulkString("invalidate")
		m.write(&w)
		m.push = w.Bytes()
	}
	return m.push
}

func (m *invalidation) asMessage() []byte {
	if m.message == nil {
		var w resp.Writer
		w.Array(3)
		w.BulkString("message")
		w.BulkString(invalidateChannel)
		m.write(&w)
		m.message = w.Bytes()
	}
	return m.message
}

func (m *invalidation) write(w *resp.Writer) {
	if m.keys == nil {
		w.Null()
		return
	}
	w.Array(len(m.keys))
	for _, k := range m.keys {
		w.Bulk(k)
	}
}
