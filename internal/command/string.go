package command

import (
	"math"
	"strings"

	"github.com/elastickv/elastickv/internal/keyspace"
)

var stringCommands = []*Command{
	{Name: "get", Arity: 2, Flags: ReadOnly | Fast, Group: GroupString, Keys: oneKey(KeyRO | KeyAccess), Run: get,
		Syntax: "key",
		Since:  "1.0.0", Complexity: "O(1)", Summary: "Returns the value of a string key."},
	{Name: "set", Arity: -3, Flags: Write | DenyOOM, Group: GroupString, Keys: oneKey(KeyRW | KeyAccess | KeyUpdate | KeyVariable), Run: set, FindKeys: setKeys,
		Syntax: "key value [condition(NX | XX)@2.6.12] [GET@6.2.0] [expiration(EX seconds@2.6.12 | PX milliseconds@2.6.12 | EXAT unix-time-seconds@6.2.0 | PXAT unix-time-milliseconds@6.2.0 | KEEPTTL@6.0.0)]", History: []string{"7.0.0 Takes NX and GET together."},
		Since: "1.0.0", Complexity: "O(1)", Summary: "Gives a key a string value, whatever it held before, on conditions and with an expiry if asked."},
	{Name: "setnx", Arity: 3, Flags: Write | DenyOOM | Fast, Group: GroupString, Keys: oneKey(KeyOW | KeyInsert), Run: setnx,
		Syntax: "key value",
		Since:  "1.0.0", Deprecated: "2.6.12", Instead: "`SET` with `NX`", Complexity: "O(1)", Summary: "Gives a key a string value only if the key is not there."},
	{Name: "setex", Arity: 4, Flags: Write | DenyOOM, Group: GroupString, Keys: oneKey(KeyOW | KeyUpdate), Run: setFor(inSeconds),
		Syntax: "key seconds value",
		Since:  "2.0.0", Deprecated: "2.6.12", Instead: "`SET` with `EX`", Complexity: "O(1)", Summary: "Gives a key a string value that expires after some seconds."},
	{Name: "psetex", Arity: 4, Flags: Write | DenyOOM, Group: GroupString, Keys: oneKey(KeyOW | KeyUpdate), Run: setFor(inMillis),
		Syntax: "key milliseconds value",
		Since:  "2.6.0", Deprecated: "2.6.12", Instead: "`SET` with `PX`", Complexity: "O(1)", Summary: "Gives a key a string value that expires after some milliseconds."},
	{Name: "getset", Arity: 3, Flags: Write | DenyOOM | Fast, Group: GroupString, Keys: oneKey(KeyRW | KeyAccess | KeyUpdate), Run: getset,
		Syntax: "key value",
		Since:  "1.0.0", Deprecated: "6.2.0", Instead: "`SET` with `GET`", Complexity: "O(1)", Summary: "Gives a key a string value and returns the one it had."},
	{Name: "getdel", Arity: 2, Flags: Write | Fast, Group: GroupString, Keys: oneKey(KeyRW | KeyAccess | KeyDelete), Run: getdel,
		Syntax: "key",
		Since:  "6.2.0", Complexity: "O(1)", Summary: "Returns the value of a string key and deletes the key."},
	{Name: "getex", Arity: -2, Flags: Write | Fast, Group: GroupString, Keys: oneKey(KeyRW | KeyAccess | KeyUpdate), Run: getex,
		Syntax: "key [expiration(EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST)]",
		Since:  "6.2.0", Complexity: "O(1)", Summary: "Returns the value of a string key and sets or removes its expiry."},
	{Name: "mget", Arity: -2, Flags: ReadOnly | Fast, Group: GroupString, Keys: allKeys(1, KeyRO|KeyAccess), Run: mget, Tips: []string{"request_policy:multi_shard"},
		Syntax: "key...",
		Since:  "1.0.0", Complexity: "O(N) where N is the number of keys", Summary: "Returns the values of several string keys at one moment."},
	{Name: "mset", Arity: -3, Flags: Write | DenyOOM, Group: GroupString, Keys: allKeys(2, KeyOW|KeyUpdate), Run: mset, Tips: []string{"request_policy:multi_shard", "response_policy:all_succeeded"},
		Syntax: "data(key value)...",
		Since:  "1.0.1", Complexity: "O(N) where N is the number of keys", Summary: "Gives several keys string values at once."},
	{Name: "msetnx", Arity: -3, Flags: Write | DenyOOM, Group: GroupString, Keys: allKeys(2, KeyOW|KeyInsert), Run: msetnx,
		Syntax: "data(key value)...",
		Since:  "1.0.1", Complexity: "O(N) where N is the number of keys", Summary: "Gives several keys string values if none of the keys is there."},
	{Name: "append", Arity: 3, Flags: Write | DenyOOM | Fast, Group: GroupString, Keys: oneKey(KeyRW | KeyInsert), Run: appendTo,
		Syntax: "key value",
		Since:  "2.0.0", Complexity: "O(N) where N is the length of the result", Summary: "Appends to the value of a string key, which is made if it is not there."},
	{Name: "strlen", Arity: 2, Flags: ReadOnly | Fast, Group: GroupString, Keys: oneKey(KeyRO), Run: strlen,
		Syntax: "key",
		Since:  "2.2.0", Complexity: "O(1)", Summary: "Returns the length of the value of a string key."},
	{Name: "getrange", Arity: 4, Flags: ReadOnly, Group: GroupString, Keys: oneKey(KeyRO | KeyAccess), Run: getrange,
		Syntax: "key start end",
		Since:  "2.4.0", Complexity: "O(N) where N is the length of the value", Summary: "Returns a part of the value of a string key."},
	{Name: "substr", Arity: 4, Flags: ReadOnly, Group: GroupString, Keys: oneKey(KeyRO | KeyAccess), Run: getrange,
		Syntax: "key start end",
		Since:  "1.0.0", Deprecated: "2.0.0", Instead: "`GETRANGE`", Complexity: "O(N) where N is the length of the value", Summary: "Returns a part of the value of a string key. The old name of GETRANGE."},
	{Name: "setrange", Arity: 4, Flags: Write | DenyOOM, Group: GroupString, Keys: oneKey(KeyRW | KeyUpdate), Run: setrange,
		Syntax: "key offset value",
		Since:  "2.2.0", Complexity: "O(N) where N is the length of the result", Summary: "Overwrites a part of the value of a string key, padding with zero bytes."},
	{Name: "incr", Arity: 2, Flags: Write | DenyOOM | Fast, Group: GroupString, Keys: oneKey(KeyRW | KeyAccess | KeyUpdate), Run: incr,
		Syntax: "key",
		Since:  "1.0.0", Complexity: "O(1)", Summary: "Adds one to the integer value of a key; a key that is not there counts as 0."},
	{Name: "decr", Arity: 2, Flags: Write | DenyOOM | Fast, Group: GroupString, Keys: oneKey(KeyRW | KeyAccess | KeyUpdate), Run: decr,
		Syntax: "key",
		Since:  "1.0.0", Complexity: "O(1)", Summary: "Subtracts one from the integer value of a key; a key that is not there counts as 0."},
	{Name: "incrby", Arity: 3, Flags: Write | DenyOOM | Fast, Group: GroupString, Keys: oneKey(KeyRW | KeyAccess | KeyUpdate), Run: incrby,
		Syntax: "key increment",
		Since:  "1.0.0", Complexity: "O(1)", Summary: "Adds an integer to the integer value of a key; a key that is not there counts as 0."},
	{Name: "decrby", Arity: 3, Flags: Write | DenyOOM | Fast, Group: GroupString, Keys: oneKey(KeyRW | KeyAccess | KeyUpdate), Run: decrby,
		Syntax: "key decrement",
		Since:  "1.0.0", Complexity: "O(1)", Summary: "Subtracts an integer from the integer value of a key; a key that is not there counts as 0."},
	{Name: "incrbyfloat", Arity: 3, Flags: Write | DenyOOM | Fast, Group: GroupString, Keys: oneKey(KeyRW | KeyAccess | KeyUpdate), Run: incrbyfloat,
		Syntax: "key increment:double",
		Since:  "2.6.0", Complexity: "O(1)", Summary: "Adds a number to the numeric value of a key; a key that is not there counts as 0."},
	{Name: "lcs", Arity: -3, Flags: ReadOnly, Group: GroupString, Keys: []KeySpec{{Flags: KeyRO | KeyAccess, Index: 1, Last: 1, Step: 1}}, Run: lcs,
		Syntax: "key1 key2 [LEN] [IDX] [MINMATCHLEN min-match-len] [WITHMATCHLEN]",
		Since:  "7.0.0", Complexity: "O(N*M) where N and M are the lengths of the values", Summary: "Finds the longest common subsequence of the values of two string keys."},
}

