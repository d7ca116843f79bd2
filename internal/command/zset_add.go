package command

import "github.com/elastickv/elastickv/internal/keyspace"

// scoring is what stands before the pairs in ZADD, and what came of the pairs.
type scoring struct {
	ifAbsent, ifPresent bool // NX, XX
	ifGreater, ifLess   bool // GT, LT
	countChanged        bool // CH
	add                 bool // INCR: scores are added to what is there

	added, updated int64
	applied        bool    // whether the last pair was not refused by a condition
	score          float64 // what its member has now
}

func zadd(c *Ctx) error {
	var s scoring
	return s.run(c)
}

func zincrby(c *Ctx) error {
	s := scoring{add: true}
	return s.run(c)
}

func (s *scoring) run(c *Ctx) error {
	pairs, err := s.parse(c)
	if err != nil {
		return err
	}
	scores := make([]float64, len(pairs)/2)
	for i := range scores {
		if scores[i], err = parseFloat(pairs[2*i]); err != nil {
			return err
		}
	}
	z, err := c.Keys.ZSet(c.Args[1])
	if err != nil {
		return err
	}
	var given float64
	rule := func(old float64, there bool) (float64, bool) { return s.decide(given, old, there) }
	for i := range scores {
		given = scores[i]
		if err := z.Update(pairs[2*i+1], rule); err != nil {
			return err
		}
	}
	if s.added+s.updated > 0 {
		c.notify(keyspace.ClassZSet, s.event())
	}
	s.reply(c)
	return nil
}

func (s *scoring) event() string {
	if s.add {
		return "zincr"
	}
	return "zadd"
}

// parse reads the options and returns the pairs behind them.
func (s *scoring) parse(c *Ctx) ([][]byte, error) {
	i := 2
	for s.option(c, i) {
		if i++; i == len(c.Args) {
			break
		}
	}
	pairs := c.Args[i:]
	switch {
	case len(pairs) == 0 || len(pairs)%2 != 0:
		return nil, ErrSyntax
	case s.ifAbsent && s.ifPresent:
		return nil, ErrZAddNXXX
	case s.ifGreater && s.ifAbsent, s.ifLess && s.ifAbsent, s.ifGreater && s.ifLess:
		return nil, ErrZAddGTLTNX
	case s.add && len(pairs) > 2:
		return nil, ErrZAddIncrPair
	}
	return pairs, nil
}

// option reports whether argument i is an option, which it notes.
func (s *scoring) option(c *Ctx, i int) bool {
	switch {
	case c.is(i, "NX"):
		s.ifAbsent = true
	case c.is(i, "XX"):
		s.ifPresent = true
	case c.is(i, "GT"):
		s.ifGreater = true
	case c.is(i, "LT"):
		s.ifLess = true
	case c.is(i, "CH"):
		s.countChanged = true
	case c.is(i, "INCR"):
		s.add = true
	default:
		return false
	}
	return true
}

// decide returns the score for a member that has the score old, if it is there,
// and whether it is to have it.
func (s *scoring) decide(given, old float64, there bool) (float64, bool) {
	s.applied = false
	switch {
	case there && s.ifAbsent, !there && s.ifPresent:
		return 0, false
	case there && s.add:
		given += old
	}
	if there && (s.ifLess && given >= old || s.ifGreater && given <= old) {
		return 0, false
	}
	s.applied, s.score = true, given
	if !there {
		s.added++
	} else if given != old {
		s.updated++
	}
	return given, true
}

func (s *scoring) reply(c *Ctx) {
	switch {
	case s.add && s.applied:
		c.Out.Double(s.score)
	case s.add:
		c.Out.Null()
	case s.countChanged:
		c.Out.Int(s.added + s.updated)
	default:
		c.Out.Int(s.added)
	}
}
