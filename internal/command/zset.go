package command

import "github.com/elastickv/elastickv/internal/keyspace"

const (
	costOfRange  = "O(log(N)+M) where N is the length of the sorted set and M the number of members returned"
	costOfRemove = "O(log(N)+M) where N is the length of the sorted set and M the number of members removed"
	costOfUnion  = "O(N)+O(M*log(M)) where N is the sum of the lengths of the inputs and M the length of the result"
	costOfInter  = "O(N*K)+O(M*log(M)) where N is the length of the smallest input, K the number of inputs and M the length of the result"
	costOfDiff   = "O(L)+O(M*log(M)) where L is the sum of the lengths of the inputs and M the length of the result"
)

var zsetCommands = []*Command{
	{Name: "zadd", Arity: -4, Flags: Write | DenyOOM | Fast, Group: GroupSortedSet, Keys: oneKey(KeyRW | KeyUpdate), Elements: Elements{-1, 3, -2}, Run: zadd,
		Syntax: "key [condition(NX | XX)@3.0.2] [comparison(GT | LT)@6.2.0] [change=CH@3.0.2] [increment=INCR@3.0.2] data(score member)...", History: []string{"2.4.0 Takes several members."},
		Since: "1.2.0", Complexity: "O(log(N)) for each member, where N is the length of the sorted set", Summary: "Adds members to a sorted set or changes their scores, on conditions if asked."},
	{Name: "zincrby", Arity: 4, Flags: Write | DenyOOM | Fast, Group: GroupSortedSet, Keys: oneKey(KeyRW | KeyAccess | KeyUpdate), Elements: oneElement(3), Run: zincrby,
		Syntax: "key increment member",
		Since:  "1.2.0", Complexity: "O(log(N)) where N is the length of the sorted set", Summary: "Adds to the score of a member of a sorted set; a member that is not there counts as 0."},
	{Name: "zscore", Arity: 3, Flags: ReadOnly | Fast, Group: GroupSortedSet, Keys: oneKey(KeyRO | KeyAccess), Elements: oneElement(2), Run: zscore,
		Syntax: "key member",
		Since:  "1.2.0", Complexity: "O(1)", Summary: "Returns the score of a member of a sorted set."},
	{Name: "zmscore", Arity: -3, Flags: ReadOnly | Fast, Group: GroupSortedSet, Keys: oneKey(KeyRO | KeyAccess), Elements: allElements(1), Run: zmscore,
		Syntax: "key member...",
		Since:  "6.2.0", Complexity: "O(N) where N is the number of members asked for", Summary: "Returns the scores of several members of a sorted set."},
	{Name: "zcard", Arity: 2, Flags: ReadOnly | Fast, Group: GroupSortedSet, Keys: oneKey(KeyRO), Run: zcard,
		Syntax: "key",
		Since:  "1.2.0", Complexity: "O(1)", Summary: "Returns the number of members of a sorted set."},
	{Name: "zcount", Arity: 4, Flags: ReadOnly | Fast, Group: GroupSortedSet, Keys: oneKey(KeyRO | KeyAccess), Run: overScores((*Ctx).countRange),
		Syntax: "key min max",
		Since:  "2.0.0", Complexity: "O(log(N)+M) where N is the length of the sorted set and M the number of members counted", Summary: "Counts the members of a sorted set whose scores lie in a range."},
	{Name: "zlexcount", Arity: 4, Flags: ReadOnly | Fast, Group: GroupSortedSet, Keys: oneKey(KeyRO | KeyAccess), Run: overLex((*Ctx).countRange),
		Syntax: "key min:string max:string",
		Since:  "2.8.9", Complexity: "O(log(N)+M) where N is the length of the sorted set and M the number of members counted", Summary: "Counts the members of a sorted set whose names lie in a range."},
	{Name: "zrank", Arity: -3, Flags: ReadOnly | Fast, Group: GroupSortedSet, Keys: oneKey(KeyRO | KeyAccess), Elements: oneElement(2), Run: zrank,
		Syntax: "key member [WITHSCORE]", History: []string{"7.2.0 Added `WITHSCORE`."},
		Since: "2.0.0", Complexity: "O(log(N)+M) where N is the length of the sorted set and M the distance to its nearer end", Summary: "Returns the place of a member in a sorted set, the lowest score first."},
	{Name: "zrevrank", Arity: -3, Flags: ReadOnly | Fast, Group: GroupSortedSet, Keys: oneKey(KeyRO | KeyAccess), Elements: oneElement(2), Run: zrevrank,
		Syntax: "key member [WITHSCORE]", History: []string{"7.2.0 Added `WITHSCORE`."},
		Since: "2.0.0", Complexity: "O(log(N)+M) where N is the length of the sorted set and M the distance to its nearer end", Summary: "Returns the place of a member in a sorted set, the highest score first."},
	{Name: "zrange", Arity: -4, Flags: ReadOnly, Group: GroupSortedSet, Keys: oneKey(KeyRO | KeyAccess), Run: zrange,
		Syntax: "key start:string stop:string [sortby(BYSCORE | BYLEX)@6.2.0] [REV@6.2.0] [LIMIT (offset count)@6.2.0] [WITHSCORES]",
		Since:  "1.2.0", Complexity: costOfRange, Summary: "Returns a range of a sorted set by place, score or name, in either direction."},
	{Name: "zrangestore", Arity: -5, Flags: Write | DenyOOM, Group: GroupSortedSet, Keys: []KeySpec{keyAt(1, KeyOW|KeyUpdate), keyAt(2, KeyRO|KeyAccess)}, Run: zrangestore,
		Syntax: "dst src min:string max:string [sortby(BYSCORE | BYLEX)] [REV] [LIMIT (offset count)]",
		Since:  "6.2.0", Complexity: costOfRange, Summary: "Stores a range of a sorted set in another key."},
	{Name: "zrangebyscore", Arity: -4, Flags: ReadOnly, Group: GroupSortedSet, Keys: oneKey(KeyRO | KeyAccess), Run: zrangebyscore,
		Syntax: "key min max [WITHSCORES@2.0.0] [LIMIT (offset count)]",
		Since:  "1.0.5", Deprecated: "6.2.0", Instead: "`ZRANGE` with `BYSCORE`", Complexity: costOfRange, Summary: "Returns the members of a sorted set whose scores lie in a range."},
	{Name: "zrevrangebyscore", Arity: -4, Flags: ReadOnly, Group: GroupSortedSet, Keys: oneKey(KeyRO | KeyAccess), Run: zrevrangebyscore,
		Syntax: "key max min [WITHSCORES] [LIMIT (offset count)]", History: []string{"2.1.6 Takes ranges without their ends."},
		Since: "2.2.0", Deprecated: "6.2.0", Instead: "`ZRANGE` with `REV` and `BYSCORE`", Complexity: costOfRange, Summary: "Returns the members of a sorted set whose scores lie in a range, the highest first."},
	{Name: "zrangebylex", Arity: -4, Flags: ReadOnly, Group: GroupSortedSet, Keys: oneKey(KeyRO | KeyAccess), Run: zrangebylex,
		Syntax: "key min:string max:string [LIMIT (offset count)]",
		Since:  "2.8.9", Deprecated: "6.2.0", Instead: "`ZRANGE` with `BYLEX`", Complexity: costOfRange, Summary: "Returns the members of a sorted set whose names lie in a range."},
	{Name: "zrevrangebylex", Arity: -4, Flags: ReadOnly, Group: GroupSortedSet, Keys: oneKey(KeyRO | KeyAccess), Run: zrevrangebylex,
		Syntax: "key max:string min:string [LIMIT (offset count)]",
		Since:  "2.8.9", Deprecated: "6.2.0", Instead: "`ZRANGE` with `REV` and `BYLEX`", Complexity: costOfRange, Summary: "Returns the members of a sorted set whose names lie in a range, the last first."},
	{Name: "zrevrange", Arity: -4, Flags: ReadOnly, Group: GroupSortedSet, Keys: oneKey(KeyRO | KeyAccess), Run: zrevrange,
		Syntax: "key start stop [WITHSCORES]",
		Since:  "1.2.0", Deprecated: "6.2.0", Instead: "`ZRANGE` with `REV`", Complexity: costOfRange, Summary: "Returns a range of a sorted set by place, the highest score first."},
	{Name: "zrem", Arity: -3, Flags: Write | Fast, Group: GroupSortedSet, Keys: oneKey(KeyRW | KeyDelete), Elements: allElements(1), Run: zrem,
		Syntax: "key member...", History: []string{"2.4.0 Takes several members."},
		Since: "1.2.0", Complexity: "O(M*log(N)) where N is the length of the sorted set and M the number of members removed", Summary: "Removes members of a sorted set."},
	{Name: "zremrangebyrank", Arity: 4, Flags: Write, Group: GroupSortedSet, Keys: oneKey(KeyRW | KeyDelete), Run: zremrangebyrank,
		Syntax: "key start stop",
		Since:  "2.0.0", Complexity: costOfRemove, Summary: "Removes the members of a sorted set from one place to another."},
	{Name: "zremrangebyscore", Arity: 4, Flags: Write, Group: GroupSortedSet, Keys: oneKey(KeyRW | KeyDelete), Run: overScores((*Ctx).removeRange),
		Syntax: "key min max",
		Since:  "1.2.0", Complexity: costOfRemove, Summary: "Removes the members of a sorted set whose scores lie in a range."},
	{Name: "zremrangebylex", Arity: 4, Flags: Write, Group: GroupSortedSet, Keys: oneKey(KeyRW | KeyDelete), Run: overLex((*Ctx).removeRange),
		Syntax: "key min:string max:string",
		Since:  "2.8.9", Complexity: costOfRemove, Summary: "Removes the members of a sorted set whose names lie in a range."},
	{Name: "zpopmin", Arity: -2, Flags: Write | Fast, Group: GroupSortedSet, Keys: oneKey(KeyRW | KeyAccess | KeyDelete), Run: zpopmin,
		Syntax: "key [count]",
		Since:  "5.0.0", Complexity: "O(log(N)*M) where N is the length of the sorted set and M the number of members removed", Summary: "Removes the members of a sorted set with the lowest scores and returns them."},
	{Name: "zpopmax", Arity: -2, Flags: Write | Fast, Group: GroupSortedSet, Keys: oneKey(KeyRW | KeyAccess | KeyDelete), Run: zpopmax,
		Syntax: "key [count]",
		Since:  "5.0.0", Complexity: "O(log(N)*M) where N is the length of the sorted set and M the number of members removed", Summary: "Removes the members of a sorted set with the highest scores and returns them."},
	{Name: "zmpop", Arity: -4, Flags: Write | MovableKeys, Group: GroupSortedSet, Keys: []KeySpec{numKeys(1, KeyRW|KeyAccess|KeyDelete)}, Run: zmpop,
		Syntax: "numkeys key... where(MIN | MAX) [COUNT count]",
		Since:  "7.0.0", Complexity: "O(K)+O(M*log(N)) where K is the number of keys, N the length of the sorted set and M the number of members removed", Summary: "Removes members of the first of several sorted sets that has any, and returns them."},
	{Name: "zunion", Arity: -3, Flags: ReadOnly | MovableKeys, Group: GroupSortedSet, Keys: []KeySpec{numKeys(1, KeyRO|KeyAccess)}, Run: zunion,
		Syntax: "numkeys key... [WEIGHTS weight...] [AGGREGATE (SUM | MIN | MAX)] [WITHSCORES]",
		Since:  "6.2.0", Complexity: costOfUnion, Summary: "Returns the members that any of several sorted sets has."},
	{Name: "zunionstore", Arity: -4, Flags: Write | DenyOOM | MovableKeys, Group: GroupSortedSet, Keys: storeAndInputs(), Run: zunionstore,
		Syntax: "destination numkeys key... [WEIGHTS weight...] [AGGREGATE (SUM | MIN | MAX)]",
		Since:  "2.0.0", Complexity: costOfUnion, Summary: "Stores the members that any of several sorted sets has."},
	{Name: "zinter", Arity: -3, Flags: ReadOnly | MovableKeys, Group: GroupSortedSet, Keys: []KeySpec{numKeys(1, KeyRO|KeyAccess)}, Run: zinter,
		Syntax: "numkeys key... [WEIGHTS weight...] [AGGREGATE (SUM | MIN | MAX)] [WITHSCORES]",
		Since:  "6.2.0", Complexity: costOfInter, Summary: "Returns the members that all of several sorted sets have."},
	{Name: "zinterstore", Arity: -4, Flags: Write | DenyOOM | MovableKeys, Group: GroupSortedSet, Keys: storeAndInputs(), Run: zinterstore,
		Syntax: "destination numkeys key... [WEIGHTS weight...] [AGGREGATE (SUM | MIN | MAX)]",
		Since:  "2.0.0", Complexity: costOfInter, Summary: "Stores the members that all of several sorted sets have."},
	{Name: "zintercard", Arity: -3, Flags: ReadOnly | MovableKeys, Group: GroupSortedSet, Keys: []KeySpec{numKeys(1, KeyRO|KeyAccess)}, Run: zintercard,
		Syntax: "numkeys key... [LIMIT limit]",
		Since:  "7.0.0", Complexity: "O(N*K) where N is the length of the smallest input and K the number of inputs", Summary: "Counts the members that all of several sorted sets have, up to a limit if asked."},
	{Name: "zdiff", Arity: -3, Flags: ReadOnly | MovableKeys, Group: GroupSortedSet, Keys: []KeySpec{numKeys(1, KeyRO|KeyAccess)}, Run: zdiff,
		Syntax: "numkeys key... [WITHSCORES]",
		Since:  "6.2.0", Complexity: costOfDiff, Summary: "Returns the members of the first sorted set that no other has."},
	{Name: "zrandmember", Arity: -2, Flags: ReadOnly, Group: GroupSortedSet, Keys: oneKey(KeyRO | KeyAccess), Run: zrandmember, Tips: []string{"nondeterministic_output"},
		Syntax: "key [options(count [WITHSCORES])]",
		Since:  "6.2.0", Complexity: "O(N) where N is the number of members returned", Summary: "Returns members of a sorted set, picked at random."},
	{Name: "zscan", Arity: -3, Flags: ReadOnly, Group: GroupSortedSet, Keys: oneKey(KeyRO | KeyAccess), Run: zscan, Tips: []string{"nondeterministic_output"},
		Syntax: "key cursor [MATCH pattern] [COUNT count]",
		Since:  "2.8.0", Complexity: "O(1) for each call, O(N) for all of the sorted set", Summary: "Returns the members of a sorted set with their scores, some at a time."},
	{Name: "zdiffstore", Arity: -4, Flags: Write | DenyOOM | MovableKeys, Group: GroupSortedSet, Keys: storeAndInputs(), Run: zdiffstore,
		Syntax: "destination numkeys key...",
		Since:  "6.2.0", Complexity: costOfDiff, Summary: "Stores the members of the first sorted set that no other has."},
}

