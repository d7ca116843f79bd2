package command

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

func commandDocs(c *Ctx) error {
	cmds := c.Env.Table.All()
	if len(c.Args) > 2 {
		cmds = nil
		for _, name := range c.Args[2:] {
			if cmd := c.Env.Table.Named(name); cmd != nil {
				cmds = append(cmds, cmd)
			}
		}
	}
	replyDocs(c, cmds)
	return nil
}

func replyDocs(c *Ctx, cmds []*Command) {
	c.Out.Map(len(cmds))
	for _, cmd := range cmds {
		c.Out.BulkString(cmd.FullName())
		cmd.replyDoc(c)
	}
}

// Arguments returns the tree of the command's arguments. It panics if the syntax in its row is
// wrong: that is a mistake in the program.
func (c *Command) Arguments() []Argument {
	args, err := ParseSyntax(c.Syntax)
	if err != nil {
		panic(fmt.Sprintf("command: %s: %v", c.FullName(), err))
	}
	return args
}

// replyDoc writes what COMMAND DOCS has of one command.
func (c *Command) replyDoc(x *Ctx) {
	fields := [][2]string{{"summary", c.Summary}, {"since", c.Since}, {"group", string(c.Group)}}
	if c.Complexity != "" {
		fields = append(fields, [2]string{"complexity", c.Complexity})
	}
	var flags []string
	if c.Deprecated != "" {
		flags = append(flags, "deprecated")
		fields = append(fields, [2]string{"deprecated_since", c.Deprecated}, [2]string{"replaced_by", c.Instead})
	}
	if c.Internal {
		flags = append(flags, "syscmd")
	}
	args := c.Arguments()
	history := c.changes(args)
	x.Out.Map(len(fields) + boolInt(flags != nil) + boolInt(history != nil) + boolInt(args != nil) + boolInt(c.Sub != nil))
	x.replyTexts(fields)
	if flags != nil {
		x.Out.BulkString("doc_flags")
		x.replyStatusSet(flags)
	}
	if history != nil {
		x.Out.BulkString("history")
		x.replyHistory(history)
	}
	if args != nil {
		x.Out.BulkString("arguments")
		keys := keyNumbers{specs: c.Keys}
		keys.reply(x, args)
	}
	if c.Sub != nil {
		x.Out.BulkString("subcommands")
		replyDocs(x, c.Sub)
	}
}

func (c *Ctx) replyTexts(fields [][2]string) {
	for _, f := range fields {
		c.Out.BulkString(f[0])
		c.Out.BulkString(f[1])
	}
}

func (c *Ctx) replyHistory(changes []string) {
	c.Out.Set(len(changes))
	for _, change := range changes {
		version, what, _ := strings.Cut(change, " ")
		c.Out.Array(2)
		c.Out.BulkString(version)
		c.Out.BulkString(what)
	}
}

// changes returns what has changed since the command was introduced, the oldest first: what its
// row says, and which versions have added arguments.
func (c *Command) changes(args []Argument) []string {
	added := make(map[string][]string)
	for _, a := range args {
		a.addTo(added)
	}
	out := slices.Clone(c.History)
	for version, words := range added {
		out = append(out, version+" Added "+strings.Join(words, ", ")+".")
	}
	slices.SortFunc(out, func(a, b string) int { return compareVersions(a, b) })
	return out
}

// addTo adds to each version the words of those parts of the argument that it has added.
func (a *Argument) addTo(added map[string][]string) {
	if a.Since != "" {
		added[a.Since] = append(added[a.Since], a.words()...)
	}
	for _, sub := range a.Args {
		sub.addTo(added)
	}
}

// words returns how to call the argument: its token, the tokens of a choice, or else its name.
func (a *Argument) words() []string {
	if a.Token != "" || a.Kind != ArgOneOf {
		return []string{"`" + cmp.Or(a.Token, a.Name) + "`"}
	}
	var out []string
	for _, sub := range a.Args {
		out = append(out, sub.words()...)
	}
	return out
}

// compareVersions orders texts that begin with versions of three numbers.
func compareVersions(a, b string) int {
	return slices.Compare(versionOf(a), versionOf(b))
}

func versionOf(s string) []int {
	var out []int
	for part := range strings.SplitSeq(strings.SplitN(s, " ", 2)[0], ".") {
		n, _ := strconv.Atoi(part)
		out = append(out, n)
	}
	return out
}

// keyNumbers numbers the key specifications that the arguments of a command belong to: keys in
// order, the last specification having all that are left. Patterns of keys (SORT's) belong to the first
// of which is not known where its keys are.
type keyNumbers struct {
	specs []KeySpec
	next  int
}

// of returns the number for an argument, or -1 if it has none.
func (k *keyNumbers) of(a Argument) int {
	unknown := slices.IndexFunc(k.specs, func(s KeySpec) bool { return s.Unknown })
	switch {
	case a.Kind == ArgPattern && unknown >= 0:
		k.next = unknown + 1
		return unknown
	case a.Kind == ArgKey && len(k.specs) > 0:
		k.next++
		return min(k.next, len(k.specs)) - 1
	}
	return -1
}

// reply writes arguments in the form of COMMAND DOCS.
func (k *keyNumbers) reply(c *Ctx, args []Argument) {
	c.Out.Array(len(args))
	for _, a := range args {
		k.replyOne(c, a)
	}
}

func (k *keyNumbers) replyOne(c *Ctx, a Argument) {
	fields := [][2]string{{"name", a.Name}, {"type", string(a.Kind)}}
	if a.Args == nil {
		fields = append(fields, [2]string{"display_text", cmp.Or(a.Shown, a.Name)})
	}
	for _, f := range [][2]string{{"token", a.Token}, {"since", a.Since}, {"deprecated_since", a.Deprecated}} {
		if f[1] != "" {
			fields = append(fields, f)
		}
	}
	if a.Token == emptyToken {
		fields[len(fields)-1][1] = ""
	}
	flags := a.flags()
	key := k.of(a)
	c.Out.Map(len(fields) + boolInt(key >= 0) + boolInt(flags != nil) + boolInt(a.Args != nil))
	c.replyTexts(fields)
	if key >= 0 {
		c.Out.BulkString("key_spec_index")
		c.Out.Int(int64(key))
	}
	if flags != nil {
		c.Out.BulkString("flags")
		c.replyStatusSet(flags)
	}
	if a.Args != nil {
		c.Out.BulkString("arguments")
		k.reply(c, a.Args)
	}
}

func (a *Argument) flags() []string {
	var out []string
	for _, f := range []struct {
		on   bool
		name string
	}{{a.Optional, "optional"}, {a.Multiple, "multiple"}, {a.MultipleToken, "multiple_token"}} {
		if f.on {
			out = append(out, f.name)
		}
	}
	return out
}
