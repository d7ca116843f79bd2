package server

import (
	"time"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/resp"
)

var waitRow = &command.Command{
	Name: "wait", Arity: 3, Group: command.GroupGeneric, Cats: command.CatConnection, Run: wait, Since: "3.0.0",
	Syntax:  "numreplicas timeout:integer",
	Summary: "Waits until replicas have what this connection has written.", Complexity: "O(1)",
	Tips: []string{"request_policy:all_shards", "response_policy:agg_min"},
}

var waitAOFRow = &command.Command{
	Name: "waitaof", Arity: 4, Flags: command.NoScript, Group: command.GroupGeneric, Cats: command.CatConnection, Run: waitAOF, Since: "7.2.0",
	Syntax:  "numlocal numreplicas timeout:integer",
	Summary: "Waits until what this connection has written is on disk, here and on replicas.", Complexity: "O(1)",
	Tips: []string{"request_policy:all_shards", "response_policy:agg_min"},
}

// waitTimeout reads an argument as the milliseconds that a command may wait.
func waitTimeout(ctx *command.Ctx, i int) (time.Duration, error) {
	ms, err := parseInt(ctx.Args[i])
	switch {
	case err != nil:
		return 0, errPauseTimeout
	case ms < 0:
		return 0, errPauseNegative
	case ms > 1<<63-1-serverOf(ctx).opts.Now().UnixMilli():
		return 0, command.ErrTimeoutRange
	}
	return command.MillisecondsOrLongest(ms), nil
}

// wait answers for a server without replicas: none has acknowledged anything.
func wait(ctx *command.Ctx) error {
	replicas, err := parseInt(ctx.Args[1])
	if err != nil {
		return err
	}
	timeout, err := waitTimeout(ctx, 2)
	if err != nil {
		return err
	}
	none := func(out *resp.Writer) { out.Int(0) }
	if replicas <= 0 {
		none(ctx.Out)
		return nil
	}
	return ctx.Block(&command.Block{Timeout: timeout, Expired: none})
}

// waitAOF answers for a server without replicas, on whose disk is whatever it has
// acknowledged.
func waitAOF(ctx *command.Ctx) error {
	local, err := parseInt(ctx.Args[1])
	switch {
	case err != nil:
		return err
	case local < 0 || local > 1:
		return errWaitLocal
	}
	replicas, err := parseInt(ctx.Args[2])
	switch {
	case err != nil:
		return err
	case replicas < 0:
		return command.ErrNotPositive
	}
	timeout, err := waitTimeout(ctx, 3)
	if err != nil {
		return err
	}
	onlyHere := func(out *resp.Writer) {
		out.Array(2)
		out.Int(1)
		out.Int(0)
	}
	if replicas == 0 {
		onlyHere(ctx.Out)
		return nil
	}
	return ctx.Block(&command.Block{Timeout: timeout, Expired: onlyHere})
}
