package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
)

// results are the samples of one depth of pipelines, by test and contestant, one for each round.
type results struct {
	pipeline string
	tests    []string
	samples  map[string]map[string][]sample
	memory   map[string]float64 // bytes, the most
}

func newResults(pipeline string) *results {
	return &results{pipeline: pipeline, samples: make(map[string]map[string][]sample), memory: make(map[string]float64)}
}

func (r *results) add(test, contestant string, s sample) {
	if r.samples[test] == nil {
		r.tests = append(r.tests, test)
		r.samples[test] = make(map[string][]sample)
	}
	r.samples[test][contestant] = append(r.samples[test][contestant], s)
}

// of returns the median of one figure.
func (r *results) of(test, contestant string, figure func(sample) float64) float64 {
	var all []float64
	for _, s := range r.samples[test][contestant] {
		all = append(all, figure(s))
	}
	return median(all)
}

func rps(s sample) float64 { return s.rps }

// ratio is how many times as many requests ours serves. Rounds are compared pair by pair, which leaves out what
// changes on the machine from one to the next; the median of the pairs counts.
func (r *results) ratio(test, base, ours string) float64 {
	var all []float64
	for i, b := range r.samples[test][base] {
		all = append(all, r.samples[test][ours][i].rps/b.rps)
	}
	return median(all)
}

// print writes a line for each test: medians of both, first that of base.
func (r *results) print(w io.Writer, base, ours string) {
	fmt.Fprintf(w, "\npipeline %s: medians, %s / %s\n", r.pipeline, base, ours)
	tw := tabwriter.NewWriter(w, 0, 0, 1, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "ratio\trequests/s\t\tp50 ms\t\tp99 ms\t\tp99.9 ms\t\tcpu s/M\t\tdisk B\t\t test\t")
	var ratios []float64
	for _, test := range r.tests {
		ratio := r.ratio(test, base, ours)
		ratios = append(ratios, ratio)
		fmt.Fprintf(tw, "%.2f\t", ratio)
		for _, f := range []struct {
			format string
			figure func(sample) float64
		}{
			{"%.0f", rps},
			{"%.3f", func(s sample) float64 { return s.p50 }},
			{"%.3f", func(s sample) float64 { return s.p99 }},
			{"%.3f", func(s sample) float64 { return s.p999 }},
			{"%.1f", func(s sample) float64 { return s.cpu }},
			{"%.0f", func(s sample) float64 { return s.written }},
		} {
			fmt.Fprintf(tw, f.format+"\t"+f.format+"\t", r.of(test, base, f.figure), r.of(test, ours, f.figure))
		}
		fmt.Fprintf(tw, " %s\t\n", test)
	}
	tw.Flush()
	fmt.Fprintf(w, "geometric mean of the ratios: %.2f, lowest %.2f\n", geometricMean(ratios), slices.Min(ratios))
	fmt.Fprintf(w, "peak memory in MiB: %.0f / %.0f\n", r.memory[base]/(1<<20), r.memory[ours]/(1<<20))
}

func geometricMean(v []float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += math.Log(x)
	}
	return math.Exp(sum / float64(len(v)))
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
