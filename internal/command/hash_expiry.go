package command

import (
	"github.com/elastickv/elastickv/internal/keyspace"
)

var hashExpiryCommands = []*Command{
	{Name: "hexpire", Arity: -6, Flags: Write | DenyOOM | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyUpdate), Run: hexpire(inSeconds),
		Since: "7.4.0", Complexity: "O(N) where N is the number of fields given", Summary: "Makes fields of a hash expire after some seconds."},
	{Name: "hpexpire", Arity: -6, Flags: Write | DenyOOM | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyUpdate), Run: hexpire(inMillis),
		Since: "7.4.0", Complexity: "O(N) where N is the number of fields given", Summary: "Makes fields of a hash expire after some milliseconds."},
	{Name: "hexpireat", Arity: -6, Flags: Write | DenyOOM | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyUpdate), Run: hexpire(atSeconds),
		Since: "7.4.0", Complexity: "O(N) where N is the number of fields given", Summary: "Makes fields of a hash expire at a Unix time in seconds."},
	{Name: "hpexpireat", Arity: -6, Flags: Write | DenyOOM | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyUpdate), Run: hexpire(atMillis),
		Since: "7.4.0", Complexity: "O(N) where N is the number of fields given", Summary: "Makes fields of a hash expire at a Unix time in milliseconds."},
	{Name: "hpersist", Arity: -5, Flags: Write | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyUpdate), Run: hpersist,
		Since: "7.4.0", Complexity: "O(N) where N is the number of fields given", Summary: "Removes the expiry of fields of a hash."},
	{Name: "httl", Arity: -5, Flags: ReadOnly | Fast, Group: GroupHash, Keys: oneKey(KeyRO | KeyAccess), Run: hremaining(inSeconds), Tips: []string{"nondeterministic_output"},
		Since: "7.4.0", Complexity: "O(N) where N is the number of fields given", Summary: "Returns the seconds until fields of a hash expire."},
	{Name: "hpttl", Arity: -5, Flags: ReadOnly | Fast, Group: GroupHash, Keys: oneKey(KeyRO | KeyAccess), Run: hremaining(inMillis), Tips: []string{"nondeterministic_output"},
		Since: "7.4.0", Complexity: "O(N) where N is the number of fields given", Summary: "Returns the milliseconds until fields of a hash expire."},
	{Name: "hexpiretime", Arity: -5, Flags: ReadOnly | Fast, Group: GroupHash, Keys: oneKey(KeyRO | KeyAccess), Run: hremaining(atSeconds),
		Since: "7.4.0", Complexity: "O(N) where N is the number of fields given", Summary: "Returns the Unix times in seconds at which fields of a hash expire."},
	{Name: "hpexpiretime", Arity: -5, Flags: ReadOnly | Fast, Group: GroupHash, Keys: oneKey(KeyRO | KeyAccess), Run: hremaining(atMillis),
		Since: "7.4.0", Complexity: "O(N) where N is the number of fields given", Summary: "Returns the Unix times in milliseconds at which fields of a hash expire."},
	{Name: "hgetex", Arity: -5, Flags: Write | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyAccess | KeyUpdate), Run: hgetex,
		Since: "8.0.0", Complexity: "O(N) where N is the number of fields given", Summary: "Returns the values of fields of a hash and sets or removes when they expire."},
	{Name: "hgetdel", Arity: -5, Flags: Write | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyAccess | KeyDelete), Run: hgetdel,
		Since: "8.0.0", Complexity: "O(N) where N is the number of fields given", Summary: "Returns the values of fields of a hash and removes the fields."},
	{Name: "hsetex", Arity: -6, Flags: Write | DenyOOM | Fast, Group: GroupHash, Keys: oneKey(KeyRW | KeyUpdate), Run: hsetex,
		Since: "8.0.0", Complexity: "O(N) where N is the number of fields given", Summary: "Gives fields of a hash values and sets when they expire."},
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
		fields, err := c.fieldList(next, 1)
		if err != nil {
			return err
		}
		h, err := c.Keys.Hash(c.Args[1])
		if err != nil {
			return err
		}
		c.Out.Array(len(fields))
		var changed bool
		for _, f := range fields {
			answer, err := c.expireField(h, f, at, o)
			if err != nil {
				return err
			}
			changed = changed || answer > fieldAsIs
			c.Out.Int(answer)
		}
		if changed {
			c.notifyExpiry(h, at)
		}
		return nil
	}
}

