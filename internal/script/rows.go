package script

import "github.com/elastickv/elastickv/internal/command"

const (
	callFlags   = command.NoScript | command.SkipMonitor | command.NoMandatoryKeys | command.Stale
	manageFlags = command.NoScript
	allNodes    = "request_policy:all_nodes"
	allShards   = "request_policy:all_shards"
	succeeded   = "response_policy:all_succeeded"
)

// Rows returns the commands about scripts and functions. The Caller of their calls is a Host.
func Rows() []*command.Command {
	keys := func(f command.KeyFlags) []command.KeySpec {
		return []command.KeySpec{{Flags: f, Index: 2, NumKeys: true, Step: 1}}
	}
	const syntax = " numkeys [key...] [arg...]" // behind what says which program
	writes := func(name, program, since, summary string, run command.Handler) *command.Command {
		return &command.Command{Name: name, Arity: -3, Flags: callFlags | command.MayReplicate, Cats: command.CatScripting,
			Group: command.GroupScripting, Keys: keys(command.KeyRW | command.KeyAccess | command.KeyUpdate), Run: run, Syntax: program + syntax,
			Since: since, Summary: summary, Complexity: "Depends on the script that is executed."}
	}
	reads := func(name, program, summary string, run command.Handler) *command.Command {
		return &command.Command{Name: name, Arity: -3, Flags: callFlags | command.ReadOnly, Cats: command.CatScripting,
			Group: command.GroupScripting, Keys: keys(command.KeyRO | command.KeyAccess), Run: run, Syntax: program + syntax,
			Since: "7.0.0", Summary: summary, Complexity: "Depends on the script that is executed."}
	}
	return []*command.Command{
		writes("eval", "script", "2.6.0", "Carries out a script.", eval),
		writes("evalsha", "sha1", "2.6.0", "Carries out a script by its digest.", evalSHA),
		reads("eval_ro", "script", "Carries out a script that only reads.", evalRO),
		reads("evalsha_ro", "sha1", "Carries out a script that only reads by its digest.", evalSHARO),
		writes("fcall", "function", "7.0.0", "Calls a function.", fcall),
		reads("fcall_ro", "function", "Calls a function that only reads.", fcallRO),
		{Name: "script", Arity: -2, Group: command.GroupScripting, Since: "2.6.0",
			Summary: "A container for commands about scripts.", Complexity: "Depends on subcommand.", Sub: scriptRows()},
		{Name: "function", Arity: -2, Group: command.GroupScripting, Since: "7.0.0",
			Summary: "A container for commands about functions.", Complexity: "Depends on subcommand.", Sub: functionRows()},
	}
}

func scriptRows() []*command.Command {
	rows := []*command.Command{
		{Name: "load", Arity: 3, Flags: manageFlags | command.Stale, Run: scriptLoad, Tips: []string{allNodes, succeeded},
			Syntax:  "script",
			Summary: "Keeps a script so that it can be called by its digest.", Complexity: "O(N) with N being the length in bytes of the script body."},
		{Name: "exists", Arity: -3, Flags: manageFlags, Run: scriptExists, Tips: []string{allShards, "response_policy:agg_logical_and"},
			Syntax:  "sha1...",
			Summary: "Tells which scripts are there.", Complexity: "O(N) with N being the number of scripts to check (so checking a single script is an O(1) operation)."},
		{Name: "flush", Arity: -2, Flags: manageFlags, Run: scriptFlush, Tips: []string{allNodes, succeeded},
			Syntax:  "[flush-type(ASYNC | SYNC)@6.2.0]",
			Summary: "Forgets every script.", Complexity: "O(N) with N being the number of scripts in cache"},
		{Name: "kill", Arity: 2, Flags: manageFlags | command.AllowBusy | command.AtScript, Run: scriptKill, Tips: []string{allShards, "response_policy:one_succeeded"},
			Summary: "Ends the script that runs.", Complexity: "O(1)"},
		{Name: "debug", Arity: 3, Flags: manageFlags, Run: scriptDebug, Since: "3.2.0",
			Syntax:  "mode(YES | SYNC | NO)",
			Summary: "Chooses the mode of the debugger, which there is not.", Complexity: "O(1)"},
		{Name: "help", Arity: 2, Flags: command.Loading | command.Stale, Run: scriptHelp, Since: "5.0.0",
			Summary: "Returns help about the subcommands.", Complexity: "O(1)"},
	}
	return family(rows, "2.6.0")
}

