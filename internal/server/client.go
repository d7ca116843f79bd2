package server

import (
	"strings"

	"github.com/elastickv/elastickv/internal/command"
)

var clientRow = &command.Command{
	Name: "client", Arity: -2, Group: command.GroupConnection, Since: "2.4.0",
	Summary: "A container for commands about connections.", Complexity: "Depends on subcommand.",
	Sub: []*command.Command{
		{Name: "setinfo", Arity: 4, Flags: sessionFlags, Run: clientSetInfo, Since: "7.2.0",
			Syntax:  "attr(LIB-NAME libname | LIB-VER libver)",
			Summary: "Tells the server about the client library.", Complexity: "O(1)",
			Tips: onAllNodes},
		{Name: "setname", Arity: 3, Flags: sessionFlags, Run: clientSetName, Tips: onAllNodes, Since: "2.6.9",
			Syntax:  "connection-name",
			Summary: "Gives the connection a name.", Complexity: "O(1)"},
		{Name: "getname", Arity: 2, Flags: sessionFlags, Run: clientGetName, Since: "2.6.9",
			Summary: "Returns the name of the connection.", Complexity: "O(1)"},
		{Name: "id", Arity: 2, Flags: sessionFlags, Run: clientID, Since: "5.0.0",
			Summary: "Returns the number of the connection.", Complexity: "O(1)"},
		{Name: "info", Arity: 2, Flags: sessionFlags, Run: clientInfo, Since: "6.2.0",
			Summary: "Describes this connection.", Complexity: "O(1)", Tips: []string{"nondeterministic_output"}},
		{Name: "list", Arity: -2, Flags: adminFlags, Run: clientList, Since: "2.4.0",
			Syntax: "[TYPE client-type(NORMAL | MASTER | REPLICA | PUBSUB)@5.0.0] [ID client-id...@6.2.0]", History: []string{"2.8.12 Tells `id`.", "6.0.0 Tells `user`.", "7.0.0 Tells `resp`, `multi-mem`, `rbs` and `rbp`.", "7.0.3 Tells `ssub`."},
			Summary: "Describes connections.", Complexity: "O(N) where N is the number of client connections",
			Tips: []string{"nondeterministic_output"}},
		{Name: "kill", Arity: -3, Flags: adminFlags, Run: clientKill, Since: "2.4.0",
			Syntax:  "filter(old-format=ip:port!2.8.12 | new-format([ID client-id@2.8.12] | [TYPE client-type(NORMAL | MASTER@3.2.0 | SLAVE | REPLICA@5.0.0 | PUBSUB)@2.8.12] | [USER username] | [ADDR addr=ip:port] | [LADDR laddr=ip:port@6.2.0] | [SKIPME (YES | NO)])...)",
			Summary: "Closes connections.", Complexity: "O(N) where N is the number of client connections"},
		{Name: "no-evict", Arity: 3, Flags: adminFlags, Run: clientNoEvict, Since: "7.0.0",
			Syntax:  "enabled(ON | OFF)",
			Summary: "Chooses whether this connection may be closed to save memory.", Complexity: "O(1)"},
		{Name: "no-touch", Arity: 3, Flags: sessionFlags, Run: clientNoTouch, Since: "7.2.0",
			Syntax:  "enabled(ON | OFF)",
			Summary: "Asks that this connection's reads do not count as use of keys.", Complexity: "O(1)"},
		{Name: "reply", Arity: 3, Flags: sessionFlags, Run: clientReply, Since: "3.2.0",
			Syntax:  "action(ON | OFF | SKIP)",
			Summary: "Chooses whether commands are answered.", Complexity: "O(1)"},
		{Name: "pause", Arity: -3, Flags: adminFlags, Run: clientPause, Since: "3.0.0",
			Syntax:  "timeout:integer [mode(WRITE | ALL)@6.2.0]",
			Summary: "Holds commands back for a time.", Complexity: "O(1)"},
		{Name: "unpause", Arity: 2, Flags: adminFlags, Run: clientUnpause, Since: "6.2.0",
			Summary: "Ends a pause.", Complexity: "O(N) where N is the number of paused clients"},
		{Name: "unblock", Arity: -3, Flags: adminFlags, Run: clientUnblock, Since: "5.0.0",
			Syntax:  "client-id [unblock-type(TIMEOUT | ERROR)]",
			Summary: "Ends what another connection waits for.", Complexity: "O(log N) where N is the number of client connections"},
		{Name: "help", Arity: 2, Flags: command.Loading | command.Stale, Run: clientHelp, Since: "5.0.0",
			Summary: "Returns help about the subcommands.", Complexity: "O(1)"},
	},
}

func init() {
	clientRow.Sub = append(clientRow.Sub, clientTrackingRows...)
	for _, sub := range clientRow.Sub {
		sub.Group = command.GroupConnection
	}
}

// validName reports whether a name can be shown in CLIENT LIST: printable, no spaces.
func validName(name []byte) bool {
	for _, b := range name {
		if b < '!' || b > '~' {
			return false
		}
	}
	return true
}

func (c *session) name() string {
	c.facts.mu.Lock()
	defer c.facts.mu.Unlock()
	return c.facts.mu.name
}

func (c *session) setName(name string) {
	c.facts.mu.Lock()
	defer c.facts.mu.Unlock()
	c.facts.mu.name = name
}

func clientSetName(ctx *command.Ctx) error {
	if !validName(ctx.Args[2]) {
		return errClientName
	}
	callerOf(ctx).setName(string(ctx.Args[2]))
	ctx.Out.OK()
	return nil
}