func (c *Ctx) expireField(h *keyspace.Hash, field []byte, at int64, o expireConditions) (answer int64, err error) {
	old, ok, err := h.FieldExpiry(field)
	switch {
	case err != nil || !ok:
		return fieldNone, err
	case !o.allow(old, at):
		return fieldAsIs, nil
	}
	removed, err := h.ExpireFields(keyspace.Expiry{Field: field, At: at})
	if removed > 0 {
		return fieldRemoved, err
	}
	return fieldChanged, err
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
		c.notifyHashDelete(h)
	}
}

// notifyHashDelete tells that fields have been removed, and the hash with the last.
func (c *Ctx) notifyHashDelete(h *keyspace.Hash) {
	c.Keys.Notify(keyspace.ClassHash, "hdel", c.Args[1])
	if !h.Exists() {
		c.Keys.Notify(keyspace.ClassGeneric, "del", c.Args[1])
	}
}

func hpersist(c *Ctx) error {
	fields, err := c.fieldList(2, 1)
	if err != nil {
		return err
	}
	h, err := c.Keys.Hash(c.Args[1])
	if err != nil {
		return err
	}
	c.Out.Array(len(fields))
	var changed bool
	for _, f := range fields {
		at, ok, err := h.FieldExpiry(f)
		if err != nil {
			return err
		}
		answer := int64(fieldChanged)
		if !ok {
			answer = fieldNone
		} else if at == 0 {
			answer = fieldNever
		} else if _, err := h.ExpireFields(keyspace.Expiry{Field: f}); err != nil {
			return err
		}
		changed = changed || answer == fieldChanged
		c.Out.Int(answer)
	}
	if changed {
		c.notifyExpiry(h, 0)
	}
	return nil
}

