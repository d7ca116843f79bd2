// Package pipes is a listener without a network, for tests whose connections live in one process,
// and in one bubble of synctest. It imports nothing of the module, so that tests inside any package may use it.
package pipes

import (
	"context"
	"errors"
	"net"
	"sync"
)

// ErrNobody is what who dials is told when the listener has been closed.
var ErrNobody = errors.New("nobody listens")

// Listener accepts what is dialled as one end of a net.Pipe.
type Listener struct {
	addr  string
	conns chan net.Conn
	once  sync.Once
	done  chan struct{}
}

// Listen returns a listener that says to be at addr.
func Listen(addr string) *Listener {
	return &Listener{addr: addr, conns: make(chan net.Conn), done: make(chan struct{})}
}

// Accept implements net.Listener.
func (l *Listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener. Connections stay open.
func (l *Listener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

// Addr implements net.Listener.
func (l *Listener) Addr() net.Addr { return &net.UnixAddr{Name: l.addr} }

// Dial returns one end of a connection when the other has been accepted.
func (l *Listener) Dial(ctx context.Context) (net.Conn, error) {
	a, b := net.Pipe()
	if err := l.Hand(ctx, a); err != nil {
		return nil, errors.Join(err, a.Close(), b.Close())
	}
	return b, nil
}

// Hand has c accepted. The listener does not close it.
func (l *Listener) Hand(ctx context.Context, c net.Conn) error {
	select {
	case l.conns <- c:
		return nil
	case <-l.done:
		return ErrNobody
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
