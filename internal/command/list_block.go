package command

import "github.com/elastickv/elastickv/internal/keyspace"

var listBlockingCommands = []*Command{
	{Name: "blpop", Arity: -3, Flags: Write | Blocking, Group: GroupList, Keys: keysAndTimeout(), Run: blpop,
		Syntax: "key... timeout", History: []string{"6.0.0 Takes a timeout with a fraction."},
		Since: "2.0.0", Complexity: "O(N) where N is the number of keys", Summary: "Removes the first element of the first of several lists that has any, and returns it; waits if none has."},
	{Name: "brpop", Arity: -3, Flags: Write | Blocking, Group: GroupList, Keys: keysAndTimeout(), Run: brpop,
		Syntax: "key... timeout", History: []string{"6.0.0 Takes a timeout with a fraction."},
		Since: "2.0.0", Complexity: "O(N) where N is the number of keys", Summary: "Removes the last element of the first of several lists that has any, and returns it; waits if none has."},
	{Name: "blmove", Arity: 6, Flags: Write | DenyOOM | Blocking, Group: GroupList, Keys: sourceAndTarget(), Run: blmove,
		Syntax: "source destination wherefrom(LEFT | RIGHT) whereto(LEFT | RIGHT) timeout",
		Since:  "6.2.0", Complexity: "O(1)", Summary: "Moves an element from an end of one list to an end of another, and returns it; waits if there is none."},
	{Name: "brpoplpush", Arity: 4, Flags: Write | DenyOOM | Blocking, Group: GroupList, Keys: sourceAndTarget(), Run: brpoplpush,
		Syntax: "source destination timeout", History: []string{"6.0.0 Takes a timeout with a fraction."},
		Since: "2.2.0", Deprecated: "6.2.0", Instead: "`BLMOVE` with `RIGHT` and `LEFT`", Complexity: "O(1)", Summary: "Moves the last element of one list to the left end of another, and returns it; waits if there is none."},
	{Name: "blmpop", Arity: -5, Flags: Write | Blocking | MovableKeys, Group: GroupList, Keys: []KeySpec{numKeys(2, KeyRW|KeyAccess|KeyDelete)}, Run: blmpop,
		Syntax: "timeout numkeys key... where(LEFT | RIGHT) [COUNT count]",
		Since:  "7.0.0", Complexity: "O(N+M) where N is the number of keys and M the number of elements removed", Summary: "Removes elements from the first of several lists that has any, and returns them; waits if none has."},
}

// keysAndTimeout is the spec of commands whose arguments are keys, all but the last.
func keysAndTimeout() []KeySpec {
	return []KeySpec{{Flags: KeyRW | KeyAccess | KeyDelete, Index: 1, Last: -2, Step: 1}}
}

func blpop(c *Ctx) error { return popOrWait(c, keyspace.Left, "lpop") }

func brpop(c *Ctx) error { return popOrWait(c, keyspace.Right, "rpop") }

func popOrWait(c *Ctx, side keyspace.Side, event string) error {
	last := len(c.Args) - 1
	timeout, err := c.timeout(last)
	if err != nil {
		return err
	}
	for _, key := range c.Args[1:last] {
		l, err := c.Keys.List(key)
		if err != nil {
			return err
		}
		values, err := l.Pop(side, 1)
		if err != nil {
			return err
		}
		if len(values) == 0 {
			continue
		}
		c.Keys.Notify(keyspace.ClassList, event, key)
		if !l.Exists() {
			c.Keys.Notify(keyspace.ClassGeneric, "del", key)
		}
		c.Out.Array(2)
		c.Out.Bulk(key)
		c.Out.Bulk(values[0])
		return nil
	}
	return c.waitFor(keyspace.KindList, timeout, c.Args[1:last]...)
}

func blmove(c *Ctx) error {
	from, err := c.side(3)
	if err != nil {
		return err
	}
	to, err := c.side(4)
	if err != nil {
		return err
	}
	return moveOrWait(c, from, to)
}

func brpoplpush(c *Ctx) error { return moveOrWait(c, keyspace.Right, keyspace.Left) }

// moveOrWait moves an element between the lists of the first two arguments. The last is
// the timeout.
func moveOrWait(c *Ctx, from, to keyspace.Side) error {
	timeout, err := c.timeout(len(c.Args) - 1)
	if err != nil {
		return err
	}
	source, err := c.Keys.List(c.Args[1])
	switch {
	case err != nil:
		return err
	case source.Exists() || !c.MayBlock: // an absent element is a null here, an absent reply an absent array
		return moveElement(c, from, to)
	}
	return c.waitFor(keyspace.KindList, timeout, c.Args[1])
}

func blmpop(c *Ctx) error {
	p, err := parseListsPop(c, 2)
	if err != nil {
		return err
	}
	timeout, err := c.timeout(1)
	if err != nil {
		return err
	}
	found, err := p.run(c)
	if err != nil || found {
		return err
	}
	return c.waitFor(keyspace.KindList, timeout, p.keys...)
}
