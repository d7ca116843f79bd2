package command

import "github.com/elastickv/elastickv/internal/keyspace"

// side reads argument i as an end of a list.
func (c *Ctx) side(i int) (keyspace.Side, error) {
	switch {
	case c.is(i, "LEFT"):
		return keyspace.Left, nil
	case c.is(i, "RIGHT"):
		return keyspace.Right, nil
	}
	return keyspace.Left, ErrSyntax
}

func lmove(c *Ctx) error {
	from, err := c.side(3)
	if err != nil {
		return err
	}
	to, err := c.side(4)
	if err != nil {
		return err
	}
	return moveElement(c, from, to)
}

func rpoplpush(c *Ctx) error { return moveElement(c, keyspace.Right, keyspace.Left) }

func moveElement(c *Ctx, from, to keyspace.Side) error {
	value, ok, err := c.Keys.MoveElement(c.Args[1], c.Args[2], from, to)
	if err != nil {
		return err
	}
	c.bulkOrNull(value, ok)
	if !ok {
		return nil
	}
	c.Keys.Notify(keyspace.ClassList, pushEvents[to], c.Args[2])
	c.notify(keyspace.ClassList, popEvents[from])
	left, err := c.exists(c.Args[1])
	if err == nil && !left {
		c.gone(c.Args[1])
	}
	return err
}

// listsPop are the arguments of LMPOP.
type listsPop struct {
	keys  [][]byte
	side  keyspace.Side
	count int64
}

func parseListsPop(c *Ctx) (p listsPop, err error) {
	n, err := c.int(1)
	if err != nil || n < 1 {
		return p, ErrNumKeys
	}
	if n >= int64(len(c.Args)-2) {
		return p, ErrSyntax
	}
	at := 2 + int(n) // of the side
	p.keys, p.count = c.Args[2:at], 1
	if p.side, err = c.side(at); err != nil {
		return p, err
	}
	switch rest := len(c.Args) - at - 1; {
	case rest == 0:
		return p, nil
	case rest == 1 || !c.is(at+1, "COUNT"):
		return p, ErrSyntax
	}
	p.count, err = c.int(at + 2)
	switch {
	case err != nil || p.count < 1:
		return p, ErrCountPositive
	case len(c.Args) > at+3:
		return p, ErrSyntax
	}
	return p, nil
}

func lmpop(c *Ctx) error {
	p, err := parseListsPop(c)
	if err != nil {
		return err
	}
	for _, key := range p.keys {
		l, err := c.Keys.List(key)
		if err != nil {
			return err
		}
		if !l.Exists() {
			continue
		}
		values, err := l.Pop(p.side, p.count)
		if err != nil {
			return err
		}
		c.notifyTakenAt(keyspace.Event{Class: keyspace.ClassList, Name: popEvents[p.side], Key: key}, l)
		c.Out.Array(2)
		c.Out.Bulk(key)
		c.elements(values)
		return nil
	}
	c.Out.NullArray()
	return nil
}
