package command

import (
	"math"

	"github.com/elastickv/elastickv/internal/keyspace"
)

func zrandmember(c *Ctx) error {
	if len(c.Args) > 2 {
		return zrandmembers(c)
	}
	z, err := c.Keys.ZSet(c.Args[1])
	if err != nil {
		return err
	}
	m, ok, err := z.Random(c.Env.Rand)
	if err != nil {
		return err
	}
	c.bulkOrNull(m.Member, ok)
	return nil
}

// zrandmembers is ZRANDMEMBER with a count: different members, or, if the count
// is below 0, that many of which some may be the same.
func zrandmembers(c *Ctx) error {
	count, withScores, err := zrandmemberArgs(c)
	if err != nil {
		return err
	}
	z, err := c.Keys.ZSet(c.Args[1])
	if err != nil {
		return err
	}
	if count >= 0 || !z.Exists() {
		members, err := z.Sample(max(count, 0), c.Env.Rand)
		if err != nil {
			return err
		}
		c.scoredMembers(members, withScores)
		return nil
	}
	return drawScored(c, z, -count, withScores)
}

func zrandmemberArgs(c *Ctx) (count int64, withScores bool, err error) {
	if count, err = randomCount(c); err != nil {
		return 0, false, err
	}
	withScores = len(c.Args) == 4
	switch {
	case len(c.Args) > 4 || withScores && !c.is(3, "WITHSCORES"):
		return 0, false, ErrSyntax
	case withScores && (count < -math.MaxInt64/2 || count > math.MaxInt64/2):
		return 0, false, ErrOutOfRange
	}
	return count, withScores, nil
}

// drawScored replies with random members that may repeat.
func drawScored(c *Ctx, z *keyspace.ZSet, count int64, withScores bool) error {
	if err := c.checkDraw(count); err != nil {
		return err
	}
	nested := withScores && c.Out.Proto() == 3
	n := int(count)
	if withScores && !nested {
		n *= 2
	}
	c.Out.Array(n)
	return z.Draw(count, c.Env.Rand, func(m keyspace.ScoredMember) error {
		if nested {
			c.Out.Array(2)
		}
		c.Out.Bulk(m.Member)
		if withScores {
			c.Out.Double(m.Score)
		}
		return c.checkReply()
	})
}
