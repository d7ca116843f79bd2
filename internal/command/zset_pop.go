package command

import (
	"math"

	"github.com/elastickv/elastickv/internal/keyspace"
)

func zpopmin(c *Ctx) error { return zpop(c, false) }

func zpopmax(c *Ctx) error { return zpop(c, true) }

func zpop(c *Ctx, highest bool) error {
	count, err := zpopCount(c)
	if err != nil {
		return err
	}
	members, err := popMembers(c, c.Args[1], highest, count)
	if err != nil {
		return err
	}
	if len(c.Args) == 3 && c.Out.Proto() == 3 {
		c.nestedPairs(members)
	} else {
		c.flatPairs(members)
	}
	return nil
}

func zpopCount(c *Ctx) (int64, error) {
	switch len(c.Args) {
	case 2:
		return 1, nil
	case 3:
		count, err := c.int(2)
		if err != nil || count < 0 {
			return 0, ErrNotPositive
		}
		return count, nil
	}
	return 0, ErrSyntax
}

// popMembers removes count members at one end of the sorted set at key.
func popMembers(c *Ctx, key []byte, highest bool, count int64) ([]keyspace.ScoredMember, error) {
	z, err := c.Keys.ZSet(key)
	if err != nil {
		return nil, err
	}
	members, err := z.RemoveRange(keyspace.ZRange{}, keyspace.Window{Reverse: highest, Limit: count, Scores: true})
	if len(members) > 0 {
		event := "zpopmin"
		if highest {
			event = "zpopmax"
		}
		c.notifyTakenAt(keyspace.Event{Class: keyspace.ClassZSet, Name: event, Key: key}, z)
	}
	return members, err
}

// zmpopCall is what the arguments of ZMPOP say from the number of keys on.
type zmpopCall struct {
	keys    [][]byte
	highest bool
	count   int64
}

// parseZMPop reads them. numKeys is where they begin.
func parseZMPop(c *Ctx, numKeys int) (p zmpopCall, err error) {
	n, err := c.int(numKeys)
	if err != nil || n < 1 {
		return p, ErrNumKeys
	}
	if n > math.MaxInt32 || int(n)+numKeys+1 >= len(c.Args) {
		return p, ErrSyntax
	}
	where := int(n) + numKeys + 1
	p.keys, p.count = c.Args[numKeys+1:where], 1
	switch {
	case c.is(where, "MAX"):
		p.highest = true
	case !c.is(where, "MIN"):
		return p, ErrSyntax
	}
	switch rest := len(c.Args) - where - 1; {
	case rest == 0:
		return p, nil
	case rest == 1 || !c.is(where+1, "COUNT"):
		return p, ErrSyntax
	}
	if p.count, err = c.int(where + 2); err != nil || p.count < 1 {
		return p, ErrCountPositive
	}
	if len(c.Args) > where+3 {
		return p, ErrSyntax
	}
	return p, nil
}

func zmpop(c *Ctx) error {
	p, err := parseZMPop(c, 1)
	if err != nil {
		return err
	}
	found, err := p.run(c)
	if err == nil && !found {
		c.Out.NullArray()
	}
	return err
}

// run answers with members of the first sorted set that has any, and reports whether any has.
func (p zmpopCall) run(c *Ctx) (found bool, err error) {
	for _, key := range p.keys {
		members, err := popMembers(c, key, p.highest, p.count)
		if err != nil {
			return false, err
		}
		if len(members) > 0 {
			c.Out.Array(2)
			c.Out.Bulk(key)
			c.nestedPairs(members)
			return true, nil
		}
	}
	return false, nil
}
