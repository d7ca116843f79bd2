package store

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// A compaction gives way to whoever else is in the store, or was since it last did, for a time in proportion to how
// long it has worked, and only then. Deletions count besides; while others write faster than it gets on, it gives way but little.
func TestCompactPauses(t *testing.T) {
	const work, few = 2 * pauseAfter, 1000
	const share, behind = time.Duration(pauseShare * float64(work)), time.Duration(pauseShareBehind * float64(work))
	const drops = share + few*pauseForDrop
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
		"others are inside":        {pace: pace{worked: work}, others: 1, want: share},
		"others have written":      {pace: pace{worked: work, passed: 14, last: 6}, written: 7, want: share},
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

// However long a row takes, a step ends soon, and the pass comes to its end all the same.
func TestCompactStepsAreShort(t *testing.T) {
	const keys, deleted = 500, 50
	clock := &handClock{}
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithNow(func() time.Time {
		clock.advance(pauseAfter / 2)
		return clock.now()
	}))
	top := fillForCompact(t, s, keys, deleted, 1)
	steps := 0
	must(t, s.Compact(&looks{t.Context(), func() bool { steps++; return true }}, top))
	if steps < keys/2 {
		t.Errorf("%d steps for %d keys of which two take as long as a step may", steps, keys)
	}
	if left := countRows(t, s); left != keys-deleted+1 {
		t.Errorf("%d rows are left, want %d", left, keys-deleted+1)
	}
}
