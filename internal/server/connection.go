package server

import (
	"strconv"

	"github.com/elastickv/elastickv/internal/acl"
	"github.com/elastickv/elastickv/internal/command"
)

var connectionRows = []*command.Command{
	{Name: "ping", Arity: -1, Flags: command.Fast | command.AnyNode, Group: command.GroupConnection, Run: ping, Since: "1.0.0",
		Syntax:  "[message]",
		Summary: "Answers PONG, or the given message.", Complexity: "O(1)",
		Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"}},
	{Name: "echo", Arity: 2, Flags: command.Loading | command.Stale | command.Fast | command.AnyNode, Group: command.GroupConnection, Run: echo,
		Syntax: "message",
		Since:  "1.0.0", Summary: "Returns the given message.", Complexity: "O(1)"},
	{Name: "select", Arity: 2, Flags: command.Loading | command.Stale | command.Fast, Group: command.GroupConnection, Run: selectDB,
		Syntax: "index",
		Since:  "1.0.0", Summary: "Chooses the logical database of this connection.", Complexity: "O(1)"},
	{Name: "quit", Arity: -1, Flags: transactionFlags | command.Fast | command.NoAuth, Group: command.GroupConnection, Run: quit,
		Since: "1.0.0", Deprecated: "7.2.0", Instead: "just closing the connection", Summary: "Closes the connection.", Complexity: "O(1)"},
	{Name: "reset", Arity: 1, Flags: transactionFlags | command.Fast | command.NoAuth, Group: command.GroupConnection, Run: reset,
		Since: "6.2.0", Summary: "Makes the connection as it was when it was new.", Complexity: "O(1)"},
}

func ping(c *command.Ctx) error {
	if len(c.Args) > 2 {
		return errArity(c.Cmd)
	}
	if callerOf(c).facts.subscribed.Load() && c.Out.Proto() == 2 {
		pingWhileListening(c)
		return nil
	}
	switch len(c.Args) {
	case 1:
		c.Out.Simple("PONG")
	case 2:
		c.Out.Bulk(c.Args[1])
	}
	return nil
}

// pingWhileListening replies like a message, which is all that a client in protocol 2 expects
// while it listens.
func pingWhileListening(c *command.Ctx) {
	var message []byte
	if len(c.Args) == 2 {
		message = c.Args[1]
	}
	c.Out.Array(2)
	c.Out.BulkString("pong")
	c.Out.Bulk(message)
}

func echo(c *command.Ctx) error {
	c.Out.Bulk(c.Args[1])
	return nil
}

func selectDB(ctx *command.Ctx) error {
	db, err := ctx.DatabaseIndex(1)
	if err != nil {
		return err
	}
	if ctx.Script != nil {
		ctx.Script.DB = db
	} else {
		callerOf(ctx).setDB(db)
	}
	ctx.Out.OK()
	return nil
}

func (c *session) setDB(db int) {
	c.db = db
	c.facts.db.Store(int64(db))
}

func quit(ctx *command.Ctx) error {
	callerOf(ctx).ending = true
	ctx.Out.OK()
	return nil
}

func reset(ctx *command.Ctx) error {
	c := callerOf(ctx)
	c.multi.reset(c)
	c.unwatch()
	c.leaveAll()
	c.setDB(0)
	c.setProto(2)
	c.setName("")
	c.mute, c.skip, c.skipOne = false, false, false
	c.facts.noEvict.Store(false)
	c.facts.noTouch.Store(false)
	c.facts.near.Store(false)
	c.facts.clustered.Store(false)
	c.setUser(c.srv.users.Get(acl.Default))
	c.setAuthed(c.srv.open())
	ctx.Out.Simple("RESET")
	return nil
}

// parseInt reads an integer as Redis does: no plus sign, no leading zero.
func parseInt(b []byte) (int64, error) {
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != string(b) {
		return 0, command.ErrNotInteger
	}
	return n, nil
}
