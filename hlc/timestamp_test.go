package hlc

import (
	"math"
	"testing"
	"time"
)

func TestFromTime(t *testing.T) {
	end := time.UnixMilli(millisMax)
	for _, tc := range []struct {
		name string
		time time.Time
		want uint64
	}{
		{"zero time", time.Time{}, 0},
		{"long ago", time.Unix(math.MinInt64, 0), 0},
		{"just before 1970", time.Unix(0, -1), 0},
		{"1970", time.Unix(0, 0), 0},
		{"rounds down", time.Unix(0, 1_999_999), 1 << 16},
		{"a time of day", time.UnixMilli(1_700_000_000_123), 1_700_000_000_123 << 16},
		{"last millisecond", end, millisMax << 16},
		{"within the last millisecond", end.Add(999_999), millisMax << 16},
		{"one past", end.Add(time.Millisecond), Max},
		{"a second past", end.Add(time.Second), Max},
		{"far future", time.Unix(math.MaxInt64, 0), Max},
	} {
		if got := FromTime(tc.time); got != tc.want {
			t.Errorf("%s: got %#x, want %#x", tc.name, got, tc.want)
		}
	}
}

func TestMillisAndTime(t *testing.T) {
	for _, ms := range []uint64{0, 1, 1_700_000_000_123, millisMax} {
		ts := FromMillis(ms)
		for _, ts := range []uint64{ts, ts | 1, ts | math.MaxUint16} {
			if got := Millis(ts); got != ms {
				t.Errorf("Millis(%#x): got %d, want %d", ts, got, ms)
			}
			if got := Time(ts); got.UnixMilli() != int64(ms) || got.Location() != time.UTC {
				t.Errorf("Time(%#x): got %v, want %d ms UTC", ts, got, ms)
			}
		}
	}
	for _, ms := range []uint64{1 << 48, math.MaxUint64} {
		if got := FromMillis(ms); got != Max {
			t.Errorf("FromMillis(%d): got %#x, want Max", ms, got)
		}
	}
	if got, want := Time(Max).Format(time.RFC3339Nano), "10889-08-02T05:31:50.655Z"; got != want {
		t.Errorf("last moment: got %s, want %s", got, want)
	}
}
