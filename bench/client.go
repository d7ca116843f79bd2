package main

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/elastickv/elastickv/internal/resp"
)

// client is a connection that sends commands and waits for their replies.
type client struct {
	conn net.Conn
	in   *bufio.Reader
	out  resp.Writer
	sent []string // the names of the commands that wait for their replies
}

// replyWait bounds what a client does without being told otherwise by allow.
const replyWait = 2 * time.Minute

func (s *server) dial() (*client, error) {
	conn, err := net.Dial("tcp", "127.0.0.1:"+s.port)
	if err != nil {
		return nil, err
	}
	c := &client{conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
	return c, c.allow(replyWait)
}

// allow gives all that the client does from now on so much time together.
func (c *client) allow(d time.Duration) error { return c.conn.SetDeadline(time.Now().Add(d)) }

func (c *client) close() { c.conn.Close() }

// add puts a command into the pipeline.
func (c *client) add(args ...string) {
	c.out.Array(len(args))
	for _, a := range args {
		c.out.BulkString(a)
	}
	c.sent = append(c.sent, args[0])
}

// flush sends the pipeline and calls each with its replies.
func (c *client) flush(each func(resp.Value) error) error {
	sent := c.sent
	c.sent = c.sent[:0]
	_, err := c.conn.Write(c.out.Bytes())
	c.out.Reset()
	if err != nil {
		return err
	}
	for _, name := range sent {
		v, err := resp.ReadReply(c.in)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if v.Kind == resp.KindError {
			return fmt.Errorf("%s: the server answers %s", name, v.Str)
		}
		if each == nil {
			continue
		}
		if err := each(v); err != nil {
			return err
		}
	}
	return nil
}

// do carries out one command. A reply that is an error is one.
func (c *client) do(args ...string) (v resp.Value, err error) {
	c.add(args...)
	err = c.flush(func(got resp.Value) error {
		v = got
		return nil
	})
	return v, err
}

// call carries out one command on a connection of its own.
func (s *server) call(args ...string) (resp.Value, error) {
	c, err := s.dial()
	if err != nil {
		return resp.Value{}, err
	}
	defer c.close()
	return c.do(args...)
}

// wrongAnswer says that a server has not done the work that is measured.
func wrongAnswer(v resp.Value, args ...string) error {
	text := v.String()
	if len(text) > 100 {
		text = text[:100] + "…"
	}
	return fmt.Errorf("%s: the answer is not the one that the data has: %s", strings.Join(args, " "), text)
}
