package command

import (
	"bytes"

	"github.com/elastickv/elastickv/internal/keyspace"
)

var setCommands = []*Command{
	{Name: "sadd", Arity: -3, Flags: Write | DenyOOM | Fast, Group: GroupSet, Keys: oneKey(KeyRW | KeyInsert), Elements: allElements(1), Run: sadd,
		Syntax: "key member...", History: []string{"2.4.0 Takes several members."},
		Since: "1.0.0", Complexity: "O(N) where N is the number of members given", Summary: "Puts members into a set."},
	{Name: "srem", Arity: -3, Flags: Write | Fast, Group: GroupSet, Keys: oneKey(KeyRW | KeyDelete), Elements: allElements(1), Run: srem,
		Syntax: "key member...", History: []string{"2.4.0 Takes several members."},
		Since: "1.0.0", Complexity: "O(N) where N is the number of members given", Summary: "Takes members out of a set, and removes the set with its last member."},
	{Name: "smove", Arity: 4, Flags: Write | Fast, Group: GroupSet, Keys: []KeySpec{keyAt(1, KeyRW|KeyAccess|KeyDelete), keyAt(2, KeyRW|KeyInsert)}, Elements: oneElement(3), Run: smove,
		Syntax: "source destination member",
		Since:  "1.0.0", Complexity: "O(1)", Summary: "Moves a member from one set to another."},
	{Name: "sismember", Arity: 3, Flags: ReadOnly | Fast, Group: GroupSet, Keys: oneKey(KeyRO), Elements: oneElement(2), Run: sismember,
		Syntax: "key member",
		Since:  "1.0.0", Complexity: "O(1)", Summary: "Tells whether a set has a member."},
	{Name: "smismember", Arity: -3, Flags: ReadOnly | Fast, Group: GroupSet, Keys: oneKey(KeyRO | KeyAccess), Elements: allElements(1), Run: smismember,
		Syntax: "key member...",
		Since:  "6.2.0", Complexity: "O(N) where N is the number of members asked for", Summary: "Tells for several members whether a set has them."},
	{Name: "scard", Arity: 2, Flags: ReadOnly | Fast, Group: GroupSet, Keys: oneKey(KeyRO), Run: scard,
		Syntax: "key",
		Since:  "1.0.0", Complexity: "O(1)", Summary: "Returns the number of members of a set."},
	{Name: "smembers", Arity: 2, Flags: ReadOnly, Group: GroupSet, Keys: oneKey(KeyRO | KeyAccess), Run: smembers, Tips: []string{"nondeterministic_output_order"},
		Syntax: "key",
		Since:  "1.0.0", Complexity: "O(N) where N is the number of members", Summary: "Returns all members of a set."},
	{Name: "spop", Arity: -2, Flags: Write | Fast, Group: GroupSet, Keys: oneKey(KeyRW | KeyAccess | KeyDelete), Run: spop, Tips: []string{"nondeterministic_output"},
		Syntax: "key [count@3.2.0]",
		Since:  "1.0.0", Complexity: "O(N) where N is the number of members returned", Summary: "Takes random members out of a set and returns them."},
	{Name: "srandmember", Arity: -2, Flags: ReadOnly, Group: GroupSet, Keys: oneKey(KeyRO | KeyAccess), Run: srandmember, Tips: []string{"nondeterministic_output"},
		Syntax: "key [count@2.6.0]",
		Since:  "1.0.0", Complexity: "O(N) where N is the number of members returned", Summary: "Returns random members of a set."},
	{Name: "sscan", Arity: -3, Flags: ReadOnly, Group: GroupSet, Keys: oneKey(KeyRO | KeyAccess), Run: sscan, Tips: []string{"nondeterministic_output"},
		Syntax: "key cursor [MATCH pattern] [COUNT count]",
		Since:  "2.8.0", Complexity: "O(1) for a call, O(N) for all calls until the cursor is 0 again, where N is the number of members",
		Summary: "Goes through the members of a set, some at a call."},
	{Name: "sinter", Arity: -2, Flags: ReadOnly, Group: GroupSet, Keys: allKeys(1, KeyRO|KeyAccess), Run: sinter, Tips: []string{"nondeterministic_output_order"},
		Syntax: "key...",
		Since:  "1.0.0", Complexity: "O(N*M) where N is the length of the smallest set and M the number of sets", Summary: "Returns the members that several sets have in common."},
	{Name: "sinterstore", Arity: -3, Flags: Write | DenyOOM, Group: GroupSet, Keys: targetAndSets(KeyRW | KeyUpdate), Run: sinterstore,
		Syntax: "destination key...",
		Since:  "1.0.0", Complexity: "O(N*M) where N is the length of the smallest set and M the number of sets", Summary: "Stores the members that several sets have in common as a set."},
	{Name: "sintercard", Arity: -3, Flags: ReadOnly | MovableKeys, Group: GroupSet, Keys: []KeySpec{numKeys(1, KeyRO|KeyAccess)}, Run: sintercard,
		Syntax: "numkeys key... [LIMIT limit]",
		Since:  "7.0.0", Complexity: "O(N*M) where N is the length of the smallest set and M the number of sets", Summary: "Returns how many members several sets have in common, counting up to a limit if asked."},
	{Name: "sunion", Arity: -2, Flags: ReadOnly, Group: GroupSet, Keys: allKeys(1, KeyRO|KeyAccess), Run: sunion, Tips: []string{"nondeterministic_output_order"},
		Syntax: "key...",
		Since:  "1.0.0", Complexity: "O(N) where N is the number of members of all sets", Summary: "Returns the members that any of several sets has."},
	{Name: "sunionstore", Arity: -3, Flags: Write | DenyOOM, Group: GroupSet, Keys: targetAndSets(KeyOW | KeyUpdate), Run: sunionstore,
		Syntax: "destination key...",
		Since:  "1.0.0", Complexity: "O(N) where N is the number of members of all sets", Summary: "Stores the members that any of several sets has as a set."},
	{Name: "sdiff", Arity: -2, Flags: ReadOnly, Group: GroupSet, Keys: allKeys(1, KeyRO|KeyAccess), Run: sdiff, Tips: []string{"nondeterministic_output_order"},
		Syntax: "key...",
		Since:  "1.0.0", Complexity: "O(N) where N is the number of members of all sets", Summary: "Returns the members of one set that none of the others has."},
	{Name: "sdiffstore", Arity: -3, Flags: Write | DenyOOM, Group: GroupSet, Keys: targetAndSets(KeyOW | KeyUpdate), Run: sdiffstore,
		Syntax: "destination key...",
		Since:  "1.0.0", Complexity: "O(N) where N is the number of members of all sets", Summary: "Stores the members of one set that none of the others has as a set."},
}