// bulkOrNull replies with a value, or null if it is not there.
func (c *Ctx) bulkOrNull(v []byte, ok bool) {
	if ok {
		c.Out.Bulk(v)
	} else {
		c.Out.Null()
	}
}

// bit replies 1 or 0.
func (c *Ctx) bit(b bool) {
	if b {
		c.Out.Int(1)
	} else {
		c.Out.Int(0)
	}
}

func get(c *Ctx) error {
	_, err := c.reply()
	return err
}

// reply replies with the value of the first key and reports whether the key is there.
func (c *Ctx) reply() (bool, error) {
	v, ok, err := c.Keys.Reading().String(c.Args[1])
	if err != nil {
		return false, err
	}
	if ok && c.Keys.ReadOnly() { // else it may be in a buffer of who wrote it in this transaction or run
		c.Out.BulkKept(v)
	} else {
		c.bulkOrNull(v, ok)
	}
	return ok, nil
}

// setString gives the first key a value and an expiry, 0 for none.
func (c *Ctx) setString(value []byte, at int64) error {
	if err := c.Keys.SetString(c.Args[1], value, at); err != nil {
		return err
	}
	c.notify(keyspace.ClassString, "set")
	if at != 0 {
		c.notify(keyspace.ClassGeneric, "expire")
	}
	if at != 0 && at <= c.Keys.Now() { // it had expired before anybody could see it
		c.notify(keyspace.ClassExpired, "expired")
	}
	return nil
}

