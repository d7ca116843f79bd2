package store

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A compaction gives way to whoever else is in the store, or was since it last did, for a time in proportion to what it
// has done, and only then. Deletions count for more, unless others write faster than it gets on.
func TestCompactPauses(t *testing.T) {
	const work, few = 2 * pauseAfter, 1000
	const drops = pauseShare*work + few*pauseForDrop
	const behind = time.Duration(pauseShareBehind * float64(work))
	for name, test := range map[string]struct {
		pace      pace
		others    int
		written   uint64
		cancelled bool
		want      time.Duration
		owes      bool
	}{
		"nobody else is inside":    {pace: pace{worked: work}},
		"little was done":          {pace: pace{worked: pauseAfter - 1, dropped: few}, others: 1, owes: true},
		"others are inside":        {pace: pace{worked: work}, others: 1, want: pauseShare * work},
		"others have written":      {pace: pace{worked: work, passed: 14, last: 6}, written: 7, want: pauseShare * work},
		"nobody has, lately":       {pace: pace{worked: work, last: 7}, written: 7},
		"it has deleted":           {pace: pace{worked: work, dropped: few}, others: 1, want: drops},
		"it is ahead of writers":   {pace: pace{worked: work, dropped: few, passed: 200, began: 1000, last: 1000}, written: 1100, want: drops},
		"it is not ahead of those": {pace: pace{worked: work, dropped: few, passed: 199, began: 1000, last: 1000}, written: 1100, want: behind},
		"it is called off":         {pace: pace{worked: work}, others: 1, cancelled: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &pebbleStore{gate: newGate()}
				for range 1 + test.others {
					s.gate.enter()
				}
				s.written.Store(test.written)
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.cancelled {
					cancel()
				}
				s.compaction.pace = test.pace
				began := time.Now()
				s.pause(ctx)
				if got := time.Since(began); got != test.want {
					t.Errorf("it paused for %v, want %v", got, test.want)
				}
				if p := s.compaction.pace; (p.worked > 0 || p.dropped > 0) != test.owes {
					t.Errorf("%v of work and %d deletions are left to pause for", p.worked, p.dropped)
				}
			})
		})
	}
}
