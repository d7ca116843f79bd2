package command

import "github.com/elastickv/elastickv/internal/keyspace"

var zsetBlockingCommands = []*Command{
	{Name: "bzpopmin", Arity: -3, Flags: Write | Fast | Blocking, Group: GroupSortedSet, Keys: keysAndTimeout(), Run: bzpopmin,
		Syntax: "key... timeout", History: []string{"6.0.0 Takes a timeout with a fraction."},
		Since: "5.0.0", Complexity: "O(log(N)) where N is the length of the sorted set", Summary: "Removes the member with the lowest score of the first of several sorted sets that has any, and returns it; waits if none has."},
	{Name: "bzpopmax", Arity: -3, Flags: Write | Fast | Blocking, Group: GroupSortedSet, Keys: keysAndTimeout(), Run: bzpopmax,
		Syntax: "key... timeout", History: []string{"6.0.0 Takes a timeout with a fraction."},
		Since: "5.0.0", Complexity: "O(log(N)) where N is the length of the sorted set", Summary: "Removes the member with the highest score of the first of several sorted sets that has any, and returns it; waits if none has."},
	{Name: "bzmpop", Arity: -5, Flags: Write | Blocking | MovableKeys, Group: GroupSortedSet, Keys: []KeySpec{numKeys(2, KeyRW|KeyAccess|KeyDelete)}, Run: bzmpop,
		Syntax: "timeout numkeys key... where(MIN | MAX) [COUNT count]",
		Since:  "7.0.0", Complexity: "O(K)+O(M*log(N)) where K is the number of keys, N the length of the sorted set and M the number of members removed", Summary: "Removes members of the first of several sorted sets that has any, and returns them; waits if none has."},
}

func bzpopmin(c *Ctx) error { return zpopOrWait(c, false) }

func bzpopmax(c *Ctx) error { return zpopOrWait(c, true) }

func zpopOrWait(c *Ctx, highest bool) error {
	last := len(c.Args) - 1
	timeout, err := c.timeout(last)
	if err != nil {
		return err
	}
	for _, key := range c.Args[1:last] {
		members, err := popMembers(c, key, highest, 1)
		if err != nil {
			return err
		}
		if len(members) > 0 {
			c.Out.Array(3)
			c.Out.Bulk(key)
			c.Out.Bulk(members[0].Member)
			c.Out.Double(members[0].Score)
			return nil
		}
	}
	return c.waitFor(keyspace.KindZSet, timeout, c.Args[1:last]...)
}

func bzmpop(c *Ctx) error {
	p, err := parseZMPop(c, 2)
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
	return c.waitFor(keyspace.KindZSet, timeout, p.keys...)
}