// setOptions are what stands behind the value in SET.
type setOptions struct {
	ifAbsent, ifPresent, get, keepTTL bool
	at                                int64 // 0 for never
}

func parseSet(c *Ctx) (o setOptions, err error) {
	var expiry unit
	when := 0 // the argument that says when, 0 for none
	for i := 3; i < len(c.Args); i++ {
		u, expires := c.expiryOption(i)
		switch {
		case c.is(i, "NX") && !o.ifPresent:
			o.ifAbsent = true
		case c.is(i, "XX") && !o.ifAbsent:
			o.ifPresent = true
		case c.is(i, "GET"):
			o.get = true
		case c.is(i, "KEEPTTL") && when == 0:
			o.keepTTL = true
		case expires && !o.keepTTL && i+1 < len(c.Args) && (when == 0 || u == expiry):
			i++
			expiry, when = u, i
		default:
			return o, ErrSyntax
		}
	}
	if when != 0 {
		o.at, err = c.futureArg(when, expiry)
	}
	return o, err
}

// setKeys says what SET does to its key, which depends on whether it has to read it.
func setKeys(args [][]byte) []Key {
	for _, a := range args[min(3, len(args)):] {
		if strings.EqualFold(string(a), "GET") {
			return []Key{{1, KeyRW | KeyAccess | KeyUpdate}}
		}
	}
	return []Key{{1, KeyOW | KeyUpdate}}
}

