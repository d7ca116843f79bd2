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
	const looks, drops = 2 * pauseAfterRows * pauseForRow, 2 * pauseAfterDrops * pauseForDrop
	for name, test := range map[string]struct {
		pace      pace
		others    int
		written   uint64
		cancelled bool
		want      time.Duration
		owes      bool
	}{
		"nobody else is inside":     {pace: pace{rows: 2 * pauseAfterRows}},
		"little was done":           {pace: pace{rows: pauseAfterRows - 1, dropped: pauseAfterDrops - 1}, others: 1, owes: true},
		"others are inside":         {pace: pace{rows: 2 * pauseAfterRows}, others: 1, want: looks},
		"others have written":       {pace: pace{rows: 2 * pauseAfterRows, last: 6}, written: 7, want: looks},
		"nobody has, lately":        {pace: pace{rows: 2 * pauseAfterRows, last: 7}, written: 7},
		"it has deleted":            {pace: pace{dropped: 2 * pauseAfterDrops}, others: 1, want: drops},
		"it is ahead of writers":    {pace: pace{dropped: 2 * pauseAfterDrops, passed: 200, began: 1000, last: 1000}, written: 1100, want: drops},
		"it is not ahead of those":  {pace: pace{dropped: 2 * pauseAfterDrops, passed: 199, began: 1000, last: 1000}, written: 1100},
		"it looks at rows not less": {pace: pace{rows: 2 * pauseAfterRows, passed: 199, began: 1000, last: 1000}, written: 1100, want: looks},
		"it is called off":          {pace: pace{rows: 2 * pauseAfterRows}, others: 1, cancelled: true},
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
				if p := s.compaction.pace; (p.rows+p.dropped > 0) != test.owes {
					t.Errorf("%d rows and %d deletions are left to pause for", p.rows, p.dropped)
				}
			})
		})
	}
}