// storeAndInputs is the spec of commands that store what several sorted sets make.
func storeAndInputs() []KeySpec {
	return []KeySpec{keyAt(1, KeyOW|KeyUpdate), numKeys(2, KeyRO|KeyAccess)}
}

// scoredMembers replies with members: alone, or with their scores, each pair in
// an array of its own in protocol 3.
func (c *Ctx) scoredMembers(members []keyspace.ScoredMember, withScores bool) {
	switch {
	case !withScores:
		c.Out.Array(len(members))
		for _, m := range members {
			c.Out.Bulk(m.Member)
		}
	case c.Out.Proto() == 2:
		c.flatPairs(members)
	default:
		c.nestedPairs(members)
	}
}

func (c *Ctx) flatPairs(members []keyspace.ScoredMember) {
	c.Out.Array(2 * len(members))
	for _, m := range members {
		c.Out.Bulk(m.Member)
		c.Out.Double(m.Score)
	}
}

func (c *Ctx) nestedPairs(members []keyspace.ScoredMember) {
	c.Out.Array(len(members))
	for _, m := range members {
		c.Out.Array(2)
		c.Out.Bulk(m.Member)
		c.Out.Double(m.Score)
	}
}

func zscore(c *Ctx) error {
	z, err := c.Keys.ZSet(c.Args[1])
	if err != nil {
		return err
	}
	return c.scoreOrNull(z, c.Args[2])
}

