package main

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
)

func TestResults(t *testing.T) {
	r := newResults("pipeline 16", "a", "b")
	for i, s := range []sample{{rps: 10, p50: 1, usage: usage{cpu: 2, peak: 1 << 20}}, {rps: 30, p50: 3, usage: usage{cpu: 4}}, {rps: 20, p50: 2, usage: usage{cpu: 3}}} {
		r.add("SET", "a", s)
		r.add("SET", "b", sample{rps: []float64{20, 30, 60}[i]})
		r.add("GET", "a", sample{rps: 8})
		r.add("GET", "b", sample{rps: 4})
	}
	if got := r.ratio("SET", rps); got != 2 {
		t.Errorf("ratio of the pairs: got %v, want 2", got)
	}
	if got := r.of("SET", "b", rps); got != 30 {
		t.Errorf("median: got %v, want 30", got)
	}
	var b strings.Builder
	r.print(&b)
	for _, want := range []string{"pipeline 16: medians, a | b", "geometric mean of the ratios: 1.00, lowest 0.50"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("got\n%s\nwant a line with %q", b.String(), want)
		}
	}
	lines := strings.Split(b.String(), "\n")
	if got, want := strings.Join(strings.Fields(lines[3]), " "), "2.00 20 30 2.000 0.000 0.000 0.000 0.000 0.000 3.0 0.0 0 0 0 0 SET"; got != want {
		t.Errorf("the line of SET: got %q, want %q", got, want)
	}
	if got := geometricMean([]float64{1, 4}); math.Abs(got-2) > 1e-9 {
		t.Errorf("geometric mean: got %v, want 2", got)
	}
}

func TestTurns(t *testing.T) {
	r, a, b := newResults("", "a", "b"), &server{name: "a"}, &server{name: "b"}
	var order strings.Builder
	err := r.turns(t.Context(), 2, "SET", []*server{a, b}, func(s *server, round int) (sample, error) {
		fmt.Fprint(&order, s.name, round)
		return sample{rps: 1}, nil
	})
	if err != nil || order.String() != "a0b0a1b1" || len(r.samples["SET"]["b"]) != 2 {
		t.Errorf("got %s, %v", order.String(), err)
	}
	broken := errors.New("broken")
	if err := r.turns(t.Context(), 2, "GET", []*server{a}, func(*server, int) (sample, error) { return sample{}, broken }); !errors.Is(err, broken) {
		t.Errorf("got %v, want %v", err, broken)
	}
}

func TestGoals(t *testing.T) {
	var b strings.Builder
	printGoals(&b, []goal{{what: "mean", got: 1, target: 1}, {what: "mean", got: .5, target: 1}, {what: "p99", got: 2, target: 1, most: true}, {what: "p99", got: 1, target: 1, most: true}})
	var verdicts []string
	for line := range strings.Lines(b.String()) {
		verdicts = append(verdicts, strings.Join(strings.Fields(line)[2:], " "))
	}
	if got, want := strings.Join(verdicts, "; "), ">= 1 is 1.00 met; >= 1 is 0.50 NOT MET; <= 1 is 2.00 NOT MET; <= 1 is 1.00 met"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

const reportOfBenchmark = `====== SET ======
  2000 requests completed in 0.09 seconds

Latency by percentile distribution:
0.000% <= 0.023 milliseconds (cumulative count 1)
50.000% <= 0.071 milliseconds (cumulative count 1237)
99.805% <= 5.847 milliseconds (cumulative count 1997)
99.902% <= 5.879 milliseconds (cumulative count 1999)
100.000% <= 5.895 milliseconds (cumulative count 2000)

Cumulative distribution of latencies:
100.000% <= 6.103 milliseconds (cumulative count 2000)

Summary:
  throughput summary: 21052.63 requests per second
  latency summary (msec):
          avg       min       p50       p95       p99       max
        0.144     0.016     0.071     0.263     2.935     5.895
`

func TestParseReport(t *testing.T) {
	got, err := parseReport(reportOfBenchmark)
	if want := (sample{rps: 21052.63, p50: 0.071, p99: 2.935, p999: 5.879}); got != want || err != nil {
		t.Errorf("got %+v, %v; want %+v", got, err, want)
	}
	for _, bad := range []string{"", "throughput summary: 1 requests per second", strings.Replace(reportOfBenchmark, "2.935", "", 1)} {
		if got, err := parseReport(bad); err == nil {
			t.Errorf("%q is taken for %+v", bad, got)
		}
	}
}

func TestUsage(t *testing.T) {
	if got := cpuOf("7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 1 0"); got != 4 {
		t.Errorf("cpu: got %v, want 4", got)
	}
	if got := cpuOf(""); got != 0 {
		t.Errorf("cpu of nothing: got %v", got)
	}
	if got := numberAfter("rchar: 1\nwrite_bytes: 4096\ncancelled_write_bytes: 2\n", "write_bytes:"); got != 4096 {
		t.Errorf("bytes: got %v, want 4096", got)
	}
}
