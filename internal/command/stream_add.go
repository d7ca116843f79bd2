package command

import "github.com/elastickv/elastickv/internal/keyspace"

// streamTrim is how XADD and XTRIM trim.
type streamTrim struct {
	trim    keyspace.StreamTrim
	trims   bool
	limited bool // LIMIT was given
}

// streamAdd are the arguments of XADD.
type streamAdd struct {
	streamTrim
	ifThere bool // NOMKSTREAM
	id      newID
	fields  [][]byte
}

func parseXAdd(c *Ctx) (a streamAdd, err error) {
	i := 2
	for ; i < len(c.Args); i++ {
		if c.is(i, "NOMKSTREAM") {
			a.ifThere = true
			continue
		}
		taken, err := a.option(c, i)
		if err != nil {
			return a, err
		}
		if taken == 0 {
			break
		}
		i += taken - 1
	}
	if i < len(c.Args) {
		a.id, err = parseNewID(c.Args[i])
	}
	// That the ID is 0-0 comes out only when all else is right.
	if err != nil && err != ErrStreamIDZero {
		return a, err
	}
	if err := a.finish(c); err != nil {
		return a, err
	}
	if rest := len(c.Args) - i - 1; rest < 2 || rest%2 != 0 {
		return a, errArity(c.Cmd)
	}
	a.fields = c.Args[i+1:]
	return a, err
}

// parseStreamTrim reads the options of XTRIM.
func parseStreamTrim(c *Ctx) (t streamTrim, err error) {
	for i := 2; i < len(c.Args); {
		taken, err := t.option(c, i)
		if err != nil {
			return t, err
		}
		if taken == 0 {
			return t, ErrSyntax
		}
		i += taken
	}
	if !t.trims && t.trim.Limit == 0 {
		return t, ErrTrimNothing
	}
	return t, t.finish(c)
}

// option reads an option at argument i and returns how many arguments it takes, 0 if there is none.
func (t *streamTrim) option(c *Ctx, i int) (int, error) {
	if i+1 == len(c.Args) {
		return 0, nil
	}
	switch {
	case c.is(i, "MAXLEN"), c.is(i, "MINID"):
		return t.strategy(c, i)
	case c.is(i, "LIMIT"):
		n, err := c.int(i + 1)
		if err == nil && n < 0 {
			err = ErrTrimLimit
		}
		t.trim.Limit, t.limited = n, true
		return 2, err
	}
	return 0, nil
}

// strategy reads MAXLEN or MINID.
func (t *streamTrim) strategy(c *Ctx, i int) (taken int, err error) {
	if t.trims {
		return 0, ErrTrimBoth
	}
	t.trims, t.trim.ByID = true, c.is(i, "MINID")
	at := i + 1
	if at+1 < len(c.Args) && (c.is(at, "~") || c.is(at, "=")) {
		t.trim.Approx = c.is(at, "~")
		at++
	}
	if t.trim.ByID {
		t.trim.MinID, err = parseStreamID(c.Args[at], 0)
	} else if t.trim.MaxLen, err = c.int(at); err == nil && t.trim.MaxLen < 0 {
		err = ErrTrimMaxLen
	}
	return at - i + 1, err
}

// finish checks the options against each other. Who asks for ~ and gives no limit gets that
// of a hundred nodes, so that no call takes long.
func (t *streamTrim) finish(c *Ctx) error {
	const nodes, least, most = 100, 10_000, 1_000_000
	switch {
	case t.trim.Limit != 0 && !t.trims:
		return ErrTrimLimitAlone
	case t.limited && !t.trim.Approx:
		return ErrTrimLimitExact
	case t.limited || !t.trim.Approx:
		return nil
	}
	t.trim.Limit = nodes * int64(c.Env.Keys.Limits.StreamNodeMaxEntries)
	if t.trim.Limit <= 0 {
		t.trim.Limit = least
	}
	t.trim.Limit = min(t.trim.Limit, most)
	return nil
}