// targetAndSets is the spec of commands that store what they make of several sets.
func targetAndSets(target KeyFlags) []KeySpec {
	return []KeySpec{keyAt(1, target), {Flags: KeyRO | KeyAccess, Index: 2, Last: -1, Step: 1}}
}

func sadd(c *Ctx) error {
	s, err := c.Keys.Set(c.Args[1])
	if err != nil {
		return err
	}
	added, err := s.Add(c.Args[2:]...)
	if added > 0 {
		c.notify(keyspace.ClassSet, "sadd")
	}
	c.Out.Int(added)
	return err
}

func srem(c *Ctx) error {
	s, err := c.Keys.Set(c.Args[1])
	if err != nil {
		return err
	}
	removed, err := s.Remove(c.Args[2:]...)
	if removed > 0 {
		c.notifyTaken(keyspace.ClassSet, "srem", s)
	}
	c.Out.Int(removed)
	return err
}

func smove(c *Ctx) error {
	from, member := c.Args[1], c.Args[3]
	source, err := c.Keys.Set(from)
	if err != nil {
		return err
	}
	var moved bool
	switch {
	case !source.Exists():
	case bytes.Equal(from, c.Args[2]):
		moved, err = source.Has(member)
	default:
		moved, err = moveMember(source, c, member)
	}
	c.bit(moved)
	return err
}

