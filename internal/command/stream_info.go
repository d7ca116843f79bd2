package command

import "github.com/elastickv/elastickv/internal/keyspace"

var xinfoCommands = []*Command{
	{Name: "stream", Arity: -3, Flags: ReadOnly, Group: GroupStream, Keys: []KeySpec{keyAt(2, KeyRO|KeyAccess)}, Run: xinfoStream,
		Syntax: "key [full-block(FULL [COUNT count])]", History: []string{"6.0.0 Added `FULL`.", "7.0.0 Tells `max-deleted-entry-id`, `entries-added`, `recorded-first-entry-id`, `entries-read` and `lag`.", "7.2.0 Tells `active-time`; `seen-time` means something else."},
		Since: "5.0.0", Complexity: "O(1); with FULL, O(N) where N is the number of entries, groups, consumers and pending entries returned", Summary: "Tells of a stream."},
	{Name: "groups", Arity: 3, Flags: ReadOnly, Group: GroupStream, Keys: []KeySpec{keyAt(2, KeyRO|KeyAccess)}, Run: xinfoGroups,
		Syntax: "key", History: []string{"7.0.0 Tells `entries-read` and `lag`."},
		Since: "5.0.0", Complexity: "O(N) where N is the number of groups", Summary: "Tells of the groups of a stream."},
	{Name: "consumers", Arity: 4, Flags: ReadOnly, Group: GroupStream, Keys: []KeySpec{keyAt(2, KeyRO|KeyAccess)}, Run: xinfoConsumers, Tips: []string{"nondeterministic_output"},
		Syntax: "key group", History: []string{"7.2.0 Tells `inactive`."},
		Since: "5.0.0", Complexity: "O(N) where N is the number of consumers", Summary: "Tells of the consumers of a group."},
	{Name: "help", Arity: 2, Flags: Loading | Stale, Group: GroupStream, Run: help(
		"STREAM <key> [FULL [COUNT <n>]]", "    Tell of a stream; with FULL, of its groups too, and <n> entries of each list.",
		"GROUPS <key>", "    Tell of the groups of a stream.",
		"CONSUMERS <key> <group>", "    Tell of the consumers of a group."),
		Since: "5.0.0", Complexity: "O(1)", Summary: "Lists the subcommands."},
}

// infoStream opens the stream of a subcommand, which has to be there.
func (c *Ctx) infoStream() (*keyspace.Stream, error) {
	st, err := c.Keys.Stream(c.Args[2])
	if err == nil && !st.Exists() {
		err = ErrNoSuchKey
	}
	return st, err
}

// The name and value of a pair of a map.

func (c *Ctx) infoInt(name string, n int64) {
	c.Out.BulkString(name)
	c.Out.Int(n)
}

func (c *Ctx) infoBytes(name string, value []byte) {
	c.Out.BulkString(name)
	c.Out.Bulk(value)
}

func (c *Ctx) infoID(name string, id keyspace.StreamID) {
	c.Out.BulkString(name)
	c.streamID(id)
}

func (c *Ctx) infoIntOrNull(name string, n int64, ok bool) {
	c.Out.BulkString(name)
	if ok {
		c.Out.Int(n)
	} else {
		c.Out.Null()
	}
}

func xinfoGroups(c *Ctx) error {
	st, err := c.infoStream()
	if err != nil {
		return err
	}
	groups, err := st.Groups()
	if err != nil {
		return err
	}
	c.Out.Array(len(groups))
	for _, g := range groups {
		c.Out.Map(6)
		c.infoBytes("name", g.Name())
		c.infoInt("consumers", g.ConsumerCount())
		c.infoInt("pending", g.Pending())
		c.infoID("last-delivered-id", g.LastID)
		c.infoReads(g)
	}
	return nil
}

// infoReads replies with two pairs: how far a group has read.
func (c *Ctx) infoReads(g *keyspace.Group) {
	c.infoIntOrNull("entries-read", g.EntriesRead, g.EntriesRead != keyspace.EntriesReadUnknown)
	lag, ok := g.Lag()
	c.infoIntOrNull("lag", lag, ok)
}

func xinfoConsumers(c *Ctx) error {
	st, err := c.infoStream()
	if err != nil {
		return err
	}
	g, err := st.Group(c.Args[3])
	if err != nil {
		return err
	}
	if g == nil {
		return errNoGroupOfKey(c.Args[2], c.Args[3])
	}
	consumers, err := g.Consumers()
	if err != nil {
		return err
	}
	c.Out.Array(len(consumers))
	for _, who := range consumers {
		c.Out.Map(4)
		c.infoBytes("name", who.Name)
		c.infoInt("pending", who.Pending)
		c.infoInt("idle", max(c.Keys.Now()-who.Seen, 0))
		c.infoInt("inactive", c.inactive(who))
	}
	return nil
}

