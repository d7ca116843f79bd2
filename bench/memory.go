package main

import (
	"context"
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"text/tabwriter"
	"time"

	"github.com/elastickv/elastickv/internal/resp"
)

// memoryCommand reads data that are larger than the cache.
type memoryCommand struct {
	pace
	cache, times, size int
}

func newMemoryCommand(fs *flag.FlagSet) measurement {
	o := &memoryCommand{}
	fs.IntVar(&o.cache, "cache", 64, "MiB of the cache (--cache-size)")
	fs.IntVar(&o.times, "times", 10, "how many times the cache the data are; those that fit are a quarter of the cache")
	fs.IntVar(&o.size, "d", 1000, "bytes of a value, which cannot be compressed")
	o.name(fs, 3, 3)
	return o
}

func (o *memoryCommand) fault() error {
	if min(o.cache, o.times, o.size) < 1 || o.size > len(valuePool)/4 {
		return fmt.Errorf("want -cache and -times above 0, and -d from 1 to %d", len(valuePool)/4)
	}
	return o.pace.fault()
}

// keysIn is how many keys so many bytes hold.
func (o *memoryCommand) keysIn(bytes int) int { return max(1, bytes/o.size) }

func dataKey(i int) string { return fmt.Sprintf("data:%012d", i) }

// The contestants of this command.
const (
	engineAlone = "engine alone"
	oursLarge   = "elastickv"
	oursFits    = "elastickv, data that fit"
)

// depths are the pipelines that are measured. In a longer one what a request costs by itself, on both sides of the socket, is less.
var depths = []int{1, 16}

func (o *memoryCommand) run(ctx context.Context, l *lab) error {
	if l.short {
		o.shorten()
		o.cache = max(1, o.cache/8)
	}
	large, small := o.keysIn(o.times*o.cache<<20), o.keysIn(o.cache<<20/4)
	fmt.Fprintf(l.report, "cache %d MiB; %d keys of %d bytes, %d of those that fit; %d clients; %d rounds of %gs; seed %d\n",
		o.cache, large, o.size, small, o.clients, o.rounds, o.seconds, l.seed)
	fmt.Fprintln(l.progress, "fill", engineAlone)
	alone, err := o.openAlone(ctx, l, large)
	if err != nil {
		return err
	}
	defer alone.Close()
	c := l.ours.with("--cache-size", strconv.Itoa(o.cache<<20))
	return l.withServer(ctx, c, func(ours *server) error {
		return l.withServer(ctx, c, func(fits *server) error {
			ours.name, fits.name = oursLarge, oursFits
			return o.compare(ctx, l, alone, []reader{{ours, large}, {fits, small}})
		})
	})
}

// reader is a server and how many keys it has.
type reader struct {
	*server
	keys int
}

func (o *memoryCommand) compare(ctx context.Context, l *lab, alone *aloneEngine, readers []reader) error {
	for _, r := range readers {
		fmt.Fprintln(l.progress, "fill", r.name)
		r.beginPeak()
		began := time.Now()
		if err := r.fill(ctx, r.keys, func(w *worker, i int) { w.add("SET", dataKey(i), value(i, o.size)) }); err != nil {
			return err
		}
		fmt.Fprintf(l.report, "filled %s in %v, peak of memory %.0f MiB\n", r.name, time.Since(began).Round(time.Millisecond), usageOf(r.pid).peak/(1<<20))
		if err := r.settle(ctx); err != nil {
			return err
		}
	}
	res := newResults("reads", engineAlone, oursLarge)
	for _, d := range distributions {
		fmt.Fprintln(l.progress, d.name)
		for round := range o.rounds {
			if err := o.round(ctx, res, d, alone, readers, l.seed+uint64(round)); err != nil {
				return err
			}
		}
	}
	o.print(l, res)
	return nil
}

// chooser draws a number.
type chooser func(*rand.Rand) int

// distributions are how keys are chosen among n.
var distributions = []distribution{
	{"uniform", func(n int) chooser { return func(rng *rand.Rand) int { return rng.IntN(n) } }},
	{"zipf", func(n int) chooser { return newZipf(n).scattered }},
}

type distribution struct {
	name string
	over func(n int) chooser
}

// round has everyone read, one after the other.
func (o *memoryCommand) round(ctx context.Context, res *results, d distribution, alone *aloneEngine, readers []reader, seed uint64) error {
	got, err := alone.take(ctx, load{clients: o.clients, seed: seed}, d.over(alone.keys), o.turn())
	if err != nil {
		return err
	}
	for _, depth := range depths {
		test := atDepth(d.name, depth)
		res.add(test, engineAlone, got)
		for _, r := range readers {
			got, err := r.take(ctx, load{clients: o.clients, seed: seed, batch: depth, op: o.get(d.over(r.keys), depth)}, o.turn())
			if err != nil {
				return fmt.Errorf("%s: %s: %w", test, r.name, err)
			}
			res.add(test, r.name, got)
		}
	}
	return nil
}

func atDepth(name string, depth int) string { return fmt.Sprintf("%s, pipeline %d", name, depth) }

// get reads keys, depth of them at once.
func (o *memoryCommand) get(choose chooser, depth int) operation {
	return func(w *worker) error {
		for range depth {
			w.add("GET", dataKey(choose(w.rng)))
		}
		return w.flush(func(v resp.Value) error {
			if len(v.Str) != o.size {
				return wrongAnswer(v, "GET")
			}
			return nil
		})
	}
}

// print writes a line for each contestant, and the goals.
func (o *memoryCommand) print(l *lab, res *results) {
	fmt.Fprintln(l.report, "\nmedians; cpu is that of the engine or the server, memory the most during the reads. The machine's own cache of files is not limited.")
	tw := tabwriter.NewWriter(l.report, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "gets/s\tµs a get\tcpu µs a get\tp50 ms\tp99 ms\tpeak MiB\t  by\t reads\t")
	for _, test := range res.tests {
		for _, by := range []string{engineAlone, oursLarge, oursFits} {
			one := func(f figure) float64 { return res.of(test, by, f) }
			fmt.Fprintf(tw, "%.0f\t%.2f\t%.2f\t%.3f\t%.3f\t%.0f\t  %s\t %s\t\n", one(rps), 1e6/one(rps), one(cpu), one(p50), one(p99), one(peak)/(1<<20), by, test)
		}
	}
	tw.Flush()
	for _, depth := range depths {
		uniform, zipf := atDepth("uniform", depth), atDepth("zipf", depth)
		printGoals(l.report, []goal{
			{what: uniform + ": time of a get, times the engine's", got: 1 / res.ratio(uniform, rps), target: 2.5, most: true},
			{what: uniform + ": cpu of a get, times the engine's", got: res.ratio(uniform, cpu), target: 2.5, most: true},
			{what: zipf + ": gets a second, times those of data that fit", got: res.of(zipf, oursLarge, rps) / res.of(zipf, oursFits, rps), target: .7},
		})
	}
}
