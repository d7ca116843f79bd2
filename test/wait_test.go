package test

import (
	"fmt"
	"strings"
	"time"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

// waits stands for the reply of a call that waits.
var waits = resp.Value{Kind: resp.KindSimple, Str: "(waits)"}

// waitMost bounds how long a call may take until the server shows that it waits.
const waitMost = 20 * time.Second

// wait sends a command that has to wait, and returns as soon as the server says that it
// does. Behind a command that waits already it is only sent.
func (d *door) wait(conn string, args []string) (resp.Value, error) {
	s, err := d.session(conn)
	if err != nil {
		return resp.Value{}, err
	}
	if s.id == "" {
		v, err := s.client.Do("CLIENT", "ID")
		if err != nil {
			return resp.Value{}, err
		}
		s.id = fmt.Sprint(v.Int)
	}
	if err := s.client.Send(args...); err != nil {
		return resp.Value{}, err
	}
	if err := s.client.Flush(); err != nil {
		return resp.Value{}, err
	}
	s.asked++
	if s.asked > 1 {
		return waits, nil
	}
	return waits, d.untilBlocked(s.id)
}

// untilBlocked returns when the server shows a connection as blocked.
func (d *door) untilBlocked(id string) error {
	watch, err := testkit.Connect(d.addr, 2)
	if err != nil {
		return err
	}
	defer watch.Close()
	for end := time.Now().Add(waitMost); ; {
		v, err := watch.Do("CLIENT", "LIST", "ID", id)
		switch {
		case err != nil:
			return err
		case strings.Contains(v.Str, " flags=b "):
			return nil
		case time.Now().After(end):
			return fmt.Errorf("the command does not wait, CLIENT LIST shows %q", v.Str)
		}
	}
}

// receive reads the reply to a command that has waited.
func (d *door) receive(conn string) (resp.Value, error) {
	s := d.conns[conn]
	if s == nil || s.asked == 0 {
		return resp.Value{}, fmt.Errorf("connection %q: nothing has been sent that waits", conn)
	}
	s.asked--
	v, err := s.client.Receive()
	if err != nil {
		s.hangUp()
		if testkit.Closed(err) {
			return closed, nil
		}
	}
	return v, err
}
