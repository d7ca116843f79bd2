package store

import (
	"math"

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
