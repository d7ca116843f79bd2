package command

import (
	"slices"
	"strings"
)

var introspectionCommands = []*Command{
	{Name: "command", Arity: -1, Flags: Loading | Stale, Group: GroupServer, Cats: CatConnection, Run: commandAll, Tips: []string{"nondeterministic_output_order"},
		Since: "2.8.13", Complexity: "O(N) where N is the number of commands", Summary: "Describes every command.", Sub: []*Command{
			{Name: "count", Arity: 2, Flags: Loading | Stale, Group: GroupServer, Cats: CatConnection, Run: commandCount,
				Since: "2.8.13", Complexity: "O(1)", Summary: "Returns the number of commands."},
			{Name: "docs", Arity: -2, Flags: Loading | Stale, Group: GroupServer, Cats: CatConnection, Run: commandDocs, Tips: []string{"nondeterministic_output_order"},
				Syntax: "[command-name...]",
				Since:  "7.0.0", Complexity: "O(N) where N is the number of commands asked for", Summary: "Returns what commands do, in words."},
			{Name: "getkeys", Arity: -3, Flags: Loading | Stale, Group: GroupServer, Cats: CatConnection, Run: commandGetKeys,
				Syntax: "command [arg...]",
				Since:  "2.8.13", Complexity: "O(N) where N is the number of arguments", Summary: "Returns the keys of a call."},
			{Name: "getkeysandflags", Arity: -3, Flags: Loading | Stale, Group: GroupServer, Cats: CatConnection, Run: commandGetKeysAndFlags,
				Syntax: "command [arg...]",
				Since:  "7.0.0", Complexity: "O(N) where N is the number of arguments", Summary: "Returns the keys of a call and what happens to them."},
			{Name: "info", Arity: -2, Flags: Loading | Stale, Group: GroupServer, Cats: CatConnection, Run: commandInfo, Tips: []string{"nondeterministic_output_order"},
				Syntax: "[command-name...]", History: []string{"7.0.0 Takes no name, for all commands."},
				Since: "2.8.13", Complexity: "O(N) where N is the number of commands asked for", Summary: "Describes commands by name."},
			{Name: "list", Arity: -2, Flags: Loading | Stale, Group: GroupServer, Cats: CatConnection, Run: commandList, Tips: []string{"nondeterministic_output_order"},
				Syntax: "[FILTERBY (MODULE module-name | ACLCAT category | PATTERN pattern)]",
				Since:  "7.0.0", Complexity: "O(N) where N is the number of commands", Summary: "Lists the names of commands."},
			{Name: "help", Arity: 2, Flags: Loading | Stale, Group: GroupServer, Cats: CatConnection, Run: help(
				"(no subcommand)", "    Return details about all commands.",
				"COUNT", "    Return the total number of commands in this server.",
				"LIST [FILTERBY (MODULE <name>|ACLCAT <category>|PATTERN <pattern>)]", "    Return the names of commands.",
				"INFO [<command-name> ...]", "    Return details about commands. Without names, about all.",
				"DOCS [<command-name> ...]", "    Return documentation about commands. Without names, about all.",
				"GETKEYS <full-command>", "    Return the keys from a full command.",
				"GETKEYSANDFLAGS <full-command>", "    Return the keys and the access flags from a full command."),
				Since: "5.0.0", Complexity: "O(1)", Summary: "Lists the subcommands."},
		}},
}

func upper(s string) string { return strings.ToUpper(s) }

func commandAll(c *Ctx) error {
	all := c.Env.Table.All()
	c.Out.Array(len(all))
	for _, cmd := range all {
		cmd.replyInfo(c)
	}
	return nil
}

func commandCount(c *Ctx) error {
	c.Out.Int(int64(len(c.Env.Table.All())))
	return nil
}

// Named finds a command by a name such as "get" or "config|get".
func (t *Table) Named(name []byte) *Command {
	first, sub, isSub := strings.Cut(string(name), "|")
	cmd := lookupName(t.byName, []byte(first))
	if cmd == nil || !isSub {
		return cmd
	}
	return lookupName(t.subs[cmd], []byte(sub))
}

func commandInfo(c *Ctx) error {
	if len(c.Args) == 2 {
		return commandAll(c)
	}
	c.Out.Array(len(c.Args) - 2)
	for _, name := range c.Args[2:] {
		if cmd := c.Env.Table.Named(name); cmd != nil {
			cmd.replyInfo(c)
		} else {
			c.Out.Null()
		}
	}
	return nil
}

