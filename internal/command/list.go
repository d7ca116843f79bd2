package command

import "github.com/elastickv/elastickv/internal/keyspace"

var listCommands = []*Command{
	{Name: "lpush", Arity: -3, Flags: Write | DenyOOM | Fast, Group: GroupList, Keys: oneKey(KeyRW | KeyInsert), Run: lpush,
		Syntax: "key element...", History: []string{"2.4.0 Takes several elements."},
		Since: "1.0.0", Complexity: "O(N) where N is the number of elements added", Summary: "Adds elements at the left end of a list, one after the other; the list is made if it is not there."},
	{Name: "rpush", Arity: -3, Flags: Write | DenyOOM | Fast, Group: GroupList, Keys: oneKey(KeyRW | KeyInsert), Run: rpush,
		Syntax: "key element...", History: []string{"2.4.0 Takes several elements."},
		Since: "1.0.0", Complexity: "O(N) where N is the number of elements added", Summary: "Adds elements at the right end of a list, one after the other; the list is made if it is not there."},
	{Name: "lpushx", Arity: -3, Flags: Write | DenyOOM | Fast, Group: GroupList, Keys: oneKey(KeyRW | KeyInsert), Run: lpushx,
		Syntax: "key element...", History: []string{"4.0.0 Takes several elements."},
		Since: "2.2.0", Complexity: "O(N) where N is the number of elements added", Summary: "Adds elements at the left end of a list if the list is there."},
	{Name: "rpushx", Arity: -3, Flags: Write | DenyOOM | Fast, Group: GroupList, Keys: oneKey(KeyRW | KeyInsert), Run: rpushx,
		Syntax: "key element...", History: []string{"4.0.0 Takes several elements."},
		Since: "2.2.0", Complexity: "O(N) where N is the number of elements added", Summary: "Adds elements at the right end of a list if the list is there."},
	{Name: "lpop", Arity: -2, Flags: Write | Fast, Group: GroupList, Keys: oneKey(KeyRW | KeyAccess | KeyDelete), Run: lpop,
		Syntax: "key [count@6.2.0]",
		Since:  "1.0.0", Complexity: "O(N) where N is the number of elements removed", Summary: "Removes the first element of a list, or the first few, and returns what it removed."},
	{Name: "rpop", Arity: -2, Flags: Write | Fast, Group: GroupList, Keys: oneKey(KeyRW | KeyAccess | KeyDelete), Run: rpop,
		Syntax: "key [count@6.2.0]",
		Since:  "1.0.0", Complexity: "O(N) where N is the number of elements removed", Summary: "Removes the last element of a list, or the last few, and returns what it removed."},
	{Name: "llen", Arity: 2, Flags: ReadOnly | Fast, Group: GroupList, Keys: oneKey(KeyRO), Run: llen,
		Syntax: "key",
		Since:  "1.0.0", Complexity: "O(1)", Summary: "Returns the number of elements of a list."},
	{Name: "lindex", Arity: 3, Flags: ReadOnly, Group: GroupList, Keys: oneKey(KeyRO | KeyAccess), Run: lindex,
		Syntax: "key index",
		Since:  "1.0.0", Complexity: "O(1)", Summary: "Returns the element of a list at an index."},
	{Name: "lset", Arity: 4, Flags: Write | DenyOOM, Group: GroupList, Keys: oneKey(KeyRW | KeyUpdate), Run: lset,
		Syntax: "key index element",
		Since:  "1.0.0", Complexity: "O(1)", Summary: "Replaces the element of a list at an index."},
	{Name: "lrange", Arity: 4, Flags: ReadOnly, Group: GroupList, Keys: oneKey(KeyRO | KeyAccess), Run: lrange,
		Syntax: "key start stop",
		Since:  "1.0.0", Complexity: "O(N) where N is the number of elements returned", Summary: "Returns the elements of a list from one index to another."},
	{Name: "ltrim", Arity: 4, Flags: Write, Group: GroupList, Keys: oneKey(KeyRW | KeyDelete), Run: ltrim,
		Syntax: "key start stop",
		Since:  "1.0.0", Complexity: "O(N) where N is the number of elements removed", Summary: "Removes every element of a list but those from one index to another."},
	{Name: "linsert", Arity: 5, Flags: Write | DenyOOM, Group: GroupList, Keys: oneKey(KeyRW | KeyInsert), Run: linsert,
		Syntax: "key where(BEFORE | AFTER) pivot element",
		Since:  "2.2.0", Complexity: "O(N) where N is the number of elements before the pivot, and at most as many again to make room",
		Summary: "Adds an element before or after the first element that equals another."},
	{Name: "lrem", Arity: 4, Flags: Write, Group: GroupList, Keys: oneKey(KeyRW | KeyDelete), Run: lrem,
		Syntax: "key count element",
		Since:  "1.0.0", Complexity: "O(N) where N is the length of the list", Summary: "Removes elements of a list that equal a value, from either end."},
	{Name: "lpos", Arity: -3, Flags: ReadOnly, Group: GroupList, Keys: oneKey(KeyRO | KeyAccess), Run: lpos,
		Syntax: "key element [RANK rank] [COUNT num-matches] [MAXLEN len]",
		Since:  "6.0.6", Complexity: "O(N) where N is the number of elements compared", Summary: "Returns the index of elements of a list that equal a value."},
	{Name: "lmove", Arity: 5, Flags: Write | DenyOOM, Group: GroupList, Keys: sourceAndTarget(), Run: lmove,
		Syntax: "source destination wherefrom(LEFT | RIGHT) whereto(LEFT | RIGHT)",
		Since:  "6.2.0", Complexity: "O(1)", Summary: "Moves an element from an end of one list to an end of another, and returns it."},
	{Name: "rpoplpush", Arity: 3, Flags: Write | DenyOOM, Group: GroupList, Keys: sourceAndTarget(), Run: rpoplpush,
		Syntax: "source destination",
		Since:  "1.2.0", Deprecated: "6.2.0", Instead: "`LMOVE` with `RIGHT` and `LEFT`", Complexity: "O(1)", Summary: "Moves the last element of one list to the left end of another, and returns it."},
	{Name: "lmpop", Arity: -4, Flags: Write | MovableKeys, Group: GroupList, Keys: []KeySpec{numKeys(1, KeyRW|KeyAccess|KeyDelete)}, Run: lmpop,
		Syntax: "numkeys key... where(LEFT | RIGHT) [COUNT count]",
		Since:  "7.0.0", Complexity: "O(N+M) where N is the number of keys and M the number of elements removed", Summary: "Removes elements from the first of several lists that has any, and returns them."},
}

