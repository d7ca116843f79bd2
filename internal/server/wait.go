package server

import (
	"context"
	"math"
	"sync"
	"time"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/resp"
)

var waitRow = &command.Command{
	Name: "wait", Arity: 3, Flags: command.AtLeader, Group: command.GroupGeneric, Cats: command.CatConnection, Run: wait, Since: "3.0.0",
	Syntax:  "numreplicas timeout:integer",
	Summary: "Waits until replicas have what this connection has written.", Complexity: "O(1)",
	Tips: []string{"request_policy:all_shards", "response_policy:agg_min"},
}

var waitAOFRow = &command.Command{
	Name: "waitaof", Arity: 4, Flags: command.NoScript | command.AtLeader, Group: command.GroupGeneric, Cats: command.CatConnection, Run: waitAOF, Since: "7.2.0",
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

// wait counts the nodes that have on their disks what was acknowledged before: of a cluster, those that follow; else none.
func wait(ctx *command.Ctx) error {
	replicas, err := parseInt(ctx.Args[1])
	if err != nil {
		return err
	}
	timeout, err := waitTimeout(ctx, 2)
	if err != nil {
		return err
	}
	cp, err := serverOf(ctx).copiesOfNow(errWaitReplica)
	if err != nil {
		return err
	}
	return cp.await(ctx, replicas, timeout, func(out *resp.Writer, n int64) { out.Int(n) })
}

// waitAOF is wait, and on the disk of the one that is asked is whatever it has acknowledged.
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
	cp, err := serverOf(ctx).copiesOfNow(errWaitAOF)
	if err != nil {
		return err
	}
	return cp.await(ctx, replicas, timeout, func(out *resp.Writer, n int64) {
		out.Array(2)
		out.Int(1)
		out.Int(n)
	})
}

// copies are those that other nodes have of the log up to an index.
type copies struct {
	srv   *Server
	index uint64
	n     int64 // so many have it already
}

// copiesOfNow counts those of all that has been acknowledged so far. Who follows is told that it cannot.
func (s *Server) copiesOfNow(followed command.Error) (*copies, error) {
	cp := &copies{srv: s}
	if !s.shared() {
		return cp, nil
	}
	st, err := s.clusterStatus()
	switch {
	case err != nil:
		return nil, err
	case !st.Leading:
		return nil, followed
	}
	cp.index = st.Applied
	cp.count(st)
	return cp, nil
}

func (cp *copies) count(st ClusterStatus) {
	cp.n = 0
	for _, n := range st.Nodes {
		if !n.Self && n.Match >= cp.index {
			cp.n++
		}
	}
}

// await answers when there are at least so many, or with as many as there are when the time is over.
func (cp *copies) await(ctx *command.Ctx, wanted int64, timeout time.Duration, reply func(*resp.Writer, int64)) error {
	if cp.n >= wanted {
		reply(ctx.Out, cp.n)
		return nil
	}
	b := &command.Block{Timeout: timeout}
	b.Expired = func(out *resp.Writer) {
		if cp.srv.shared() {
			if st, err := cp.srv.clusterStatus(); err == nil && st.Leading {
				cp.count(st)
			}
		}
		reply(out, cp.n)
	}
	if cp.srv.shared() {
		b.Start = func(end func()) (stop func()) {
			waiting, cancel := context.WithCancel(cp.srv.ctx)
			var asking sync.WaitGroup
			asking.Go(func() {
				if cp.srv.opts.Cluster.AwaitCopies(waiting, cp.index, int(min(wanted, math.MaxInt32))) == nil {
					end()
				}
			})
			return func() {
				cancel()
				asking.Wait()
			}
		}
	}
	return ctx.Block(b)
}
