package server

import (
	"bytes"
	"context"
	"net"

	"github.com/elastickv/elastickv/internal/command"
)

// AddCommands gives a server that does not serve yet more commands.
func AddCommands(s *Server, more ...*command.Command) {
	s.table = command.NewTable(command.Rows(), append(rows(), more...))
	for _, c := range more {
		s.routes[c] = newRoute(c)
		s.named[c.Name] = s.routes[c]
	}
}

// LimitReplies makes n bytes the most that a command may answer.
func LimitReplies(s *Server, n int) {
	env := *s.env.Load()
	env.MaxReply = n
	s.env.Store(&env)
}

// CloseCaller closes the connection that a call comes from, as CLIENT KILL does.
func CloseCaller(c *command.Ctx) { callerOf(c).close() }

// SecureListener makes clients of a listener speak TLS.
func SecureListener(ln net.Listener) net.Listener {
	return &listener{Listener: ln, at: endpoint{secure: true}}
}

// WatchCertificate warns of the end of the certificate until ctx ends.
func WatchCertificate(ctx context.Context, s *Server) { s.certificateLoop(ctx) }

// Lingers reports whether a call on a connection without subscriptions is left to a goroutine, which commands of other
// connections that come behind it may overtake.
func Lingers(s *Server, words ...string) bool {
	near, far := net.Pipe()
	defer near.Close()
	defer far.Close()
	c := newSession(s, near)
	args := make([][]byte, len(words))
	for i, w := range words {
		args[i] = []byte(w)
	}
	next := c.find(args)
	return c.place(&next) == outside
}

// PrepareUnits has a loop prepare what some units look up. Each is the calls of one session, which are lines of words, and its database.
func PrepareUnits(s *Server, units ...Unit) {
	l := &loop{srv: s}
	for _, u := range units {
		near, far := net.Pipe()
		defer near.Close()
		defer far.Close()
		c := newSession(s, near)
		c.db = u.DB
		var calls [][][]byte
		for _, line := range u.Calls {
			calls = append(calls, bytes.Fields([]byte(line)))
		}
		c.unit.prepare(c.find(calls[0]), calls, 0)
		l.units = append(l.units, c)
	}
	l.lookAhead()
}

// Unit is what PrepareUnits takes.
type Unit struct {
	DB    int
	Calls []string
}