// moveMember moves a member from source to the set at argument 2 and reports whether source had it.
func moveMember(source *keyspace.Set, c *Ctx, member []byte) (bool, error) {
	target, err := c.Keys.Set(c.Args[2])
	if err != nil {
		return false, err
	}
	n, err := source.Remove(member)
	if err != nil || n == 0 {
		return false, err
	}
	c.notifyTaken(keyspace.ClassSet, "srem", source)
	if n, err = target.Add(member); n > 0 {
		c.Keys.Notify(keyspace.ClassSet, "sadd", c.Args[2])
	}
	return true, err
}

func sismember(c *Ctx) error {
	s, err := c.Keys.Set(c.Args[1])
	if err != nil {
		return err
	}
	ok, err := s.Has(c.Args[2])
	c.bit(ok)
	return err
}

func smismember(c *Ctx) error {
	s, err := c.Keys.Set(c.Args[1])
	if err != nil {
		return err
	}
	c.Out.Array(len(c.Args) - 2)
	for _, member := range c.Args[2:] {
		ok, err := s.Has(member)
		if err != nil {
			return err
		}
		c.bit(ok)
	}
	return nil
}

func scard(c *Ctx) error {
	s, err := c.Keys.Set(c.Args[1])
	if err != nil {
		return err
	}
	n, err := s.Len()
	c.Out.Int(n)
	return err
}

func smembers(c *Ctx) error {
	s, err := c.Keys.Set(c.Args[1])
	if err != nil {
		return err
	}
	n, err := s.Len()
	if err != nil {
		return err
	}
	c.Out.Set(int(n))
	err = s.Walk(nil, func(member []byte) bool {
		n--
		c.Out.Bulk(member)
		return true
	})
	if err != nil {
		return err
	}
	return countedAll(n)
}

func spop(c *Ctx) error {
	count := int64(1)
	if len(c.Args) > 3 {
		return ErrSyntax
	}
	if len(c.Args) == 3 {
		var err error
		if count, err = c.int(2); err != nil || count < 0 {
			return ErrNotPositive
		}
	}
	s, err := c.Keys.Set(c.Args[1])
	if err != nil {
		return err
	}
	members, err := s.Pop(count, c.Env.Rand)
	if len(members) > 0 {
		c.notifyTaken(keyspace.ClassSet, "spop", s)
	}
	switch {
	case len(c.Args) == 3:
		c.memberSet(members)
	case len(members) == 1:
		c.Out.Bulk(members[0])
	default:
		c.Out.Null()
	}
	return err
}

func srandmember(c *Ctx) error {
	if len(c.Args) > 3 {
		return ErrSyntax
	}
	var count int64
	var err error
	if len(c.Args) == 3 {
		if count, err = randomCount(c); err != nil {
			return err
		}
	}
	s, err := c.Keys.Set(c.Args[1])
	switch {
	case err != nil:
		return err
	case len(c.Args) == 2:
		member, ok, err := s.Random(c.Env.Rand)
		c.bulkOrNull(member, ok)
		return err
	case count < 0:
		return drawFromSet(c, s, -count)
	}
	members, err := s.Sample(count, c.Env.Rand)
	c.Out.Array(len(members))
	for _, m := range members {
		c.Out.Bulk(m)
	}
	return err
}

// drawFromSet replies with random members that may repeat.
func drawFromSet(c *Ctx, s *keyspace.Set, count int64) error {
	if !s.Exists() {
		count = 0
	}
	if err := c.checkDraw(count); err != nil {
		return err
	}
	c.Out.Array(int(count))
	return s.Draw(count, c.Env.Rand, func(member []byte) error {
		c.Out.Bulk(member)
		return c.checkReply()
	})
}

func sscan(c *Ctx) error {
	if _, err := parseCursor(c.Args[2]); err != nil {
		return err
	}
	s, err := c.Keys.Set(c.Args[1])
	if err != nil {
		return err
	}
	var p page
	if s.Exists() {
		if p.scanOptions, err = parseElementScan(c, s.Compact()); err != nil {
			return err
		}
	}
	err = s.Walk(p.start, func(member []byte) bool {
		return p.take(member, func() { p.out = append(p.out, own(member)) })
	})
	p.reply(c)
	return err
}

// memberSet replies with members as a set.
func (c *Ctx) memberSet(members [][]byte) {
	c.Out.Set(len(members))
	for _, m := range members {
		c.Out.Bulk(m)
	}
}
