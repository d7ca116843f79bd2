package server_test

import (
	"testing"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/server"
)

// trapRow is BLPOP of one list, which calls meanwhile when it has taken an element.
func trapRow(meanwhile func(c *command.Ctx)) *command.Command {
	return &command.Command{
		Name: "trap", Arity: 2, Flags: command.Write | command.Blocking, Group: command.GroupList, Since: "7.0.0", Summary: "For tests.",
		Run: func(c *command.Ctx) error {
			l, err := c.Keys.List(c.Args[1])
			if err != nil {
				return err
			}
			values, err := l.Pop(keyspace.Left, 1)
			if err != nil || len(values) == 0 {
				return c.Block(&command.Block{Keys: c.Args[1:], Kind: keyspace.KindList, Expired: (*resp.Writer).NullArray})
			}
			meanwhile(c)
			c.Out.Bulk(values[0])
			return nil
		},
	}
}

// A wait that ends while the sequencer is about to serve it takes nothing, and the next
// in the queue is served instead.
func TestWaitEndsWhileItIsServed(t *testing.T) {
	for name, killed := range map[string]bool{"its time is over": false, "it is killed": true} {
		t.Run(name, func(t *testing.T) {
			var meanwhile func(c *command.Ctx)
			addr := startWith(t, trapRow(func(c *command.Ctx) {
				meanwhile(c)
				meanwhile = func(*command.Ctx) {}
			}))
			first, second, third, other, killer := dial(t, addr), dial(t, addr), dial(t, addr), dial(t, addr), dial(t, addr)
			id, nextID := first.clientID(), second.clientID()
			for i, w := range []*wire{first, second, third} {
				w.send("TRAP k\r\n")
				other.blocked(i + 1)
			}
			meanwhile = func(c *command.Ctx) {
				if killed {
					killer.ask("CLIENT KILL ID "+nextID, ":1\r\n")
					server.CloseCaller(c)
					return
				}
				killer.ask("CLIENT UNBLOCK "+nextID, ":1\r\n")
				killer.ask("CLIENT UNBLOCK "+id, ":1\r\n")
			}
			other.ask("RPUSH k v", ":1\r\n")
			third.expect("$1\r\nv\r\n")
			for _, w := range []*wire{first, second} {
				if killed {
					w.expectClosed()
				} else {
					w.expect("*-1\r\n")
				}
			}
			other.blocked(0)
			other.ask("EXISTS k", ":0\r\n")
		})
	}
}
