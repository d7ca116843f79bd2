package command

import (
	"fmt"

	"github.com/elastickv/elastickv/internal/keyspace"
)

var hashCommands = []*Command{
	{Name: "hset", Arity: -4, Flags: Write | DenyOOM | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyUpdate), Elements: allElements(2), Run: hset,
		Syntax: "key data(field value)...", History: []string{"4.0.0 Takes several fields."},
		Since: "2.0.0", Complexity: "O(N) where N is the number of fields given", Summary: "Gives fields of a hash values."},
	{Name: "hsetnx", Arity: 4, Flags: Write | DenyOOM | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyInsert), Elements: oneElement(2), Run: hsetnx,
		Syntax: "key field value",
		Since:  "2.0.0", Complexity: "O(1)", Summary: "Gives a field of a hash a value if the field is not there."},
	{Name: "hmset", Arity: -4, Flags: Write | DenyOOM | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyUpdate), Elements: allElements(2), Run: hmset,
		Syntax: "key data(field value)...",
		Since:  "2.0.0", Deprecated: "4.0.0", Instead: "`HSET`, which takes several fields", Complexity: "O(N) where N is the number of fields given", Summary: "Gives fields of a hash values. HSET does the same."},
	{Name: "hget", Arity: 3, Flags: ReadOnly | Fast, Group: GroupHash, Keys: oneKey(KeyRO | KeyAccess), Elements: oneElement(2), Run: hget,
		Syntax: "key field",
		Since:  "2.0.0", Complexity: "O(1)", Summary: "Returns the value of a field of a hash."},
	{Name: "hmget", Arity: -3, Flags: ReadOnly | Fast, Group: GroupHash, Keys: oneKey(KeyRO | KeyAccess), Elements: allElements(1), Run: hmget,
		Syntax: "key field...",
		Since:  "2.0.0", Complexity: "O(N) where N is the number of fields asked for", Summary: "Returns the values of several fields of a hash."},
	{Name: "hgetall", Arity: 2, Flags: ReadOnly, Group: GroupHash, Keys: oneKey(KeyRO | KeyAccess), Run: hgetall, Tips: []string{"nondeterministic_output_order"},
		Syntax: "key",
		Since:  "2.0.0", Complexity: "O(N) where N is the number of fields", Summary: "Returns all fields of a hash and their values."},
	{Name: "hkeys", Arity: 2, Flags: ReadOnly, Group: GroupHash, Keys: oneKey(KeyRO | KeyAccess), Run: hkeys, Tips: []string{"nondeterministic_output_order"},
		Syntax: "key",
		Since:  "2.0.0", Complexity: "O(N) where N is the number of fields", Summary: "Returns the names of all fields of a hash."},
	{Name: "hvals", Arity: 2, Flags: ReadOnly, Group: GroupHash, Keys: oneKey(KeyRO | KeyAccess), Run: hvals, Tips: []string{"nondeterministic_output_order"},
		Syntax: "key",
		Since:  "2.0.0", Complexity: "O(N) where N is the number of fields", Summary: "Returns the values of all fields of a hash."},
	{Name: "hlen", Arity: 2, Flags: ReadOnly | Fast, Group: GroupHash, Keys: oneKey(KeyRO), Run: hlen,
		Syntax: "key",
		Since:  "2.0.0", Complexity: "O(1)", Summary: "Returns the number of fields of a hash."},
	{Name: "hexists", Arity: 3, Flags: ReadOnly | Fast, Group: GroupHash, Keys: oneKey(KeyRO), Elements: oneElement(2), Run: hexists,
		Syntax: "key field",
		Since:  "2.0.0", Complexity: "O(1)", Summary: "Tells whether a hash has a field."},
	{Name: "hstrlen", Arity: 3, Flags: ReadOnly | Fast, Group: GroupHash, Keys: oneKey(KeyRO), Elements: oneElement(2), Run: hstrlen,
		Syntax: "key field",
		Since:  "3.2.0", Complexity: "O(1)", Summary: "Returns the length of the value of a field of a hash."},
	{Name: "hdel", Arity: -3, Flags: Write | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyDelete), Elements: allElements(1), Run: hdel,
		Syntax: "key field...", History: []string{"2.4.0 Takes several fields."},
		Since: "2.0.0", Complexity: "O(N) where N is the number of fields given", Summary: "Removes fields of a hash, and the hash with its last field."},
	{Name: "hincrby", Arity: 4, Flags: Write | DenyOOM | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyAccess | KeyUpdate), Elements: oneElement(2), Run: hincrby,
		Syntax: "key field increment",
		Since:  "2.0.0", Complexity: "O(1)", Summary: "Adds an integer to the integer value of a field; a field that is not there counts as 0."},
	{Name: "hincrbyfloat", Arity: 4, Flags: Write | DenyOOM | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyAccess | KeyUpdate), Elements: oneElement(2), Run: hincrbyfloat,
		Syntax: "key field increment:double",
		Since:  "2.6.0", Complexity: "O(1)", Summary: "Adds a number to the numeric value of a field; a field that is not there counts as 0."},
	{Name: "hrandfield", Arity: -2, Flags: ReadOnly, Group: GroupHash, Keys: oneKey(KeyRO | KeyAccess), Run: hrandfield, Tips: []string{"nondeterministic_output"},
		Syntax: "key [options(count [WITHVALUES])]",
		Since:  "6.2.0", Complexity: "O(N) where N is the number of fields returned", Summary: "Returns random fields of a hash, with their values if asked."},
	{Name: "hscan", Arity: -3, Flags: ReadOnly, Group: GroupHash, Keys: oneKey(KeyRO | KeyAccess), Run: hscan, Tips: []string{"nondeterministic_output"},
		Syntax: "key cursor [MATCH pattern] [COUNT count]",
		Since:  "2.8.0", Complexity: "O(1) for a call, O(N) for all calls until the cursor is 0 again, where N is the number of fields",
		Summary: "Goes through the fields of a hash and their values, some at a call."},
}