func functionRows() []*command.Command {
	rows := []*command.Command{
		{Name: "load", Arity: -3, Flags: manageFlags | command.Write | command.DenyOOM, Run: functionLoad, Tips: []string{allShards, succeeded},
			Syntax:  "[REPLACE] function-code",
			Summary: "Keeps a library of functions.", Complexity: "O(1) (considering compilation time is redundant)"},
		{Name: "delete", Arity: 3, Flags: manageFlags | command.Write, Run: functionDelete, Tips: []string{allShards, succeeded},
			Syntax:  "library-name",
			Summary: "Removes a library.", Complexity: "O(1)"},
		{Name: "flush", Arity: -2, Flags: manageFlags | command.Write, Run: functionFlush, Tips: []string{allShards, succeeded},
			Syntax:  "[flush-type(ASYNC | SYNC)]",
			Summary: "Removes every library.", Complexity: "O(N) where N is the number of functions deleted"},
		{Name: "list", Arity: -2, Flags: manageFlags, Run: functionList, Tips: []string{"nondeterministic_output_order"},
			Syntax:  "[LIBRARYNAME library-name-pattern] [WITHCODE]",
			Summary: "Describes libraries.", Complexity: "O(N) where N is the number of functions"},
		{Name: "stats", Arity: 2, Flags: manageFlags | command.AllowBusy, Run: functionStats,
			Tips:    []string{"nondeterministic_output", allShards, "response_policy:special"},
			Summary: "Describes the function that runs.", Complexity: "O(1)"},
		{Name: "kill", Arity: 2, Flags: manageFlags | command.AllowBusy | command.AtScript, Run: functionKill, Tips: []string{allShards, "response_policy:one_succeeded"},
			Summary: "Ends the function that runs.", Complexity: "O(1)"},
		{Name: "dump", Arity: 2, Flags: manageFlags, Run: functionDump,
			Summary: "Returns every library in one payload.", Complexity: "O(N) where N is the number of functions"},
		{Name: "restore", Arity: -3, Flags: manageFlags | command.Write | command.DenyOOM, Run: functionRestore, Tips: []string{allShards, succeeded},
			Syntax:  "serialized-value [policy(FLUSH | APPEND | REPLACE)]",
			Summary: "Keeps the libraries of a payload.", Complexity: "O(N) where N is the number of functions on the payload"},
		{Name: "help", Arity: 2, Flags: command.Loading | command.Stale, Run: functionHelp,
			Summary: "Returns help about the subcommands.", Complexity: "O(1)"},
	}
	return family(rows, "7.0.0")
}

// family fills in what subcommands have in common.
func family(rows []*command.Command, since string) []*command.Command {
	for _, r := range rows {
		r.Group, r.Cats = command.GroupScripting, command.CatScripting
		if r.Since == "" {
			r.Since = since
		}
	}
	return rows
}

func scriptHelp(c *command.Ctx) error {
	return help(c, "SCRIPT",
		"DEBUG (YES|SYNC|NO)", "    Set the debug mode for subsequent scripts executed.",
		"EXISTS <sha1> [<sha1> ...]", "    Return information about the existence of the scripts in the script cache.",
		"FLUSH [ASYNC|SYNC]", "    Flush the Lua scripts cache. Both modes do the same.",
		"KILL", "    Kill the currently executing Lua script.",
		"LOAD <script>", "    Load a script into the scripts cache without executing it.")
}

func functionHelp(c *command.Ctx) error {
	return help(c, "FUNCTION",
		"LOAD [REPLACE] <FUNCTION CODE>", "    Create a new library with the given library name and code.",
		"DELETE <LIBRARY NAME>", "    Delete the given library.",
		"LIST [LIBRARYNAME PATTERN] [WITHCODE]", "    Return the libraries, those whose names match PATTERN, and their code.",
		"STATS", "    Return the function that runs, and how many functions and libraries there are.",
		"KILL", "    Kill the current running function.",
		"FLUSH [ASYNC|SYNC]", "    Delete all the libraries. Both modes do the same.",
		"DUMP", "    Return a payload with the current libraries, for FUNCTION RESTORE.",
		"RESTORE <PAYLOAD> [FLUSH|APPEND|REPLACE]", "    Restore the libraries of a payload. What happens to libraries that are there (default APPEND):",
		"    * FLUSH: they are deleted.", "    * APPEND: they stay; one of the same name is an error.",
		"    * REPLACE: they stay, but for those of the same name.")
}

// help answers the HELP of a container, in the form that redis-cli prints.
func help(c *command.Ctx, container string, lines ...string) error {
	c.Out.Array(len(lines) + 3)
	c.Out.Simple(container + " <subcommand> [<arg> [value] [opt] ...]. Subcommands are:")
	for _, l := range lines {
		c.Out.Simple(l)
	}
	c.Out.Simple("HELP")
	c.Out.Simple("    Print this help.")
	return nil
}
