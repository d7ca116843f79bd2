package server

import (
	"strconv"

	"github.com/elastickv/elastickv/internal/command"
)

var timeRow = &command.Command{
	Name: "time", Arity: 1, Flags: command.Loading | command.Stale | command.Fast | command.AnyNode, Group: command.GroupServer, Run: clockTime,
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
