package command

import (
	"math"

	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/rdb"
)

// restoreOptions are the words behind RESTORE's payload.
type restoreOptions struct {
	replace, absolute bool
	idle              int64 // seconds without use; -1: nothing is said of that
	freq              int64 // a count of uses; -1: nothing is said of that
}

func parseRestore(c *Ctx) (o restoreOptions, err error) {
	o.idle, o.freq = -1, -1
	for i := 4; i < len(c.Args); i++ {
		switch more := i+1 < len(c.Args); {
		case c.is(i, "REPLACE"):
			o.replace = true
		case c.is(i, "ABSTTL"):
			o.absolute = true
		case c.is(i, "IDLETIME") && more && o.freq == -1:
			i++
			if o.idle, err = c.int(i); err != nil {
				return o, err
			}
			if o.idle < 0 {
				return o, ErrRestoreIdle
			}
		case c.is(i, "FREQ") && more && o.idle == -1:
			i++
			if o.freq, err = c.int(i); err != nil {
				return o, err
			}
			if o.freq < 0 || o.freq > 255 {
				return o, ErrRestoreFreq
			}
		default:
			return o, ErrSyntax
		}
	}
	return o, nil
}

func restore(c *Ctx) error {
	o, err := parseRestore(c)
	if err != nil {
		return err
	}
	key := c.Args[1]
	there, err := c.exists(key)
	if err != nil {
		return err
	}
	if there && !o.replace {
		return ErrBusyKey
	}
	at, err := c.restoreMoment(o)
	if err != nil {
		return err
	}
	parse := rdb.Parse
	if c.Env.SkipChecksum {
		parse = rdb.ParseUnchecked
	}
	v, err := parse(c.Args[3])
	if err != nil {
		return err
	}
	if there {
		if _, err := c.Keys.Remove(key); err != nil {
			return err
		}
	}
	c.Out.OK()
	if at != 0 && at <= c.Keys.Now() {
		if there {
			c.Keys.Notify(keyspace.ClassGeneric, "del", key)
		}
		return nil
	}
	if err := c.create(key, v, at); err != nil {
		return err
	}
	if o.idle >= 0 {
		c.Keys.SetIdle(key, min(o.idle, math.MaxInt64/1000)*1000)
	}
	if o.freq >= 0 {
		c.Keys.SetFrequency(key, uint8(o.freq))
	}
	return nil
}

// restoreMoment reads when the key is to expire, in Unix milliseconds; 0 is never.
func (c *Ctx) restoreMoment(o restoreOptions) (int64, error) {
	n, err := c.int(2)
	if err != nil {
		return 0, err
	}
	if n < 0 {
		return 0, ErrRestoreTTL
	}
	u := inMillis
	if o.absolute {
		u = atMillis
	}
	if n == 0 {
		return 0, nil
	}
	at, ok := u.moment(n, c.Keys.Now())
	if !ok {
		return 0, errInvalidExpire(c)
	}
	return at, nil
}

// create makes the key, which is not there, hold a value that expires at a moment
// in Unix milliseconds; 0 is never.
func (c *Ctx) create(key []byte, v rdb.Value, at int64) error {
	if err := c.put(key, v); err != nil {
		return err
	}
	if at != 0 {
		if _, err := c.Keys.SetExpiry(key, at); err != nil {
			return err
		}
	}
	c.Keys.Notify(keyspace.ClassGeneric, "restore", key)
	return nil
}

func (c *Ctx) put(key []byte, v rdb.Value) error {
	switch v := v.(type) {
	case rdb.String:
		return c.Keys.SetString(key, v, 0)
	case rdb.List:
		l, err := c.Keys.List(key)
		if err != nil {
			return err
		}
		return l.Push(keyspace.Right, v...)
	case rdb.Set:
		return c.Keys.StoreSet(key, v.Members)
	case rdb.ZSet:
		members := make([]keyspace.ScoredMember, len(v.Members))
		for i, m := range v.Members {
			members[i] = keyspace.ScoredMember{Member: m.Name, Score: m.Score}
		}
		return c.Keys.StoreZSet(key, members)
	case rdb.Hash:
		return c.putHash(key, v)
	case *rdb.Stream:
		return c.putStream(key, v)
	}
	return ErrBadPayload
}

// putHash leaves out fields whose time has come.
func (c *Ctx) putHash(key []byte, v rdb.Hash) error {
	h, err := c.Keys.Hash(key)
	if err != nil {
		return err
	}
	var fields []keyspace.Field
	var names [][]byte
	var at []int64
	for _, f := range v.Fields {
		if f.ExpireAt != 0 && f.ExpireAt <= c.Keys.Now() {
			continue
		}
		fields = append(fields, keyspace.Field{Name: f.Name, Value: f.Value})
		if f.ExpireAt != 0 {
			names, at = append(names, f.Name), append(at, f.ExpireAt)
		}
	}
	if _, err := h.SetAll(fields...); err != nil {
		return err
	}
	_, err = h.ExpireFields(names, func(i int, _ int64, _ bool) (int64, bool) { return at[i], true })
	return err
}
