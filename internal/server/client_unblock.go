package server

import (
	"strings"

	"github.com/elastickv/elastickv/internal/command"
)

// clientUnblock ends what another connection waits for, as if its time were over or
// with an error. A pause it does not end.
func clientUnblock(ctx *command.Ctx) error {
	how := timedOut
	switch len(ctx.Args) {
	case 3:
	case 4:
		switch strings.ToLower(string(ctx.Args[3])) {
		case "timeout":
		case "error":
			how = unblocked
		default:
			return errUnblockReason
		}
	default:
		return errNoSubcommand("CLIENT", ctx.Args[1])
	}
	id, err := parseInt(ctx.Args[2])
	if err != nil {
		return err
	}
	if o := serverOf(ctx).sessions.find(id); o != nil && o.unblock(how) {
		ctx.Out.Int(1)
		return nil
	}
	ctx.Out.Int(0)
	return nil
}

// unblock ends the wait of a call, and reports whether there was one.
func (c *session) unblock(how outcome) bool {
	w := c.parking.waiter.Load()
	if w == nil || w.block == nil {
		return false
	}
	if w.away != nil { // only the leader knows whether it has been served
		nudge, known := nudges[how]
		return known && w.away.Nudge(nudge)
	}
	_, mine := c.srv.waiters.decide(w, how)
	if mine {
		w.wake()
	}
	return mine
}
