package server

import (
	"fmt"
	"strings"
	"time"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/pubsub"
	"github.com/elastickv/elastickv/internal/tracking"
)

// describe is the line of a session in CLIENT LIST. Arguments are not copied out of the query
// buffer, so argv-mem counts those of a command that waits alone.
func (c *session) describe(now time.Time) string {
	f := &c.facts
	m, events := c.memory(), "r"
	if m.output.busy {
		events = "rw"
	}
	cmd := "NULL"
	if last := f.lastCall.Load(); last != nil {
		cmd = last.FullName()
	}
	f.mu.Lock()
	name, libName, libVersion := f.mu.name, f.mu.libName, f.mu.libVersion
	f.mu.Unlock()
	return fmt.Sprintf("id=%d addr=%s laddr=%s fd=%d name=%s age=%d idle=%d flags=%s db=%d sub=%d psub=%d ssub=%d multi=%d "+
		"qbuf=%d qbuf-free=%d argv-mem=%d multi-mem=%d rbs=%d rbp=%d obl=%d oll=%d omem=%d tot-mem=%d "+
		"events=%s cmd=%s user=%s redir=%d resp=%d lib-name=%s lib-ver=%s",
		c.id, c.remote, c.local, descriptor(c.conn), name, int64(now.Sub(c.began).Seconds()),
		max(0, int64(now.Sub(time.Unix(0, f.lastTime.Load())).Seconds())), c.flags(), f.db.Load(),
		f.subs[pubsub.Channel].Load(), f.subs[pubsub.Pattern].Load(), f.subs[pubsub.Shard].Load(), f.queued.Load(),
		m.query, m.queryFree, m.waiting, m.multi, f.replies.Load(), f.peak.Load(), m.output.held, m.output.pieces, m.output.sent, m.total(),
		events, cmd, f.user.Load().Name(), c.redirect(), f.proto.Load(), libName, libVersion)
}

// flags are the letters of CLIENT LIST.
func (c *session) flags() string {
	f := &c.facts
	mode, tracks := c.srv.tracking.Mode(tracking.ID(c.id))
	var out []byte
	for _, flag := range []struct {
		letter byte
		on     bool
	}{
		{'O', f.monitors.Load()},
		{'P', f.subscribed.Load()},
		{'x', f.queued.Load() >= 0},
		{'b', c.srv.waiters.waits(c)},
		{'t', tracks},
		{'R', mode.Broken},
		{'B', mode.Broadcast},
		{'d', c.dirty.Load()},
		{'A', f.closed.Load()},
		{'U', c.onSocket},
		{'r', f.near.Load()},
		{'e', f.noEvict.Load()},
		{'T', f.noTouch.Load()},
	} {
		if flag.on {
			out = append(out, flag.letter)
		}
	}
	if len(out) == 0 {
		return "N"
	}
	return string(out)
}

func clientInfo(ctx *command.Ctx) error {
	c := callerOf(ctx)
	c.facts.lastCall.Store(ctx.Cmd)
	ctx.Out.Verbatim("txt", c.describe(c.srv.opts.Now())+"\n")
	return nil
}

func clientList(ctx *command.Ctx) error {
	c := callerOf(ctx)
	want := func(*session) bool { return true }
	switch args := ctx.Args[2:]; {
	case len(args) == 0:
	case len(args) == 2 && strings.EqualFold(string(args[0]), "type"):
		class, err := parseClass(args[1])
		if err != nil {
			return err
		}
		want = func(o *session) bool { return o.facts.class() == class }
	case len(args) >= 2 && strings.EqualFold(string(args[0]), "id"):
		ids := make(map[int64]bool)
		for _, a := range args[1:] {
			id, err := parseInt(a)
			if err != nil {
				return errInvalidID
			}
			ids[id] = true
		}
		want = func(o *session) bool { return ids[o.id] }
	default:
		return command.ErrSyntax
	}
	c.facts.lastCall.Store(ctx.Cmd)
	now := c.srv.opts.Now()
	var b strings.Builder
	for _, o := range c.srv.sessions.all() {
		if want(o) {
			b.WriteString(o.describe(now))
			b.WriteByte('\n')
		}
	}
	ctx.Out.Verbatim("txt", b.String())
	return nil
}

// parseClass reads a type of connections. There is none of some.
func parseClass(kind []byte) (string, error) {
	switch class := strings.ToLower(string(kind)); class {
	case "normal", "master", "replica", "slave", "pubsub":
		return class, nil
	}
	return "", errUnknownClientType(kind)
}

// clientKill closes the connections that match all of the given conditions.
func clientKill(ctx *command.Ctx) error {
	c := callerOf(ctx)
	if len(ctx.Args) == 3 {
		addr := string(ctx.Args[2])
		if c.kill(func(o *session) bool { return o.remote == addr }) == 0 {
			return errNoSuchClient
		}
		ctx.Out.OK()
		return nil
	}
	match, err := parseKill(c, ctx.Args[2:])
	if err != nil {
		return err
	}
	ctx.Out.Int(int64(c.kill(match)))
	return nil
}

// parseKill reads pairs of a condition and its value.
func parseKill(c *session, args [][]byte) (func(*session) bool, error) {
	skipMe := true
	var tests []func(*session) bool
	for i := 0; i < len(args); i += 2 {
		if i+1 == len(args) {
			return nil, command.ErrSyntax
		}
		value := string(args[i+1])
		switch strings.ToLower(string(args[i])) {
		case "id":
			id, err := parseInt(args[i+1])
			if err != nil || id < 1 {
				return nil, errClientID
			}
			tests = append(tests, func(o *session) bool { return o.id == id })
		case "type":
			class, err := parseClass(args[i+1])
			if err != nil {
				return nil, err
			}
			tests = append(tests, func(o *session) bool { return o.facts.class() == class })
		case "addr":
			tests = append(tests, func(o *session) bool { return o.remote == value })
		case "laddr":
			tests = append(tests, func(o *session) bool { return o.local == value })
		case "user":
			u := c.srv.users.Get(value)
			if u == nil {
				return nil, errUnknownUser(args[i+1])
			}
			tests = append(tests, func(o *session) bool { return o.facts.user.Load() == u })
		case "skipme":
			switch strings.ToLower(value) {
			case "yes":
				skipMe = true
			case "no":
				skipMe = false
			default:
				return nil, command.ErrSyntax
			}
		default:
			return nil, command.ErrSyntax
		}
	}
	return func(o *session) bool {
		for _, ok := range tests {
			if !ok(o) {
				return false
			}
		}
		return !skipMe || o != c
	}, nil
}

// kill closes the sessions that match, its own only after this reply, and
// returns their number.
func (c *session) kill(match func(*session) bool) int {
	n := 0
	for _, o := range c.srv.sessions.all() {
		if !match(o) {
			continue
		}
		n++
		if o == c {
			c.ending = true
			continue
		}
		o.close()
	}
	return n
}