// setFields carries out HSET and HMSET and returns how many fields are new.
func setFields(c *Ctx) (int64, error) {
	if len(c.Args)%2 != 0 {
		return 0, errArity(c.Cmd)
	}
	h, err := c.Keys.Hash(c.Args[1])
	if err != nil {
		return 0, err
	}
	var few [4]keyspace.Field // mostly
	fields := few[:0]
	for i := 2; i < len(c.Args); i += 2 {
		fields = append(fields, keyspace.Field{Name: c.Args[i], Value: c.Args[i+1]})
	}
	added, err := h.SetAll(fields...)
	return added, c.noted(keyspace.ClassHash, "hset", err)
}

func hset(c *Ctx) error {
	added, err := setFields(c)
	c.Out.Int(added)
	return err
}

func hmset(c *Ctx) error {
	_, err := setFields(c)
	c.Out.OK()
	return err
}

func hsetnx(c *Ctx) error {
	h, err := c.Keys.Hash(c.Args[1])
	if err != nil {
		return err
	}
	_, ok, err := h.Get(c.Args[2])
	if err == nil && !ok {
		_, err = h.Set(c.Args[2], c.Args[3])
		err = c.noted(keyspace.ClassHash, "hset", err)
	}
	c.bit(!ok)
	return err
}

func hget(c *Ctx) error {
	h, err := c.Keys.Hash(c.Args[1])
	if err != nil {
		return err
	}
	v, ok, err := h.Get(c.Args[2])
	c.bulkOrNull(v, ok)
	return err
}

func hmget(c *Ctx) error {
	h, err := c.Keys.Hash(c.Args[1])
	if err != nil {
		return err
	}
	c.Out.Array(len(c.Args) - 2)
	for _, field := range c.Args[2:] {
		v, ok, err := h.Get(field)
		if err != nil {
			return err
		}
		c.bulkOrNull(v, ok)
		if err := c.checkReply(); err != nil {
			return err
		}
	}
	return nil
}

func hgetall(c *Ctx) error {
	return eachField(c, c.Out.Map, func(field, value []byte) {
		c.Out.Bulk(field)
		c.Out.Bulk(value)
	})
}

