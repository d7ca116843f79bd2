package command

import "github.com/elastickv/elastickv/internal/keyspace"

// rangeBy is what the bounds of a range are.
type rangeBy int

const (
	byOption rangeBy = iota // what an option says, or else places
	byRank
	byScore
	byLex
)

// zrangeQuery is one call of the ZRANGE family. What the name of the command fixes is
// set before parse.
type zrangeQuery struct {
	by                  rangeBy
	reverse, fixedOrder bool
	store               bool
	withScores          bool
	skip, limit         int64

	first, last int64 // byRank
	score       keyspace.ScoreRange
	lex         keyspace.LexRange
}

func zrange(c *Ctx) error { return replyRange(c, zrangeQuery{}) }

func zrevrange(c *Ctx) error {
	return replyRange(c, zrangeQuery{by: byRank, reverse: true, fixedOrder: true})
}

func zrangebyscore(c *Ctx) error { return replyRange(c, zrangeQuery{by: byScore, fixedOrder: true}) }

func zrevrangebyscore(c *Ctx) error {
	return replyRange(c, zrangeQuery{by: byScore, reverse: true, fixedOrder: true})
}

func zrangebylex(c *Ctx) error { return replyRange(c, zrangeQuery{by: byLex, fixedOrder: true}) }

func zrevrangebylex(c *Ctx) error {
	return replyRange(c, zrangeQuery{by: byLex, reverse: true, fixedOrder: true})
}

func replyRange(c *Ctx, q zrangeQuery) error {
	members, err := q.run(c, 1)
	if err != nil {
		return err
	}
	c.scoredMembers(members, q.withScores)
	return nil
}

func zrangestore(c *Ctx) error {
	q := zrangeQuery{store: true}
	members, err := q.run(c, 2)
	if err != nil {
		return err
	}
	return storeMembers(c, members)
}

// run carries out the query whose key is argument key, with the bounds and the
// options behind it.
func (q *zrangeQuery) run(c *Ctx, key int) ([]keyspace.ScoredMember, error) {
	if err := q.parseOptions(c, key+3); err != nil {
		return nil, err
	}
	if err := q.parseBounds(c, key+1); err != nil {
		return nil, err
	}
	z, err := c.Keys.Reading().ZSet(c.Args[key])
	if err != nil {
		return nil, err
	}
	w := keyspace.Window{Reverse: q.reverse, Skip: q.skip, Limit: q.limit, Scores: q.withScores || q.store}
	switch q.by {
	case byScore:
		return z.Slice(keyspace.ByScore(q.score), w)
	case byLex:
		r, err := z.ByLex(q.lex)
		if err != nil {
			return nil, err
		}
		return z.Slice(r, w)
	}
	return z.ByRank(q.first, q.last, w)
}

func (q *zrangeQuery) parseOptions(c *Ctx, from int) (err error) {
	q.limit = -1
	reverse := false
	for i := from; i < len(c.Args); i++ {
		switch {
		case c.is(i, "WITHSCORES") && !q.store:
			q.withScores = true
		case c.is(i, "LIMIT") && i+2 < len(c.Args):
			if q.skip, err = c.int(i + 1); err != nil {
				return err
			}
			if q.limit, err = c.int(i + 2); err != nil {
				return err
			}
			i += 2
		case c.is(i, "REV") && !q.fixedOrder && !reverse:
			reverse = true
		case c.is(i, "BYLEX") && q.by == byOption:
			q.by = byLex
		case c.is(i, "BYSCORE") && q.by == byOption:
			q.by = byScore
		default:
			return ErrSyntax
		}
	}
	q.reverse = q.reverse || reverse
	return q.checkOptions()
}

func (q *zrangeQuery) checkOptions() error {
	if q.by == byOption {
		q.by = byRank
	}
	switch {
	case q.limit != -1 && q.by == byRank:
		return ErrRangeLimit
	case q.withScores && q.by == byLex:
		return ErrRangeWithScores
	}
	return nil
}

// parseBounds reads the bounds at arguments i and i+1. From high to low the
// upper bound comes first, except of places, which count in that direction themselves.
func (q *zrangeQuery) parseBounds(c *Ctx, i int) (err error) {
	lower, upper := i, i+1
	if q.reverse {
		lower, upper = upper, lower
	}
	switch q.by {
	case byScore:
		q.score, err = c.scoreRange(lower, upper)
	case byLex:
		q.lex, err = c.lexRange(lower, upper)
	default:
		q.first, q.last, err = c.rankRange(i)
	}
	return err
}

// rankRange reads arguments i and i+1 as the first and the last place.
func (c *Ctx) rankRange(i int) (first, last int64, err error) {
	if first, err = c.int(i); err != nil {
		return 0, 0, err
	}
	last, err = c.int(i + 1)
	return first, last, err
}

// overScores is the handler of a command that does one thing to a range of
// scores, given by the two arguments behind the key.
func overScores(do func(*Ctx, *keyspace.ZSet, keyspace.ZRange) error) Handler {
	return func(c *Ctx) error {
		r, err := c.scoreRange(2, 3)
		if err != nil {
			return err
		}
		z, err := c.Keys.ZSet(c.Args[1])
		if err != nil {
			return err
		}
		return do(c, z, keyspace.ByScore(r))
	}
}

// overLex is overScores for a range of names.
func overLex(do func(*Ctx, *keyspace.ZSet, keyspace.ZRange) error) Handler {
	return func(c *Ctx) error {
		lex, err := c.lexRange(2, 3)
		if err != nil {
			return err
		}
		z, err := c.Keys.ZSet(c.Args[1])
		if err != nil {
			return err
		}
		r, err := z.ByLex(lex)
		if err != nil {
			return err
		}
		return do(c, z, r)
	}
}

func (c *Ctx) countRange(z *keyspace.ZSet, r keyspace.ZRange) error {
	n, err := z.Count(r)
	c.Out.Int(n)
	return err
}

func zremrangebyrank(c *Ctx) error {
	first, last, err := c.rankRange(2)
	if err != nil {
		return err
	}
	z, err := c.Keys.ZSet(c.Args[1])
	if err != nil {
		return err
	}
	n, err := z.RemoveByRank(first, last)
	if n > 0 {
		c.notifyTaken(keyspace.ClassZSet, c.Cmd.Name, z)
	}
	c.Out.Int(int64(n))
	return err
}

func (c *Ctx) removeRange(z *keyspace.ZSet, r keyspace.ZRange) error {
	members, err := z.RemoveRange(r, keyspace.Window{Limit: -1})
	if len(members) > 0 {
		c.notifyTaken(keyspace.ClassZSet, c.Cmd.Name, z)
	}
	c.Out.Int(int64(len(members)))
	return err
}