func zmscore(c *Ctx) error {
	z, err := c.Keys.ZSet(c.Args[1])
	if err != nil {
		return err
	}
	members := c.Args[2:]
	c.Out.Array(len(members))
	for _, member := range members {
		if err := c.scoreOrNull(z, member); err != nil {
			return err
		}
	}
	return nil
}

func (c *Ctx) scoreOrNull(z *keyspace.ZSet, member []byte) error {
	score, ok, err := z.Score(member)
	if err != nil {
		return err
	}
	if ok {
		c.Out.Double(score)
	} else {
		c.Out.Null()
	}
	return nil
}

func zcard(c *Ctx) error {
	z, err := c.Keys.ZSet(c.Args[1])
	if err != nil {
		return err
	}
	n, err := z.Len()
	c.Out.Int(n)
	return err
}

func zrem(c *Ctx) error {
	z, err := c.Keys.ZSet(c.Args[1])
	if err != nil {
		return err
	}
	var removed int64
	for _, member := range c.Args[2:] {
		ok, err := z.Delete(member)
		if err != nil {
			return err
		}
		if ok {
			removed++
		}
	}
	if removed > 0 {
		c.notifyTaken(keyspace.ClassZSet, "zrem", z)
	}
	c.Out.Int(removed)
	return nil
}