// replyInfo writes the ten fields of COMMAND INFO.
func (cmd *Command) replyInfo(c *Ctx) {
	first, last, step := cmd.firstRange()
	flags := cmd.Flags &^ MayReplicate // which Redis keeps to itself
	if len(cmd.Keys) > 0 && first == 0 {
		flags |= MovableKeys
	}
	c.Out.Array(10)
	c.Out.BulkString(cmd.FullName())
	c.Out.Int(int64(cmd.Arity))
	c.replyStatusSet(flags.Names())
	c.Out.Int(int64(first))
	c.Out.Int(int64(last))
	c.Out.Int(int64(step))
	c.replyStatusSet(cmd.Categories().Names())
	c.Out.Set(len(cmd.Tips))
	for _, tip := range cmd.Tips {
		c.Out.BulkString(tip)
	}
	c.Out.Set(len(cmd.Keys))
	for _, k := range cmd.Keys {
		k.replyInfo(c)
	}
	c.Out.Set(len(cmd.Sub))
	for _, sub := range cmd.Sub {
		sub.replyInfo(c)
	}
}

func (c *Ctx) replyStatusSet(names []string) {
	c.Out.Set(len(names))
	for _, n := range names {
		c.Out.Simple(n)
	}
}

// replyInfo writes a key specification in the form of COMMAND INFO.
func (k KeySpec) replyInfo(c *Ctx) {
	c.Out.Map(3)
	c.Out.BulkString("flags")
	c.replyStatusSet(k.Flags.Names())
	c.Out.BulkString("begin_search")
	switch {
	case k.Unknown:
		c.replySpec("unknown")
	case k.Keyword != "":
		c.replySpec("keyword", "keyword", k.Keyword, "startfrom", k.Index)
	default:
		c.replySpec("index", "index", k.Index)
	}
	c.Out.BulkString("find_keys")
	switch {
	case k.Unknown:
		c.replySpec("unknown")
	case k.NumKeys:
		c.replySpec("keynum", "keynumidx", 0, "firstkey", 1, "keystep", k.Step)
	default:
		c.replySpec("range", "lastkey", k.Last, "keystep", k.Step, "limit", k.Limit)
	}
}

// replySpec writes a part of a key specification: its type and pairs of a name
// and a number or a word.
func (c *Ctx) replySpec(kind string, pairs ...any) {
	c.Out.Map(2)
	c.Out.BulkString("type")
	c.Out.BulkString(kind)
	c.Out.BulkString("spec")
	c.Out.Map(len(pairs) / 2)
	for _, p := range pairs {
		switch v := p.(type) {
		case string:
			c.Out.BulkString(v)
		case int:
			c.Out.Int(int64(v))
		}
	}
}

// calledKeys returns the command of the call in the arguments from the third
// on, that call, and where its keys stand.
func calledKeys(c *Ctx) (*Command, [][]byte, error) {
	args := c.Args[2:]
	cmd := c.Env.Table.Find(args)
	switch {
	case cmd == nil:
		return nil, nil, ErrGetKeysCommand
	case !slices.ContainsFunc(cmd.Keys, func(k KeySpec) bool { return k.Flags&KeyNotKey == 0 }):
		return nil, nil, ErrGetKeysNone
	case !cmd.Accepts(len(args)):
		return nil, nil, ErrGetKeysArgs
	case len(cmd.KeyPositions(args)) == 0 && !cmd.Has(NoMandatoryKeys):
		return nil, nil, ErrGetKeysInvalid
	}
	return cmd, args, nil
}

func commandGetKeys(c *Ctx) error {
	cmd, args, err := calledKeys(c)
	if err != nil {
		return err
	}
	at := cmd.KeyPositions(args)
	c.Out.Array(len(at))
	for _, i := range at {
		c.Out.Bulk(args[i])
	}
	return nil
}

func commandGetKeysAndFlags(c *Ctx) error {
	cmd, args, err := calledKeys(c)
	if err != nil {
		return err
	}
	keys := cmd.KeysOf(args)
	c.Out.Array(len(keys))
	for _, k := range keys {
		c.Out.Array(2)
		c.Out.Bulk(args[k.At])
		c.replyStatusSet(k.Flags.Names())
	}
	return nil
}

func commandList(c *Ctx) error {
	keep := func(*Command) bool { return true }
	switch {
	case len(c.Args) == 2:
	case len(c.Args) == 5 && c.is(2, "FILTERBY"):
		arg := string(c.Args[4])
		switch {
		case c.is(3, "MODULE"):
			keep = func(*Command) bool { return false } // there are no modules
		case c.is(3, "ACLCAT"):
			keep = func(cmd *Command) bool { return inCategory(cmd, arg) }
		case c.is(3, "PATTERN"):
			keep = func(cmd *Command) bool { return globMatch([]byte(strings.ToLower(arg)), []byte(cmd.FullName())) }
		default:
			return ErrSyntax
		}
	default:
		return ErrSyntax
	}
	var names []string
	for _, cmd := range c.Env.Table.All() {
		if keep(cmd) {
			names = append(names, cmd.FullName())
		}
		for _, sub := range cmd.Sub {
			if keep(sub) {
				names = append(names, sub.FullName())
			}
		}
	}
	c.Out.Array(len(names))
	for _, n := range names {
		c.Out.BulkString(n)
	}
	return nil
}

func inCategory(cmd *Command, name string) bool {
	for _, n := range cmd.Categories().Names() {
		if strings.EqualFold(n, "@"+name) {
			return true
		}
	}
	return false
}
