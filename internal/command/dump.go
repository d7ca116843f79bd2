package command

import (
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/rdb"
)

var dumpCommands = []*Command{
	{Name: "dump", Arity: 2, Flags: ReadOnly, Group: GroupGeneric, Keys: oneKey(KeyRO | KeyAccess), Run: dump, Tips: []string{"nondeterministic_output"},
		Syntax: "key",
		Since:  "2.6.0", Complexity: "O(N) where N is the number of rows of the key and their bytes", Summary: "Returns the value of a key as a payload for RESTORE."},
	{Name: "restore", Arity: -4, Flags: Write | DenyOOM, Group: GroupGeneric, Cats: CatDangerous, Keys: oneKey(KeyOW | KeyUpdate), Run: restore,
		Syntax: "key ttl serialized-value [REPLACE@3.0.0] [ABSTTL@5.0.0] [IDLETIME seconds@5.0.0] [FREQ frequency@5.0.0]",
		Since:  "2.6.0", Complexity: "O(N) where N is the number of elements of the value and their bytes", Summary: "Creates a key from a payload of DUMP."},
	{Name: "restore-asking", Arity: -4, Flags: Write | DenyOOM | Asking, Group: GroupServer, Cats: CatKeyspace | CatDangerous, Keys: oneKey(KeyOW | KeyUpdate), Run: restore,
		Syntax: "key ttl serialized-value [REPLACE@3.0.0] [ABSTTL@5.0.0] [IDLETIME seconds@5.0.0] [FREQ frequency@5.0.0]",
		Since:  "3.0.0", Internal: true, Complexity: "O(N) where N is the number of elements of the value and their bytes", Summary: "RESTORE, as nodes of a cluster call it while they move a slot."},
}

func dump(c *Ctx) error {
	payload, _, ok, err := Payload(c.Keys, c.Args[1], c.Env.MaxBulk)
	c.bulkOrNull(payload, ok)
	return err
}

// Payload returns the payload of a key, which has at most so many bytes, when the key
// expires, in Unix milliseconds or 0, and whether it is there.
func Payload(keys *keyspace.Space, key []byte, most int64) (payload []byte, at int64, ok bool, err error) {
	c := &Ctx{Keys: keys, Env: &Env{MaxBulk: most}}
	v, err := c.dumped(key)
	if err != nil || v == nil {
		return nil, 0, false, err
	}
	if payload = rdb.Append(nil, v); int64(len(payload)) > most {
		return nil, 0, false, ErrDumpTooLarge
	}
	at, _, err = keys.Expiry(key)
	return payload, at, err == nil, err
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
