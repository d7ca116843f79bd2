package command

import (
	"github.com/elastickv/elastickv/internal/keyspace"
)

// combine makes members out of several sets.
type combine func(sets []*keyspace.Set) ([][]byte, error)

func inter(sets []*keyspace.Set) ([][]byte, error) {
	var out [][]byte
	err := keyspace.InterSets(sets, func(member []byte) bool {
		out = append(out, member)
		return true
	})
	return out, err
}

func sinter(c *Ctx) error { return replyCombined(c, inter) }

func sunion(c *Ctx) error { return replyCombined(c, keyspace.UnionSets) }

func sdiff(c *Ctx) error { return replyCombined(c, keyspace.DiffSets) }

func sinterstore(c *Ctx) error { return storeCombined(c, inter) }

func sunionstore(c *Ctx) error { return storeCombined(c, keyspace.UnionSets) }

func sdiffstore(c *Ctx) error { return storeCombined(c, keyspace.DiffSets) }

func replyCombined(c *Ctx, f combine) error {
	sets, err := openSets(c, c.Args[1:])
	if err != nil {
		return err
	}
	members, err := f(sets)
	c.memberSet(members)
	return err
}

func storeCombined(c *Ctx, f combine) error {
	sets, err := openSets(c, c.Args[2:])
	if err != nil {
		return err
	}
	members, err := f(sets)
	if err != nil {
		return err
	}
	c.Out.Int(int64(len(members)))
	if len(members) == 0 {
		_, err := c.remove(c.Args[1])
		return err
	}
	return c.noted(keyspace.ClassSet, c.Cmd.Name, c.Keys.StoreSet(c.Args[1], members))
}

func openSets(c *Ctx, keys [][]byte) ([]*keyspace.Set, error) {
	sets := make([]*keyspace.Set, len(keys))
	for i, key := range keys {
		var err error
		if sets[i], err = c.Keys.Reading().Set(key); err != nil {
			return nil, err
		}
	}
	return sets, nil
}

func sintercard(c *Ctx) error {
	keys, limit, err := parseInterCard(c)
	if err != nil {
		return err
	}
	sets, err := openSets(c, keys)
	if err != nil {
		return err
	}
	var n int64
	err = keyspace.InterSets(sets, func([]byte) bool {
		n++
		return n != limit
	})
	c.Out.Int(n)
	return err
}

// parseInterCard reads the keys behind their number, and LIMIT; 0 is none.
func parseInterCard(c *Ctx) (keys [][]byte, limit int64, err error) {
	n, err := c.int(1)
	if err != nil || n < 1 {
		return nil, 0, ErrNumKeys
	}
	if n > int64(len(c.Args)-2) {
		return nil, 0, ErrTooManyKeys
	}
	end := 2 + int(n)
	for i := end; i < len(c.Args); i += 2 {
		if !c.is(i, "LIMIT") || i+1 == len(c.Args) {
			return nil, 0, ErrSyntax
		}
		if limit, err = c.int(i + 1); err != nil || limit < 0 {
			return nil, 0, ErrLimitNegative
		}
	}
	return c.Args[2:end], limit, nil
}
