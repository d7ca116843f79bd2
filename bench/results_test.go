package main

import (
	"math"
	"strings"
	"testing"
)

func TestResults(t *testing.T) {
	r := newResults("16")
	for i, s := range []sample{{rps: 10, p50: 1, cpu: 2}, {rps: 30, p50: 3, cpu: 4}, {rps: 20, p50: 2, cpu: 3}} {
		r.add("SET", "a", s)
		r.add("SET", "b", sample{rps: []float64{20, 30, 60}[i]})
		r.add("GET", "a", sample{rps: 8})
		r.add("GET", "b", sample{rps: 4})
	}
	r.memory = map[string]float64{"a": 1 << 20, "b": 3 << 20}
	if got := r.ratio("SET", "a", "b"); got != 2 {
		t.Errorf("ratio of the pairs: got %v, want 2", got)
	}
	if got := r.of("SET", "b", rps); got != 30 {
		t.Errorf("median: got %v, want 30", got)
	}
	var b strings.Builder
	r.print(&b, "a", "b")
	for _, want := range []string{"pipeline 16: medians, a / b", "geometric mean of the ratios: 1.00, lowest 0.50", "peak memory in MiB: 1 / 3"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("got\n%s\nwant a line with %q", b.String(), want)
		}
	}
	lines := strings.Split(b.String(), "\n")
	if got, want := strings.Join(strings.Fields(lines[3]), " "), "2.00 20 30 2.000 0.000 0.000 0.000 0.000 0.000 3.0 0.0 0 0 SET"; got != want {
		t.Errorf("the line of SET: got %q, want %q", got, want)
	}
	if got := geometricMean([]float64{1, 4}); math.Abs(got-2) > 1e-9 {
		t.Errorf("geometric mean: got %v, want 2", got)
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

func TestParseOptions(t *testing.T) {
	for _, bad := range []string{"-n 0", "-d 0", "-P 0", "-P 1,x", "-rounds 0", "extra", "-nosuch", "-t nosuch"} {
		if _, err := parseOptions(strings.Fields(bad), &strings.Builder{}); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
	if got := testsNamed("set,LRANGE"); len(got) != 5 || got[0].name != "SET" {
		t.Errorf("tests by name: got %v", got)
	}
	if got := testsNamed(""); len(got) != len(suite) {
		t.Errorf("without names: got %d tests of %d", len(got), len(suite))
	}
}