func set(c *Ctx) error {
	o, err := parseSet(c)
	if err != nil {
		return err
	}
	key, value := c.Args[1], c.Args[2]
	if o.get {
		if err := get(c); err != nil {
			return err
		}
	}
	if o.ifAbsent || o.ifPresent {
		there, err := c.exists(key)
		if err != nil {
			return err
		}
		if there == o.ifAbsent {
			if !o.get {
				c.Out.Null()
			}
			return nil
		}
	}
	if !o.get {
		c.Out.OK()
	}
	if o.keepTTL {
		return c.noted(keyspace.ClassString, "set", c.Keys.OverwriteString(key, value))
	}
	return c.setString(value, o.at)
}

func setnx(c *Ctx) error {
	there, err := c.exists(c.Args[1])
	if err != nil {
		return err
	}
	c.bit(!there)
	if there {
		return nil
	}
	return c.setString(c.Args[2], 0)
}

func setFor(u unit) Handler {
	return func(c *Ctx) error {
		at, err := c.futureArg(2, u)
		if err != nil {
			return err
		}
		c.Out.OK()
		return c.setString(c.Args[3], at)
	}
}

func getset(c *Ctx) error {
	if err := get(c); err != nil {
		return err
	}
	return c.setString(c.Args[2], 0)
}

func getdel(c *Ctx) error {
	if err := get(c); err != nil {
		return err
	}
	_, err := c.remove(c.Args[1])
	return err
}

func getex(c *Ctx) error {
	var expiry unit
	at, persist := 0, false // the argument that says when, 0 for none
	for i := 2; i < len(c.Args); i++ {
		u, expires := c.expiryOption(i)
		switch {
		case c.is(i, "PERSIST") && at == 0:
			persist = true
		case expires && !persist && i+1 < len(c.Args) && (at == 0 || u == expiry):
			i++
			expiry, at = u, i
		default:
			return ErrSyntax
		}
	}
	there, err := c.reply()
	switch {
	case err != nil || !there:
		return err
	case persist:
		_, err = c.persist()
	case at != 0:
		// Of a key that is not there, even an impossible moment is not looked at.
		var when int64
		if when, err = c.futureArg(at, expiry); err == nil {
			err = c.setExpiry(when)
		}
	}
	return err
}

func mget(c *Ctx) error {
	c.Out.Array(len(c.Args) - 1)
	for _, key := range c.Args[1:] {
		v, ok, err := c.Keys.String(key)
		if err != nil && !isWrongType(err) {
			return err
		}
		c.bulkOrNull(v, ok)
		if err := c.checkReply(); err != nil {
			return err // and read no further
		}
	}
	return nil
}

func mset(c *Ctx) error {
	if len(c.Args)%2 == 0 {
		return errArity(c.Cmd)
	}
	c.Out.OK()
	return msetPairs(c)
}

func msetPairs(c *Ctx) error {
	for i := 1; i < len(c.Args); i += 2 {
		if err := c.Keys.SetString(c.Args[i], c.Args[i+1], 0); err != nil {
			return err
		}
		c.Keys.Notify(keyspace.ClassString, "set", c.Args[i])
	}
	return nil
}

func msetnx(c *Ctx) error {
	if len(c.Args)%2 == 0 {
		return errArity(c.Cmd)
	}
	for i := 1; i < len(c.Args); i += 2 {
		there, err := c.exists(c.Args[i])
		if err != nil {
			return err
		}
		if there {
			c.Out.Int(0)
			return nil
		}
	}
	c.Out.Int(1)
	return msetPairs(c)
}

func appendTo(c *Ctx) error {
	old, there, err := c.Keys.String(c.Args[1])
	if err != nil {
		return err
	}
	if err := c.checkLength(int64(len(old)) + int64(len(c.Args[2]))); err != nil {
		return err
	}
	c.Out.Int(int64(len(old) + len(c.Args[2])))
	if !there {
		return c.noted(keyspace.ClassString, "append", c.Keys.SetString(c.Args[1], c.Args[2], 0))
	}
	value := make([]byte, 0, len(old)+len(c.Args[2]))
	value = append(append(value, old...), c.Args[2]...)
	return c.noted(keyspace.ClassString, "append", c.Keys.ModifyString(c.Args[1], value))
}

