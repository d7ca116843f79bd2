//go:build linux

package netpoll

import (
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is a connection of a Poller. As a net.Conn it behaves like one of package net, but for
// these rules: at most one goroutine reads at a time, and one writes.
type Conn struct {
	// Data is its owner's.
	Data any

	p             *Poller
	fd            int
	number        int32 // tells it from others that fd has stood for
	local, remote net.Addr
	wake          func(*Conn)

	// users counts the system calls on fd that are under way, and has closing set once Close
	// has been called. Whoever is last closes fd, so that no call meets another file.
	users atomic.Int64

	mu struct {
		sync.Mutex
		resting bool
		ended   bool // the peer has sent its last byte, or has gone: reading never waits again
		read    side
		write   side
	}
}

// closing is set in Conn.users.
const closing = 1 << 62

// side is one direction of a Conn.
type side struct {
	ready   bool // a system call may find something to do
	expired bool // the deadline has come
	waits   bool // somebody waits for a signal
	signal  chan struct{}
	alarm   *time.Timer
	alarms  int // number of the deadline that alarm is for
}

func newConn(p *Poller, fd int, wake func(*Conn)) *Conn {
	c := &Conn{p: p, fd: fd, wake: wake}
	c.mu.read.signal, c.mu.write.signal = make(chan struct{}, 1), make(chan struct{}, 1)
	c.mu.write.ready = true
	return c
}

// wakeLocked lets who waits look again.
func (s *side) wakeLocked() {
	if s.waits {
		s.waits = false
		s.signal <- struct{}{} // there is room: whoever waits has emptied it before
	}
}

// enter begins a system call on fd. It reports false if the connection has been closed.
func (c *Conn) enter() bool {
	for {
		n := c.users.Load()
		if n&closing != 0 {
			return false
		}
		if c.users.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

func (c *Conn) leave() {
	if c.users.Add(-1) == closing {
		c.p.forget(c)
		_ = syscall.Close(c.fd)
	}
}

// Rest gives the connection back to the Poller: when something has arrived, Wait
// returns it; when it is closed or a read deadline comes, the function that it was adopted with is called. It
// reports false, and does nothing, if that is so already.
func (c *Conn) Rest() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.resting = !c.mu.read.ready && !c.mu.read.expired && c.users.Load()&closing == 0
	return c.mu.resting
}

// arrived takes down what the system tells of the connection, and reports whether it rested
// and does so no more.
func (c *Conn) arrived(readable, writable, ended bool) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.ended = c.mu.ended || ended
	if writable || ended {
		c.mu.write.ready = true
		c.mu.write.wakeLocked()
	}
	if !readable && !ended {
		return false
	}
	c.mu.read.ready = true
	return c.rouseLocked()
}

// rouseLocked lets whoever reads look again, and reports whether that is the one whom the
// connection is to be given to because it has rested.
func (c *Conn) rouseLocked() bool {
	if c.mu.resting {
		c.mu.resting = false
		return true
	}
	c.mu.read.wakeLocked()
	return false
}

// ReadNow is Read that does not wait: if nothing has arrived it fails with ErrWouldBlock.
func (c *Conn) ReadNow(b []byte) (int, error) {
	c.mu.Lock()
	s := &c.mu.read
	expired, ready := s.expired, s.ready
	s.ready = c.mu.ended // what arrives from here on sets it again
	c.mu.Unlock()
	switch {
	case expired:
		c.mayRead()
		return 0, os.ErrDeadlineExceeded
	case !c.enter():
		return 0, net.ErrClosed
	}
	defer c.leave()
	if !ready {
		return 0, ErrWouldBlock
	}
	n, err := again(read, c.fd, b)
	switch {
	case err == syscall.EAGAIN:
		return 0, ErrWouldBlock
	case err != nil:
		c.mayRead()
		return 0, os.NewSyscallError("read", err)
	case n == 0 && len(b) > 0:
		c.mayRead()
		return 0, io.EOF
	case n == len(b): // there may be more, of which the system will not tell again
		c.mayRead()
	}
	return n, nil
}

// Expired reports whether the read deadline has come.
func (c *Conn) Expired() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mu.read.expired
}

func (c *Conn) mayRead() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.mu.read.ready = true
}

// Read implements net.Conn.
func (c *Conn) Read(b []byte) (int, error) {
	for {
		n, err := c.ReadNow(b)
		if err != ErrWouldBlock {
			return n, err
		}
		c.await(&c.mu.read)
	}
}

