package acl

import "github.com/elastickv/elastickv/internal/command"

// catalog numbers every command and subcommand of a table.
type catalog struct {
	table  *command.Table
	number map[*command.Command]int
	all    []*command.Command // by number; a container before its subcommands
}

func newCatalog(t *command.Table) *catalog {
	c := &catalog{table: t, number: make(map[*command.Command]int)}
	add := func(cmd *command.Command) {
		c.number[cmd] = len(c.all)
		c.all = append(c.all, cmd)
	}
	for _, cmd := range t.All() {
		add(cmd)
		for _, sub := range cmd.Sub {
			add(sub)
		}
	}
	return c
}

// named returns the command with a full name such as "get" or "config|get", in any case.
func (c *catalog) named(name string) *command.Command { return c.table.Named([]byte(name)) }

// commandSet is a set of commands by their numbers.
type commandSet []uint64

func (c *catalog) none() commandSet { return make(commandSet, (len(c.all)+63)/64) }

func (c *catalog) every() commandSet {
	s := c.none()
	for n := range c.all {
		s[n/64] |= 1 << (n % 64)
	}
	return s
}

func (s commandSet) has(n int) bool { return s[n/64]&(1<<(n%64)) != 0 }

func (s commandSet) put(n int, in bool) {
	if in {
		s[n/64] |= 1 << (n % 64)
	} else {
		s[n/64] &^= 1 << (n % 64)
	}
}

// put allows or forbids a command with all its subcommands.
func (c *catalog) put(s commandSet, cmd *command.Command, in bool) {
	s.put(c.number[cmd], in)
	for _, sub := range cmd.Sub {
		s.put(c.number[sub], in)
	}
}

// putCategory allows or forbids the commands of a category.
func (c *catalog) putCategory(s commandSet, cat command.Category, in bool) {
	for _, cmd := range c.all {
		if cmd.Categories()&cat != 0 {
			c.put(s, cmd, in)
		}
	}
}
