package store

import (
	"math"
	"runtime"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// timesProperty is what every table, and every block of one, says of the commit
// timestamps in it: a range. Whoever looks for versions of some time passes over
// the rest without reading it.
//
// The engine's deletion of a row counts with the timestamp of the row, so that a
// filter never shows a row and hides its deletion.
const timesProperty = "elastickv.times.v1" // part of the format; never change

func newTimesCollector() pebble.BlockPropertyCollector {
	return sstable.NewBlockIntervalCollector(timesProperty, timesMapper{}, nil)
}

// inTurns lets other goroutines go first each time that turnRows rows have been written to a table. The scheduler would take the
// processor away from a flush or compaction after ten milliseconds only, and whoever comes back from the disk or from
// a wait for clients would stand behind it for as long. But it works for no less time than it has waited, lest writers
// that are many get ahead of it.
type inTurns struct {
	pebble.BlockPropertyCollector
	yield func()
	now   func() time.Time

	rows   int
	back   time.Time     // when others had gone first
	waited time.Duration // for how long they went
}

// turnRows is how many rows are written in about 50 microseconds.
const turnRows = 64

func newInTurns(c pebble.BlockPropertyCollector, now func() time.Time) *inTurns {
	return &inTurns{BlockPropertyCollector: c, yield: runtime.Gosched, now: now}
}

// AddPointKey implements pebble.BlockPropertyCollector. The engine calls it for every row, and holds no lock then.
func (c *inTurns) AddPointKey(key sstable.InternalKey, value []byte) error {
	if c.rows++; c.rows%turnRows == 0 {
		if now := c.now(); now.Sub(c.back) >= c.waited {
			c.yield()
			c.back = c.now()
			c.waited = c.back.Sub(now)
		}
	}
	return c.BlockPropertyCollector.AddPointKey(key, value)
}

// timesMapper implements sstable.IntervalMapper. Only versions count: filters are
// for iterators over versions.
type timesMapper struct{}

func (timesMapper) MapPointKey(key sstable.InternalKey, _ []byte) (sstable.BlockInterval, error) {
	if len(key.UserKey) == 0 || key.UserKey[0] != namespaceData {
		return sstable.BlockInterval{}, nil
	}
	_, ts, err := parseVersionKey(key.UserKey)
	if err != nil { // a filter must not hide damage
		return sstable.BlockInterval{Lower: 0, Upper: math.MaxUint64}, nil
	}
	ts = min(ts, math.MaxUint64-1) // ranges are half open
	return sstable.BlockInterval{Lower: ts, Upper: ts + 1}, nil
}

func (timesMapper) MapRangeKeys(sstable.Span) (sstable.BlockInterval, error) {
	return sstable.BlockInterval{}, nil
}

// committedIn lets through the versions with a timestamp of low to high, and some
// others that stand beside them.
func committedIn(low, high uint64) []pebble.BlockPropertyFilter {
	low = min(low, math.MaxUint64-1)
	if high != math.MaxUint64 {
		high++
	}
	filters := make([]pebble.BlockPropertyFilter, 0, 2) // the engine may add one of its own
	return append(filters, sstable.NewBlockIntervalFilter(timesProperty, low, max(high, low+1), nil))
}
