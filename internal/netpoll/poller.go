//go:build linux

package netpoll

import (
	"net"
	"os"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"
)

// Poller watches connections.
type Poller struct {
	now    func() time.Time
	fd     int // of the system's
	pipe   [2]int
	events [eventsMost]syscall.EpollEvent

	mu struct {
		sync.Mutex
		closed bool
		byFD   map[int32]*Conn
		number int32 // of the last connection
	}
}

// eventsMost is how many connections Wait returns at most at once.
const eventsMost = 256

// watched is what the system tells of a connection, when it begins to be the case.
const watched = syscall.EPOLLIN | syscall.EPOLLOUT | syscall.EPOLLRDHUP | edgeTriggered

// edgeTriggered is syscall.EPOLLET, which is a negative number there.
const edgeTriggered = 1 << 31

// New returns a Poller without connections. now is the clock that deadlines go by.
func New(now func() time.Time) (*Poller, error) {
	p := &Poller{now: now}
	p.mu.byFD = make(map[int32]*Conn)
	var err error
	if p.fd, err = syscall.EpollCreate1(syscall.EPOLL_CLOEXEC); err != nil {
		return nil, os.NewSyscallError("epoll_create1", err)
	}
	if err := syscall.Pipe2(p.pipe[:], syscall.O_CLOEXEC|syscall.O_NONBLOCK); err != nil {
		_ = syscall.Close(p.fd)
		return nil, os.NewSyscallError("pipe2", err)
	}
	if err := syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, p.pipe[0], &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(p.pipe[0])}); err != nil {
		p.release()
		return nil, os.NewSyscallError("epoll_ctl", err)
	}
	return p, nil
}

// Adopt takes over a connection, which is not to be used any more. It does not rest yet. wake is called,
// on a goroutine of its own, when it rests no more although Wait has not returned it: because it was closed, or a read deadline has
// come. If Adopt fails, conn is as it was.
func (p *Poller) Adopt(conn *net.TCPConn, wake func(*Conn)) (*Conn, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	var fd int
	var dupErr error
	err = raw.Control(func(n uintptr) {
		r, _, errno := syscall.Syscall(syscall.SYS_FCNTL, n, syscall.F_DUPFD_CLOEXEC, 0)
		if errno != 0 {
			dupErr = os.NewSyscallError("fcntl", errno)
		}
		fd = int(r)
	})
	if err == nil {
		err = dupErr
	}
	if err != nil {
		return nil, err
	}
	c := newConn(p, fd, wake)
	c.local, c.remote = conn.LocalAddr(), conn.RemoteAddr()
	if err := p.add(c); err != nil {
		_ = syscall.Close(fd)
		return nil, err
	}
	_ = conn.Close() // its descriptor alone: ours keeps the connection open
	return c, nil
}

func (p *Poller) add(c *Conn) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return net.ErrClosed
	}
	p.mu.number++
	c.number = p.mu.number
	e := syscall.EpollEvent{Events: watched, Fd: int32(c.fd), Pad: c.number}
	if err := syscall.EpollCtl(p.fd, syscall.EPOLL_CTL_ADD, c.fd, &e); err != nil {
		return os.NewSyscallError("epoll_ctl", err)
	}
	p.mu.byFD[int32(c.fd)] = c
	return nil
}

// forget lets go of a connection whose descriptor is about to be closed.
func (p *Poller) forget(c *Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.mu.byFD, int32(c.fd))
}

// Wait waits until something has arrived for connections that rest, appends them to ready, and
// returns that. They rest no more. One goroutine calls it. It fails with net.ErrClosed when the Poller has been closed.
func (p *Poller) Wait(ready []*Conn) ([]*Conn, error) {
	for {
		n, err := p.poll()
		if err != nil {
			return ready, err
		}
		p.mu.Lock()
		if p.mu.closed {
			p.mu.Unlock()
			p.release()
			return ready, net.ErrClosed
		}
		for _, e := range p.events[:n] {
			c := p.mu.byFD[e.Fd]
			if c == nil || c.number != e.Pad {
				continue // of one that has been closed since
			}
			ended := e.Events&(syscall.EPOLLRDHUP|syscall.EPOLLHUP|syscall.EPOLLERR) != 0
			if c.arrived(e.Events&syscall.EPOLLIN != 0, e.Events&syscall.EPOLLOUT != 0, ended) {
				ready = append(ready, c)
			}
		}
		p.mu.Unlock()
		if len(ready) > 0 {
			return ready, nil
		}
	}
}

// poll fills events. It looks without waiting, then lets other goroutines go first, which may be about to
// answer clients that have more to ask, and only then gives up the processor: to wait in
// the system costs two switches.
func (p *Poller) poll() (int, error) {
	for range 2 {
		if n, err := p.wait(syscall.RawSyscall6, 0); n != 0 || err != nil {
			return n, err
		}
		runtime.Gosched()
	}
	return p.wait(syscall.Syscall6, -1)
}

func (p *Poller) wait(do func(trap, a1, a2, a3, a4, a5, a6 uintptr) (uintptr, uintptr, syscall.Errno), millis int) (int, error) {
	n, _, errno := do(syscall.SYS_EPOLL_PWAIT, uintptr(p.fd), uintptr(unsafe.Pointer(&p.events[0])), eventsMost, uintptr(millis), 0, 0)
	switch errno {
	case 0:
		return int(n), nil
	case syscall.EINTR:
		return 0, nil
	}
	return 0, os.NewSyscallError("epoll_wait", errno)
}

// Close ends Wait, which is under way or is called once more. The connections stay open, but are watched no longer.
func (p *Poller) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.mu.closed {
		return
	}
	p.mu.closed = true
	_, _ = syscall.Write(p.pipe[1], []byte{0})
}

// release gives the descriptors back. Nobody is in Wait.
func (p *Poller) release() {
	_ = syscall.Close(p.fd)
	_ = syscall.Close(p.pipe[0])
	_ = syscall.Close(p.pipe[1])
}
