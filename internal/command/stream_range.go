package command

import "github.com/elastickv/elastickv/internal/keyspace"

func xrange(c *Ctx) error {
	var r keyspace.StreamRange
	var err error
	if r.From, err = c.streamStart(2); err != nil {
		return err
	}
	if r.To, err = c.streamStop(3); err != nil {
		return err
	}
	return streamRange(c, r)
}

func xrevrange(c *Ctx) error {
	r := keyspace.StreamRange{Reverse: true}
	var err error
	if r.From, err = c.streamStart(3); err != nil {
		return err
	}
	if r.To, err = c.streamStop(2); err != nil {
		return err
	}
	return streamRange(c, r)
}

// streamRange reads the options of XRANGE and answers with the entries of r.
func streamRange(c *Ctx, r keyspace.StreamRange) error {
	count := int64(-1)
	for i := 4; i < len(c.Args); i += 2 {
		if !c.is(i, "COUNT") || i+1 == len(c.Args) {
			return ErrSyntax
		}
		n, err := c.int(i + 1)
		if err != nil {
			return err
		}
		count = max(n, 0)
	}
	st, err := c.Keys.Stream(c.Args[1])
	switch {
	case err != nil:
		return err
	case !st.Exists():
		c.Out.Array(0)
		return nil
	case count == 0:
		c.Out.NullArray()
		return nil
	}
	_, err = c.streamEntries(st, r, count)
	return err
}

// streamEntries replies with an array of the first entries of r, at most limit, below 0
// all, and returns their IDs.
func (c *Ctx) streamEntries(st *keyspace.Stream, r keyspace.StreamRange, limit int64) ([]keyspace.StreamID, error) {
	mark := c.Out.Len()
	var ids []keyspace.StreamID
	err := st.Walk(r, func(e keyspace.StreamEntry) bool {
		c.streamEntry(e)
		ids = append(ids, e.ID)
		return limit < 0 || int64(len(ids)) < limit
	})
	c.Out.ArraySince(mark, len(ids))
	return ids, err
}

// streamEntry replies with one entry; nil Fields are those of one that is gone.
func (c *Ctx) streamEntry(e keyspace.StreamEntry) {
	c.Out.Array(2)
	c.streamID(e.ID)
	if e.Fields == nil {
		c.Out.NullArray()
		return
	}
	c.elements(e.Fields)
}
