package command

import (
	"github.com/elastickv/elastickv/internal/keyspace"
)

var hashExpiryCommands = []*Command{
	{Name: "hexpire", Arity: -6, Flags: Write | DenyOOM | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyUpdate), Run: hexpire(inSeconds),
		Syntax: "key seconds [condition(NX | XX | GT | LT)] FIELDS (numfields field...)",
		Since:  "7.4.0", Complexity: "O(N) where N is the number of fields given", Summary: "Makes fields of a hash expire after some seconds."},
	{Name: "hpexpire", Arity: -6, Flags: Write | DenyOOM | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyUpdate), Run: hexpire(inMillis),
		Syntax: "key milliseconds [condition(NX | XX | GT | LT)] FIELDS (numfields field...)",
		Since:  "7.4.0", Complexity: "O(N) where N is the number of fields given", Summary: "Makes fields of a hash expire after some milliseconds."},
	{Name: "hexpireat", Arity: -6, Flags: Write | DenyOOM | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyUpdate), Run: hexpire(atSeconds),
		Syntax: "key unix-time-seconds [condition(NX | XX | GT | LT)] FIELDS (numfields field...)",
		Since:  "7.4.0", Complexity: "O(N) where N is the number of fields given", Summary: "Makes fields of a hash expire at a Unix time in seconds."},
	{Name: "hpexpireat", Arity: -6, Flags: Write | DenyOOM | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyUpdate), Run: hexpire(atMillis),
		Syntax: "key unix-time-milliseconds [condition(NX | XX | GT | LT)] FIELDS (numfields field...)",
		Since:  "7.4.0", Complexity: "O(N) where N is the number of fields given", Summary: "Makes fields of a hash expire at a Unix time in milliseconds."},
	{Name: "hpersist", Arity: -5, Flags: Write | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyUpdate), Run: hpersist,
		Syntax: "key FIELDS (numfields field...)",
		Since:  "7.4.0", Complexity: "O(N) where N is the number of fields given", Summary: "Removes the expiry of fields of a hash."},
	{Name: "httl", Arity: -5, Flags: ReadOnly | Fast, Group: GroupHash, Keys: oneKey(KeyRO | KeyAccess), Run: hremaining(inSeconds), Tips: []string{"nondeterministic_output"},
		Syntax: "key FIELDS (numfields field...)",
		Since:  "7.4.0", Complexity: "O(N) where N is the number of fields given", Summary: "Returns the seconds until fields of a hash expire."},
	{Name: "hpttl", Arity: -5, Flags: ReadOnly | Fast, Group: GroupHash, Keys: oneKey(KeyRO | KeyAccess), Run: hremaining(inMillis), Tips: []string{"nondeterministic_output"},
		Syntax: "key FIELDS (numfields field...)",
		Since:  "7.4.0", Complexity: "O(N) where N is the number of fields given", Summary: "Returns the milliseconds until fields of a hash expire."},
	{Name: "hexpiretime", Arity: -5, Flags: ReadOnly | Fast, Group: GroupHash, Keys: oneKey(KeyRO | KeyAccess), Run: hremaining(atSeconds),
		Syntax: "key FIELDS (numfields field...)",
		Since:  "7.4.0", Complexity: "O(N) where N is the number of fields given", Summary: "Returns the Unix times in seconds at which fields of a hash expire."},
	{Name: "hpexpiretime", Arity: -5, Flags: ReadOnly | Fast, Group: GroupHash, Keys: oneKey(KeyRO | KeyAccess), Run: hremaining(atMillis),
		Syntax: "key FIELDS (numfields field...)",
		Since:  "7.4.0", Complexity: "O(N) where N is the number of fields given", Summary: "Returns the Unix times in milliseconds at which fields of a hash expire."},
	{Name: "hgetex", Arity: -5, Flags: Write | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyAccess | KeyUpdate), Run: hgetex,
		Syntax: "key [expiration(EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | PERSIST)] FIELDS (numfields field...)",
		Since:  "8.0.0", Complexity: "O(N) where N is the number of fields given", Summary: "Returns the values of fields of a hash and sets or removes when they expire."},
	{Name: "hgetdel", Arity: -5, Flags: Write | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyAccess | KeyDelete), Run: hgetdel,
		Syntax: "key FIELDS (numfields field...)",
		Since:  "8.0.0", Complexity: "O(N) where N is the number of fields given", Summary: "Returns the values of fields of a hash and removes the fields."},
	{Name: "hsetex", Arity: -6, Flags: Write | DenyOOM | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyUpdate), Run: hsetex,
		Syntax: "key [condition(FNX | FXX)] [expiration(EX seconds | PX milliseconds | EXAT unix-time-seconds | PXAT unix-time-milliseconds | KEEPTTL)] FIELDS (numfields data(field value)...)",
		Since:  "8.0.0", Complexity: "O(N) where N is the number of fields given", Summary: "Gives fields of a hash values and sets when they expire."},
}

// maxFieldMoment is the last moment at which a field can expire, as in Redis, in the year 4199.
const maxFieldMoment = 1<<46 - 1

