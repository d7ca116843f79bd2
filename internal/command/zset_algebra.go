package command

import (
	"math"

	"github.com/elastickv/elastickv/internal/keyspace"
)

// zcombination is a call of one of the commands that make one sorted set of several.
type zcombination struct {
	numKeys   int  // position of the number of inputs
	aggregate bool // WEIGHTS and AGGREGATE are options
	scores    bool // WITHSCORES is an option
	bounded   bool // LIMIT is an option

	inputs     []keyspace.Operand
	agg        keyspace.Aggregate
	withScores bool
	limit      int64
}

func zunion(c *Ctx) error {
	p := zcombination{numKeys: 1, aggregate: true, scores: true}
	if err := p.parse(c); err != nil {
		return err
	}
	return p.reply(c)(keyspace.Union(p.inputs, p.agg))
}

func zunionstore(c *Ctx) error {
	p := zcombination{numKeys: 2, aggregate: true}
	if err := p.parse(c); err != nil {
		return err
	}
	return p.store(c)(keyspace.Union(p.inputs, p.agg))
}

func zinter(c *Ctx) error {
	p := zcombination{numKeys: 1, aggregate: true, scores: true}
	if err := p.parse(c); err != nil {
		return err
	}
	return p.reply(c)(keyspace.Inter(p.inputs, p.agg))
}

func zinterstore(c *Ctx) error {
	p := zcombination{numKeys: 2, aggregate: true}
	if err := p.parse(c); err != nil {
		return err
	}
	return p.store(c)(keyspace.Inter(p.inputs, p.agg))
}

func zintercard(c *Ctx) error {
	p := zcombination{numKeys: 1, bounded: true}
	if err := p.parse(c); err != nil {
		return err
	}
	n, err := keyspace.InterLen(p.inputs, p.limit)
	c.Out.Int(n)
	return err
}

func zdiff(c *Ctx) error {
	p := zcombination{numKeys: 1, scores: true}
	if err := p.parse(c); err != nil {
		return err
	}
	return p.reply(c)(keyspace.Diff(p.inputs))
}

func zdiffstore(c *Ctx) error {
	p := zcombination{numKeys: 2}
	if err := p.parse(c); err != nil {
		return err
	}
	return p.store(c)(keyspace.Diff(p.inputs))
}

func (p *zcombination) reply(c *Ctx) func([]keyspace.ScoredMember, error) error {
	return func(members []keyspace.ScoredMember, err error) error {
		if err == nil {
			c.scoredMembers(members, p.withScores)
		}
		return err
	}
}

func (p *zcombination) store(c *Ctx) func([]keyspace.ScoredMember, error) error {
	return func(members []keyspace.ScoredMember, err error) error {
		if err != nil {
			return err
		}
		return storeMembers(c, members)
	}
}

// storeMembers makes the first key a sorted set and replies with its length.
func storeMembers(c *Ctx, members []keyspace.ScoredMember) error {
	c.Out.Int(int64(len(members)))
	if len(members) == 0 {
		_, err := c.remove(c.Args[1])
		return err
	}
	return c.noted(keyspace.ClassZSet, c.Cmd.Name, c.Keys.StoreZSet(c.Args[1], members))
}

func (p *zcombination) parse(c *Ctx) error {
	n, err := c.int(p.numKeys)
	if err != nil {
		return err
	}
	first := p.numKeys + 1
	switch {
	case n < 1:
		return errNoInputKey(c)
	case n > int64(min(len(c.Args)-first, math.MaxInt32)):
		return ErrSyntax
	}
	for _, key := range c.Args[first : first+int(n)] {
		o, err := c.Keys.Reading().Operand(key)
		if err != nil {
			return err
		}
		p.inputs = append(p.inputs, o)
	}
	p.agg = keyspace.Sum
	for i := first + int(n); i < len(c.Args); {
		if i, err = p.option(c, i); err != nil {
			return err
		}
	}
	return nil
}

// option reads the option at argument i and returns where the next one stands.
func (p *zcombination) option(c *Ctx, i int) (next int, err error) {
	left := len(c.Args) - i - 1
	switch {
	case p.aggregate && left >= len(p.inputs) && c.is(i, "WEIGHTS"):
		for k := range p.inputs {
			i++
			if p.inputs[k].Weight, err = parseFloat(c.Args[i]); err != nil {
				return 0, ErrWeightNotFloat
			}
		}
	case p.aggregate && left >= 1 && c.is(i, "AGGREGATE"):
		i++
		if p.agg = aggregateAt(c, i); p.agg == nil {
			return 0, ErrSyntax
		}
	case p.scores && c.is(i, "WITHSCORES"):
		p.withScores = true
	case p.bounded && left >= 1 && c.is(i, "LIMIT"):
		i++
		if p.limit, err = c.int(i); err != nil || p.limit < 0 {
			return 0, ErrLimitNegative
		}
	default:
		return 0, ErrSyntax
	}
	return i + 1, nil
}

func aggregateAt(c *Ctx, i int) keyspace.Aggregate {
	switch {
	case c.is(i, "SUM"):
		return keyspace.Sum
	case c.is(i, "MIN"):
		return keyspace.Min
	case c.is(i, "MAX"):
		return keyspace.Max
	}
	return nil
}
