package hlc

import (
	"fmt"
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fakeWall is a wall clock that stands where it was put.
type fakeWall struct{ ms atomic.Int64 }

func (w *fakeWall) now() time.Time { return time.UnixMilli(w.ms.Load()) }

func newFake(ms int64) (*fakeWall, *Clock) {
	w := &fakeWall{}
	w.ms.Store(ms)
	return w, New(w.now)
}

func TestNowFollowsTheWall(t *testing.T) {
	wall, c := newFake(1000)
	for _, ms := range []int64{1000, 1001, 5000} {
		wall.ms.Store(ms)
		if got, want := c.Now(), FromMillis(uint64(ms)); got != want {
			t.Errorf("at %d ms: got %#x, want %#x", ms, got, want)
		}
	}
}

func TestNowRisesWhateverTheWallDoes(t *testing.T) {
	wall, c := newFake(1_000_000)
	last := uint64(0)
	for i, step := range []int64{0, 0, 1, -1, -999_000, 0, 5, -1_000_005, -5_000_000, 7_000_000, -7_000_000, 0} {
		wall.ms.Add(step)
		for range 3 {
			ts := c.Now()
			if ts <= last {
				t.Fatalf("step %d (%d ms): %#x after %#x", i, step, ts, last)
			}
			last = ts
		}
	}
	if got, want := Millis(last), uint64(1_001_000); got < want {
		t.Errorf("last timestamp is of millisecond %d, want the highest the wall had shown, %d", got, want)
	}
}

func TestCounterCarriesIntoTheMillisecond(t *testing.T) {
	wall, c := newFake(1000)
	c.Observe(FromMillis(1000) | math.MaxUint16 - 1)
	for i, want := range []uint64{FromMillis(1000) | math.MaxUint16, FromMillis(1001), FromMillis(1001) + 1} {
		if got := c.Now(); got != want {
			t.Errorf("call %d: got %#x, want %#x", i, got, want)
		}
	}
	// The wall clock catches up within the borrowed millisecond, then passes it.
	wall.ms.Store(1001)
	if got, want := c.Now(), FromMillis(1001)+2; got != want {
		t.Errorf("caught up: got %#x, want %#x", got, want)
	}
	wall.ms.Store(1002)
	if got, want := c.Now(), FromMillis(1002); got != want {
		t.Errorf("passed: got %#x, want %#x", got, want)
	}
}

func TestObserve(t *testing.T) {
	_, c := newFake(1000)
	first := c.Now()
	c.Observe(first - 1)
	c.Observe(first)
	c.Observe(0)
	if got, want := c.Now(), first+1; got != want {
		t.Errorf("after observing the past: got %#x, want %#x", got, want)
	}
	future := FromMillis(9000) | 7
	c.Observe(future)
	if got, want := c.Now(), future+1; got != want {
		t.Errorf("after observing the future: got %#x, want %#x", got, want)
	}
}

// A process that starts with the wall clock set back goes on above what the one
// before it has committed.
func TestRestartWithTheWallSetBack(t *testing.T) {
	_, before := newFake(2_000_000)
	before.Now()
	committed := before.Now()

	wall, after := newFake(1_000_000)
	after.Observe(committed)
	if got := after.Now(); got <= committed {
		t.Errorf("got %#x, not above the committed %#x", got, committed)
	}
	wall.ms.Store(2_000_001)
	if got, want := after.Now(), FromMillis(2_000_001); got != want {
		t.Errorf("once the wall has caught up: got %#x, want %#x", got, want)
	}
}

func TestLimits(t *testing.T) {
	t.Run("before 1970", func(t *testing.T) {
		_, c := newFake(-5)
		if a, b := c.Now(), c.Now(); a != 1 || b != 2 {
			t.Errorf("got %d, %d, want 1, 2: never 0", a, b)
		}
	})
	t.Run("past the last millisecond", func(t *testing.T) {
		_, c := newFake(1 << 48)
		if got := c.Now(); got != Max {
			t.Errorf("got %#x, want Max", got)
		}
	})
	t.Run("saturation", func(t *testing.T) {
		_, c := newFake(1000)
		c.Observe(Max - 2)
		for i, want := range []uint64{Max - 1, Max, Max, Max} {
			if got := c.Now(); got != want {
				t.Errorf("call %d: got %#x, want %#x", i, got, want)
			}
		}
		c.Observe(math.MaxUint64)
		if got := c.Now(); got != Max {
			t.Errorf("after MaxUint64: got %#x, want Max", got)
		}
	})
}

func TestAhead(t *testing.T) {
	_, c := newFake(10_000)
	for _, tc := range []struct {
		name string
		ts   uint64
		want time.Duration
	}{
		{"zero", 0, 0},
		{"past", FromMillis(9_999), 0},
		{"this millisecond", FromMillis(10_000) | 77, 0},
		{"next millisecond", FromMillis(10_001), time.Millisecond},
		{"an hour", FromMillis(10_000 + 3_600_000), time.Hour},
		{"beyond a Duration", Max, math.MaxInt64},
	} {
		if got := c.Ahead(tc.ts); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
	if got := c.Now(); got != FromMillis(10_000) {
		t.Errorf("Ahead has moved the clock to %#x", got)
	}
}

// Many callers together, with the wall stepping about and timestamps observed,
// never see one timestamp twice, and each sees its own rise.
func TestConcurrent(t *testing.T) {
	const callers, calls = 8, 20_000
	wall, c := newFake(1_000_000)
	all := make([][]uint64, callers)
	var wg sync.WaitGroup
	for n := range callers {
		wg.Go(func() {
			mine := make([]uint64, 0, calls)
			floor := uint64(0)
			for i := range calls {
				ts := c.Now()
				if ts <= floor {
					t.Errorf("caller %d: %#x, but %#x was issued or observed before", n, ts, floor)
					return
				}
				mine = append(mine, ts)
				floor = ts
				switch i % 50 {
				case 10:
					wall.ms.Add(int64(3 - n)) // some forwards, some back
				case 20:
					floor = ts + 3
					c.Observe(floor)
				}
			}
			all[n] = mine
		})
	}
	wg.Wait()
	merged := slices.Concat(all...)
	slices.Sort(merged)
	if got, want := len(slices.Compact(merged)), callers*calls; got != want {
		t.Errorf("%d different timestamps, want %d", got, want)
	}
}

func ExampleClock() {
	wall := time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)
	clock := New(func() time.Time { return wall })

	a := clock.Now()
	wall = wall.Add(-time.Hour) // someone sets the wall clock back
	b := clock.Now()
	clock.Observe(b + 100) // another machine is further on
	c := clock.Now()

	fmt.Println(Time(a))
	fmt.Println(b-a, c-b)
	// Output:
	// 2030-01-02 03:04:05 +0000 UTC
	// 1 101
}

func BenchmarkNow(b *testing.B) {
	c := New(time.Now)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			c.Now()
		}
	})
}
