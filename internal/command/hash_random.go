package command

import (
	"math"

	"github.com/elastickv/elastickv/internal/keyspace"
)

func hrandfield(c *Ctx) error {
	if len(c.Args) == 2 {
		h, err := c.Keys.Hash(c.Args[1])
		if err != nil {
			return err
		}
		name, ok, err := h.RandomName(c.Env.Rand)
		c.bulkOrNull(name, ok)
		return err
	}
	count, err := randomCount(c)
	if err != nil {
		return err
	}
	values := len(c.Args) == 4 && c.is(3, "WITHVALUES")
	if len(c.Args) > 3 && !values {
		return ErrSyntax
	}
	if values && (count < -math.MaxInt64/2 || count > math.MaxInt64/2) {
		return ErrOutOfRange
	}
	h, err := c.Keys.Hash(c.Args[1])
	if err != nil {
		return err
	}
	if count >= 0 {
		fields, err := h.Sample(count, values, c.Env.Rand)
		c.beginFields(int64(len(fields)), values)
		for _, f := range fields {
			c.field(f, values)
		}
		return err
	}
	return drawFields(c, h, -count, values)
}

// drawFields replies with random fields that may repeat.
func drawFields(c *Ctx, h *keyspace.Hash, count int64, values bool) error {
	if !h.Exists() {
		count = 0
	}
	if err := c.checkDraw(count); err != nil {
		return err
	}
	c.beginFields(count, values)
	return h.Draw(count, values, c.Env.Rand, func(f keyspace.Field) error {
		c.field(f, values)
		return c.checkReply()
	})
}

// beginFields begins a reply of n fields: with values in pairs, which only
// protocol 3 nests.
func (c *Ctx) beginFields(n int64, values bool) {
	if values && c.Out.Proto() == 2 {
		n *= 2
	}
	c.Out.Array(int(n))
}

func (c *Ctx) field(f keyspace.Field, values bool) {
	if values && c.Out.Proto() == 3 {
		c.Out.Array(2)
	}
	c.Out.Bulk(f.Name)
	if values {
		c.Out.Bulk(f.Value)
	}
}
