package server

import (
	"cmp"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
)

var debugRow = &command.Command{
	Name: "debug", Arity: -2, Flags: adminFlags, Group: command.GroupServer, Run: debug, Since: "1.0.0", Internal: true,
	Summary: "For tests: sleeping, looking at keys and all kinds of replies, switching off the search for expired keys.", Complexity: "Depends on subcommand.",
}

// debugSub is a subcommand of DEBUG.
type debugSub struct {
	args [2]int // the least and the most arguments, DEBUG and its own name included
	run  func(c *session, ctx *command.Ctx) error
	help []string // a line with the name and the arguments, then what it does
}

// debugSubs are the subcommands by their names. Those that ask Redis to look after its memory or
// its files have nothing to do here.
var debugSubs = map[string]debugSub{
	"sleep": {[2]int{3, 3}, (*session).debugSleep,
		[]string{"SLEEP <seconds>", "Hold up this connection for <seconds>, in a transaction that writes all who write. Decimals allowed."}},
	"set-active-expire": {[2]int{3, 3}, (*session).debugActiveExpire,
		[]string{"SET-ACTIVE-EXPIRE <0|1>", "Setting it to 0 disables removing expired keys in the background."}},
	"pause-cron": {[2]int{3, 3}, (*session).debugPauseCron,
		[]string{"PAUSE-CRON <0|1>", "Setting it to 1 stops what is done in the background from time to time."}},
	"object": {[2]int{3, 4}, (*session).debugObject,
		[]string{"OBJECT <key>", "Show what there is to know of the value of <key>."}},
	"listpack": {[2]int{3, 3}, debugStructure("listpack", "Listpack"),
		[]string{"LISTPACK <key>", "Tell whether the value of <key> is one that Redis keeps in a listpack."}},
	"quicklist": {[2]int{3, 4}, debugStructure("quicklist", "Quicklist"),
		[]string{"QUICKLIST <key> [<0|1>]", "Tell whether the value of <key> is one that Redis keeps in a quicklist."}},
	"digest": {[2]int{2, 2}, (*session).debugDigest,
		[]string{"DIGEST", "Return a value that stands for all keys, equal to that of Redis with the same keys."}},
	"digest-value": {[2]int{2, math.MaxInt}, (*session).debugDigestValue,
		[]string{"DIGEST-VALUE <key> [<key> ...]", "Return values that stand for those of the keys."}},
	"populate": {[2]int{3, 5}, (*session).debugPopulate,
		[]string{"POPULATE <count> [<prefix>] [<size>]", "Create <count> string keys named <prefix>:<num>, of <size> bytes."}},
	"protocol": {[2]int{3, 3}, (*session).debugProtocol,
		[]string{"PROTOCOL <type>", "Reply with a value of the given type."}},
	"error": {[2]int{3, 3}, (*session).debugError,
		[]string{"ERROR <string>", "Reply with an error of that text."}},
	"log": {[2]int{3, 3}, (*session).debugLog,
		[]string{"LOG <message>", "Write <message> to the server log."}},
	"stringmatch-len": {[2]int{4, 4}, (*session).debugStringMatch,
		[]string{"STRINGMATCH-LEN <len> <pattern>", "Match <len> times the letter A with <pattern>."}},
	"set-skip-checksum-validation": {[2]int{3, 3}, (*session).debugSkipChecksum,
		[]string{"SET-SKIP-CHECKSUM-VALIDATION <0|1>", "Setting it to 1 makes RESTORE believe every payload's checksum."}},
	"set-disable-deny-scripts": {[2]int{3, 3}, (*session).debugInScripts,
		[]string{"SET-DISABLE-DENY-SCRIPTS <0|1>", "Setting it to 1 lets scripts call DEBUG."}},
	"replybuffer": {[2]int{4, 4}, debugNothing,
		[]string{"REPLYBUFFER <subcommand> <arg>", "Nothing: reply buffers are not resized."}},
	"reload": {[2]int{2, 5}, (*session).debugReload,
		[]string{"RELOAD [option ...]", "Nothing: what was answered is on the disk, and nothing else is in memory."}},
	"loadaof":                    {[2]int{2, 2}, debugNothing, []string{"LOADAOF", "Nothing, as RELOAD."}},
	"jmap":                       {[2]int{2, 2}, debugNothing, []string{"JMAP", "Nothing."}},
	"change-repl-id":             {[2]int{2, 2}, debugNothing, []string{"CHANGE-REPL-ID", "Nothing: there are no replicas."}},
	"quicklist-packed-threshold": {[2]int{3, 3}, debugNothing, []string{"QUICKLIST-PACKED-THRESHOLD <size>", "Nothing: lists have no nodes."}},
	"stringmatch-test":           {[2]int{2, 2}, debugNothing, []string{"STRINGMATCH-TEST", "Nothing: see STRINGMATCH-LEN."}},
}