// fieldMoment reads argument i as the moment at which fields are to expire, which may have
// passed, in Unix milliseconds.
func (c *Ctx) fieldMoment(i int, u unit) (int64, error) {
	n, err := c.int(i)
	if err != nil {
		return 0, err
	}
	if n < 0 {
		return 0, ErrExpireNegative
	}
	at, ok := u.moment(n, c.Keys.Now())
	if !ok || at > maxFieldMoment {
		return 0, errInvalidExpire(c)
	}
	return max(at, 1), nil // 0 would be never
}

// fieldList reads what follows the word FIELDS, which is to be at argument i: a number, and
// so many times as many arguments as size says, up to the end.
func (c *Ctx) fieldList(i, size int) ([][]byte, error) {
	if i+1 >= len(c.Args) || !c.is(i, "FIELDS") {
		return nil, ErrFieldsMissing
	}
	n, err := c.int(i + 1)
	if err != nil || n < 1 {
		return nil, ErrNumFields
	}
	fields := c.Args[i+2:]
	if n > int64(len(fields)) || int(n)*size != len(fields) {
		return nil, ErrNumFieldsWrong
	}
	return fields, nil
}

// hashAndFields opens the hash at argument 1 and reads what follows the word FIELDS at argument i, and
// begins the reply of one answer for each field.
func (c *Ctx) hashAndFields(i int) (*keyspace.Hash, [][]byte, error) {
	fields, err := c.fieldList(i, 1)
	if err != nil {
		return nil, nil, err
	}
	h, err := c.Keys.Hash(c.Args[1])
	c.Out.Array(len(fields))
	return h, fields, err
}

// fieldCondition reads the condition that may stand at argument 3, and returns where to go on.
func (c *Ctx) fieldCondition() (o expireConditions, next int) {
	switch {
	case c.is(3, "NX"):
		o.nx = true
	case c.is(3, "XX"):
		o.xx = true
	case c.is(3, "GT"):
		o.gt = true
	case c.is(3, "LT"):
		o.lt = true
	default:
		return o, 3
	}
	return o, 4
}

// Answers of HEXPIRE and its kin for a field.
const (
	fieldNone    = -2 // it is not there
	fieldNever   = -1 // it does not expire
	fieldAsIs    = 0
	fieldChanged = 1
	fieldRemoved = 2 // its time had passed
)

func hexpire(u unit) Handler {
	return func(c *Ctx) error {
		at, err := c.fieldMoment(2, u)
		if err != nil {
			return err
		}
		o, next := c.fieldCondition()
		h, fields, err := c.hashAndFields(next)
		if err != nil {
			return err
		}
		passed := at <= c.Keys.Now()
		return c.expireFields(h, fields, at, func(old int64, there bool) int64 {
			switch {
			case !there:
				return fieldNone
			case !o.allow(old, at):
				return fieldAsIs
			case passed:
				return fieldRemoved
			}
			return fieldChanged
		})
	}
}

// expireFields makes those fields expire at a moment, 0 is never, for which answer is above
// fieldAsIs, and replies with the answers.
func (c *Ctx) expireFields(h *keyspace.Hash, fields [][]byte, at int64, answer func(old int64, there bool) int64) error {
	changed := false
	_, err := h.ExpireFields(fields, func(_ int, old int64, there bool) (int64, bool) {
		a := answer(old, there)
		c.Out.Int(a)
		changed = changed || a > fieldAsIs
		return at, a > fieldAsIs
	})
	if err == nil && changed {
		c.notifyExpiry(h, at)
	}
	return err
}

// notifyExpiry tells that fields have been given an expiry, or been removed because
// it had passed, and the hash with the last.
func (c *Ctx) notifyExpiry(h *keyspace.Hash, at int64) {
	switch {
	case at == 0:
		c.Keys.Notify(keyspace.ClassHash, "hpersist", c.Args[1])
	case at > c.Keys.Now():
		c.Keys.Notify(keyspace.ClassHash, "hexpire", c.Args[1])
	default:
		c.notifyTaken(keyspace.ClassHash, "hdel", h)
	}
}

func hpersist(c *Ctx) error {
	h, fields, err := c.hashAndFields(2)
	if err != nil {
		return err
	}
	return c.expireFields(h, fields, 0, func(old int64, there bool) int64 {
		switch {
		case !there:
			return fieldNone
		case old == 0:
			return fieldNever
		}
		return fieldChanged
	})
}

// hremaining answers when fields expire. Seconds are rounded up.
func hremaining(u unit) Handler {
	return func(c *Ctx) error {
		h, fields, err := c.hashAndFields(2)
		if err != nil {
			return err
		}
		for _, f := range fields {
			at, ok, err := h.FieldExpiry(f)
			switch {
			case err != nil:
				return err
			case !ok:
				at = fieldNone
			case at == 0:
				at = fieldNever
			default:
				if !u.absolute {
					at -= c.Keys.Now()
				}
				at = (at + u.millis - 1) / u.millis
			}
			c.Out.Int(at)
		}
		return nil
	}
}