// inactive is for how many milliseconds a consumer has got nothing; below 0 if it never has.
func (c *Ctx) inactive(who keyspace.Consumer) int64 {
	if who.Active == keyspace.NeverActive {
		return keyspace.NeverActive
	}
	return c.Keys.Now() - who.Active
}

// streamInfoFull reads the options of XINFO STREAM: whether all is to be told, and how
// many entries of each list; below 0, all.
func streamInfoFull(c *Ctx) (full bool, count int64, err error) {
	const usual = 10
	switch n := len(c.Args) - 3; {
	case n == 0:
		return false, 0, nil
	case n != 1 && n != 3, !c.is(3, "FULL"), n == 3 && !c.is(4, "COUNT"):
		return false, 0, errSubcommand(c)
	case n == 1:
		return true, usual, nil
	}
	count, err = c.int(5)
	switch {
	case count < 0:
		count = usual
	case count == 0:
		count = -1
	}
	return true, count, err
}

func xinfoStream(c *Ctx) error {
	st, err := c.infoStream()
	if err != nil {
		return err
	}
	full, count, err := streamInfoFull(c)
	if err != nil {
		return err
	}
	pairs := 10
	if full {
		pairs = 9
	}
	c.Out.Map(pairs)
	c.infoInt("length", st.Len())
	c.infoInt("radix-tree-keys", st.Nodes())
	c.infoInt("radix-tree-nodes", st.Nodes()+1)
	c.infoID("last-generated-id", st.LastID())
	c.infoID("max-deleted-entry-id", st.MaxDeletedID())
	c.infoInt("entries-added", st.EntriesAdded())
	c.infoID("recorded-first-entry-id", st.FirstID())
	groups, err := st.Groups()
	switch {
	case err != nil:
		return err
	case full:
		return c.infoFull(st, groups, count)
	}
	c.infoInt("groups", int64(len(groups)))
	if err := c.infoEntry("first-entry", st, keyspace.AllStreamIDs()); err != nil {
		return err
	}
	return c.infoEntry("last-entry", st, keyspace.StreamRange{To: keyspace.MaxStreamID, Reverse: true})
}

// infoEntry replies with the first entry of r, or null.
func (c *Ctx) infoEntry(name string, st *keyspace.Stream, r keyspace.StreamRange) error {
	c.Out.BulkString(name)
	if st.Len() == 0 {
		c.Out.Null()
		return nil
	}
	return st.Walk(r, func(e keyspace.StreamEntry) bool {
		c.streamEntry(e)
		return false
	})
}

// infoFull replies with the pairs that only FULL has.
func (c *Ctx) infoFull(st *keyspace.Stream, groups []*keyspace.Group, count int64) error {
	c.Out.BulkString("entries")
	if _, err := c.streamEntries(st, keyspace.AllStreamIDs(), count); err != nil {
		return err
	}
	c.Out.BulkString("groups")
	c.Out.Array(len(groups))
	for _, g := range groups {
		c.Out.Map(7)
		c.infoBytes("name", g.Name())
		c.infoID("last-delivered-id", g.LastID)
		c.infoReads(g)
		c.infoInt("pel-count", g.Pending())
		if err := c.infoPending(g, nil, count); err != nil {
			return err
		}
		if err := c.infoMembers(g, count); err != nil {
			return err
		}
	}
	return nil
}

// infoMembers replies with a pair: the consumers of a group.
func (c *Ctx) infoMembers(g *keyspace.Group, count int64) error {
	consumers, err := g.Consumers()
	if err != nil {
		return err
	}
	c.Out.BulkString("consumers")
	c.Out.Array(len(consumers))
	for i := range consumers {
		who := &consumers[i]
		c.Out.Map(5)
		c.infoBytes("name", who.Name)
		c.infoInt("seen-time", who.Seen)
		c.infoInt("active-time", who.Active)
		c.infoInt("pel-count", who.Pending)
		if err := c.infoPending(g, who, count); err != nil {
			return err
		}
	}
	return nil
}

// infoPending replies with a pair: the first pending entries of a group, or of one consumer.
func (c *Ctx) infoPending(g *keyspace.Group, of *keyspace.Consumer, count int64) error {
	c.Out.BulkString("pending")
	mark, n := c.Out.Len(), int64(0)
	err := g.WalkPending(of, keyspace.AllStreamIDs(), func(p keyspace.Pending) bool {
		if of == nil {
			c.Out.Array(4)
		} else {
			c.Out.Array(3)
		}
		c.streamID(p.ID)
		if of == nil {
			c.Out.Bulk(p.Consumer)
		}
		c.Out.Int(p.At)
		c.Out.Int(p.Count)
		n++
		return count < 0 || n < count
	})
	c.Out.ArraySince(mark, int(n))
	return err
}
