package transport

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"sync/atomic"
	"time"
)

// acceptPause is how long is waited after a failure to accept, such as for want of files.
const acceptPause = 100 * time.Millisecond

// accept serves who dials, until the transport is closed.
func (t *Transport) accept() {
	slots := make(chan struct{}, maxInbound)
	for t.ctx.Err() == nil {
		raw, err := t.o.Listener.Accept()
		if err != nil {
			if t.ctx.Err() == nil {
				t.o.Log.Error("no connection of another node can be accepted", "error", err)
			}
			_ = sleep(t.ctx, acceptPause)
			continue
		}
		select {
		case slots <- struct{}{}:
			t.wg.Go(func() {
				t.serve(raw)
				<-slots
			})
		default:
			t.o.Log.Warn("too many connections of other nodes", "from", raw.RemoteAddr())
			_ = raw.Close()
		}
	}
}

// serve reads a connection to its end.
func (t *Transport) serve(raw net.Conn) {
	stop := context.AfterFunc(t.ctx, func() { _ = raw.Close() })
	defer stop()
	defer func() { _ = raw.Close() }()
	c, h, err := t.meet(raw)
	if err == nil {
		err = t.entertain(c, h)
	}
	why, refused := errors.AsType[refusal](err)
	level := slog.LevelInfo
	if refused || h.node == 0 {
		level = slog.LevelWarn
	}
	if err != nil && t.ctx.Err() == nil {
		t.o.Log.Log(t.ctx, level, "a connection of another node has ended", "node", h.node, "connection", h.purpose, "from", raw.RemoteAddr(), "error", err)
	}
	if refused {
		c.refuse(why)
	}
}

// entertain welcomes a node and does what it has come for.
func (t *Transport) entertain(c *conn, h hello) error {
	if h.purpose == forSnapshot {
		return t.takeSnapshot(c, h.node)
	}
	_, leave, err := t.enter(inboundKey{node: h.node, use: h.purpose}, c)
	defer leave()
	if err != nil {
		return err
	}
	if h.purpose == forClients {
		if err := t.welcome(c, 0); err != nil {
			return err
		}
		t.o.Host.Connected(h.node, &stream{c, func() { _ = c.Close() }})
		return nil
	}
	if err := t.welcome(c, t.o.Timeout+t.pingEvery()); err != nil {
		return err
	}
	for {
		k, body, err := c.frames.next(kindMessage, kindPing, kindNote, kindWord)
		if err != nil {
			return err
		}
		if k == kindPing {
			if _, err := c.Write(appendFrame(nil, kindPong, nil)); err != nil {
				return err
			}
			continue
		}
		switch k {
		case kindNote:
			t.o.Host.Noted(h.node, body)
			continue
		case kindWord:
			t.o.Host.Heard(h.node, body)
			continue
		}
		group, m, err := parseMessage(k, body)
		if err != nil {
			return err
		}
		if (purposeOf(m) == forBulk) != (h.purpose == forBulk) {
			return refusef("%s on the %s connection", m.GetType(), h.purpose)
		}
		t.o.Host.Receive(h.node, group, m)
	}
}

// welcome says so; from here the other node may be silent for as long as idle.
func (t *Transport) welcome(c *conn, idle time.Duration) error {
	if err := c.SetDeadline(time.Time{}); err != nil {
		return err
	}
	c.idle = idle
	_, err := c.Write(appendWelcome(nil, welcome{t.o.Cluster, t.o.Node}))
	return err
}

// inboundKey names the connections of which there is one at a time.
type inboundKey struct {
	node NodeID
	use  purpose
	to   Address // of an image; all messages have one connection
}

// inbound is a connection that another node has made.
type inbound struct {
	c     *conn
	heard atomic.Int64  // when the last piece of an image has come, by Transport.age
	done  chan struct{} // closed when the connection has no part in anything any more
}

// age is how long there has been a transport. A clock that is set does not change it.
func (t *Transport) age() time.Duration { return t.o.Now().Sub(t.began) }

// enter makes c the one connection of its key. It ends the one before and waits for its end: what has arrived on it is
// with the host before anything of c, and an image can be gone on with. leave is to be called in any case.
func (t *Transport) enter(key inboundKey, c *conn) (self *inbound, leave func(), err error) {
	self = &inbound{c: c, done: make(chan struct{})}
	self.heard.Store(int64(t.age()))
	t.mu.Lock()
	before := t.mu.inbound[key]
	t.mu.inbound[key] = self
	t.mu.Unlock()
	leave = func() {
		t.mu.Lock()
		if t.mu.inbound[key] == self {
			delete(t.mu.inbound, key)
		}
		t.mu.Unlock()
		close(self.done)
	}
	if before == nil {
		return self, leave, nil
	}
	_ = before.c.Close()
	select {
	case <-before.done:
		return self, leave, nil
	case <-t.ctx.Done():
		return self, leave, t.ctx.Err()
	}
}
