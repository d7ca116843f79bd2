package command

import "github.com/elastickv/elastickv/internal/keyspace"

var ttlCommands = []*Command{
	{Name: "expire", Arity: -3, Flags: Write | Fast, Group: GroupGeneric, Keys: oneKey(KeyRW | KeyUpdate), Run: expireIn(inSeconds),
		Syntax: "key seconds [condition(NX | XX | GT | LT)@7.0.0]",
		Since:  "1.0.0", Complexity: "O(1)", Summary: "Makes a key expire after some seconds."},
	{Name: "pexpire", Arity: -3, Flags: Write | Fast, Group: GroupGeneric, Keys: oneKey(KeyRW | KeyUpdate), Run: expireIn(inMillis),
		Syntax: "key milliseconds [condition(NX | XX | GT | LT)@7.0.0]",
		Since:  "2.6.0", Complexity: "O(1)", Summary: "Makes a key expire after some milliseconds."},
	{Name: "expireat", Arity: -3, Flags: Write | Fast, Group: GroupGeneric, Keys: oneKey(KeyRW | KeyUpdate), Run: expireIn(atSeconds),
		Syntax: "key unix-time-seconds [condition(NX | XX | GT | LT)@7.0.0]",
		Since:  "1.2.0", Complexity: "O(1)", Summary: "Makes a key expire at a Unix time in seconds."},
	{Name: "pexpireat", Arity: -3, Flags: Write | Fast, Group: GroupGeneric, Keys: oneKey(KeyRW | KeyUpdate), Run: expireIn(atMillis),
		Syntax: "key unix-time-milliseconds [condition(NX | XX | GT | LT)@7.0.0]",
		Since:  "2.6.0", Complexity: "O(1)", Summary: "Makes a key expire at a Unix time in milliseconds."},
	{Name: "persist", Arity: 2, Flags: Write | Fast, Group: GroupGeneric, Keys: oneKey(KeyRW | KeyUpdate), Run: persist,
		Syntax: "key",
		Since:  "2.2.0", Complexity: "O(1)", Summary: "Removes the expiry of a key."},
	{Name: "ttl", Arity: 2, Flags: ReadOnly | Fast | NoTouch, Group: GroupGeneric, Keys: oneKey(KeyRO | KeyAccess), Run: remaining(inSeconds), Tips: []string{"nondeterministic_output"},
		Syntax: "key", History: []string{"2.8.0 Returns -2 for a key that is not there."},
		Since: "1.0.0", Complexity: "O(1)", Summary: "Returns the seconds until a key expires."},
	{Name: "pttl", Arity: 2, Flags: ReadOnly | Fast | NoTouch, Group: GroupGeneric, Keys: oneKey(KeyRO | KeyAccess), Run: remaining(inMillis), Tips: []string{"nondeterministic_output"},
		Syntax: "key", History: []string{"2.8.0 Returns -2 for a key that is not there."},
		Since: "2.6.0", Complexity: "O(1)", Summary: "Returns the milliseconds until a key expires."},
	{Name: "expiretime", Arity: 2, Flags: ReadOnly | Fast | NoTouch, Group: GroupGeneric, Keys: oneKey(KeyRO | KeyAccess), Run: remaining(atSeconds),
		Syntax: "key",
		Since:  "7.0.0", Complexity: "O(1)", Summary: "Returns the Unix time in seconds at which a key expires."},
	{Name: "pexpiretime", Arity: 2, Flags: ReadOnly | Fast | NoTouch, Group: GroupGeneric, Keys: oneKey(KeyRO | KeyAccess), Run: remaining(atMillis),
		Syntax: "key",
		Since:  "7.0.0", Complexity: "O(1)", Summary: "Returns the Unix time in milliseconds at which a key expires."},
}

// expireConditions are the words behind the time in the EXPIRE family.
type expireConditions struct{ nx, xx, gt, lt bool }

func parseExpireConditions(c *Ctx) (o expireConditions, err error) {
	for i := 3; i < len(c.Args); i++ {
		switch {
		case c.is(i, "NX"):
			o.nx = true
		case c.is(i, "XX"):
			o.xx = true
		case c.is(i, "GT"):
			o.gt = true
		case c.is(i, "LT"):
			o.lt = true
		default:
			return o, errUnsupportedOption(c.Args[i])
		}
	}
	switch {
	case o.nx && (o.xx || o.gt || o.lt):
		return o, ErrExpireNX
	case o.gt && o.lt:
		return o, ErrExpireGTLT
	}
	return o, nil
}

// allow reports whether an expiry may become at, given what it is now; 0 is never.
func (o expireConditions) allow(now, at int64) bool {
	never := now == 0
	switch {
	case o.nx && !never, o.xx && never:
		return false
	case o.gt && (never || at <= now), o.lt && !never && at >= now:
		return false
	}
	return true
}

func expireIn(u unit) Handler {
	return func(c *Ctx) error {
		o, err := parseExpireConditions(c)
		if err != nil {
			return err
		}
		n, err := c.int(2)
		if err != nil {
			return err
		}
		at, ok := u.moment(n, c.Keys.Now())
		if !ok {
			return errInvalidExpire(c)
		}
		old, there, err := c.Keys.Expiry(c.Args[1])
		if err != nil {
			return err
		}
		if !there || !o.allow(old, at) {
			c.Out.Int(0)
			return nil
		}
		c.Out.Int(1)
		return c.setExpiry(at)
	}
}

// setExpiry makes the first key, which is there, expire at a moment, or removes it if that is past.
func (c *Ctx) setExpiry(at int64) error {
	if _, err := c.Keys.SetExpiry(c.Args[1], at); err != nil {
		return err
	}
	if at <= c.Keys.Now() {
		c.gone(c.Args[1])
		return nil
	}
	c.notify(keyspace.ClassGeneric, "expire")
	return nil
}

func persist(c *Ctx) error {
	ok, err := c.persist()
	c.bit(ok)
	return err
}

// persist removes the expiry of the first key and reports whether it had one.
func (c *Ctx) persist() (bool, error) {
	ok, err := c.Keys.Persist(c.Args[1])
	if ok && err == nil {
		c.notify(keyspace.ClassGeneric, "persist")
	}
	return ok, err
}

// remaining answers -2 for a key that is not there and -1 for one that never expires.
func remaining(u unit) Handler {
	return func(c *Ctx) error {
		at, ok, err := c.Keys.Expiry(c.Args[1])
		switch {
		case err != nil:
			return err
		case !ok:
			at = -2
		case at == 0:
			at = -1
		default:
			if !u.absolute {
				at = max(at-c.Keys.Now(), 0)
			}
			at = (at + u.millis/2) / u.millis // rounded, as Redis does
		}
		c.Out.Int(at)
		return nil
	}
}
