package server

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestHistogram(t *testing.T) {
	var h histogram
	for i := 1; i <= 1000; i++ {
		h.add(time.Duration(i) * time.Microsecond)
	}
	for i, want := range []time.Duration{500 * time.Microsecond, 990 * time.Microsecond, 999 * time.Microsecond} {
		got := h.percentiles(50, 99, 99.9)[i]
		if got < want || got > want+want/16 {
			t.Errorf("percentile %d: got %v, want %v or up to a sixteenth more", i, got, want)
		}
	}
	h.add(0)
	h.add(-time.Second)
	h.add(1<<63 - 1)
	if got := h.percentiles(100)[0]; got < 24*time.Hour {
		t.Errorf("the longest duration is shown as %v", got)
	}
	var empty histogram
	if got := empty.percentiles(50)[0]; got != 0 {
		t.Errorf("of nothing: got %v, want 0", got)
	}
}

func TestBucketsCoverAllDurations(t *testing.T) {
	last := time.Duration(15)
	for i := range len(histogram{}) {
		if top := bucketTop(i); top <= last {
			t.Fatalf("bucket %d ends at %d, the one before it at %d", i, top, last)
		} else {
			var h histogram
			h.add(last + 1)
			h.add(top)
			if h[i].Load() != 2 {
				t.Fatalf("bucket %d does not hold %d and %d", i, last+1, top)
			}
			last = top
		}
	}
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s stats
		s.init(time.Now())
		for range 100 {
			time.Sleep(100 * time.Millisecond)
			s.commands.Add(10)
			s.sent.Add(1000)
			s.take(time.Now())
		}
		commands, received, sent := s.rates(time.Now())
		if commands < 95 || commands > 105 || received != 0 || sent < 9500 || sent > 10500 {
			t.Errorf("got %v commands, %v in and %v out a second, want 100, 0 and 10000", commands, received, sent)
		}
	})
}

func TestErrorCodesAreBounded(t *testing.T) {
	var s stats
	s.init(time.Now())
	for i := range 10 * errorCodesMost {
		s.errorReply(string(rune('A' + i)))
	}
	codes, _ := s.errorCounts()
	if len(codes) != errorCodesMost || s.errors.Load() != 10*errorCodesMost {
		t.Errorf("%d codes of %d errors, want %d of %d", len(codes), s.errors.Load(), errorCodesMost, 10*errorCodesMost)
	}
}

func TestHumanBytes(t *testing.T) {
	for n, want := range map[uint64]string{0: "0B", 1023: "1023B", 1024: "1.00K", 1536: "1.50K", 5 << 20: "5.00M", 3 << 40: "3.00T"} {
		if got := humanBytes(n); got != want {
			t.Errorf("%d: got %s, want %s", n, got, want)
		}
	}
}
