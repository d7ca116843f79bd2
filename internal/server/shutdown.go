package server

import (
	"strings"

	"github.com/elastickv/elastickv/internal/command"
)

var shutdownRow = &command.Command{
	Name: "shutdown", Arity: -1, Flags: adminFlags | command.NoMulti | command.AllowBusy,
	Syntax: "[save-selector(NOSAVE | SAVE)] [NOW@7.0.0] [FORCE@7.0.0] [ABORT@7.0.0]",
	Group:  command.GroupServer, Run: shutdown, Since: "1.0.0",
	Summary: "Ends the server in good order.", Complexity: "O(1): everything acknowledged is on disk already",
}

// shutdown ends the server. There is nothing to save, so SAVE, NOSAVE, NOW and
// FORCE make no difference. There is no reply: the connection is closed.
func shutdown(ctx *command.Ctx) error {
	var save, nosave, abort bool
	for _, a := range ctx.Args[1:] {
		switch strings.ToLower(string(a)) {
		case "save":
			save = true
		case "nosave":
			nosave = true
		case "abort":
			abort = true
		case "now", "force":
		default:
			return command.ErrSyntax
		}
	}
	if save && nosave || abort && len(ctx.Args) > 2 {
		return command.ErrSyntax
	}
	if abort {
		return errNoShutdown // it is over too soon to be called off
	}
	c := callerOf(ctx)
	if busy := c.srv.scripts.busy.Load(); busy != nil && !nosave {
		return *busy
	}
	c.srv.log.Info("shutdown asked for by a client", "client", c.id, "addr", c.remote)
	c.ending = true
	c.srv.beginShutdown()
	return nil
}
