package server

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"net"
	"time"

	"github.com/elastickv/elastickv/internal/resp"
)

// send brings the keys to the other server and returns those that it has got.
func (m *migration) send(all []restoring) (moved [][]byte, err error) {
	d := net.Dialer{Timeout: m.timeout}
	conn, err := d.DialContext(m.c.srv.ctx, "tcp", m.addr)
	if err != nil {
		if e := net.Error(nil); errors.As(err, &e) && e.Timeout() {
			return nil, errMigrateConnect
		}
		return nil, errMigrateWrite
	}
	defer conn.Close()
	defer context.AfterFunc(m.c.srv.ctx, func() { conn.Close() })()
	if conn, err = m.protect(conn); err != nil {
		return nil, err
	}
	p := &peer{conn: conn, in: bufio.NewReader(conn), now: m.c.srv.opts.Now, timeout: m.timeout}
	var hello resp.Writer
	if len(m.auth) > 0 {
		writeCall(&hello, append([][]byte{[]byte("AUTH")}, m.auth...)...)
		if err := p.ask(&hello); err != nil {
			return nil, err
		}
		hello.Reset()
	}
	writeCall(&hello, []byte("SELECT"), []byte(m.db))
	if err := p.ask(&hello); err != nil {
		return nil, err
	}
	var refused error
	for i := range all {
		switch err := p.ask(&all[i].call); {
		case err == errMigrateWrite, err == errMigrateRead:
			return moved, errors.Join(refused, err)
		case err != nil && refused == nil:
			refused = err
		case err == nil:
			moved = append(moved, all[i].key)
		}
	}
	return moved, refused
}

// protect begins TLS on the connection if tls-cluster asks for it, as in Redis.
func (m *migration) protect(conn net.Conn) (net.Conn, error) {
	if !m.c.srv.cfg.Load().tls.cluster {
		return conn, nil
	}
	id := m.c.srv.identity.Load()
	if id == nil || id.client == nil { // it has been switched on this moment
		return nil, errMigrateConnect
	}
	if err := conn.SetDeadline(m.c.srv.opts.Now().Add(m.timeout)); err != nil {
		return nil, errMigrateConnect
	}
	secured := tls.Client(conn, id.client)
	if err := secured.Handshake(); err != nil {
		m.c.srv.log.Warn("MIGRATE: no TLS with the other server", "addr", m.addr, "err", err)
		return nil, errMigrateConnect
	}
	return secured, nil
}

// peer is a connection to another server.
type peer struct {
	conn    net.Conn
	in      *bufio.Reader
	now     func() time.Time
	timeout time.Duration
}

// ask sends a call and waits for its reply. It fails if that is an error.
func (p *peer) ask(call *resp.Writer) error {
	for b := call.Bytes(); len(b) > 0; {
		n := 0
		err := p.conn.SetDeadline(p.now().Add(p.timeout))
		if err == nil {
			n, err = p.conn.Write(b[:min(len(b), 64<<10)])
		}
		if err != nil {
			return errMigrateWrite
		}
		b = b[n:]
	}
	if err := p.conn.SetDeadline(p.now().Add(p.timeout)); err != nil {
		return errMigrateRead
	}
	v, err := resp.ReadReply(p.in)
	switch {
	case err != nil:
		return errMigrateRead
	case v.Kind == resp.KindError:
		return errMigrateTarget(v.Str)
	}
	return nil
}
