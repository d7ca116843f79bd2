package command

import (
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/rdb"
)

var dumpCommands = []*Command{
	{Name: "dump", Arity: 2, Flags: ReadOnly, Group: GroupGeneric, Keys: oneKey(KeyRO | KeyAccess), Run: dump, Tips: []string{"nondeterministic_output"},
		Since: "2.6.0", Complexity: "O(N) where N is the number of rows of the key and their bytes", Summary: "Returns the value of a key as a payload for RESTORE."},
	{Name: "restore", Arity: -4, Flags: Write | DenyOOM, Group: GroupGeneric, Cats: CatDangerous, Keys: oneKey(KeyOW | KeyUpdate), Run: restore,
		Since: "2.6.0", Complexity: "O(N) where N is the number of elements of the value and their bytes", Summary: "Creates a key from a payload of DUMP."},
	{Name: "restore-asking", Arity: -4, Flags: Write | DenyOOM | Asking, Group: GroupServer, Cats: CatKeyspace | CatDangerous, Keys: oneKey(KeyOW | KeyUpdate), Run: restore,
		Since: "3.0.0", Internal: true, Complexity: "O(N) where N is the number of elements of the value and their bytes", Summary: "RESTORE, as nodes of a cluster call it while they move a slot."},
}

func dump(c *Ctx) error {
	v, err := c.dumped(c.Args[1])
	if err != nil {
		return err
	}
	if v == nil {
		c.Out.Null()
		return nil
	}
	payload := rdb.Append(nil, v)
	if int64(len(payload)) > c.Env.MaxBulk {
		return ErrDumpTooLarge
	}
	c.Out.Bulk(payload)
	return nil
}

// dumped reads the whole value of a key, nil if it is not there. It fails if that is more than
// a reply may have.
func (c *Ctx) dumped(key []byte) (rdb.Value, error) {
	kind, err := c.Keys.Kind(key)
	if err != nil {
		return nil, err
	}
	d := &dumper{c: c, key: key, left: c.Env.MaxBulk}
	switch kind {
	case keyspace.KindString:
		v, _, err := c.Keys.String(key)
		return rdb.String(v), err
	case keyspace.KindList:
		return d.list()
	case keyspace.KindSet:
		return d.set()
	case keyspace.KindZSet:
		return d.zset()
	case keyspace.KindHash:
		return d.hash()
	case keyspace.KindStream:
		return d.stream()
	}
	return nil, nil
}

// dumper reads a value.
type dumper struct {
	c    *Ctx
	key  []byte
	left int64 // bytes that the rest of the value may have
}

// own returns a copy of b, which is valid only during a walk, and counts its bytes.
func (d *dumper) own(b []byte) []byte {
	d.left -= int64(len(b))
	return append([]byte{}, b...)
}

// fits reports whether the walk is to go on.
func (d *dumper) fits() bool { return d.left >= 0 }

// result is what a walk that ended with err has found.
func (d *dumper) result(v rdb.Value, err error) (rdb.Value, error) {
	if err == nil && !d.fits() {
		err = ErrDumpTooLarge
	}
	return v, err
}

func (d *dumper) list() (rdb.Value, error) {
	l, err := d.c.Keys.List(d.key)
	if err != nil {
		return nil, err
	}
	var out rdb.List
	err = l.Walk(keyspace.ListRange{From: 0, To: l.Len()}, keyspace.Left, func(_ int64, value []byte) bool {
		out = append(out, d.own(value))
		return d.fits()
	})
	return d.result(out, err)
}

func (d *dumper) set() (rdb.Value, error) {
	t, err := d.c.Keys.Set(d.key)
	if err != nil {
		return nil, err
	}
	out := rdb.Set{Intset: t.Compact()}
	err = t.Walk(nil, func(member []byte) bool {
		out.Members = append(out.Members, d.own(member))
		return d.fits()
	})
	return d.result(out, err)
}

func (d *dumper) zset() (rdb.Value, error) {
	z, err := d.c.Keys.ZSet(d.key)
	if err != nil {
		return nil, err
	}
	n, err := z.Len()
	if err != nil || n > d.left {
		return d.result(nil, err)
	}
	members, err := z.Slice(keyspace.ZRange{}, keyspace.Window{Limit: -1, Scores: true})
	out := rdb.ZSet{Compact: z.Compact(), Members: make([]rdb.Member, len(members))}
	for i, m := range members {
		out.Members[i] = rdb.Member{Name: m.Member, Score: m.Score}
		d.left -= int64(len(m.Member))
	}
	return d.result(out, err)
}

func (d *dumper) hash() (rdb.Value, error) {
	h, err := d.c.Keys.Hash(d.key)
	if err != nil {
		return nil, err
	}
	out := rdb.Hash{Compact: h.Compact()}
	err = h.WalkExpiries(nil, func(field, value []byte, at int64) bool {
		out.Fields = append(out.Fields, rdb.Field{Name: d.own(field), Value: d.own(value), ExpireAt: at})
		return d.fits()
	})
	return d.result(out, err)
}

// restoreOptions are the words behind RESTORE's payload. What they say of how
// lately or how often the key was used is checked and not kept.
type restoreOptions struct{ replace, absolute bool }

func parseRestore(c *Ctx) (o restoreOptions, err error) {
	idle, freq := int64(-1), int64(-1)
	for i := 4; i < len(c.Args); i++ {
		switch more := i+1 < len(c.Args); {
		case c.is(i, "REPLACE"):
			o.replace = true
		case c.is(i, "ABSTTL"):
			o.absolute = true
		case c.is(i, "IDLETIME") && more && freq == -1:
			i++
			if idle, err = c.int(i); err != nil {
				return o, err
			}
			if idle < 0 {
				return o, ErrRestoreIdle
			}
		case c.is(i, "FREQ") && more && idle == -1:
			i++
			if freq, err = c.int(i); err != nil {
				return o, err
			}
			if freq < 0 || freq > 255 {
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
	return c.create(key, v, at)
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
	if !ok || at > maxMoment {
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
	var expiries []keyspace.Expiry
	for _, f := range v.Fields {
		if f.ExpireAt != 0 && f.ExpireAt <= c.Keys.Now() {
			continue
		}
		fields = append(fields, keyspace.Field{Name: f.Name, Value: f.Value})
		if f.ExpireAt != 0 {
			expiries = append(expiries, keyspace.Expiry{Field: f.Name, At: f.ExpireAt})
		}
	}
	if _, err := h.SetAll(fields...); err != nil {
		return err
	}
	_, err = h.ExpireFields(expiries...)
	return err
}
