package main

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
)

// results are requests a second, by test and contestant, one for each round.
type results struct {
	tests []string // in the order of redis-benchmark
	rps   map[string]map[string][]float64
}

func newResults() *results { return &results{rps: make(map[string]map[string][]float64)} }

// measure runs redis-benchmark once against a fresh server.
func (r *results) measure(ctx context.Context, c contestant, dir string, o options, pipeline string) error {
	return c.with(ctx, dir, func(port string) error {
		args := []string{"-h", "127.0.0.1", "-p", port, "--csv", "-n", strconv.Itoa(o.requests),
			"-r", strconv.Itoa(o.keyspace), "-c", strconv.Itoa(o.clients), "-P", pipeline}
		if o.tests != "" {
			args = append(args, "-t", o.tests)
		}
		cmd := exec.CommandContext(ctx, "redis-benchmark", args...)
		var complaints strings.Builder
		cmd.Stderr = &complaints
		out, err := cmd.Output()
		if err != nil {
			return fmt.Errorf("redis-benchmark: %w\n%s", err, complaints.String())
		}
		return r.add(c.name, string(out))
	})
}

// add takes the output of redis-benchmark --csv: a line of headings, then test, requests
// a second, latencies.
func (r *results) add(contestant, out string) error {
	lines := csv.NewReader(strings.NewReader(out))
	lines.FieldsPerRecord = -1
	rows, err := lines.ReadAll()
	if err != nil || len(rows) < 2 {
		return fmt.Errorf("redis-benchmark wrote %q (%v)", out, err)
	}
	for _, row := range rows[1:] {
		if len(row) < 2 {
			return fmt.Errorf("redis-benchmark wrote %q", row)
		}
		v, err := strconv.ParseFloat(row[1], 64)
		if err != nil {
			return fmt.Errorf("redis-benchmark wrote %q", row)
		}
		test := row[0]
		if r.rps[test] == nil {
			r.tests = append(r.tests, test)
			r.rps[test] = make(map[string][]float64)
		}
		r.rps[test][contestant] = append(r.rps[test][contestant], v)
	}
	return nil
}

// print writes a line for each test, in requests a second.
func (r *results) print(w io.Writer, pipeline, base, ours string) {
	fmt.Fprintf(w, "\npipeline %s, medians in requests a second\n", pipeline)
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "%s\t%s\tratio\t  test\t\n", base, ours)
	for _, test := range r.tests {
		b, o := median(r.rps[test][base]), median(r.rps[test][ours])
		fmt.Fprintf(tw, "%.0f\t%.0f\t%.2f\t  %s\t\n", b, o, o/b, test)
	}
	tw.Flush()
}

func median(v []float64) float64 {
	if len(v) == 0 {
		return 0
	}
	v = slices.Sorted(slices.Values(v))
	m := len(v) / 2
	if len(v)%2 == 1 {
		return v[m]
	}
	return (v[m-1] + v[m]) / 2
}