func clientGetName(ctx *command.Ctx) error {
	if name := callerOf(ctx).name(); name != "" {
		ctx.Out.BulkString(name)
		return nil
	}
	ctx.Out.Null()
	return nil
}

func clientSetInfo(ctx *command.Ctx) error {
	c, value := callerOf(ctx), string(ctx.Args[3])
	c.facts.mu.Lock()
	defer c.facts.mu.Unlock()
	switch strings.ToLower(string(ctx.Args[2])) {
	case "lib-name":
		if !validName(ctx.Args[3]) {
			return errLibraryName
		}
		c.facts.mu.libName = value
	case "lib-ver":
		if !validName(ctx.Args[3]) {
			return errLibraryVersion
		}
		c.facts.mu.libVersion = value
	default:
		return errClientAttribute(ctx.Args[2])
	}
	ctx.Out.OK()
	return nil
}

func clientID(ctx *command.Ctx) error {
	ctx.Out.Int(callerOf(ctx).id)
	return nil
}

// onOff reads an argument that has to be ON or OFF.
func onOff(arg []byte) (bool, error) {
	switch strings.ToLower(string(arg)) {
	case "on":
		return true, nil
	case "off":
		return false, nil
	}
	return false, command.ErrSyntax
}

// clientNoEvict keeps the connection from being closed by maxmemory-clients, or no longer.
func clientNoEvict(ctx *command.Ctx) error {
	on, err := onOff(ctx.Args[2])
	if err != nil {
		return err
	}
	callerOf(ctx).facts.noEvict.Store(on)
	serverOf(ctx).evictClients()
	ctx.Out.OK()
	return nil
}

// clientNoTouch makes the commands of the connection, but for TOUCH, be no uses of keys.
func clientNoTouch(ctx *command.Ctx) error {
	on, err := onOff(ctx.Args[2])
	if err != nil {
		return err
	}
	callerOf(ctx).facts.noTouch.Store(on)
	ctx.Out.OK()
	return nil
}

// untouched reports whether the session's calls of a command are no uses of keys.
func (c *session) untouched(cmd *command.Command) bool {
	return c.facts.noTouch.Load() && cmd.Name != "touch"
}

func clientReply(ctx *command.Ctx) error {
	c := callerOf(ctx)
	switch strings.ToLower(string(ctx.Args[2])) {
	case "on":
		c.mute, c.skip = false, false
		ctx.Out.OK()
	case "off":
		c.mute = true
	case "skip":
		c.skipOne = !c.mute
	default:
		return command.ErrSyntax
	}
	return nil
}

func clientPause(ctx *command.Ctx) error {
	all := true
	if len(ctx.Args) == 4 {
		switch strings.ToLower(string(ctx.Args[3])) {
		case "write":
			all = false
		case "all":
		default:
			return errPauseMode
		}
	} else if len(ctx.Args) > 4 {
		return errNoSubcommand("CLIENT", ctx.Args[1])
	}
	ms, err := parseInt(ctx.Args[2])
	if err != nil {
		return errPauseTimeout
	}
	if ms < 0 {
		return errPauseNegative
	}
	srv := serverOf(ctx)
	now := srv.opts.Now()
	srv.pauses.begin(now, now.Add(milliseconds(ms)), all)
	ctx.Out.OK()
	return nil
}

func clientUnpause(ctx *command.Ctx) error {
	serverOf(ctx).endPause()
	ctx.Out.OK()
	return nil
}

func clientHelp(ctx *command.Ctx) error {
	return help(ctx, "CLIENT",
		"CACHING (YES|NO)", "    Enable/disable tracking of the keys for next command in OPTIN/OPTOUT modes.",
		"GETREDIR", "    Return the client ID we are redirecting to when tracking is enabled.",
		"GETNAME", "    Return the name of the current connection.",
		"ID", "    Return the ID of the current connection.",
		"INFO", "    Return information about the current client connection.",
		"KILL <ip:port>", "    Kill connection made from <ip:port>.",
		"KILL <option> <value> [<option> <value> [...]]", "    Kill connections. Options are:",
		"    * ADDR (<ip:port>|<unixsocket>:0)", "      Kill connections made from the specified address",
		"    * LADDR (<ip:port>|<unixsocket>:0)", "      Kill connections made to specified local address",
		"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)", "      Kill connections by type.",
		"    * USER <username>", "      Kill connections authenticated by <username>.",
		"    * SKIPME (YES|NO)", "      Skip killing current connection (default: yes).",
		"    * ID <client-id>", "      Kill connections by client id.",
		"LIST [options ...]", "    Return information about client connections. Options:",
		"    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)", "      Return clients of specified type.",
		"UNBLOCK <clientid> [TIMEOUT|ERROR]", "    Unblock the specified blocked client.",
		"UNPAUSE", "    Stop the current client pause, resuming traffic.",
		"PAUSE <timeout> [WRITE|ALL]", "    Suspend all, or just write, clients for <timeout> milliseconds.",
		"REPLY (ON|OFF|SKIP)", "    Control the replies sent to the current connection.",
		"TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]]",
		"         [OPTIN] [OPTOUT] [NOLOOP]",
		"    Control server assisted client side caching.",
		"TRACKINGINFO", "    Report tracking status for the current connection.",
		"SETNAME <name>", "    Assign the name <name> to the current connection.",
		"SETINFO <option> <value>", "    Set client meta attr. Options are:",
		"    * LIB-NAME: the client lib name.", "    * LIB-VER: the client lib version.",
		"NO-EVICT (ON|OFF)", "    Protect current client connection from eviction.",
		"NO-TOUCH (ON|OFF)", "    Will not touch LRU/LFU stats when this mode is on.")
}
