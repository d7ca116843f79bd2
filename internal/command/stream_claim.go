package command

import (
	"math"

	"github.com/elastickv/elastickv/internal/keyspace"
)

// claimGroup opens the group that XCLAIM and XAUTOCLAIM name, which has to be there.
func (c *Ctx) claimGroup() (*keyspace.Group, error) {
	st, err := c.Keys.Reading().Stream(c.Args[1])
	if err != nil {
		return nil, err
	}
	g, err := st.Group(c.Args[2])
	if err == nil && g == nil {
		err = errNoGroup(c.Args[1], c.Args[2])
	}
	return g, err
}

// claimCall are the arguments of XCLAIM behind the group.
type claimCall struct {
	claim  keyspace.Claim
	ids    []keyspace.StreamID
	last   keyspace.StreamID // LASTID: the group moves on to it
	justID bool
}

func parseXClaim(c *Ctx) (a claimCall, err error) {
	a.claim = keyspace.Claim{Consumer: c.Args[3], At: -1, Count: -1}
	idle, err := c.int(4)
	if err != nil {
		return a, ErrXClaimIdle
	}
	a.claim.MinIdle = max(idle, 0)
	i := 5
	for ; i < len(c.Args); i++ {
		id, err := parseStreamID(c.Args[i], 0)
		if err != nil { // the options begin here
			break
		}
		a.ids = append(a.ids, id)
	}
	for i < len(c.Args) {
		taken, err := a.option(c, i)
		if err != nil {
			return a, err
		}
		i += taken
	}
	if a.claim.At < 0 || a.claim.At > c.Keys.Now() {
		a.claim.At = c.Keys.Now()
	}
	a.claim.Again = !a.justID
	return a, nil
}

// option reads the option at argument i and returns how many arguments it takes.
func (a *claimCall) option(c *Ctx, i int) (int, error) {
	switch {
	case c.is(i, "FORCE"):
		a.claim.Force = true
		return 1, nil
	case c.is(i, "JUSTID"):
		a.justID = true
		return 1, nil
	case i+1 == len(c.Args):
		return 0, errXClaimOption(c.Args[i])
	case c.is(i, "LASTID"):
		var err error
		a.last, err = parseStreamID(c.Args[i+1], 0)
		return 2, err
	}
	n, bad := c.int(i + 1)
	var answer Error // if the number is none
	switch {
	case c.is(i, "IDLE"):
		a.claim.At, answer = c.Keys.Now()-n, ErrXClaimIdleOption
	case c.is(i, "TIME"):
		a.claim.At, answer = n, ErrXClaimTime
	case c.is(i, "RETRYCOUNT"):
		a.claim.Count, answer = n, ErrXClaimRetryCount
	default:
		return 0, errXClaimOption(c.Args[i])
	}
	if bad != nil {
		return 0, answer
	}
	return 2, nil
}

func xclaim(c *Ctx) error {
	g, err := c.claimGroup()
	if err != nil {
		return err
	}
	a, err := parseXClaim(c)
	if err != nil {
		return err
	}
	if a.last.Compare(g.LastID) > 0 {
		g.LastID = a.last
	}
	mark, n := c.Out.Len(), 0
	err = g.Claim(a.claim, a.ids, func(e keyspace.StreamEntry) error {
		c.claimedEntry(e, a.justID)
		n++
		return c.checkReply()
	})
	c.Out.ArraySince(mark, n)
	return err
}

// claimedEntry replies with an entry, or just its ID.
func (c *Ctx) claimedEntry(e keyspace.StreamEntry, justID bool) {
	if justID {
		c.streamID(e.ID)
		return
	}
	c.streamEntry(e)
}

// autoClaim are the arguments of XAUTOCLAIM behind the group.
type autoClaim struct {
	claim  keyspace.Claim
	sweep  keyspace.Sweep
	justID bool
}

func parseXAutoClaim(c *Ctx) (a autoClaim, err error) {
	const countUsual, countMost, looksEach = 100, math.MaxInt64 / 16, 10
	idle, err := c.int(4)
	if err != nil {
		return a, ErrXAutoClaimIdle
	}
	a.claim = keyspace.Claim{Consumer: c.Args[3], MinIdle: max(idle, 0), At: c.Keys.Now(), Count: -1}
	a.sweep.Count = countUsual
	if a.sweep.From, err = c.streamStart(5); err != nil {
		return a, err
	}
	for i := 6; i < len(c.Args); i++ {
		switch {
		case c.is(i, "COUNT") && i+1 < len(c.Args):
			i++
			a.sweep.Count, err = c.int(i)
			if err != nil || a.sweep.Count < 1 || a.sweep.Count > countMost {
				return a, ErrXAutoClaimCount
			}
		case c.is(i, "JUSTID"):
			a.justID = true
		default:
			return a, ErrSyntax
		}
	}
	a.sweep.Looks = looksEach * a.sweep.Count
	a.claim.Again = !a.justID
	return a, nil
}

func xautoclaim(c *Ctx) error {
	a, err := parseXAutoClaim(c)
	if err != nil {
		return err
	}
	g, err := c.claimGroup()
	if err != nil {
		return err
	}
	c.Out.Array(3)
	mark, n := c.Out.Len(), 0
	next, gone, err := g.AutoClaim(a.claim, a.sweep, func(e keyspace.StreamEntry) {
		c.claimedEntry(e, a.justID)
		n++
	})
	if err != nil {
		return err
	}
	c.Out.Before(mark, func() {
		c.streamID(next)
		c.Out.Array(n)
	})
	c.Out.Array(len(gone))
	for _, id := range gone {
		c.streamID(id)
	}
	return nil
}
