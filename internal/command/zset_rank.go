package command

func zrank(c *Ctx) error { return replyRank(c, false) }

func zrevrank(c *Ctx) error { return replyRank(c, true) }

func replyRank(c *Ctx, reverse bool) error {
	withScore := len(c.Args) == 4
	switch {
	case len(c.Args) > 4:
		return errArity(c.Cmd)
	case withScore && !c.is(3, "WITHSCORE"):
		return ErrSyntax
	}
	z, err := c.Keys.ZSet(c.Args[1])
	if err != nil {
		return err
	}
	rank, ok, err := z.Rank(c.Args[2])
	switch {
	case err != nil:
		return err
	case !ok && withScore:
		c.Out.NullArray()
		return nil
	case !ok:
		c.Out.Null()
		return nil
	case withScore:
		c.Out.Array(2)
	}
	if reverse {
		c.Out.Int(rank.Behind)
	} else {
		c.Out.Int(rank.Before)
	}
	if withScore {
		c.Out.Double(rank.Score)
	}
	return nil
}
