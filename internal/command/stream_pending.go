package command

import "github.com/elastickv/elastickv/internal/keyspace"

func xack(c *Ctx) error {
	st, err := c.Keys.Reading().Stream(c.Args[1])
	if err != nil {
		return err
	}
	g, err := st.Group(c.Args[2])
	if err != nil {
		return err
	}
	if g == nil {
		c.Out.Int(0)
		return nil
	}
	ids, err := c.streamIDs(3)
	if err != nil {
		return err
	}
	n, err := g.Ack(ids)
	c.Out.Int(n)
	return err
}

// pendingQuery are the arguments of XPENDING's longer form.
type pendingQuery struct {
	ids      keyspace.StreamRange
	count    int64
	minIdle  int64
	ofOne    bool // only what is pending for consumer
	consumer []byte
}

func parsePendingQuery(c *Ctx) (q pendingQuery, err error) {
	at := 3
	if c.is(3, "IDLE") {
		if q.minIdle, err = c.int(4); err != nil {
			return q, err
		}
		if len(c.Args) < 8 {
			return q, ErrSyntax
		}
		at = 5
	}
	if q.count, err = c.int(at + 2); err != nil {
		return q, err
	}
	if q.ids.From, err = c.streamStart(at); err != nil {
		return q, err
	}
	if q.ids.To, err = c.streamStop(at + 1); err != nil {
		return q, err
	}
	if at+3 < len(c.Args) {
		q.ofOne, q.consumer = true, c.Args[at+3]
	}
	return q, nil
}

func xpending(c *Ctx) error {
	if n := len(c.Args); n != 3 && (n < 6 || n > 9) {
		return ErrSyntax
	}
	var q pendingQuery
	if len(c.Args) > 3 {
		var err error
		if q, err = parsePendingQuery(c); err != nil {
			return err
		}
	}
	st, err := c.Keys.Stream(c.Args[1])
	if err != nil {
		return err
	}
	g, err := st.Group(c.Args[2])
	switch {
	case err != nil:
		return err
	case g == nil:
		return errNoGroup(c.Args[1], c.Args[2])
	case len(c.Args) == 3:
		return pendingSummary(c, g)
	}
	return pendingList(c, g, q)
}

func pendingSummary(c *Ctx, g *keyspace.Group) error {
	c.Out.Array(4)
	c.Out.Int(g.Pending())
	if g.Pending() == 0 {
		c.Out.Null()
		c.Out.Null()
		c.Out.NullArray()
		return nil
	}
	first := func(p keyspace.Pending) bool {
		c.streamID(p.ID)
		return false
	}
	all := keyspace.AllStreamIDs()
	if err := g.WalkPending(nil, all, first); err != nil {
		return err
	}
	all.Reverse = true
	if err := g.WalkPending(nil, all, first); err != nil {
		return err
	}
	consumers, err := g.Consumers()
	if err != nil {
		return err
	}
	mark, n := c.Out.Len(), 0
	for _, who := range consumers {
		if who.Pending == 0 {
			continue
		}
		c.Out.Array(2)
		c.Out.Bulk(who.Name)
		c.Out.Bulk(formatInt(who.Pending))
		n++
	}
	c.Out.ArraySince(mark, n)
	return nil
}

func pendingList(c *Ctx, g *keyspace.Group, q pendingQuery) error {
	var of *keyspace.Consumer
	if q.ofOne {
		var err error
		if of, err = g.Consumer(q.consumer); err != nil {
			return err
		}
	}
	if q.count <= 0 || q.ofOne && of == nil {
		c.Out.Array(0)
		return nil
	}
	mark, n := c.Out.Len(), int64(0)
	err := g.WalkPending(of, q.ids, func(p keyspace.Pending) bool {
		idle := c.Keys.Now() - p.At
		if q.minIdle != 0 && idle < q.minIdle {
			return true
		}
		c.Out.Array(4)
		c.streamID(p.ID)
		c.Out.Bulk(p.Consumer)
		c.Out.Int(max(idle, 0))
		c.Out.Int(p.Count)
		n++
		return n < q.count
	})
	c.Out.ArraySince(mark, int(n))
	return err
}
