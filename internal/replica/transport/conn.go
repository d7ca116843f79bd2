package transport

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// conn is a connection on which every piece that is written, and if idle is set every piece that is read, has
// a time of its own: so what is long may take long, as long as it moves.
type conn struct {
	net.Conn
	raw     net.Conn // below TLS
	now     func() time.Time
	timeout time.Duration
	idle    time.Duration // set before the first Read that it is for; 0 leaves the deadline alone
	frames  frameReader
}

// piece is what is written at a time.
const piece = 64 << 10

// newConn returns a connection that reads and writes raw, or secure if there is TLS on it.
func (t *Transport) newConn(raw net.Conn, secure *tls.Conn) *conn {
	c := &conn{Conn: raw, raw: raw, now: t.o.Now, timeout: t.o.Timeout}
	if secure != nil {
		c.Conn = secure
	}
	c.frames.r = bufio.NewReaderSize(readerFunc(c.read), piece)
	return c
}

// Close ends the connection at once, without the goodbye of TLS, for which there would have to be time: what has
// to be whole has an end of its own.
func (c *conn) Close() error { return c.raw.Close() }

// stream is a connection whose bytes are those of who uses it.
type stream struct {
	*conn
	end func()
}

// Read implements net.Conn: what the hello has left in the buffer comes first.
func (s *stream) Read(p []byte) (int, error) { return s.frames.r.Read(p) }

// Close implements net.Conn.
func (s *stream) Close() error {
	s.end()
	return nil
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (c *conn) read(p []byte) (int, error) {
	if c.idle > 0 {
		if err := c.SetReadDeadline(c.now().Add(c.idle)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Read(p)
}

// Write implements io.Writer.
func (c *conn) Write(p []byte) (n int, err error) {
	for len(p) > 0 {
		if err := c.SetWriteDeadline(c.now().Add(c.timeout)); err != nil {
			return n, err
		}
		m, err := c.Conn.Write(p[:min(len(p), piece)])
		n += m
		if err != nil {
			return n, err
		}
		p = p[m:]
	}
	return n, nil
}

// refuse tells the other side why this is the end. It reads on, for a moment, what the other is still
// sending: a connection that is closed before that may take the words with it.
func (c *conn) refuse(why refusal) {
	text := []byte(why)
	if _, err := c.Write(appendFrame(nil, kindRefusal, text[:min(len(text), maxRefusal)])); err != nil {
		return
	}
	if err := c.SetReadDeadline(c.now().Add(c.timeout)); err == nil {
		_, _ = io.Copy(io.Discard, c.Conn)
	}
}

// answer reads a frame of a node that was dialled, which is of kind k or a refusal.
func (c *conn) answer(by NodeID, k kind) ([]byte, error) {
	got, body, err := c.frames.next(k, kindRefusal)
	if err != nil {
		return nil, err
	}
	if got == kindRefusal {
		return nil, &refusedError{by, string(body)}
	}
	return body, nil
}

// connect makes a connection to a peer, on which both know who the other is. It ends with ctx, or when close is
// called.
func (t *Transport) connect(ctx context.Context, p *peer, use purpose) (c *conn, closeConn func(), err error) {
	dialCtx, cancel := context.WithTimeout(ctx, t.o.Timeout)
	defer cancel()
	raw, err := t.o.Dial(dialCtx, p.addr)
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	closeConn = func() {
		stop()
		_ = raw.Close()
	}
	if c, err = t.greet(dialCtx, raw, hello{t.o.Cluster, t.o.Node, p.id, use}); err != nil {
		closeConn()
		return nil, nil, err
	}
	return c, closeConn, nil
}

// greet says hello and reads the welcome.
func (t *Transport) greet(ctx context.Context, raw net.Conn, h hello) (*conn, error) {
	if err := raw.SetDeadline(t.o.Now().Add(t.o.Timeout)); err != nil {
		return nil, err
	}
	var secure *tls.Conn
	if id := t.identity.Load(); id != nil {
		secure = tls.Client(raw, id.client(h.dialled))
		if err := secure.HandshakeContext(ctx); err != nil {
			return nil, fmt.Errorf("TLS: %w", err)
		}
	}
	c := t.newConn(raw, secure)
	if _, err := c.Write(appendHello(nil, h)); err != nil {
		return nil, err
	}
	body, err := c.answer(h.dialled, kindWelcome)
	if err != nil {
		return nil, err
	}
	w, err := parseWelcome(body)
	if err != nil {
		return nil, err
	}
	if w.cluster != t.o.Cluster || w.node != h.dialled {
		return nil, fmt.Errorf("there is node %d of cluster %s, and not node %d of cluster %s", w.node, w.cluster, h.dialled, t.o.Cluster)
	}
	return c, c.SetDeadline(time.Time{})
}

// meet is the other side of greet: it reads who dials and looks whether he may. The welcome
// is still to be said.
func (t *Transport) meet(raw net.Conn) (*conn, hello, error) {
	if err := raw.SetDeadline(t.o.Now().Add(t.o.Timeout)); err != nil {
		return nil, hello{}, err
	}
	var secure *tls.Conn
	if id := t.identity.Load(); id != nil {
		secure = tls.Server(raw, id.server())
		if err := secure.HandshakeContext(t.ctx); err != nil {
			return nil, hello{}, fmt.Errorf("TLS: %w", err)
		}
	}
	c := t.newConn(raw, secure)
	_, body, err := c.frames.next(kindHello)
	if err != nil {
		return c, hello{}, err
	}
	h, err := parseHello(body)
	if err != nil {
		return c, h, err
	}
	switch {
	case h.cluster != t.o.Cluster:
		return c, h, refusef("you are of cluster %s, and this node of cluster %s", h.cluster, t.o.Cluster)
	case h.dialled != t.o.Node:
		return c, h, refusef("you have dialled node %d, and this is node %d", h.dialled, t.o.Node)
	case h.node == 0 || h.node == t.o.Node:
		return c, h, refusef("you say that you are node %d, which you cannot be", h.node)
	}
	if secure != nil {
		if err := checkName(secure.ConnectionState().PeerCertificates[0], h.node); err != nil {
			return c, h, refusal(err.Error())
		}
	}
	return c, h, nil
}

// closedHere reports whether an error only says that this side has closed the connection.
func closedHere(err error) bool {
	return errors.Is(err, net.ErrClosed) || errors.Is(err, io.ErrClosedPipe)
}
