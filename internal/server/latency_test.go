package server

import (
	"strings"
	"testing"
	"time"
)

func TestLatencySeries(t *testing.T) {
	var l latencies
	for i := range int64(200) {
		l.add("command", latencySample{at: i / 2, millis: i % 7})
	}
	l.add("fast-command", latencySample{at: 1, millis: 9})
	s, ok := l.series("command")
	if !ok || len(s.samples) != 100 || s.most != 6 {
		t.Fatalf("%v, %d samples, most %d", ok, len(s.samples), s.most)
	}
	if got, want := s.samples[3], (latencySample{3, 6}); got != want { // of events 6 and 7: 6 and 0
		t.Errorf("sample 3 is %v, want %v", got, want)
	}
	for i := range int64(300) {
		l.add("command", latencySample{at: 1000 + i, millis: 1})
	}
	s, _ = l.series("command")
	if len(s.samples) != latencySamplesMost || s.samples[0].at != 1300-latencySamplesMost || s.most != 6 {
		t.Errorf("%d samples from %d on, most %d", len(s.samples), s.samples[0].at, s.most)
	}
	if n := l.reset("COMMAND"); n != 1 {
		t.Errorf("reset of one: %d", n)
	}
	if n := l.reset(""); n != 1 {
		t.Errorf("reset of the rest: %d", n)
	}
	if _, ok := l.series("fast-command"); ok {
		t.Error("an event is left")
	}
}

func TestHistogramUpTo(t *testing.T) {
	var h histogram
	for _, d := range []time.Duration{500, 1000, 1500, 2047, 4 * time.Microsecond, time.Millisecond} {
		h.add(d)
	}
	counts := h.upTo()
	for i, want := range map[int]int64{0: 2, 1: 4, 2: 5, 9: 5, 10: 6} { // up to 1, 2, 4, 524 and 1049 microseconds
		if i >= len(counts) || counts[i] != want {
			t.Errorf("up to %d ns: %v, want %d", latencyFirst<<i, counts, want)
		}
	}
}

func TestLatencyGraph(t *testing.T) {
	s := latencySeries{samples: []latencySample{{940, 10}, {950, 130}, {3, 70}, {1000, 20}}, most: 200}
	want := strings.Join([]string{
		"command - high 130 ms, low 10 ms (all time high 200 ms)",
		strings.Repeat("-", 80),
		" #  ",
		" |_ ",
		" || ",
		"_||o",
		"    ",
		"1510",
		"m06s",
		" sm ",
		"",
	}, "\n")
	if got := s.graph("command", 1000); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	flat := latencySeries{samples: []latencySample{{1000, 10}}}
	if got := flat.graph("command", 1000); !strings.Contains(got, "\n_\n \n0\ns\n") {
		t.Errorf("one sample:\n%s", got)
	}
}