// hremaining answers when fields expire. Seconds are rounded up.
func hremaining(u unit) Handler {
	return func(c *Ctx) error {
		fields, err := c.fieldList(2, 1)
		if err != nil {
			return err
		}
		h, err := c.Keys.Hash(c.Args[1])
		if err != nil {
			return err
		}
		c.Out.Array(len(fields))
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

// fieldOptions are the words in front of FIELDS in HGETEX and HSETEX.
type fieldOptions struct {
	at         int64 // when the fields are to expire, Unix milliseconds
	expire     bool  // at is given
	keep       bool  // KEEPTTL
	persist    bool
	ifAll      bool // FXX: only if all fields are there
	ifNone     bool // FNX: only if none is
	fieldsFrom int  // where FIELDS stands
}

// parseFieldOptions reads the options of HGETEX, or of HSETEX, which sets.
func parseFieldOptions(c *Ctx, sets bool) (o fieldOptions, err error) {
	i := 2
	for ; i < len(c.Args) && !c.is(i, "FIELDS"); i++ {
		u, isExpiry := c.expiryOption(i)
		isExpiry = isExpiry && i+1 < len(c.Args)
		switch {
		case isExpiry && !o.expire && !o.keep && !o.persist:
			i++
			o.expire = true
			if o.at, err = c.fieldMoment(i, u); err != nil {
				return o, err
			}
		case sets && c.is(i, "KEEPTTL") && !o.expire && !o.keep:
			o.keep = true
		case !sets && c.is(i, "PERSIST") && !o.expire && !o.persist:
			o.persist = true
		case sets && (isExpiry || c.is(i, "KEEPTTL")):
			return o, ErrHSetExOne
		case isExpiry || !sets && c.is(i, "PERSIST"):
			return o, ErrHGetExOne
		case sets && c.is(i, "FXX") && !o.ifNone:
			o.ifAll = true
		case sets && c.is(i, "FNX") && !o.ifAll:
			o.ifNone = true
		case sets && (c.is(i, "FXX") || c.is(i, "FNX")):
			return o, ErrFXXFNX
		default:
			return o, errUnknownArgument(c.Args[i])
		}
	}
	o.fieldsFrom = i
	return o, nil
}

func hgetex(c *Ctx) error {
	o, err := parseFieldOptions(c, false)
	if err != nil {
		return err
	}
	fields, err := c.fieldList(o.fieldsFrom, 1)
	if err != nil {
		return err
	}
	h, err := c.Keys.Hash(c.Args[1])
	if err != nil {
		return err
	}
	found, err := c.replyFields(h, fields)
	if err != nil || !o.expire && !o.persist {
		return err
	}
	changed := false
	var expiries []keyspace.Expiry
	for _, f := range found {
		old, _, err := h.FieldExpiry(f)
		if err != nil {
			return err
		}
		changed = changed || o.expire || old != 0
		expiries = append(expiries, keyspace.Expiry{Field: f, At: o.at})
	}
	if _, err := h.ExpireFields(expiries...); err != nil {
		return err
	}
	if changed {
		c.notifyExpiry(h, o.at)
	}
	return nil
}

// replyFields replies with the values of fields and returns those that are there.
func (c *Ctx) replyFields(h *keyspace.Hash, fields [][]byte) (found [][]byte, err error) {
	c.Out.Array(len(fields))
	for _, f := range fields {
		v, ok, err := h.Get(f)
		if err != nil {
			return nil, err
		}
		if ok {
			found = append(found, f)
		}
		c.bulkOrNull(v, ok)
	}
	return found, nil
}

func hgetdel(c *Ctx) error {
	fields, err := c.fieldList(2, 1)
	if err != nil {
		return err
	}
	h, err := c.Keys.Hash(c.Args[1])
	if err != nil {
		return err
	}
	c.Out.Array(len(fields))
	var removed int64
	for _, f := range fields {
		v, ok, err := h.Get(f)
		if err != nil {
			return err
		}
		c.bulkOrNull(v, ok)
		n, err := h.DeleteAll(f) // one at a time: a field named twice is there once
		if err != nil {
			return err
		}
		removed += n
	}
	if removed > 0 {
		c.notifyHashDelete(h)
	}
	return nil
}

func hsetex(c *Ctx) error {
	o, err := parseFieldOptions(c, true)
	if err != nil {
		return err
	}
	args, err := c.fieldList(o.fieldsFrom, 2)
	if err != nil {
		return err
	}
	h, err := c.Keys.Hash(c.Args[1])
	if err != nil {
		return err
	}
	fields := make([]keyspace.Field, 0, len(args)/2)
	for i := 0; i < len(args); i += 2 {
		fields = append(fields, keyspace.Field{Name: args[i], Value: args[i+1]})
	}
	ok, err := o.met(h, fields)
	c.bit(ok)
	if err != nil || !ok {
		return err
	}
	return c.setExpiring(h, fields, o)
}

// met reports whether the fields that are there are those that FXX or FNX ask for.
func (o fieldOptions) met(h *keyspace.Hash, fields []keyspace.Field) (bool, error) {
	if !o.ifAll && !o.ifNone {
		return true, nil
	}
	for _, f := range fields {
		_, ok, err := h.Get(f.Name)
		if err != nil || ok != o.ifAll {
			return false, err
		}
	}
	return true, nil
}

// setExpiring gives fields values and the expiry of o.
func (c *Ctx) setExpiring(h *keyspace.Hash, fields []keyspace.Field, o fieldOptions) error {
	var expiries []keyspace.Expiry
	for _, f := range fields {
		switch {
		case o.keep:
			if err := h.Update(f.Name, f.Value); err != nil {
				return err
			}
		case o.expire:
			expiries = append(expiries, keyspace.Expiry{Field: f.Name, At: o.at})
		}
	}
	if !o.keep {
		if _, err := h.SetAll(fields...); err != nil {
			return err
		}
	}
	c.Keys.Notify(keyspace.ClassHash, "hset", c.Args[1])
	if !o.expire {
		return nil
	}
	if _, err := h.ExpireFields(expiries...); err != nil {
		return err
	}
	c.notifyExpiry(h, o.at)
	return nil
}
