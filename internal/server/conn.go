package server

import (
	"errors"
	"io"
	"net"
	"os"
	"time"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/txn"
)

// pipelineMost is how many commands are taken off the wire at once.
const pipelineMost = 4096

// lastWords is how long a client whose connection ends may take for the replies
// that it has coming.
const lastWords = 5 * time.Second

// serve is the life of a connection that has a goroutine of its own.
func (c *session) serve() {
	defer c.end()
	if !c.welcome() {
		return
	}
	for !c.ending {
		calls, err := c.next()
		if err != nil {
			c.readFailed(err)
			return
		}
		c.begin()
		c.carryOn(calls)
		c.facts.lastTime.Store(c.clock.UnixNano())
		c.flush()
	}
}

// welcome does what comes before the first command, and reports whether there may be any.
func (c *session) welcome() bool {
	if !c.handshake() {
		return false
	}
	if why := c.srv.stranger(c.conn); why != "" {
		c.srv.stats.refused.Add(1)
		c.out.Error(string(why))
		c.flush()
		return false
	}
	return true
}

// next returns the calls that have arrived together.
func (c *session) next() ([][][]byte, error) {
	most := pipelineMost
	if !c.authed {
		most = 1 // AUTH changes the limits for what follows it
	}
	if err := c.awaitMore(); err != nil {
		return nil, err
	}
	if err := c.in.Next(&c.batch, most); err != nil {
		return nil, err
	}
	c.srv.stats.reads.Add(1)
	return c.batch.Commands, nil
}

// awaitMore sets the time until which the next command has to arrive.
func (c *session) awaitMore() error {
	idle := c.srv.cfg.Load().timeout
	c.facts.mu.Lock()
	defer c.facts.mu.Unlock()
	if c.facts.mu.interrupted {
		return net.ErrClosed
	}
	switch {
	case idle > 0 && !c.facts.subscribed.Load() && !c.facts.monitors.Load():
		c.timed = true
		return c.conn.SetReadDeadline(c.srv.opts.Now().Add(seconds(idle)))
	case c.timed:
		c.timed = false
		return c.conn.SetReadDeadline(time.Time{})
	}
	return nil
}

// interrupt ends the session once it has answered what it is doing.
func (c *session) interrupt() {
	c.facts.mu.Lock()
	defer c.facts.mu.Unlock()
	c.facts.mu.interrupted = true
	_ = c.conn.SetReadDeadline(time.Unix(1, 0))
}

// close ends the connection from any goroutine.
func (c *session) close() {
	c.facts.closed.Store(true)
	c.srv.waiters.leave(c)
	_ = c.conn.Close()
}

// readFailed answers what can be answered: only bytes that are no commands.
func (c *session) readFailed(err error) {
	var bad resp.ProtocolError
	switch {
	case errors.As(err, &bad):
		reply := errProtocol(bad)
		c.srv.stats.rejected(nil, reply)
		c.out.Error(reply.Error())
		c.flush()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed),
		errors.Is(err, os.ErrDeadlineExceeded):
	default:
		c.srv.log.Debug("connection lost", "client", c.id, "err", err)
	}
}

// end takes the session out of everything it was part of, and closes the
// connection when the client has had the time to take its last replies.
func (c *session) end() {
	c.unwatch()
	c.away.close()
	c.leaveAll()
	c.output.release()
	_ = c.conn.SetReadDeadline(time.Unix(1, 0))
	last := time.AfterFunc(lastWords, c.close)
	if t, ok := c.conn.(*secureConn); c.output.wait() == nil && ok {
		t.farewell(c.srv.opts.Now())
	}
	last.Stop()
	c.close()
}

// storeFailed judges an error of the DB. What was asked for may or may not have
// happened, so nobody is answered. If the store can keep no more promises, the
// server ends.
func (s *Server) storeFailed(err error) {
	var p *txn.PanicError
	switch {
	case errors.Is(err, txn.ErrClosed), s.ctx.Err() != nil, errorOf(err) != "":
	case errors.As(err, &p):
		s.log.Error("a command panicked, its connection is closed", "panic", p.Value, "stack", string(p.Stack))
	default:
		s.fail(err)
	}
}

// commandFailed logs a fault of a command's own, which had no effect.
func (s *Server) commandFailed(c *session, err error) {
	log := s.log.With("client", c.id)
	if p := (*txn.PanicError)(nil); errors.As(err, &p) {
		log = log.With("stack", string(p.Stack))
	}
	log.Error("command failed", "err", err)
}
