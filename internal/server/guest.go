package server

import (
	"net"
	"time"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/relay"
)

// A guest is the session that the leader has of a client of another node. It counts as a client, and is shown as one, with the
// address of the client at that node. It asks nobody else: who does not lead any more says that nothing has happened.

// ServeNode carries out what another node asks for its clients, until the connection ends.
func (s *Server) ServeNode(conn net.Conn) {
	at := textAddr(conn.LocalAddr().String())
	err := relay.Serve(conn, s.relayOptions(), func(in *relay.Incoming) { s.serveGuest(in, at) })
	s.log.Debug("a node asks no longer for its clients", "err", err)
}

// guestConn is the stream of a guest as a connection, on which no bytes arrive: requests are received.
type guestConn struct {
	*relay.Incoming
	remote, local textAddr
}

type textAddr string

func (a textAddr) Network() string { return "cluster" }
func (a textAddr) String() string  { return string(a) }

func (g guestConn) LocalAddr() net.Addr  { return g.local }
func (g guestConn) RemoteAddr() net.Addr { return g.remote }

func (g guestConn) SetDeadline(t time.Time) error { return g.SetReadDeadline(t) }

// SetWriteDeadline implements net.Conn. How long the other node may take nothing is the same for all its clients.
func (g guestConn) SetWriteDeadline(time.Time) error { return nil }

// serveGuest is the life of a guest.
func (s *Server) serveGuest(in *relay.Incoming, at textAddr) {
	m, err := in.Receive()
	if err != nil {
		return
	}
	r, err := parseRequest(m)
	if err != nil {
		s.log.Error("another node asks for what this one does not understand", "err", err)
		return
	}
	c := newSession(s, guestConn{in, textAddr(r.addr), at})
	c.guest = true
	if told := s.letIn(c); told != "" {
		_ = in.Answer(appendAnswerEnd([]byte(told), 0, refused))
		return
	}
	defer s.sessions.remove(c)
	defer c.end()
	in.SetNudged(func(which byte) {
		if how, ok := nudged(which); ok {
			c.unblock(how)
		}
	})
	for c.host(r, in) {
		if err := c.awaitMore(); err != nil {
			return
		}
		if m, err = in.Receive(); err != nil {
			return
		}
		if r, err = parseRequest(m); err != nil {
			return
		}
	}
}

// letIn counts a guest among the clients, or says why not.
func (s *Server) letIn(c *session) command.Error {
	s.listeners.mu.Lock()
	defer s.listeners.mu.Unlock()
	switch {
	case s.listeners.shut: // nobody comes in while the last ones go
		return errNotCommitted
	case int64(s.sessions.count()) >= s.cfg.Load().maxClients:
		s.stats.refused.Add(1)
		return errMaxClients
	}
	s.sessions.add(c)
	return ""
}

// host carries out a request and answers it. It reports false if the guest has to go, with no answer.
func (c *session) host(r *request, in *relay.Incoming) bool {
	u := c.srv.users.Get(r.user)
	if u == nil || !u.Enabled() {
		return in.Answer(appendAnswerEnd([]byte(errUnknownGuest(r.user).Error()), 0, refused)) == nil
	}
	for _, body := range r.scripts {
		_ = c.srv.scripts.engine.Remember(body) // one that is none cannot be called either
	}
	if !r.lastWord && c.lacksScript(r.calls) {
		return in.Answer(appendAnswerEnd(nil, 0, lacking)) == nil
	}
	c.setUser(u)
	if !c.authed {
		c.setAuthed(true)
	}
	if c.srv.users.Get(r.user) != u {
		return false // removed meanwhile, by somebody who did not find this session yet
	}
	c.setDB(r.db)
	c.setProto(r.proto)
	c.facts.noTouch.Store(r.noTouch)
	c.begin()
	carried := c.carryOutFor(r)
	if c.over() {
		return false
	}
	c.facts.lastTime.Store(c.clock.UnixNano())
	c.flush()
	return !c.over() && in.Answer(appendAnswerEnd(nil, carried, carriedOut)) == nil
}

// lacksScript reports whether a call names a script by its digest that is not known here.
func (c *session) lacksScript(calls [][][]byte) bool {
	for _, args := range calls {
		k := c.find(args)
		if k.route == nil || !k.route.byDigest {
			continue
		}
		if _, ok := c.srv.scripts.engine.Script(args[1]); !ok {
			return true
		}
	}
	return false
}

var multiArgs, execArgs = [][]byte{[]byte("multi")}, [][]byte{[]byte("exec")}

// carryOutFor carries out the calls of a request, and returns how many.
func (c *session) carryOutFor(r *request) int {
	if !r.transaction {
		return len(r.calls) - len(c.carryOn(r.calls))
	}
	c.mute = true
	c.carryOn(append([][][]byte{multiArgs}, r.calls...))
	c.mute = false
	c.carryOn([][][]byte{execArgs})
	return 1
}
