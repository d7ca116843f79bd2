package server

import (
	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
)

// multi is a transaction that is being collected.
type multi struct {
	on       bool
	aborted  bool // a command could not be queued
	calls    []call
	writes   bool  // one of the calls does, or may
	grows    bool  // one of the calls is refused when there is no room
	pauses   bool  // a pause of writes holds one of the calls back
	declared bool  // one of the calls says of itself that it writes
	bytes    int64 // of the arguments
	facts    *sessionFacts
}

// callOverhead is about what a queued call and each of its arguments take
// besides their bytes.
const callOverhead = 64

func (m *multi) reset(c *session) {
	*m = multi{facts: &c.facts}
	m.facts.queued.Store(-1)
	m.facts.gathered.Store(0)
}

// spoil makes EXEC fail.
func (m *multi) spoil() { m.aborted = m.on }

// place is where EXEC has to run: only reads of one moment that nobody else's
// writes matter to need no sequencer.
func (m *multi) place(c *session) place {
	switch {
	case !m.on || m.aborted || !m.writes && len(c.watched) == 0 && !c.away.watching:
		return outside
	case c.forwards():
		return atLeader
	}
	return inSequencer
}

// enqueue keeps a copy of a call until EXEC.
func (c *session) enqueue(k call) {
	m := &c.multi
	size := 0
	for _, a := range k.args {
		size += len(a)
	}
	m.bytes += int64(size + callOverhead*(1+len(k.args)))
	if m.bytes > c.srv.cfg.Load().queryLimit {
		c.srv.log.Warn("client closed: its transaction is over the limit", "client", c.id, "addr", c.remote)
		c.ending = true
		return
	}
	m.calls = append(m.calls, call{args: copyArgs(k.args, size), route: k.route})
	m.writes = m.writes || c.changes(k)
	m.grows = m.grows || c.grows(k)
	m.declared = m.declared || c.declaresWrite(k)
	m.pauses = m.pauses || c.heldByWritePause(k)
	m.facts.queued.Store(int64(len(m.calls)))
	m.facts.gathered.Store(m.bytes)
	c.out.Simple("QUEUED")
}

// copyArgs copies arguments of size bytes in all.
func copyArgs(args [][]byte, size int) [][]byte {
	out, buf := make([][]byte, len(args)), make([]byte, 0, size)
	for i, a := range args {
		from := len(buf)
		buf = append(buf, a...)
		out[i] = buf[from:len(buf):len(buf)]
	}
	return out
}

const transactionFlags = command.NoScript | command.Loading | command.Stale | command.AllowBusy

var transactionRows = []*command.Command{
	{Name: "multi", Arity: 1, Flags: transactionFlags | command.Fast, Group: command.GroupTransactions, Run: multiBegin,
		Since: "1.2.0", Summary: "Starts a transaction: the commands that follow are queued.", Complexity: "O(1)"},
	{Name: "exec", Arity: 1, Flags: command.NoScript | command.Loading | command.Stale | command.SkipSlowlog,
		Group: command.GroupTransactions, Run: exec, Since: "1.2.0",
		Summary: "Carries out the queued commands, all at one moment.", Complexity: "Depends on commands in the transaction"},
	{Name: "discard", Arity: 1, Flags: transactionFlags | command.Fast, Group: command.GroupTransactions, Run: discard,
		Since: "2.0.0", Summary: "Forgets the queued commands.", Complexity: "O(N), when N is the number of queued commands"},
	{Name: "watch", Arity: -2, Flags: transactionFlags | command.Fast, Group: command.GroupTransactions, Run: watch,
		Syntax: "key...",
		Keys:   []command.KeySpec{{Flags: command.KeyRO, Index: 1, Last: -1, Step: 1}},
		Since:  "2.2.0", Summary: "Makes the next transaction depend on keys staying as they are.", Complexity: "O(1) for every key."},
	{Name: "unwatch", Arity: 1, Flags: transactionFlags | command.Fast, Group: command.GroupTransactions, Run: unwatch,
		Since: "2.2.0", Summary: "Forgets the watched keys.", Complexity: "O(1)"},
}

func multiBegin(ctx *command.Ctx) error {
	c := callerOf(ctx)
	if c.multi.on {
		return errNestedMulti
	}
	c.multi.on = true
	c.facts.queued.Store(0)
	ctx.Out.OK()
	return nil
}

func discard(ctx *command.Ctx) error {
	c := callerOf(ctx)
	if !c.multi.on {
		return errDiscardNoMulti
	}
	c.multi.reset(c)
	c.unwatch()
	ctx.Out.OK()
	return nil
}

func exec(ctx *command.Ctx) error {
	c := callerOf(ctx)
	if !c.multi.on {
		return errExecNoMulti
	}
	m := c.multi
	c.multi.reset(c)
	defer c.unwatch()
	if m.aborted {
		return errExecAbort
	}
	c.rememberReads(m.calls...)
	return c.transact(c.running, func(root *keyspace.Space) {
		if c.disturbed(root) {
			ctx.Out.NullArray()
			return
		}
		root.DB(c.db).Prefetch(func(a *keyspace.Ahead) {
			for _, k := range m.calls[:min(len(m.calls), lookAheadMost)] {
				k.route.cmd.LookAhead(k.args, a)
			}
		})
		ctx.Out.Array(len(m.calls))
		for _, k := range m.calls {
			if err := c.checkAgain(k); err != nil {
				c.out.Error(err.Error())
				continue
			}
			c.invoke(k, root.DB(c.db))
		}
	})
}