// sourceAndTarget is the spec of commands that take an element from one list to another.
func sourceAndTarget() []KeySpec {
	return []KeySpec{keyAt(1, KeyRW|KeyAccess|KeyDelete), keyAt(2, KeyRW|KeyInsert)}
}

// Events of lists, by side.
var (
	pushEvents = map[keyspace.Side]string{keyspace.Left: "lpush", keyspace.Right: "rpush"}
	popEvents  = map[keyspace.Side]string{keyspace.Left: "lpop", keyspace.Right: "rpop"}
)

func lpush(c *Ctx) error { return push(c, keyspace.Left) }

func rpush(c *Ctx) error { return push(c, keyspace.Right) }

func push(c *Ctx, side keyspace.Side) error {
	l, err := c.Keys.List(c.Args[1])
	if err != nil {
		return err
	}
	if err := l.Push(side, c.Args[2:]...); err != nil {
		return err
	}
	c.notify(keyspace.ClassList, pushEvents[side])
	c.Out.Int(l.Len())
	return nil
}

func lpushx(c *Ctx) error { return pushIfThere(c, keyspace.Left) }

func rpushx(c *Ctx) error { return pushIfThere(c, keyspace.Right) }

func pushIfThere(c *Ctx, side keyspace.Side) error {
	l, err := c.Keys.List(c.Args[1])
	if err != nil {
		return err
	}
	if l.Exists() {
		err = c.noted(keyspace.ClassList, pushEvents[side], l.Push(side, c.Args[2:]...))
	}
	if err != nil {
		return err
	}
	c.Out.Int(l.Len())
	return nil
}

