package command

import "github.com/elastickv/elastickv/internal/keyspace"

// fieldOptions are the words in front of FIELDS in HGETEX and HSETEX.
type fieldOptions struct {
	at         int64 // when the fields are to expire, Unix milliseconds
	expire     bool  // at is given
	word       bool  // PERSIST of HGETEX, KEEPTTL of HSETEX
	ifAll      bool  // FXX: only if all fields are there
	ifNone     bool  // FNX: only if none is
	fieldsFrom int   // where FIELDS stands
}

// parseFieldOptions reads the options of HGETEX or HSETEX.
func parseFieldOptions(c *Ctx) (o fieldOptions, err error) {
	sets, word, both := false, "PERSIST", ErrHGetExOne
	if c.Cmd.Name == "hsetex" {
		sets, word, both = true, "KEEPTTL", ErrHSetExOne
	}
	i := 2
	for ; i < len(c.Args) && !c.is(i, "FIELDS"); i++ {
		u, timed := c.expiryOption(i)
		timed = timed && i+1 < len(c.Args)
		switch {
		case timed || c.is(i, word):
			if o.expire || o.word {
				return o, both
			}
			if o.expire, o.word = timed, !timed; o.word {
				continue
			}
			i++
			if o.at, err = c.fieldMoment(i, u); err != nil {
				return o, err
			}
		case sets && (c.is(i, "FXX") || c.is(i, "FNX")):
			if o.ifAll || o.ifNone {
				return o, ErrFXXFNX
			}
			o.ifAll = c.is(i, "FXX")
			o.ifNone = !o.ifAll
		default:
			return o, errUnknownArgument(c.Args[i])
		}
	}
	o.fieldsFrom = i
	return o, nil
}

func hgetex(c *Ctx) error {
	o, err := parseFieldOptions(c)
	if err != nil {
		return err
	}
	h, fields, err := c.hashAndFields(o.fieldsFrom)
	if err != nil {
		return err
	}
	for _, f := range fields {
		v, ok, err := h.Get(f)
		if err != nil {
			return err
		}
		c.bulkOrNull(v, ok)
		if err := c.checkReply(); err != nil {
			return err
		}
	}
	if !o.expire && !o.word {
		return nil
	}
	changed := false
	_, err = h.ExpireFields(fields, func(_ int, old int64, there bool) (int64, bool) {
		changed = changed || there && (o.expire || old != 0)
		return o.at, true
	})
	if err == nil && changed {
		c.notifyExpiry(h, o.at)
	}
	return err
}

func hgetdel(c *Ctx) error {
	h, fields, err := c.hashAndFields(2)
	if err != nil {
		return err
	}
	removed, err := h.TakeAll(fields, c.bulkOrNull)
	if err == nil && removed > 0 {
		c.notifyTaken(keyspace.ClassHash, "hdel", h)
	}
	return err
}

func hsetex(c *Ctx) error {
	o, err := parseFieldOptions(c)
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
	if o.word {
		if err := h.UpdateAll(fields...); err != nil {
			return err
		}
	} else if _, err := h.SetAll(fields...); err != nil {
		return err
	}
	c.Keys.Notify(keyspace.ClassHash, "hset", c.Args[1])
	if !o.expire {
		return nil
	}
	names := make([][]byte, len(fields))
	for i, f := range fields {
		names[i] = f.Name
	}
	_, err := h.ExpireFields(names, func(int, int64, bool) (int64, bool) { return o.at, true })
	if err == nil {
		c.notifyExpiry(h, o.at)
	}
	return err
}