func debug(ctx *command.Ctx) error {
	c := callerOf(ctx)
	switch allowed := c.srv.cfg.Load().enableDebug; {
	case allowed == "yes", allowed == "local" && loopback(c.conn.RemoteAddr()):
	default:
		return errDebugForbidden
	}
	name := strings.ToLower(string(ctx.Args[1]))
	if name == "help" && len(ctx.Args) == 2 {
		return debugHelp(ctx)
	}
	sub, ok := debugSubs[name]
	if !ok || len(ctx.Args) < sub.args[0] || len(ctx.Args) > sub.args[1] {
		return errNoSubcommand("DEBUG", ctx.Args[1])
	}
	return sub.run(c, ctx)
}

func debugNothing(_ *session, ctx *command.Ctx) error {
	ctx.Out.OK()
	return nil
}

// debugReload takes the options of Redis: what there is to load was never unloaded.
func (c *session) debugReload(ctx *command.Ctx) error {
	for _, o := range ctx.Args[2:] {
		switch strings.ToLower(string(o)) {
		case "merge", "noflush", "nosave":
		default:
			return errReloadOption
		}
	}
	ctx.Out.OK()
	return nil
}

// debugSleep holds up this connection only, or in a transaction that writes every writer.
func (c *session) debugSleep(ctx *command.Ctx) error {
	secs, err := strconv.ParseFloat(string(ctx.Args[2]), 64)
	if err != nil || math.IsNaN(secs) {
		return command.ErrNotFloat
	}
	if secs > 0 {
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

func (c *session) debugActiveExpire(ctx *command.Ctx) error {
	on, err := parseInt(ctx.Args[2])
	if err != nil {
		return err
	}
	c.srv.expiry.on.Store(on != 0)
	ctx.Out.OK()
	return nil
}

func (c *session) debugPauseCron(ctx *command.Ctx) error {
	on, err := parseInt(ctx.Args[2])
	if err != nil {
		return err
	}
	c.srv.expiry.paused.Store(on != 0)
	ctx.Out.OK()
	return nil
}

func (c *session) debugSkipChecksum(ctx *command.Ctx) error {
	return c.debugSwitch(ctx, func(env *command.Env) *bool { return &env.SkipChecksum })
}

func (c *session) debugInScripts(ctx *command.Ctx) error {
	return c.debugSwitch(ctx, func(env *command.Env) *bool { return &env.DebugInScripts })
}

// debugSwitch turns a switch of the commands' environment on or off.
func (c *session) debugSwitch(ctx *command.Ctx, which func(*command.Env) *bool) error {
	on, err := parseInt(ctx.Args[2])
	if err != nil {
		return err
	}
	c.srv.configMu.Lock()
	defer c.srv.configMu.Unlock()
	env := *c.srv.env.Load()
	*which(&env) = on != 0
	c.srv.env.Store(&env)
	ctx.Out.OK()
	return nil
}

func (c *session) debugError(ctx *command.Ctx) error {
	return command.Error(strings.NewReplacer("\r", " ", "\n", " ").Replace(string(ctx.Args[2])))
}

func (c *session) debugLog(ctx *command.Ctx) error {
	c.srv.log.Warn("DEBUG LOG", "message", string(ctx.Args[2]), "client", c.id)
	ctx.Out.OK()
	return nil
}

func (c *session) debugStringMatch(ctx *command.Ctx) error {
	n, err := parseInt(ctx.Args[2])
	if err != nil {
		return err
	}
	if n < 0 || n > c.srv.cfg.Load().bulkMax {
		return command.ErrOutOfRange
	}
	matched := command.MatchGlob(ctx.Args[3], []byte(strings.Repeat("A", int(n))))
	ctx.Out.Int(map[bool]int64{true: 1}[matched])
	return nil
}

// debugRead calls fn with the selected database: that of the transaction which the call is part
// of, or a snapshot.
func (c *session) debugRead(ctx *command.Ctx, fn func(keys *keyspace.Space) error) error {
	if ctx.Keys != nil {
		return fn(ctx.Keys)
	}
	var err error
	told := c.transact(c.running, func(root *keyspace.Space) { err = fn(root.DB(c.db)) })
	return cmp.Or(told, err)
}
