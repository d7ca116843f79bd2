package store

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// A compaction gives way to whoever else is in the store, for a time in proportion to what it
// has done, and only then.
func TestCompactPauses(t *testing.T) {
	for name, test := range map[string]struct {
		rows, others int
		cancelled    bool
		want         time.Duration
	}{
		"nobody else is inside": {rows: 2 * pauseAfter},
		"little was done":       {rows: pauseAfter - 1, others: 1},
		"others are inside":     {rows: 2 * pauseAfter, others: 1, want: 2 * pauseAfter * pauseForRow},
		"it is called off":      {rows: 2 * pauseAfter, others: 1, cancelled: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := &pebbleStore{gate: newGate()}
				for range 1 + test.others {
					s.gate.enter()
				}
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if test.cancelled {
					cancel()
				}
				s.compaction.owed = test.rows
				began := time.Now()
				s.pause(ctx)
				if got := time.Since(began); got != test.want {
					t.Errorf("it paused for %v, want %v", got, test.want)
				}
				if owes := s.compaction.owed > 0; owes != (test.rows < pauseAfter) {
					t.Errorf("%d rows are left to pause for", s.compaction.owed)
				}
			})
		})
	}
}