func lpop(c *Ctx) error { return pop(c, keyspace.Left) }

func rpop(c *Ctx) error { return pop(c, keyspace.Right) }

func pop(c *Ctx, side keyspace.Side) error {
	switch len(c.Args) {
	case 2:
		return popOne(c, side)
	case 3:
		return popMany(c, side)
	}
	return errArity(c.Cmd)
}

func popOne(c *Ctx, side keyspace.Side) error {
	l, err := c.Keys.List(c.Args[1])
	if err != nil {
		return err
	}
	values, err := l.Pop(side, 1)
	if err != nil {
		return err
	}
	if len(values) == 0 {
		c.Out.Null()
		return nil
	}
	c.notifyTaken(keyspace.ClassList, popEvents[side], l)
	c.Out.Bulk(values[0])
	return nil
}

func popMany(c *Ctx, side keyspace.Side) error {
	count, err := c.int(2)
	if err != nil || count < 0 {
		return ErrNotPositive
	}
	l, err := c.Keys.List(c.Args[1])
	if err != nil {
		return err
	}
	if !l.Exists() {
		c.Out.NullArray()
		return nil
	}
	values, err := l.Pop(side, count)
	if err != nil {
		return err
	}
	if len(values) > 0 {
		c.notifyTaken(keyspace.ClassList, popEvents[side], l)
	}
	c.elements(values)
	return nil
}

// elements replies with an array of strings.
func (c *Ctx) elements(values [][]byte) {
	c.Out.Array(len(values))
	for _, v := range values {
		c.Out.Bulk(v)
	}
}

func llen(c *Ctx) error {
	l, err := c.Keys.List(c.Args[1])
	if err != nil {
		return err
	}
	c.Out.Int(l.Len())
	return nil
}

func lindex(c *Ctx) error {
	l, err := c.Keys.List(c.Args[1])
	if err != nil {
		return err
	}
	if !l.Exists() {
		c.Out.Null()
		return nil
	}
	i, err := c.int(2)
	if err != nil {
		return err
	}
	value, ok, err := l.Index(fromEnd(i, l.Len()))
	if err != nil {
		return err
	}
	c.bulkOrNull(value, ok)
	return nil
}

func lset(c *Ctx) error {
	l, err := c.Keys.List(c.Args[1])
	if err != nil {
		return err
	}
	if !l.Exists() {
		return ErrNoSuchKey
	}
	i, err := c.int(2)
	if err != nil {
		return err
	}
	ok, err := l.Set(fromEnd(i, l.Len()), c.Args[3])
	if err != nil {
		return err
	}
	if !ok {
		return ErrIndexRange
	}
	c.notify(keyspace.ClassList, "lset")
	c.Out.OK()
	return nil
}

// listRange opens the list of a command whose arguments are a key and two
// indices, the second of which is included, and returns what lies between them.
func listRange(c *Ctx) (*keyspace.List, keyspace.ListRange, error) {
	var r keyspace.ListRange
	start, err := c.int(2)
	if err != nil {
		return nil, r, err
	}
	stop, err := c.int(3)
	if err != nil {
		return nil, r, err
	}
	l, err := c.Keys.List(c.Args[1])
	if err != nil {
		return nil, r, err
	}
	n := l.Len()
	r.From = max(fromEnd(start, n), 0)
	r.To = min(fromEnd(stop, n), n-1) + 1
	if r.From >= r.To {
		r = keyspace.ListRange{}
	}
	return l, r, nil
}

func lrange(c *Ctx) error {
	l, r, err := listRange(c)
	if err != nil {
		return err
	}
	c.Out.Array(int(r.To - r.From))
	return l.Walk(r, keyspace.Left, func(_ int64, value []byte) bool {
		c.Out.Bulk(value)
		return true
	})
}

func ltrim(c *Ctx) error {
	l, r, err := listRange(c)
	if err != nil {
		return err
	}
	there := l.Exists()
	if err := l.Trim(r); err != nil {
		return err
	}
	if there {
		c.notifyTaken(keyspace.ClassList, "ltrim", l)
	}
	c.Out.OK()
	return nil
}
