package server

import (
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"

	"github.com/elastickv/elastickv/internal/command"
)

// monitors is who is shown every command that is carried out.
type monitors struct {
	active atomic.Int64

	mu  sync.Mutex
	all map[*session]struct{}
}

var monitorRow = &command.Command{
	Name: "monitor", Arity: 1, Flags: adminFlags, Group: command.GroupServer, Run: monitor, Since: "1.0.0",
	Summary: "Shows this connection every command that is carried out.", Complexity: "O(1)",
}

// monitor does not answer one who monitors already.
func monitor(ctx *command.Ctx) error {
	c := callerOf(ctx)
	if c.tx != nil {
		return errMonitorDenied
	}
	if !c.facts.monitors.Load() {
		c.srv.monitors.add(c)
		ctx.Out.OK()
	}
	return nil
}

func (m *monitors) add(c *session) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.all == nil {
		m.all = make(map[*session]struct{})
	}
	m.all[c] = struct{}{}
	m.active.Store(int64(len(m.all)))
	c.facts.monitors.Store(true)
}

func (m *monitors) remove(c *session) {
	if !c.facts.monitors.Load() {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.all, c)
	m.active.Store(int64(len(m.all)))
	c.facts.monitors.Store(false)
}

func (m *monitors) show(line []byte) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for c := range m.all {
		c.push(line)
	}
}

// showMonitorsFirst shows a call that has calls of its own, before those.
func (c *session) showMonitorsFirst(k call) {
	if k.route.scripted {
		c.show(k, c.remote)
	}
}

// showMonitors shows a call that was carried out, and by whom. Those that administer the server are
// not shown.
func (c *session) showMonitors(k call, by string) {
	if !k.route.cmd.Has(command.SkipMonitor | command.Admin) {
		c.show(k, by)
	}
}

// show shows a call when what came before it is durable.
func (c *session) show(k call, by string) {
	m := &c.srv.monitors
	if m.active.Load() == 0 {
		return
	}
	line := c.monitorLine(k, by)
	if c.seq != nil {
		c.seq.AfterSync(func() { m.show(line) })
		return
	}
	m.show(line)
}

// monitorLine describes a call: when, in which database, by whom, and its arguments but for
// passwords.
func (c *session) monitorLine(k call, by string) []byte {
	now := c.srv.opts.Now()
	line := fmt.Appendf(nil, "+%d.%06d [%d %s]", now.Unix(), now.Nanosecond()/1000, c.db, by)
	for i, a := range k.args {
		line = append(line, ' ')
		if secret(k, i) {
			a = []byte("(redacted)")
		}
		line = appendQuoted(line, a)
	}
	return append(line, '\r', '\n')
}

// appendQuoted appends an argument in quotes, in which everything that cannot be printed is escaped.
func appendQuoted(dst, s []byte) []byte {
	dst = append(dst, '"')
	for _, b := range s {
		switch {
		case b == '"' || b == '\\':
			dst = append(dst, '\\', b)
		case b >= ' ' && b <= '~':
			dst = append(dst, b)
		case b >= '\a' && b <= '\r' && b != '\v' && b != '\f':
			dst = append(dst, '\\', "abtn  r"[b-'\a'])
		default:
			dst = append(dst, '\\', 'x')
			if b < 16 {
				dst = append(dst, '0')
			}
			dst = strconv.AppendUint(dst, uint64(b), 16)
		}
	}
	return append(dst, '"')
}
