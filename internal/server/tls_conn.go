package server

import (
	"crypto/tls"
	"errors"
	"net"
	"os"
	"sync"
	"time"
)

// handshakeWait is how long a client may take to agree on TLS.
const handshakeWait = 10 * time.Second

// farewellWait is how long the end of a connection may take to be announced.
const farewellWait = time.Second

// secureConn is a connection that speaks TLS. Close cuts it off at once, from any goroutine;
// farewell is for ends that are meant.
//
// A write deadline would break TLS for good: of a record that has been sent in part, the rest
// can be neither dropped nor sent later. So deadlines are for the bytes beneath. What has been
// sealed and the client does not take in time stays there, and TLS is told that it was sent;
// output, the only one that sets a deadline, asks for unsent and has it flushed before it writes
// more. While there is none, who makes TLS answer a message of its own waits for the client.
type secureConn struct {
	*tls.Conn
	under *underTLS
}

// secure begins TLS on a connection, without a handshake yet.
func secure(conn net.Conn, cfg *tls.Config) *secureConn {
	under := &underTLS{Conn: conn}
	return &secureConn{Conn: tls.Server(under, cfg), under: under}
}

// Close ends the connection without a word: what TLS has to say at an end may have to wait for
// the client.
func (c *secureConn) Close() error { return c.under.Close() }

func isSecure(conn net.Conn) bool {
	_, ok := conn.(*secureConn)
	return ok
}

// beneath is the connection that carries the bytes of another, or itself.
func beneath(conn net.Conn) net.Conn {
	if t, ok := conn.(*secureConn); ok {
		return t.under.Conn
	}
	return conn
}

// farewell tells the client that nothing was cut off.
func (c *secureConn) farewell(now time.Time) {
	_ = c.CloseWrite() // which sets a deadline of its own, and only seals
	if c.unsent() > 0 && c.under.SetWriteDeadline(now.Add(farewellWait)) == nil {
		_ = c.flush()
	}
}

// unsent is how many sealed bytes the client has not taken.
func (c *secureConn) unsent() int {
	c.under.mu.Lock()
	defer c.under.mu.Unlock()
	return len(c.under.rest)
}

// flush sends what is unsent, within the write deadline.
func (c *secureConn) flush() error {
	c.under.mu.Lock()
	defer c.under.mu.Unlock()
	return c.under.flushLocked()
}

// underTLS carries sealed bytes.
type underTLS struct {
	net.Conn

	mu   sync.Mutex // whose turn it is to write; held meanwhile, as TLS holds one of its own
	rest []byte     // sealed, not sent
}

// Write sends b, or keeps what is not taken within the write deadline.
func (u *underTLS) Write(b []byte) (int, error) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if len(u.rest) > 0 {
		u.rest = append(u.rest, b...)
		return len(b), nil
	}
	n, err := u.Conn.Write(b)
	if errors.Is(err, os.ErrDeadlineExceeded) {
		u.rest = append(u.rest, b[n:]...)
		return len(b), nil
	}
	return n, err
}

func (u *underTLS) flushLocked() error {
	n, err := u.Conn.Write(u.rest)
	u.rest = u.rest[n:]
	if len(u.rest) == 0 {
		u.rest = nil
	}
	return err
}

// handshake lets a client agree on TLS, if its connection speaks that, and reports whether it
// has done so.
func (c *session) handshake() bool {
	t, ok := c.conn.(*secureConn)
	if !ok {
		return true
	}
	if !c.beginHandshake(t) {
		return false
	}
	if err := t.Handshake(); err != nil {
		c.srv.stats.handshakes.Add(1)
		c.srv.log.Debug("a client could not agree on TLS", "client", c.id, "addr", c.remote, "err", err)
		return false
	}
	c.timed = true // so that the next read begins without this deadline
	return t.SetWriteDeadline(time.Time{}) == nil
}

// beginHandshake sets the time that a handshake may take, unless the server is stopping.
func (c *session) beginHandshake(t *secureConn) bool {
	c.facts.mu.Lock()
	defer c.facts.mu.Unlock()
	return !c.facts.mu.interrupted && t.SetDeadline(c.srv.opts.Now().Add(handshakeWait)) == nil
}
