// Package hlc answers: what time is it, so that order never breaks?
//
// A hybrid-logical timestamp is a uint64: the Unix time in milliseconds in the
// upper 48 bits, a counter in the lower 16. It reads as a time of day to within
// a millisecond, and it rises with every call of [Clock.Now], whatever the wall
// clock does meanwhile. The package imports only the standard library, reads no
// clock of its own (the wall clock is handed to [New]) and stores nothing: after
// a restart the owner shows the clock the newest timestamp it finds on disk.
package hlc

import (
	"math"
	"sync/atomic"
	"time"
)

// Clock issues strictly rising timestamps. It is safe for concurrent use and
// takes no lock. Make one with [New].
type Clock struct {
	wall func() time.Time
	last atomic.Uint64 // the highest timestamp issued or observed; never falls, never above Max
}

// New returns a clock that follows wall, usually time.Now. wall must be safe for
// concurrent use; it may step backwards or stand still.
func New(wall func() time.Time) *Clock {
	return &Clock{wall: wall}
}

// Now returns a timestamp above every one that this clock has issued and above
// every one that Observe had taken before the call. It is the wall clock's
// millisecond with counter 0 when that is new, else the last timestamp plus one;
// a full counter carries into the millisecond, so more than 65536 calls within
// one millisecond run ahead of the wall clock and never repeat. It is never 0.
//
// At [Max] there is nothing above left, and Now returns Max again and again.
func (c *Clock) Now() uint64 {
	wall := FromTime(c.wall())
	for {
		last := c.last.Load()
		if last >= Max {
			return Max
		}
		next := max(wall, last+1)
		if c.last.CompareAndSwap(last, next) {
			return next
		}
	}
}

// Observe makes every later Now return more than ts. A timestamp that the clock
// has already passed changes nothing; one above [Max] counts as Max.
//
// Observe believes what it is told: a timestamp from the far future drags the
// clock there for good. Where ts comes from a source that may be wrong, ask
// [Clock.Ahead] first.
func (c *Clock) Observe(ts uint64) {
	ts = min(ts, Max)
	for {
		last := c.last.Load()
		if ts <= last || c.last.CompareAndSwap(last, ts) {
			return
		}
	}
}

// Ahead returns how far ts lies beyond the wall clock, in whole milliseconds: 0
// when it does not, and the longest Duration (292 years) when it is further.
func (c *Clock) Ahead(ts uint64) time.Duration {
	now, then := Millis(FromTime(c.wall())), Millis(ts)
	if then <= now {
		return 0
	}
	const longest = math.MaxInt64 / uint64(time.Millisecond)
	if then-now > longest {
		return math.MaxInt64
	}
	return time.Duration(then-now) * time.Millisecond
}