// WriteNow writes as much of b as the system takes at once. If that is not all, it fails with ErrWouldBlock.
func (c *Conn) WriteNow(b []byte) (int, error) {
	c.mu.Lock()
	expired := c.mu.write.expired
	c.mu.write.ready = false // when there is room again, this is set
	c.mu.Unlock()
	switch {
	case expired:
		return 0, os.ErrDeadlineExceeded
	case !c.enter():
		return 0, net.ErrClosed
	}
	defer c.leave()
	done := 0
	for done < len(b) {
		n, err := again(write, c.fd, b[done:])
		if err == syscall.EAGAIN {
			return done, ErrWouldBlock
		}
		if err != nil {
			return done, os.NewSyscallError("write", err)
		}
		done += n
	}
	return done, nil
}

// Write implements net.Conn.
func (c *Conn) Write(b []byte) (int, error) {
	done := 0
	for {
		n, err := c.WriteNow(b[done:])
		done += n
		if err != ErrWouldBlock {
			return done, err
		}
		c.await(&c.mu.write)
	}
}

// await returns when a call in the direction of s may succeed, or must fail.
func (c *Conn) await(s *side) {
	c.mu.Lock()
	if s.ready || s.expired || c.users.Load()&closing != 0 {
		c.mu.Unlock()
		return
	}
	s.waits = true
	c.mu.Unlock()
	<-s.signal
}

// again makes a system call until no signal comes in between.
func again(call func(int, []byte) (int, error), fd int, b []byte) (int, error) {
	for {
		if n, err := call(fd, b); err != syscall.EINTR {
			return n, err
		}
	}
}

// Close implements net.Conn. Calls that wait end.
func (c *Conn) Close() error {
	for {
		n := c.users.Load()
		if n&closing != 0 {
			return net.ErrClosed
		}
		if c.users.CompareAndSwap(n, (n+1)|closing) {
			break
		}
	}
	_ = syscall.Shutdown(c.fd, syscall.SHUT_RDWR) // so that the peer hears of it although calls are under way
	c.mu.Lock()
	c.mu.read.ready = true
	c.mu.read.setLocked(time.Time{}, nil, nil)
	c.mu.write.setLocked(time.Time{}, nil, nil)
	c.mu.write.wakeLocked()
	rested := c.rouseLocked()
	c.mu.Unlock()
	c.leave()
	if rested {
		go c.wake(c)
	}
	return nil
}

// SyscallConn implements syscall.Conn, for a look at the descriptor only.
func (c *Conn) SyscallConn() (syscall.RawConn, error) { return raw{c}, nil }

type raw struct{ c *Conn }

// Control implements syscall.RawConn.
func (r raw) Control(fn func(uintptr)) error {
	if !r.c.enter() {
		return net.ErrClosed
	}
	defer r.c.leave()
	fn(uintptr(r.c.fd))
	return nil
}

// Read fails: reading is the Conn's.
func (raw) Read(func(uintptr) bool) error { return errors.ErrUnsupported }

// Write fails: writing is the Conn's.
func (raw) Write(func(uintptr) bool) error { return errors.ErrUnsupported }

// LocalAddr implements net.Conn.
func (c *Conn) LocalAddr() net.Addr { return c.local }

// RemoteAddr implements net.Conn.
func (c *Conn) RemoteAddr() net.Addr { return c.remote }

// SetDeadline implements net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	if err := c.SetReadDeadline(t); err != nil {
		return err
	}
	return c.SetWriteDeadline(t)
}

// SetReadDeadline implements net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	return c.setDeadline(&c.mu.read, t, func() bool { return c.rouseLocked() })
}

// SetWriteDeadline implements net.Conn.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	return c.setDeadline(&c.mu.write, t, func() bool { c.mu.write.wakeLocked(); return false })
}

// setDeadline calls expire, under the lock, when the time has come; that reports whether the
// connection has rested.
func (c *Conn) setDeadline(s *side, t time.Time, expire func() bool) error {
	c.mu.Lock()
	if c.users.Load()&closing != 0 {
		c.mu.Unlock()
		return net.ErrClosed
	}
	s.expired = false
	var this int
	expired := s.setLocked(t, c.p.now, func() {
		c.mu.Lock()
		rested := s.alarms == this
		if rested {
			s.expired = true
			rested = expire()
		}
		c.mu.Unlock()
		if rested {
			c.wake(c)
		}
	})
	this = s.alarms
	rested := false
	if expired {
		s.expired = true
		rested = expire()
	}
	c.mu.Unlock()
	if rested {
		go c.wake(c)
	}
	return nil
}

// setLocked replaces the alarm by one at t, if that is not the zero time. It reports true, and sets none, if
// that has been.
func (s *side) setLocked(t time.Time, now func() time.Time, ring func()) bool {
	s.alarms++
	if s.alarm != nil {
		s.alarm.Stop()
		s.alarm = nil
	}
	if t.IsZero() {
		return false
	}
	d := t.Sub(now())
	if d <= 0 {
		return true
	}
	s.alarm = time.AfterFunc(d, ring)
	return false
}