// checkLength reports whether a string of n bytes may be made.
func (c *Ctx) checkLength(n int64) error {
	if n > min(c.Env.MaxBulk, maxString) {
		return ErrStringTooLong
	}
	return nil
}

// maxString is what the store takes as one value, less the type in front.
const maxString = 256<<20 - 1

func strlen(c *Ctx) error {
	v, _, err := c.Keys.String(c.Args[1])
	if err != nil {
		return err
	}
	c.Out.Int(int64(len(v)))
	return nil
}

func getrange(c *Ctx) error {
	start, err := c.int(2)
	if err != nil {
		return err
	}
	end, err := c.int(3)
	if err != nil {
		return err
	}
	v, _, err := c.Keys.String(c.Args[1])
	if err != nil {
		return err
	}
	n := int64(len(v))
	if start < 0 && end < 0 && start > end {
		n = 0 // as Redis has it: reversed negative indexes select nothing before they are clamped
	}
	lo, hi := max(fromEnd(start, n), 0), min(max(fromEnd(end, n), 0), n-1)
	if n == 0 || lo > hi {
		c.Out.BulkString("")
		return nil
	}
	c.Out.Bulk(v[lo : hi+1])
	return nil
}

// fromEnd resolves an index that counts from the end if it is below 0.
func fromEnd(i, n int64) int64 {
	if i < 0 {
		return i + n
	}
	return i
}

func setrange(c *Ctx) error {
	offset, err := c.int(2)
	if err != nil {
		return err
	}
	if offset < 0 {
		return ErrOffset
	}
	old, _, err := c.Keys.String(c.Args[1])
	if err != nil {
		return err
	}
	patch := c.Args[3]
	if len(patch) == 0 {
		c.Out.Int(int64(len(old)))
		return nil
	}
	if offset > math.MaxInt64-int64(len(patch)) {
		return ErrStringTooLong
	}
	if err := c.checkLength(offset + int64(len(patch))); err != nil {
		return err
	}
	value := make([]byte, max(int64(len(old)), offset+int64(len(patch))))
	copy(value, old)
	copy(value[offset:], patch)
	c.Out.Int(int64(len(value)))
	return c.noted(keyspace.ClassString, "setrange", c.Keys.ModifyString(c.Args[1], value))
}

func incr(c *Ctx) error { return c.add(1) }

func decr(c *Ctx) error { return c.add(-1) }

func incrby(c *Ctx) error {
	n, err := c.int(2)
	if err != nil {
		return err
	}
	return c.add(n)
}

func decrby(c *Ctx) error {
	n, err := c.int(2)
	if err != nil {
		return err
	}
	if n == math.MinInt64 {
		return ErrDecrOverflow
	}
	return c.add(-n)
}

// add adds n to the integer at the first key.
func (c *Ctx) add(n int64) error {
	return c.edit("incrby", func(old []byte, there bool) ([]byte, error) {
		var v int64
		if there {
			var err error
			if v, err = parseInt(old); err != nil {
				return nil, err
			}
		}
		if n > 0 && v > math.MaxInt64-n || n < 0 && v < math.MinInt64-n {
			return nil, ErrOverflow
		}
		c.Out.Int(v + n)
		return formatInt(v + n), nil
	})
}

// edit has fn reply, and make the value of the first key from the one that it has.
func (c *Ctx) edit(event string, fn func(old []byte, there bool) ([]byte, error)) error {
	return c.noted(keyspace.ClassString, event, c.Keys.EditString(c.Args[1], fn))
}

func incrbyfloat(c *Ctx) error {
	return c.edit("incrbyfloat", func(old []byte, there bool) ([]byte, error) {
		if !there {
			old = []byte("0")
		}
		sum, err := addLongDouble(old, c.Args[2])
		if err != nil {
			return nil, err
		}
		c.Out.Bulk(sum)
		return sum, nil
	})
}
