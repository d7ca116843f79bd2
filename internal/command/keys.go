package command

import (
	"bytes"
	"errors"

	"github.com/elastickv/elastickv/internal/keyspace"
)

var keysCommands = []*Command{
	{Name: "del", Arity: -2, Flags: Write, Group: GroupGeneric, Keys: allKeys(1, KeyRM|KeyDelete), Run: del, Tips: []string{"request_policy:multi_shard", "response_policy:agg_sum"},
		Syntax: "key...",
		Since:  "1.0.0", Complexity: "O(N) where N is the number of rows of the keys", Summary: "Deletes keys."},
	{Name: "unlink", Arity: -2, Flags: Write | Fast, Group: GroupGeneric, Keys: allKeys(1, KeyRM|KeyDelete), Run: del, Tips: []string{"request_policy:multi_shard", "response_policy:agg_sum"},
		Syntax: "key...",
		Since:  "4.0.0", Complexity: "O(N) where N is the number of rows of the keys", Summary: "Deletes keys. The same as DEL: nothing here blocks on freeing memory."},
	{Name: "exists", Arity: -2, Flags: ReadOnly | Fast | NoTouch, Group: GroupGeneric, Keys: allKeys(1, KeyRO), Run: countKeys, Tips: []string{"request_policy:multi_shard", "response_policy:agg_sum"},
		Syntax: "key...", History: []string{"3.0.3 Takes several keys."},
		Since: "1.0.0", Complexity: "O(N) where N is the number of keys", Summary: "Counts how many of the keys named are there."},
	{Name: "touch", Arity: -2, Flags: ReadOnly | Fast, Group: GroupGeneric, Keys: allKeys(1, KeyRO), Run: countKeys, Tips: []string{"request_policy:multi_shard", "response_policy:agg_sum"},
		Syntax: "key...",
		Since:  "3.2.1", Complexity: "O(N) where N is the number of keys", Summary: "Counts how many of the keys named are there, which is a use of each."},
	{Name: "type", Arity: 2, Flags: ReadOnly | Fast | NoTouch, Group: GroupGeneric, Keys: oneKey(KeyRO), Run: typeOf,
		Syntax: "key",
		Since:  "1.0.0", Complexity: "O(1)", Summary: "Returns the type of a key."},
	{Name: "rename", Arity: 3, Flags: Write, Group: GroupGeneric, Keys: []KeySpec{keyAt(1, KeyRW|KeyAccess|KeyDelete), keyAt(2, KeyOW|KeyUpdate)}, Run: rename,
		Syntax: "key newkey",
		Since:  "1.0.0", Complexity: "O(N) where N is the number of rows of both keys", Summary: "Gives a key another name, in place of whatever had it."},
	{Name: "renamenx", Arity: 3, Flags: Write | Fast, Group: GroupGeneric, Keys: []KeySpec{keyAt(1, KeyRW|KeyAccess|KeyDelete), keyAt(2, KeyOW|KeyInsert)}, Run: renamenx,
		Syntax: "key newkey", History: []string{"3.2.0 Takes the same name twice."},
		Since: "1.0.0", Complexity: "O(N) where N is the number of rows of the key", Summary: "Gives a key another name if no key has it."},
	{Name: "copy", Arity: -3, Flags: Write | DenyOOM, Group: GroupGeneric, Keys: []KeySpec{keyAt(1, KeyRO|KeyAccess), keyAt(2, KeyOW|KeyUpdate)}, Run: copyKey,
		Syntax: "source destination [DB destination-db] [REPLACE]",
		Since:  "6.2.0", Complexity: "O(N) where N is the number of rows of the key", Summary: "Copies a key with its expiry, within a database or to another."},
	{Name: "move", Arity: 3, Flags: Write | Fast, Group: GroupGeneric, Keys: oneKey(KeyRW | KeyAccess | KeyUpdate), Run: move,
		Syntax: "key db",
		Since:  "1.0.0", Complexity: "O(N) where N is the number of rows of the key", Summary: "Moves a key to another database."},
	{Name: "randomkey", Arity: 1, Flags: ReadOnly, Group: GroupGeneric, Run: randomkey, Tips: []string{"request_policy:all_shards", "response_policy:special", "nondeterministic_output"},
		Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the name of some key."},
	{Name: "keys", Arity: 2, Flags: ReadOnly, Group: GroupGeneric, Cats: CatDangerous, Run: keys, Tips: []string{"request_policy:all_shards", "nondeterministic_output_order"},
		Syntax: "pattern",
		Since:  "1.0.0", Complexity: "O(N) where N is the number of keys that begin like the pattern", Summary: "Lists the keys that match a pattern, at one moment."},
	{Name: "scan", Arity: -2, Flags: ReadOnly, Group: GroupGeneric, Run: scan, Tips: []string{"nondeterministic_output", "request_policy:special", "response_policy:special"},
		Syntax: "cursor [MATCH pattern] [COUNT count] [TYPE type@6.0.0]",
		Since:  "2.8.0", Complexity: "O(1) a call", Summary: "Goes through the names of the keys step by step."},
	{Name: "dbsize", Arity: 1, Flags: ReadOnly | Fast, Group: GroupServer, Cats: CatKeyspace, Run: dbsize, Tips: []string{"request_policy:all_shards", "response_policy:agg_sum"},
		Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the number of keys of the database."},
	{Name: "flushdb", Arity: -1, Flags: Write, Group: GroupServer, Cats: CatKeyspace | CatDangerous, Run: flushdb, Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"},
		Syntax: "[flush-type(ASYNC@4.0.0 | SYNC@6.2.0)]",
		Since:  "1.0.0", Complexity: "O(N) where N is the number of rows of the database", Summary: "Deletes every key of the database."},
	{Name: "flushall", Arity: -1, Flags: Write, Group: GroupServer, Cats: CatKeyspace | CatDangerous, Run: flushall, Tips: []string{"request_policy:all_shards", "response_policy:all_succeeded"},
		Syntax: "[flush-type(ASYNC@4.0.0 | SYNC@6.2.0)]",
		Since:  "1.0.0", Complexity: "O(N) where N is the number of rows of all databases", Summary: "Deletes every key of every database."},
}

// exists reports whether a key of any type is there.
func (c *Ctx) exists(key []byte) (bool, error) {
	kind, err := c.Keys.Kind(key)
	return kind != keyspace.KindNone, err
}

func del(c *Ctx) error {
	var n int64
	for _, key := range c.Args[1:] {
		ok, err := c.remove(key)
		if err != nil {
			return err
		}
		n += int64(boolInt(ok))
	}
	c.Out.Int(n)
	return nil
}

func countKeys(c *Ctx) error {
	var n int64
	for _, key := range c.Args[1:] {
		ok, err := c.exists(key)
		if err != nil {
			return err
		}
		n += int64(boolInt(ok))
	}
	c.Out.Int(n)
	return nil
}

func typeOf(c *Ctx) error {
	kind, err := c.Keys.Kind(c.Args[1])
	if err != nil {
		return err
	}
	c.Out.Simple(kind.String())
	return nil
}

func rename(c *Ctx) error {
	c.Out.OK()
	return renameKey(c)
}

// renameKey moves the first key to the second. To rename a key to itself is no event.
func renameKey(c *Ctx) error {
	from, to := c.Args[1], c.Args[2]
	if err := c.Keys.Rename(from, to); err != nil || bytes.Equal(from, to) {
		return err
	}
	c.Keys.Notify(keyspace.ClassGeneric, "rename_from", from)
	c.Keys.Notify(keyspace.ClassGeneric, "rename_to", to)
	return nil
}

func renamenx(c *Ctx) error {
	there, err := c.exists(c.Args[1])
	if err != nil {
		return err
	}
	if !there {
		return ErrNoSuchKey
	}
	taken, err := c.exists(c.Args[2])
	if err != nil {
		return err
	}
	c.bit(!taken)
	if taken {
		return nil
	}
	return renameKey(c)
}

// database reads argument i as the number of a database.
func (c *Ctx) database(i int) (*keyspace.Space, error) {
	n, err := c.DatabaseIndex(i)
	if err != nil {
		return nil, err
	}
	return c.Keys.DB(n), nil
}

// DatabaseIndex reads argument i as the number of a database that there is.
func (c *Ctx) DatabaseIndex(i int) (int, error) {
	n, err := c.int(i)
	switch {
	case err != nil:
		return 0, err
	case n != int64(int32(n)):
		return 0, ErrIntRange
	case n < 0 || n >= keyspace.Databases:
		return 0, ErrInvalidDBIndex
	}
	return int(n), nil
}

func copyKey(c *Ctx) error {
	to, replace := c.Keys, false
	for i := 3; i < len(c.Args); i++ {
		switch {
		case c.is(i, "REPLACE"):
			replace = true
		case c.is(i, "DB") && i+1 < len(c.Args):
			i++
			var err error
			if to, err = c.database(i); err != nil {
				return err
			}
		default:
			return ErrSyntax
		}
	}
	if to == c.Keys && bytes.Equal(c.Args[1], c.Args[2]) {
		return ErrSameObject
	}
	done, err := c.transfer(c.Keys.Reading(), to, c.Args[2], replace)
	c.bit(done)
	if done && err == nil {
		to.Notify(keyspace.ClassGeneric, "copy_to", c.Args[2])
	}
	return err
}

// transfer copies the first key, of from, to dst and reports whether it did: not if the
// first key is not there, or dst is and may not be replaced.
func (c *Ctx) transfer(from, to *keyspace.Space, dst []byte, replace bool) (bool, error) {
	kind, err := from.Kind(c.Args[1])
	if err != nil || kind == keyspace.KindNone {
		return false, err
	}
	if !replace {
		kind, err := to.Kind(dst)
		if err != nil || kind != keyspace.KindNone {
			return false, err
		}
	}
	return true, from.Copy(c.Args[1], to, dst)
}

func move(c *Ctx) error {
	to, err := c.database(2)
	if err != nil {
		return err
	}
	if to == c.Keys {
		return ErrSameObject
	}
	done, err := c.transfer(c.Keys, to, c.Args[1], false)
	c.bit(done)
	if err != nil || !done {
		return err
	}
	if _, err := c.Keys.Remove(c.Args[1]); err != nil {
		return err
	}
	c.notify(keyspace.ClassGeneric, "move_from")
	to.Notify(keyspace.ClassGeneric, "move_to", c.Args[1])
	return nil
}

func randomkey(c *Ctx) error {
	key, ok, err := c.Keys.Random(c.Env.Rand)
	if err != nil {
		return err
	}
	c.bulkOrNull(key, ok)
	return nil
}

func keys(c *Ctx) error {
	pattern := c.Args[1]
	all := string(pattern) == "*"
	var found [][]byte
	err := c.Keys.Walk(literalPrefix(pattern), nil, func(key []byte, _ keyspace.Kind) bool {
		if all || globMatch(pattern, key) {
			found = append(found, bytes.Clone(key))
		}
		return true
	})
	if err != nil {
		return err
	}
	c.Out.Array(len(found))
	for _, key := range found {
		c.Out.Bulk(key)
	}
	return nil
}

func scan(c *Ctx) error {
	o, err := parseScan(c, 1, true)
	if err != nil {
		return err
	}
	p := page{scanOptions: o}
	err = c.Keys.Walk(literalPrefix(o.match), o.start, func(key []byte, kind keyspace.Kind) bool {
		return p.take(key, func() {
			if o.kind == "" || o.kind == kind.String() {
				p.out = append(p.out, bytes.Clone(key))
			}
		})
	})
	if err != nil {
		return err
	}
	p.reply(c)
	return nil
}

func dbsize(c *Ctx) error {
	size, err := c.Keys.Size()
	if err != nil {
		return err
	}
	c.Out.Int(size.Keys)
	return nil
}

// parseFlush checks the argument of FLUSHDB and FLUSHALL. Both words mean the
// same here: the keys are gone when the reply comes.
func parseFlush(c *Ctx) error {
	if len(c.Args) > 2 || len(c.Args) == 2 && !c.is(1, "ASYNC") && !c.is(1, "SYNC") {
		return ErrSyntax
	}
	return nil
}

func flushdb(c *Ctx) error {
	if err := parseFlush(c); err != nil {
		return err
	}
	c.Out.OK()
	return c.Keys.Flush()
}

func flushall(c *Ctx) error {
	if err := parseFlush(c); err != nil {
		return err
	}
	c.Out.OK()
	var errs []error
	for db := range keyspace.Databases {
		errs = append(errs, c.Keys.DB(db).Flush())
	}
	return errors.Join(errs...)
}
