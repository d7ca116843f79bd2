package store

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// looks is a context that calls back whenever it is looked at, and ends when that says so.
type looks struct {
	context.Context
	look func() (goOn bool)
}

func (l *looks) Err() error {
	if l.look() {
		return nil
	}
	return context.Canceled
}

// fillForCompact writes keys with an old version, some of them deleted, and one with
// hundreds. It returns the newest timestamp.
func fillForCompact(t *testing.T, s *pebbleStore, keys, deleted, hot int) (ts uint64) {
	t.Helper()
	ctx := context.Background()
	fillVersions(t, s, keys, 2)
	ts = 2
	for k := range deleted {
		ts++
		must(t, s.ApplyMutationsRaft(ctx, []*KVPairMutation{{Op: OpTypeDelete, Key: fmt.Appendf(nil, "k%05d", k)}}, nil, maxTS, ts))
	}
	for range hot {
		ts++
		must(t, s.ApplyMutationsRaft(ctx, []*KVPairMutation{{Key: []byte("z-hot")}}, nil, maxTS, ts))
	}
	return ts
}

func TestCompactProgress(t *testing.T) {
	const keys, deleted, hot = 3000, 50, 400
	clock := &handClock{}
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithNow(clock.now))
	top := fillForCompact(t, s, keys, deleted, hot)
	if got := s.Stats().Compact; got != (CompactProgress{}) {
		t.Errorf("before: %+v", got)
	}

	// It stops half way: at its fourth look at whether to go on.
	clock.advance(time.Hour)
	began := clock.now()
	n := 0
	err := s.Compact(&looks{context.Background(), func() bool {
		n++
		clock.advance(time.Second)
		if p := s.Stats().Compact; n > 1 && (!p.Running || p.Pass.Floor != top || p.Pass.Duration != p.Total.Duration || p.Pass.Duration == 0) {
			t.Errorf("at look %d: %+v", n, p)
		}
		return n < 4
	}}, top)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want %v", err, context.Canceled)
	}
	half := s.Stats().Compact
	if half.Running || half.Passes != 0 || half.Last != (CompactPass{}) || half.Pass != half.Total || half.Pass.Rows == 0 ||
		half.Pass.Dropped == 0 || !half.Started.Equal(began.Add(time.Second)) || half.Pass.Duration != 3*time.Second {
		t.Errorf("half way: %+v, begun %v", half, began)
	}

	// The next one takes it up. What happens in between does not count.
	clock.advance(time.Hour)
	must(t, s.Compact(context.Background(), top))
	// The hot key keeps its newest version, the others go at once. Deleted keys go whole.
	want := CompactPass{Floor: top, Rows: 2*keys + deleted + 1 + compactOneByOneMost, Dropped: keys + 2*deleted,
		Ranges: 1, Keys: deleted, Duration: 3 * time.Second}
	done := s.Stats().Compact
	if done.Last != want || done.Total != want || done.Pass != (CompactPass{}) || done.Running || done.Passes != 1 || !done.Started.Equal(half.Started) {
		t.Errorf("at the end: %+v\nwant %+v", done, want)
	}
	if left := countRows(t, s); left != keys-deleted+1 {
		t.Errorf("%d rows are left, want %d", left, keys-deleted+1)
	}

	// One with nothing to do is none.
	must(t, s.Compact(context.Background(), top))
	if again := s.Stats().Compact; again != done {
		t.Errorf("after a call without effect: %+v, want %+v", again, done)
	}
	must(t, s.db.Flush())
	must(t, s.PutAt(context.Background(), []byte("new"), nil, top+1, 0))
	must(t, s.Compact(context.Background(), top+1))
	again := s.Stats().Compact
	if again.Passes != 2 || again.Last.Floor != top+1 || again.Last.Dropped != 0 || again.Last.Rows == 0 || again.Last.Rows > keys/4 ||
		again.Last.Skipped == 0 || again.Total.Rows != want.Rows+again.Last.Rows || again.Total.Floor != top+1 || !again.Started.Equal(clock.now()) {
		t.Errorf("after a second pass: %+v", again)
	}
}

// Only the time at work counts, once.
func TestCompactProgressDuration(t *testing.T) {
	clock := &handClock{}
	c := compactProgress{now: clock.now}
	for _, end := range []func(){c.leave, c.finish} {
		c.begin(5)
		clock.advance(time.Second)
		end()
		clock.advance(time.Hour)
		c.leave()
	}
	if p := c.snapshot(); p.Last.Duration != 2*time.Second || p.Total.Duration != 2*time.Second || p.Passes != 1 {
		t.Errorf("got %+v, want twice a second", p)
	}
}

// Without a clock everything is counted and nothing timed.
func TestCompactProgressWithoutClock(t *testing.T) {
	s := openMem(t)
	must(t, s.Compact(context.Background(), fillForCompact(t, s, 10, 0, 0)))
	p := s.Stats().Compact
	if p.Passes != 1 || p.Last.Dropped != 10 || p.Last.Duration != 0 || !p.Started.IsZero() {
		t.Errorf("got %+v", p)
	}
}

// A pass that fails is at work no more, and not finished.
func TestCompactProgressOfAFailure(t *testing.T) {
	s := openMem(t)
	top := fillForCompact(t, s, 10, 0, 0)
	broken := errors.New("disk is gone")
	s.failed.Store(&broken)
	if err := s.Compact(context.Background(), top); !errors.Is(err, broken) {
		t.Fatalf("got %v, want %v", err, broken)
	}
	s.floor.Store(top) // the failure comes once the floor is there
	s.compaction.pass = &compactionPass{floor: top}
	if err := s.Compact(context.Background(), top); !errors.Is(err, broken) {
		t.Fatalf("got %v, want %v", err, broken)
	}
	if p := s.Stats().Compact; p.Running || p.Passes != 0 || p.Pass.Floor != top || p.Pass.Dropped != 0 {
		t.Errorf("got %+v", p)
	}
}
