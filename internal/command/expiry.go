package command

import "math"

// unit says how a command writes a moment or a span of time.
type unit struct {
	millis   int64 // how many milliseconds one is
	absolute bool  // since 1970, instead of from now on
}

var (
	inSeconds = unit{1000, false}
	inMillis  = unit{1, false}
	atSeconds = unit{1000, true}
	atMillis  = unit{1, true}
)

// moment turns n units into a moment in Unix milliseconds, and reports whether
// it can be counted in 64 bits. What is beyond maxMoment is maxMoment.
func (u unit) moment(n, now int64) (int64, bool) {
	if n > math.MaxInt64/u.millis || n < math.MinInt64/u.millis {
		return 0, false
	}
	n *= u.millis
	if u.absolute {
		return min(n, maxMoment), true
	}
	if n > math.MaxInt64-now {
		return 0, false
	}
	return min(n+now, maxMoment), true
}

// maxMoment is the last moment at which a key can expire, in the year 10889: timestamps have 48 bits for it.
const maxMoment = 1<<48 - 1

// futureArg reads argument i as the expiry of SET, GETEX and their kin, which
// has to be above 0.
func (c *Ctx) futureArg(i int, u unit) (int64, error) {
	n, err := c.int(i)
	if err != nil {
		return 0, err
	}
	at, ok := u.moment(n, c.Keys.Now())
	if n <= 0 || !ok {
		return 0, errInvalidExpire(c)
	}
	return at, nil
}

// expiryOption returns the unit if argument i is EX, PX, EXAT or PXAT.
func (c *Ctx) expiryOption(i int) (unit, bool) {
	switch {
	case c.is(i, "EX"):
		return inSeconds, true
	case c.is(i, "PX"):
		return inMillis, true
	case c.is(i, "EXAT"):
		return atSeconds, true
	case c.is(i, "PXAT"):
		return atMillis, true
	}
	return unit{}, false
}
