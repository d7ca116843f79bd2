package testkit

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/resp"
)

// replyWait bounds how long a Client waits for the server, in either direction. A
// test that gets this far has found a hang.
const replyWait = 30 * time.Second

// Client is one connection that shows replies as they are on the wire. It is not safe
// for concurrent use, but for Close.
type Client struct {
	conn net.Conn
	r    *bufio.Reader
	w    *bufio.Writer
}

// Dial connects to addr in protocol 2 or 3 and closes the connection when t ends.
func Dial(t testing.TB, addr string, protocol int) *Client {
	t.Helper()
	c, err := Connect(addr, protocol)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// Connect connects to addr in protocol 2 or 3. The caller closes the Client.
func Connect(addr string, protocol int) (*Client, error) {
	conn, err := net.DialTimeout("tcp", addr, replyWait)
	if err != nil {
		return nil, err
	}
	c := &Client{conn: conn, r: bufio.NewReaderSize(conn, 64<<10), w: bufio.NewWriterSize(conn, 64<<10)}
	if protocol == 2 {
		return c, nil
	}
	v, err := c.Do("HELLO", strconv.Itoa(protocol))
	if err == nil && v.Kind != resp.KindMap {
		err = fmt.Errorf("HELLO %d: %s", protocol, v)
	}
	if err != nil {
		conn.Close()
		return nil, err
	}
	return c, nil
}

// Do sends one command and returns the next reply. An error reply is a Value, not an
// error.
func (c *Client) Do(args ...string) (resp.Value, error) {
	if err := c.Send(args...); err != nil {
		return resp.Value{}, err
	}
	return c.Receive()
}

// MustDo is Do for a test in which neither the connection nor the command may fail.
func (c *Client) MustDo(t testing.TB, args ...string) resp.Value {
	t.Helper()
	v, err := c.Do(args...)
	if err != nil {
		t.Fatalf("%s: %v", clip(args), err)
	}
	if v.Kind == resp.KindError {
		t.Fatalf("%s: %s", clip(args), v)
	}
	return v
}

// Send adds a command to those that the next Flush or Receive sends.
func (c *Client) Send(args ...string) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(replyWait)); err != nil {
		return err
	}
	fmt.Fprintf(c.w, "*%d\r\n", len(args))
	for _, a := range args {
		fmt.Fprintf(c.w, "$%d\r\n", len(a))
		c.w.WriteString(a)
		c.w.WriteString("\r\n")
	}
	return c.writeErr()
}

// SendRaw adds bytes, whatever they are.
func (c *Client) SendRaw(s string) error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(replyWait)); err != nil {
		return err
	}
	c.w.WriteString(s)
	return c.writeErr()
}

// writeErr returns the error that a bufio.Writer keeps once it has had one.
func (c *Client) writeErr() error {
	_, err := c.w.Write(nil)
	return err
}

// Flush sends what has been added.
func (c *Client) Flush() error {
	if err := c.conn.SetWriteDeadline(time.Now().Add(replyWait)); err != nil {
		return err
	}
	return c.w.Flush()
}

// Receive sends what has been added and returns the next reply or push.
func (c *Client) Receive() (resp.Value, error) {
	if err := c.Flush(); err != nil {
		return resp.Value{}, err
	}
	if err := c.conn.SetReadDeadline(time.Now().Add(replyWait)); err != nil {
		return resp.Value{}, err
	}
	return resp.ReadReply(c.r)
}

// Close ends the connection.
func (c *Client) Close() error { return c.conn.Close() }

// Closed reports whether err says that the server ended the connection.
func Closed(err error) bool {
	var op *net.OpError
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) || errors.As(err, &op) && !op.Timeout()
}

// Split divides a line into arguments by the rules of redis-cli: blanks separate,
// "a\x00\n" and 'a' quote.
func Split(line string) ([]string, error) {
	args, err := resp.NewReader(strings.NewReader(line+"\n"), resp.Limits{MaxInline: 1 << 20}).ReadCommand()
	if err != nil {
		return nil, fmt.Errorf("line %q: %w", line, err)
	}
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = string(a)
	}
	return words, nil
}

// clip shows a command in a failure without its long arguments.
func clip(args []string) string {
	const most = 200
	s := fmt.Sprintf("%q", args)
	if len(s) > most {
		s = s[:most] + "…"
	}
	return s
}
