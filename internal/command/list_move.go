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

// listsPop are the arguments of LMPOP from the number of keys on.
type listsPop struct {
	keys  [][]byte
	side  keyspace.Side
	count int64
}

// parseListsPop reads them. numKeys is where they begin.
func parseListsPop(c *Ctx, numKeys int) (p listsPop, err error) {
	n, err := c.int(numKeys)
	if err != nil || n < 1 {
		return p, ErrNumKeys
	}
	if n >= int64(len(c.Args)-numKeys-1) {
		return p, ErrSyntax
	}
	at := numKeys + 1 + int(n) // of the side
	p.keys, p.count = c.Args[numKeys+1:at], 1
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
	p, err := parseListsPop(c, 1)
	if err != nil {
		return err
	}
	found, err := p.run(c)
	if err == nil && !found {
		c.Out.NullArray()
	}
	return err
}

// run answers with elements of the first list that is there, and reports whether any is.
func (p listsPop) run(c *Ctx) (found bool, err error) {
	for _, key := range p.keys {
		l, err := c.Keys.List(key)
		if err != nil {
			return false, err
		}
		if !l.Exists() {
			continue
		}
		values, err := l.Pop(p.side, p.count)
		if err != nil {
			return false, err
		}
		c.notifyTakenAt(keyspace.Event{Class: keyspace.ClassList, Name: popEvents[p.side], Key: key}, l)
		c.Out.Array(2)
		c.Out.Bulk(key)
		c.elements(values)
		return true, nil
	}
	return false, nil
}
