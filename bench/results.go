package main

import (
	"context"
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

// sample is what one run of one test has measured.
type sample struct {
	rps                     float64
	p50, p99, p999, longest float64 // milliseconds
	usage                           // of the server
}

// results are the samples of a table, by test and contestant, one for each round.
type results struct {
	title      string
	base, ours string
	tests      []string
	samples    map[string]map[string][]sample
}

func newResults(title, base, ours string) *results {
	return &results{title: title, base: base, ours: ours, samples: make(map[string]map[string][]sample)}
}

func (r *results) add(test, contestant string, s sample) {
	if r.samples[test] == nil {
		r.tests = append(r.tests, test)
		r.samples[test] = make(map[string][]sample)
	}
	r.samples[test][contestant] = append(r.samples[test][contestant], s)
}

// turns has each server take a test in each of some rounds, one after the other.
func (r *results) turns(ctx context.Context, rounds int, test string, servers []*server, take func(s *server, round int) (sample, error)) error {
	for round := range rounds {
		for _, s := range servers {
			got, err := take(s, round)
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				return fmt.Errorf("%s: %s: %w", test, s.name, err)
			}
			r.add(test, s.name, got)
		}
	}
	return nil
}

// figure is one number of a sample.
type figure func(sample) float64

func rps(s sample) float64  { return s.rps }
func p50(s sample) float64  { return s.p50 }
func p99(s sample) float64  { return s.p99 }
func cpu(s sample) float64  { return s.cpu }
func peak(s sample) float64 { return s.peak }

// of returns the median of one figure.
func (r *results) of(test, contestant string, f figure) float64 {
	var all []float64
	for _, s := range r.samples[test][contestant] {
		all = append(all, f(s))
	}
	return median(all)
}

// ratio is how many times the base's figure ours is. Rounds are compared pair by pair, which leaves out what
// changes on the machine from one to the next; the median of the pairs counts.
func (r *results) ratio(test string, f figure) float64 {
	var all []float64
	for i, b := range r.samples[test][r.base] {
		if i < len(r.samples[test][r.ours]) && f(b) > 0 {
			all = append(all, f(r.samples[test][r.ours][i])/f(b))
		}
	}
	return median(all)
}

// ratios are those of requests a second, one for each test.
func (r *results) ratios() []float64 {
	var all []float64
	for _, test := range r.tests {
		all = append(all, r.ratio(test, rps))
	}
	return all
}

// columns of the table; each is there for both contestants.
var columns = []struct {
	head, format string
	figure       figure
}{
	{"requests/s", "%.0f", rps},
	{"p50 ms", "%.3f", p50},
	{"p99 ms", "%.3f", p99},
	{"p99.9 ms", "%.3f", func(s sample) float64 { return s.p999 }},
	{"cpu s/M", "%.1f", cpu},
	{"disk B", "%.0f", func(s sample) float64 { return s.written }},
	{"peak MiB", "%.0f", func(s sample) float64 { return s.peak / (1 << 20) }},
}

// print writes a line for each test: medians of both, first that of the base.
func (r *results) print(w io.Writer) {
	if len(r.tests) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s: medians, %s | %s; cpu, disk and memory are the server's, for a million requests, for one, and at most\n", r.title, r.base, r.ours)
	tw := tabwriter.NewWriter(w, 0, 0, 1, ' ', tabwriter.AlignRight)
	fmt.Fprint(tw, "ratio\t")
	for _, c := range columns {
		fmt.Fprintf(tw, " %s\t\t", c.head)
	}
	fmt.Fprintln(tw, " test\t")
	for _, test := range r.tests {
		fmt.Fprintf(tw, "%.2f\t", r.ratio(test, rps))
		for _, c := range columns {
			fmt.Fprintf(tw, " "+c.format+"\t"+c.format+"\t", r.of(test, r.base, c.figure), r.of(test, r.ours, c.figure))
		}
		fmt.Fprintf(tw, " %s\t\n", test)
	}
	tw.Flush()
	ratios := r.ratios()
	fmt.Fprintf(w, "geometric mean of the ratios: %.2f, lowest %.2f\n", geometricMean(ratios), slices.Min(ratios))
}

func geometricMean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += math.Log(x)
	}
	return math.Exp(sum / float64(len(v)))
}

// median returns 0 if there is nothing.
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

// goal is a number that is to be reached, or not to be exceeded.
type goal struct {
	what        string
	got, target float64
	most        bool // the target is the most that it may be
}

// printGoals writes which of them are met.
func printGoals(w io.Writer, goals []goal) {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, g := range goals {
		sign, met := ">=", g.got >= g.target
		if g.most {
			sign, met = "<=", g.got <= g.target
		}
		verdict := "met"
		if !met {
			verdict = "NOT MET"
		}
		fmt.Fprintf(tw, "goal: %s\t%s %g\tis %.2f\t%s\n", g.what, sign, g.target, g.got, verdict)
	}
	tw.Flush()
}
