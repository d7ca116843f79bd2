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

// memoryCommand reads and writes data that are larger than the caches, and holds the server to its limit of memory.
type memoryCommand struct {
	pace
	limit, times, size int

	engine, caches int     // bytes of the server's plan: of its engine, and of that and the newest versions
	most           float64 // bytes that the server with the large data had at most
}

func newMemoryCommand(fs *flag.FlagSet) measurement {
	o := &memoryCommand{}
	fs.IntVar(&o.limit, "limit", 256, "MiB of the process (--memory-limit)")
	fs.IntVar(&o.times, "times", 10, "how many times the server's caches the data are; those that fit are a tenth of them")
	fs.IntVar(&o.size, "d", 1000, "bytes of a value, which cannot be compressed")
	o.name(fs, 3, 3)
	return o
}

func (o *memoryCommand) fault() error {
	if min(o.limit, o.times, o.size) < 1 || o.size > len(valuePool)/4 {
		return fmt.Errorf("want -limit and -times above 0, and -d from 1 to %d", len(valuePool)/4)
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
		o.times = max(1, o.times/10)
	}
	c := l.ours.with("--memory-limit", strconv.Itoa(o.limit<<20))
	return l.withServer(ctx, c, func(ours *server) error {
		if err := o.learn(ours); err != nil {
			return err
		}
		large, small := o.keysIn(o.times*o.caches), o.keysIn(o.caches/10)
		fmt.Fprintf(l.report, "limit %d MiB, %d of it for the engine, %d for that and newest versions; %d keys of %d bytes, %d of those that fit; %d clients; %d rounds of %gs; seed %d\n",
			o.limit, o.engine>>20, o.caches>>20, large, o.size, small, o.clients, o.rounds, o.seconds, l.seed)
		fmt.Fprintln(l.progress, "fill", engineAlone)
		alone, err := o.openAlone(ctx, l, large)
		if err != nil {
			return err
		}
		defer alone.Close()
		return l.withServer(ctx, c, func(fits *server) error {
			ours.name, fits.name = oursLarge, oursFits
			return o.compare(ctx, l, alone, []reader{{ours, large}, {fits, small}})
		})
	})
}

// learn asks a server how it has divided its memory.
func (o *memoryCommand) learn(s *server) error {
	v, err := s.call("INFO", "memory")
	if err != nil {
		return err
	}
	o.engine = int(numberAfter(v.Str, "memory_limit_engine:"))
	o.caches = o.engine + int(numberAfter(v.Str, "memory_limit_versions:"))
	if o.engine == 0 {
		return wrongAnswer(v, "INFO", "memory")
	}
	return nil
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
		fmt.Fprintf(l.report, "filled %s in %v, peak of memory %.0f MiB\n", r.name, time.Since(began).Round(time.Millisecond), o.peakOf(r)/(1<<20))
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
	fmt.Fprintln(l.progress, "writes")
	mixed := newResults("half of them writes", oursFits, oursLarge)
	for _, d := range distributions {
		for round := range o.rounds {
			for _, r := range readers {
				got, err := r.take(ctx, load{clients: o.clients, seed: l.seed + uint64(round), batch: writesDepth, op: o.mix(d.over(r.keys))}, o.turn())
				if err != nil {
					return fmt.Errorf("%s: %s: %w", d.name, r.name, err)
				}
				o.peakOf(r)
				mixed.add(atDepth(d.name, writesDepth), r.name, got)
			}
		}
	}
	o.print(l, res)
	mixed.print(l.report)
	printGoals(l.report, []goal{{what: "memory of the server with the large data at most, times the limit", got: o.most / float64(o.limit<<20), target: 1.1, most: true}})
	return nil
}

// peakOf is what a server had at most since beginPeak.
func (o *memoryCommand) peakOf(r reader) float64 {
	peak := usageOf(r.pid).peak
	if r.name == oursLarge {
		o.most = max(o.most, peak)
	}
	return peak
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
			o.peakOf(r)
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

// writesDepth is the pipeline in which half of the commands are writes.
const writesDepth = 16

// mix reads one key and writes another, again and again.
func (o *memoryCommand) mix(choose chooser) operation {
	return func(w *worker) error {
		for range writesDepth / 2 {
			w.add("GET", dataKey(choose(w.rng)))
			w.add("SET", dataKey(choose(w.rng)), value(w.rng.IntN(1<<30), o.size))
		}
		return w.flush(nil)
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
