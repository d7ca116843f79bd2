package main

import (
	"fmt"
	"io"
	"math"
	"runtime"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/elastickv/elastickv/bench/machine"
)

// kind is what a row of the table shows.
type kind int

const (
	// ratio is how many times as fast as the base ours is; at least the target.
	ratio kind = iota
	// rate is how many operations ours does a second; at least the target.
	rate
	// allocs is how many allocations an operation of ours makes; at most the target.
	allocs
)

// row is a line of the table.
type row struct {
	name   string // of the benchmark
	kind   kind
	base   string // the contestant that ours is set against
	target float64
}

// results are the samples of all rounds.
type results struct {
	rows    []row
	samples []sample // in the order they were taken
}

// add takes a sample of turn t of job j.
func (r *results) add(j job, t turn, s sample) {
	if s.name == "" {
		s.name = j.name
	}
	if s.by == "" {
		s.by = t.by
	}
	r.samples = append(r.samples, s)
}

// of returns one figure of all samples of a benchmark by a contestant.
func (r *results) of(name, by string, figure func(sample) float64) []float64 {
	var v []float64
	for _, s := range r.samples {
		if s.name == name && s.by == by {
			v = append(v, figure(s))
		}
	}
	return v
}

// report writes the machine, every sample as Go writes benchmarks, and the table.
func (r *results) report(w io.Writer, m machine.Machine, o options, took time.Duration) error {
	if err := m.Write(w); err != nil {
		return err
	}
	fmt.Fprintf(w, "pkg: github.com/elastickv/elastickv/bench/store\nkeys: %d\nkey-bytes: %d\nvalue-bytes: %d\nrounds: %d\nseconds-a-turn: %g\n\n",
		o.keys, keySize, valueSize, o.rounds, o.seconds)
	for _, s := range r.samples {
		fmt.Fprintf(w, "Benchmark%s/by=%s-%d\t%d\t%.1f ns/op", s.name, s.by, runtime.GOMAXPROCS(0), s.ops, s.nsPerOp())
		if s.cpu > 0 {
			fmt.Fprintf(w, "\t%.1f cpu-ns/op", s.cpuPerOp())
		}
		if s.counted {
			fmt.Fprintf(w, "\t%.1f B/op\t%.2f allocs/op", s.bytesPerOp(), s.allocsPerOp())
		}
		fmt.Fprintln(w)
	}
	fmt.Fprintf(w, legend, o.rounds, took.Round(time.Second))
	return r.table(w)
}

const legend = `
Medians of %d rounds, time of an operation; ± is half the distance between the fastest and
the slowest round. The figure is what the target is about: how many times as fast as the
base ours is, or what the target names. Beside it the same by time of the processors: where
that differs and the work does not wait for the disk, other programs were busy. Took %v.

`

// table writes a line for each row.
func (r *results) table(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "ours\t±\tbase\t±\tbadger\t±\tfigure\tby cpu\ttarget\tmet\t  row (base)")
	for _, row := range r.rows {
		for _, by := range []string{ours{}.name(), row.base, badgerDB{}.name()} {
			var ns []float64
			if row.kind != allocs {
				ns = r.of(row.name, by, sample.nsPerOp)
			}
			fmt.Fprintf(tw, "%s\t%s\t", duration(ns), spreadOf(ns))
		}
		figure, met := r.figure(row)
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t  %s\n", row.kind.format(figure), r.ratioByCPU(row),
			row.kind.formatTarget(row.target), yesNo(met), row.label())
	}
	return tw.Flush()
}

func (r row) label() string {
	if r.base == "" {
		return r.name
	}
	return r.name + " (" + r.base + ")"
}

// figure returns what row shows and whether that reaches its target.
func (r *results) figure(row row) (figure float64, met bool) {
	own := median(r.of(row.name, ours{}.name(), sample.nsPerOp))
	switch row.kind {
	case rate:
		figure = 1e9 / own
	case allocs:
		// What the background allocates does not add up to one for each call.
		figure = math.Floor(median(r.of(row.name, ours{}.name(), sample.allocsPerOp)))
		return figure, figure <= row.target
	default:
		figure = median(r.of(row.name, row.base, sample.nsPerOp)) / own
	}
	return figure, figure >= row.target
}

// ratioByCPU is the figure of a row of kind ratio in terms of the processors' time.
func (r *results) ratioByCPU(row row) string {
	own, base := r.of(row.name, ours{}.name(), sample.cpuPerOp), r.of(row.name, row.base, sample.cpuPerOp)
	if row.kind != ratio || median(own) == 0 {
		return ""
	}
	return ratio.format(median(base) / median(own))
}

func (k kind) format(v float64) string {
	switch k {
	case rate:
		return fmt.Sprintf("%.0f/s", v)
	case allocs:
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.2fx", v)
}

func (k kind) formatTarget(v float64) string {
	if k == allocs {
		return fmt.Sprintf("<=%g allocs", v)
	}
	return k.format(v)
}

// duration is the median of v, in nanoseconds, with three digits; nothing if v is empty.
func duration(v []float64) string {
	if len(v) == 0 {
		return ""
	}
	ns := median(v)
	for _, unit := range []string{"ns", "µs", "ms"} {
		if ns < 1000 {
			return fmt.Sprintf("%.3g%s", ns, unit)
		}
		ns /= 1000
	}
	return fmt.Sprintf("%.3gs", ns)
}

// spreadOf is half the distance from least to greatest of v in hundredths of the median.
func spreadOf(v []float64) string {
	if len(v) == 0 {
		return ""
	}
	return fmt.Sprintf("%.0f%%", 50*(slices.Max(v)-slices.Min(v))/median(v))
}

func yesNo(b bool) string {
	if b {
		return "yes"
	}
	return "NO"
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	m := len(v) / 2
	if len(v)%2 == 1 {
		return v[m]
	}
	return (v[m-1] + v[m]) / 2
}
