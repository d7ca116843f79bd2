package script

import (
	"strconv"
	"strings"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/lua"
)

// Flags of redis.set_repl. They have no effect: what scripts do is kept and replicated as
// what it has done.
const (
	replNone = 0
	replAOF  = 1
	replMost = 3
)

// api returns the table redis, as scripts and functions have it.
func (w *world) api() *lua.Table {
	t := w.lua.NewTable(0, 32)
	w.lua.Register(t, []lua.Entry{{Name: "call", Fn: w.call(true)}, {Name: "pcall", Fn: w.call(false)}})
	w.logAPI(t)
	w.versionAPI(t)
	w.lua.Register(t, []lua.Entry{
		{Name: "setresp", Fn: w.setProtocol},
		{Name: "sha1hex", Fn: sha1hex},
		{Name: "error_reply", Fn: errorReply},
		{Name: "status_reply", Fn: statusReply},
		{Name: "set_repl", Fn: w.setReplication},
	})
	for _, f := range []struct {
		name  string
		flags float64
	}{{"REPL_NONE", replNone}, {"REPL_AOF", replAOF}, {"REPL_SLAVE", 2}, {"REPL_REPLICA", 2}, {"REPL_ALL", replMost}} {
		t.SetField(f.name, lua.Number(f.flags))
	}
	w.lua.Register(t, []lua.Entry{{Name: "acl_check_cmd", Fn: w.mayRun}})
	return t
}

func (w *world) logAPI(t *lua.Table) {
	w.lua.Register(t, []lua.Entry{{Name: "log", Fn: w.log}})
	for i, name := range []string{"LOG_DEBUG", "LOG_VERBOSE", "LOG_NOTICE", "LOG_WARNING"} {
		t.SetField(name, lua.Number(float64(i)))
	}
}

func (w *world) versionAPI(t *lua.Table) {
	version := w.engine.opts.Version
	number := 0
	for _, part := range strings.Split(version, ".") {
		n, _ := strconv.Atoi(part)
		number = number<<8 | n&0xff
	}
	t.SetField("REDIS_VERSION_NUM", lua.Number(float64(number)))
	t.SetField("REDIS_VERSION", lua.String(version))
}

// logLineMost is how much of what a script logs is written, in bytes.
const logLineMost = 1024

func (w *world) log(c *lua.Call) {
	if c.NArgs() < 2 {
		raiseError(c, "redis.log() requires two arguments or more.")
	}
	level, ok := lua.ToNumber(c.Arg(1))
	if !ok {
		raiseError(c, "First argument must be a number (log level).")
	}
	l := truncate(level)
	if l < int64(LogDebug) || l > int64(LogWarning) {
		raiseError(c, "Invalid debug level.")
	}
	var line strings.Builder
	for i, v := range c.Args()[1:] {
		s, ok := lua.ToString(v)
		if !ok || line.Len() >= logLineMost {
			continue
		}
		if i > 0 && line.Len() > 0 {
			line.WriteByte(' ')
		}
		line.WriteString(s[:min(len(s), logLineMost-line.Len())])
	}
	w.engine.opts.Log(Level(l), line.String())
}

func (w *world) setProtocol(c *lua.Call) {
	r := w.running(c, "redis.setresp")
	if c.NArgs() != 1 {
		raiseError(c, "redis.setresp() requires one argument.")
	}
	f, _ := lua.ToNumber(c.Arg(1))
	n := truncate(f)
	if n != 2 && n != 3 {
		raiseError(c, "RESP version must be 2 or 3.")
	}
	r.out.SetProto(int(n))
}

func sha1hex(c *lua.Call) {
	if c.NArgs() != 1 {
		raiseError(c, "wrong number of arguments")
	}
	s, _ := lua.ToString(c.Arg(1))
	c.Step(len(s) / 16)
	c.Return(lua.String(digest([]byte(s))))
}

// oneString returns the only argument if it is a string. Else it returns an error as the
// function's result.
func oneString(c *lua.Call) (string, bool) {
	s, ok := c.Arg(1).AsString()
	if c.NArgs() != 1 || !ok {
		c.Return(errorTable(c, "wrong number or type of arguments"))
		return "", false
	}
	return s, true
}

func errorReply(c *lua.Call) {
	s, ok := oneString(c)
	if !ok {
		return
	}
	t := c.State().NewTable(0, 1)
	c.State().Charge(len(s))
	t.SetField("err", lua.String(errorWithCode(strings.TrimPrefix(command.UpToNUL(s), "-"))))
	c.Return(lua.TableValue(t))
}

func statusReply(c *lua.Call) {
	if _, ok := oneString(c); !ok {
		return
	}
	t := c.State().NewTable(0, 1)
	t.SetField("ok", c.Arg(1))
	c.Return(lua.TableValue(t))
}

func (w *world) setReplication(c *lua.Call) {
	w.running(c, "redis.set_repl")
	if c.NArgs() != 1 {
		raiseError(c, "redis.set_repl() requires two arguments.")
	}
	f, _ := lua.ToNumber(c.Arg(1))
	if truncate(f)&^replMost != 0 {
		raiseError(c, "Invalid replication flags. Use REPL_AOF, REPL_REPLICA, REPL_ALL or REPL_NONE.")
	}
}

func (w *world) mayRun(c *lua.Call) {
	r := w.running(c, "redis.acl_check_cmd")
	args, wrong := callArgs(c)
	if wrong != "" {
		raiseError(c, wrong)
	}
	cmd := r.ctx.Env.Table.Find(args)
	if cmd == nil || !cmd.Accepts(len(args)) {
		raiseError(c, "Invalid command passed to redis.acl_check_cmd()")
	}
	c.Return(lua.Bool(r.host.MayRun(cmd, args) == nil))
}
