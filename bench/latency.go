package main

import (
	"math/bits"
	"time"
)

// latencies counts how long operations took, each to a hundredth and a half.
type latencies struct {
	counts [64 * steps]int64
	n      int64
	max    time.Duration
}

// steps are the counters for each power of two of nanoseconds.
const steps = 64

// place is the counter of a duration: below steps nanoseconds each has its own, above that each power of two has steps.
func place(d time.Duration) int {
	ns := uint64(max(d, 0))
	if ns < steps {
		return int(ns)
	}
	e := bits.Len64(ns) - bits.Len64(steps) // ns>>e is in [steps, 2*steps)
	return e*steps + int(ns>>e)
}

// least is the shortest duration of a counter.
func least(place int) time.Duration {
	if place < 2*steps {
		return time.Duration(place)
	}
	e := place/steps - 1
	return time.Duration(place-e*steps) << e
}

func (l *latencies) add(d time.Duration) {
	l.counts[place(d)]++
	l.n++
	l.max = max(l.max, d)
}

func (l *latencies) merge(o *latencies) {
	for i, n := range o.counts {
		l.counts[i] += n
	}
	l.n += o.n
	l.max = max(l.max, o.max)
}

// at returns the duration that a share of all, from 0 to 1, did not exceed; 0 if there are none.
func (l *latencies) at(share float64) time.Duration {
	want := int64(share*float64(l.n-1)) + 1
	for i, n := range l.counts {
		if want -= n; want <= 0 && l.n > 0 {
			return min(least(i+1), l.max)
		}
	}
	return 0
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