func hkeys(c *Ctx) error {
	return eachField(c, c.Out.Array, func(field, _ []byte) { c.Out.Bulk(field) })
}

func hvals(c *Ctx) error {
	return eachField(c, c.Out.Array, func(_, value []byte) { c.Out.Bulk(value) })
}

// eachField replies with something for every field of a hash. begin is given their number.
func eachField(c *Ctx, begin func(n int), reply func(field, value []byte)) error {
	h, err := c.Keys.Hash(c.Args[1])
	if err != nil {
		return err
	}
	n, err := h.Len()
	if err != nil {
		return err
	}
	begin(int(n))
	err = h.Walk(nil, func(field, value []byte) bool {
		n--
		reply(field, value)
		return true
	})
	if err != nil {
		return err
	}
	return countedAll(n)
}

// countedAll fails unless a walk has met as many elements as were counted before; left
// is the difference.
func countedAll(left int64) error {
	if left != 0 {
		return fmt.Errorf("length of the collection is wrong by %d", left)
	}
	return nil
}

func hlen(c *Ctx) error {
	h, err := c.Keys.Hash(c.Args[1])
	if err != nil {
		return err
	}
	n, err := h.Len()
	c.Out.Int(n)
	return err
}

func hexists(c *Ctx) error {
	h, err := c.Keys.Hash(c.Args[1])
	if err != nil {
		return err
	}
	_, ok, err := h.Get(c.Args[2])
	c.bit(ok)
	return err
}

func hstrlen(c *Ctx) error {
	h, err := c.Keys.Hash(c.Args[1])
	if err != nil {
		return err
	}
	v, _, err := h.Get(c.Args[2])
	c.Out.Int(int64(len(v)))
	return err
}

func hdel(c *Ctx) error {
	h, err := c.Keys.Hash(c.Args[1])
	if err != nil {
		return err
	}
	removed, err := h.DeleteAll(c.Args[2:]...)
	if removed > 0 {
		c.notifyTaken(keyspace.ClassHash, "hdel", h)
	}
	c.Out.Int(removed)
	return err
}

func hincrby(c *Ctx) error {
	by, err := c.int(3)
	if err != nil {
		return err
	}
	h, err := c.Keys.Hash(c.Args[1])
	if err != nil {
		return err
	}
	v, ok, err := h.Get(c.Args[2])
	if err != nil {
		return err
	}
	var n int64
	if ok {
		if n, err = parseInt(v); err != nil {
			return ErrHashNotInteger
		}
	}
	if (n+by < n) != (by < 0) {
		return ErrOverflow
	}
	err = h.Update(c.Args[2], formatInt(n+by))
	c.Out.Int(n + by)
	return c.noted(keyspace.ClassHash, "hincrby", err)
}

func hincrbyfloat(c *Ctx) error {
	by, err := parseLongDouble(c.Args[3])
	if err != nil {
		return err
	}
	if by.IsInf() {
		return ErrInfinite
	}
	h, err := c.Keys.Hash(c.Args[1])
	if err != nil {
		return err
	}
	v, ok, err := h.Get(c.Args[2])
	if err != nil {
		return err
	}
	if !ok {
		v = nil
	}
	sum, err := addLongDouble(v, c.Args[3])
	if err == ErrNotFloat {
		return ErrHashNotFloat
	}
	if err != nil {
		return err
	}
	err = h.Update(c.Args[2], sum)
	c.Out.Bulk(sum)
	return c.noted(keyspace.ClassHash, "hincrbyfloat", err)
}

func hscan(c *Ctx) error {
	if _, err := parseCursor(c.Args[2]); err != nil {
		return err
	}
	h, err := c.Keys.Hash(c.Args[1])
	if err != nil {
		return err
	}
	var p page
	if h.Exists() {
		if p.scanOptions, err = parseElementScan(c, h.Compact()); err != nil {
			return err
		}
	}
	err = h.Walk(p.start, func(field, value []byte) bool {
		return p.take(field, func() {
			if p.out = append(p.out, own(field)); !p.names {
				p.out = append(p.out, own(value))
			}
		})
	})
	p.reply(c)
	return err
}
