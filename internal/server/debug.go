package server

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/elastickv/elastickv/internal/command"
)

var debugRow = &command.Command{
	Name: "debug", Arity: -2, Flags: adminFlags, Group: command.GroupServer, Run: debug, Since: "1.0.0",
	Summary: "For tests: sleeping, and switching off the search for expired keys.", Complexity: "Depends on subcommand.",
}

func debug(ctx *command.Ctx) error {
	c := callerOf(ctx)
	switch allowed := c.srv.cfg.Load().enableDebug; {
	case allowed == "yes", allowed == "local" && loopback(c.conn.RemoteAddr()):
	default:
		return errDebugForbidden
	}
	switch sub := strings.ToLower(string(ctx.Args[1])); {
	case sub == "sleep" && len(ctx.Args) == 3:
		return c.debugSleep(ctx)
	case sub == "set-active-expire" && len(ctx.Args) == 3:
		on, err := parseInt(ctx.Args[2])
		if err != nil {
			return err
		}
		c.srv.expiry.on.Store(on != 0)
		ctx.Out.OK()
		return nil
	case sub == "help" && len(ctx.Args) == 2:
		return help(ctx, "DEBUG",
			"SLEEP <seconds>", "    Hold up this connection for <seconds>. Decimals allowed.",
			"SET-ACTIVE-EXPIRE <0|1>", "    Setting it to 0 disables removing expired keys in the background.")
	}
	return errNoSubcommand("DEBUG", ctx.Args[1])
}

// debugSleep holds up this connection only. In a transaction that writes it
// would hold up every writer, so there it does not sleep.
func (c *session) debugSleep(ctx *command.Ctx) error {
	secs, err := strconv.ParseFloat(string(ctx.Args[2]), 64)
	if err != nil || math.IsNaN(secs) {
		return command.ErrNotFloat
	}
	if c.seq == nil && secs > 0 {
		t := time.NewTimer(time.Duration(min(secs, 1e9) * float64(time.Second)))
		defer t.Stop()
		select {
		case <-t.C:
		case <-c.srv.stop:
		}
	}
	ctx.Out.OK()
	return nil
}
