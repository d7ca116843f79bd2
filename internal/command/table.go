package command

import (
	"fmt"
	"sort"
	"strings"

	"github.com/elastickv/elastickv/internal/txn"
)

// Table is every command that a server knows.
type Table struct {
	byName map[string]*Command // top-level commands, lower case
	subs   map[*Command]map[string]*Command
	sorted []*Command
}

// Rows returns the commands of this package: those that work on data, and COMMAND.
func Rows() []*Command {
	var rows []*Command
	for _, family := range [][]*Command{
		stringCommands, keysCommands, ttlCommands, dumpCommands, objectCommands, introspectionCommands,
		listCommands, listBlockingCommands, zsetCommands, zsetBlockingCommands, hashCommands, hashExpiryCommands, setCommands,
		bitmapCommands, hyperloglogCommands, geoCommands, sortCommands, streamCommands,
	} {
		rows = append(rows, family...)
	}
	return rows
}

// NewTable builds a table. It panics on two rows of one name and on rows that
// contradict themselves: those are mistakes in the program.
func NewTable(rows ...[]*Command) *Table {
	t := &Table{byName: make(map[string]*Command), subs: make(map[*Command]map[string]*Command)}
	for _, family := range rows {
		for _, c := range family {
			t.add(c)
		}
	}
	sort.Slice(t.sorted, func(i, j int) bool { return t.sorted[i].Name < t.sorted[j].Name })
	return t
}

func (t *Table) add(c *Command) {
	if t.byName[c.Name] != nil {
		panic(fmt.Sprintf("command: two rows for %q", c.Name))
	}
	t.byName[c.Name] = c
	t.sorted = append(t.sorted, c)
	if len(c.Sub) == 0 {
		c.check()
		return
	}
	t.subs[c] = make(map[string]*Command, len(c.Sub))
	for _, sub := range c.Sub {
		if t.subs[c][sub.Name] != nil {
			panic(fmt.Sprintf("command: two rows for %q", c.Name+"|"+sub.Name))
		}
		sub.parent = c
		sub.check()
		t.subs[c][sub.Name] = sub
	}
}

func (c *Command) check() {
	switch {
	case c.Run == nil:
		panic(fmt.Sprintf("command: %q has no handler", c.FullName()))
	case c.Arity == 0 || c.Name != strings.ToLower(c.Name) || c.Group == "" || c.Summary == "" || c.Since == "":
		panic(fmt.Sprintf("command: the row of %q is not complete", c.FullName()))
	case c.Has(Write) && c.Has(ReadOnly):
		panic(fmt.Sprintf("command: %q both writes and only reads", c.FullName()))
	}
}

// Lookup returns the command that args call, or the error that the client gets.
// args is not empty.
func (t *Table) Lookup(args [][]byte) (*Command, error) {
	c := lookupName(t.byName, args[0])
	if c == nil {
		return nil, errUnknownCommand(args)
	}
	if c.Sub != nil && len(args) > 1 {
		sub := lookupName(t.subs[c], args[1])
		if sub == nil {
			return nil, errUnknownSubcommand(c, args[1])
		}
		c = sub
	}
	if !c.Accepts(len(args)) || c.Run == nil {
		return nil, errArity(c)
	}
	return c, nil
}

// Find returns the command that args name, whatever their number, or nil if there is none.
// args is not empty.
func (t *Table) Find(args [][]byte) *Command {
	c := lookupName(t.byName, args[0])
	if c != nil && c.Sub != nil && len(args) > 1 {
		return lookupName(t.subs[c], args[1])
	}
	return c
}

// lookupName finds a name in any case without allocating.
func lookupName(m map[string]*Command, name []byte) *Command {
	const longest = 64
	if len(name) > longest {
		return nil
	}
	var buf [longest]byte
	for i, b := range name {
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		buf[i] = b
	}
	return m[string(buf[:len(name)])]
}

// All returns the top-level commands in order of their names.
func (t *Table) All() []*Command { return t.sorted }

// Run carries out c.Cmd: exactly one reply is added to c.Out, and a command that
// fails has no effect on the keys. The error it returns is not for the client,
// who has been answered, but for the log.
func (t *Table) Run(c *Ctx) error {
	mark := c.Out.Len()
	c.Out.Limit(c.Env.MaxReply)
	run := func() error {
		return txn.Protect(func() error {
			err := c.Cmd.Run(c)
			if err == nil {
				err = c.checkReply()
			}
			return err
		})
	}
	var err error
	if c.Keys != nil {
		if c.Cmd.looksUpToRead() {
			c.Keys = c.Keys.Reading()
		}
		if c.Untouched || c.Cmd.Has(NoTouch) {
			c.Keys = c.Keys.Untouched()
		}
		err = c.Keys.Atomically(run)
	} else {
		err = run()
	}
	if err == nil {
		return nil
	}
	c.Out.Truncate(mark)
	reply, internal := replyOf(err)
	c.Out.Error(string(reply))
	if internal {
		return fmt.Errorf("command %s: %w", c.Cmd.FullName(), err)
	}
	return nil
}
