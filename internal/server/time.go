package server

import (
	"strconv"

	"github.com/elastickv/elastickv/internal/command"
)

var timeRow = &command.Command{
	Name: "time", Arity: 1, Flags: command.Loading | command.Stale | command.Fast, Group: command.GroupServer, Run: clockTime,
	Since: "2.6.0", Summary: "Returns the time of the server's clock.", Complexity: "O(1)",
	Tips: []string{"nondeterministic_output"},
}

func clockTime(c *command.Ctx) error {
	now := serverOf(c).opts.Now()
	c.Out.Array(2)
	c.Out.BulkString(strconv.FormatInt(now.Unix(), 10))
	c.Out.BulkString(strconv.Itoa(now.Nanosecond() / 1000))
	return nil
}

var roleRow = &command.Command{
	Name: "role", Arity: 1, Flags: sessionFlags | command.Fast, Cats: command.CatAdmin | command.CatDangerous,
	Group: command.GroupServer, Run: role,
	Since: "2.8.12", Summary: "Tells what part the server plays in replication.", Complexity: "O(1)",
}

// role answers for a server that is alone: a master without replicas.
func role(c *command.Ctx) error {
	c.Out.Array(3)
	c.Out.BulkString("master")
	c.Out.Int(0)
	c.Out.Array(0)
	return nil
}
