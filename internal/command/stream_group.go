package command

import "github.com/elastickv/elastickv/internal/keyspace"

var xgroupCommands = []*Command{
	{Name: "create", Arity: -5, Flags: Write | DenyOOM, Group: GroupStream, Keys: []KeySpec{keyAt(2, KeyRW|KeyInsert)}, Run: xgroupCreate,
		Syntax: "key group id-selector(id | new-id=$) [MKSTREAM] [ENTRIESREAD entries-read]", History: []string{"7.0.0 Added `ENTRIESREAD`."},
		Since: "5.0.0", Complexity: "O(1)", Summary: "Makes a consumer group."},
	{Name: "setid", Arity: -5, Flags: Write, Group: GroupStream, Keys: []KeySpec{keyAt(2, KeyRW|KeyUpdate)}, Run: xgroupSetID,
		Syntax: "key group id-selector(id | new-id=$) [ENTRIESREAD entriesread=entries-read]", History: []string{"7.0.0 Added `ENTRIESREAD`."},
		Since: "5.0.0", Complexity: "O(1)", Summary: "Sets the ID behind which a group reads on."},
	{Name: "destroy", Arity: 4, Flags: Write, Group: GroupStream, Keys: []KeySpec{keyAt(2, KeyRW|KeyDelete)}, Run: xgroupDestroy,
		Syntax: "key group",
		Since:  "5.0.0", Complexity: "O(1)", Summary: "Removes a consumer group."},
	{Name: "createconsumer", Arity: 5, Flags: Write | DenyOOM, Group: GroupStream, Keys: []KeySpec{keyAt(2, KeyRW|KeyInsert)}, Run: xgroupCreateConsumer,
		Syntax: "key group consumer",
		Since:  "6.2.0", Complexity: "O(1)", Summary: "Makes a consumer of a group."},
	{Name: "delconsumer", Arity: 5, Flags: Write, Group: GroupStream, Keys: []KeySpec{keyAt(2, KeyRW|KeyDelete)}, Run: xgroupDelConsumer,
		Syntax: "key group consumer",
		Since:  "5.0.0", Complexity: "O(N) where N is the number of entries pending for it", Summary: "Removes a consumer of a group, and what is pending for it."},
	{Name: "help", Arity: 2, Flags: Loading | Stale, Group: GroupStream, Run: help(
		"CREATE <key> <group> <id|$> [MKSTREAM] [ENTRIESREAD <n>]", "    Make a group that reads behind <id>, and with MKSTREAM the stream.",
		"SETID <key> <group> <id|$> [ENTRIESREAD <n>]", "    Make a group read on behind <id>.",
		"DESTROY <key> <group>", "    Remove a group.",
		"CREATECONSUMER <key> <group> <consumer>", "    Make a consumer.",
		"DELCONSUMER <key> <group> <consumer>", "    Remove a consumer and what is pending for it."),
		Since: "5.0.0", Complexity: "O(1)", Summary: "Lists the subcommands."},
}

// groupOptions are the options of XGROUP CREATE and SETID.
type groupOptions struct {
	makeStream  bool
	entriesRead int64
}

func parseGroupOptions(c *Ctx) (o groupOptions, err error) {
	o.entriesRead = keyspace.EntriesReadUnknown
	for i := 5; i < len(c.Args); i++ {
		switch {
		case c.Cmd.Name == "create" && c.is(i, "MKSTREAM"):
			o.makeStream = true
		case c.is(i, "ENTRIESREAD") && i+1 < len(c.Args):
			i++
			if o.entriesRead, err = c.int(i); err != nil {
				return o, err
			}
			if o.entriesRead < keyspace.EntriesReadUnknown {
				return o, ErrGroupEntriesRead
			}
		default:
			return o, errSubcommand(c)
		}
	}
	return o, nil
}

// groupStream opens the stream of a subcommand, which has to be there.
func (c *Ctx) groupStream() (*keyspace.Stream, error) {
	st, err := c.Keys.Stream(c.Args[2])
	if err == nil && !st.Exists() {
		err = ErrGroupNoKey
	}
	return st, err
}

// streamGroup opens the group of a subcommand, which has to be there.
func (c *Ctx) streamGroup() (*keyspace.Group, error) {
	st, err := c.groupStream()
	if err != nil {
		return nil, err
	}
	g, err := st.Group(c.Args[3])
	if err == nil && g == nil {
		err = errNoGroupOfKey(c.Args[2], c.Args[3])
	}
	return g, err
}

func xgroupCreate(c *Ctx) error {
	o, err := parseGroupOptions(c)
	if err != nil {
		return err
	}
	st, err := c.Keys.Stream(c.Args[2])
	switch {
	case err != nil:
		return err
	case !st.Exists() && !o.makeStream:
		return ErrGroupNoKey
	case len(c.Args) > 8:
		return errSubcommand(c)
	}
	last := st.LastID()
	if string(c.Args[4]) != "$" {
		if last, err = parseStreamID(c.Args[4], 0); err != nil {
			return err
		}
	}
	if err := st.Create(); err != nil {
		return err
	}
	ok, err := st.CreateGroup(c.Args[3], last, o.entriesRead)
	if err != nil {
		return err
	}
	if !ok {
		return ErrGroupExists
	}
	c.Keys.Notify(keyspace.ClassStream, "xgroup-create", c.Args[2])
	c.Out.OK()
	return nil
}

func xgroupSetID(c *Ctx) error {
	o, err := parseGroupOptions(c)
	if err != nil {
		return err
	}
	g, err := c.streamGroup()
	if err != nil {
		return err
	}
	if len(c.Args) > 7 {
		return errSubcommand(c)
	}
	g.LastID = g.Stream().LastID()
	if string(c.Args[4]) != "$" {
		if g.LastID, err = parseStreamEnd(c.Args[4], 0); err != nil {
			return err
		}
	}
	g.EntriesRead = o.entriesRead
	c.Keys.Notify(keyspace.ClassStream, "xgroup-setid", c.Args[2])
	c.Out.OK()
	return g.Save()
}

func xgroupDestroy(c *Ctx) error {
	st, err := c.groupStream()
	if err != nil {
		return err
	}
	g, err := st.Group(c.Args[3])
	if err != nil {
		return err
	}
	c.bit(g != nil)
	if g == nil {
		return nil
	}
	c.Keys.Notify(keyspace.ClassStream, "xgroup-destroy", c.Args[2])
	return g.Destroy()
}

func xgroupCreateConsumer(c *Ctx) error {
	g, err := c.streamGroup()
	if err != nil {
		return err
	}
	_, created, err := g.CreateConsumer(c.Args[4])
	if err != nil {
		return err
	}
	c.bit(created)
	return g.Save()
}

func xgroupDelConsumer(c *Ctx) error {
	g, err := c.streamGroup()
	if err != nil {
		return err
	}
	pending, ok, err := g.DeleteConsumer(c.Args[4])
	if err != nil {
		return err
	}
	if ok {
		c.Keys.Notify(keyspace.ClassStream, "xgroup-delconsumer", c.Args[2])
	}
	c.Out.Int(pending)
	return nil
}
