package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/elastickv/elastickv/internal/resp"
)

// scaleCommand gives our server one processor, and more.
type scaleCommand struct {
	pace
	procs      string
	keys, size int
}

func newScaleCommand(fs *flag.FlagSet) measurement {
	o := &scaleCommand{}
	fs.StringVar(&o.procs, "procs", "1,2", "processors of the server (GOMAXPROCS), separated by commas; all are compared with the first")
	fs.IntVar(&o.keys, "r", 100_000, "different keys")
	fs.IntVar(&o.size, "d", 100, "bytes of a value")
	o.name(fs, 5, 2)
	return o
}

func (o *scaleCommand) fault() error {
	for p := range strings.SplitSeq(o.procs, ",") {
		if n, err := strconv.Atoi(p); err != nil || n < 1 {
			return fmt.Errorf("-procs: %q is not a number above 0", p)
		}
	}
	if min(o.keys, o.size) < 1 || o.size > len(valuePool)/4 {
		return errors.New("want -r above 0, and -d above 0 and not above 1 MiB")
	}
	return o.pace.fault()
}

func (o *scaleCommand) run(ctx context.Context, l *lab) error {
	if l.short {
		o.shorten()
	}
	var servers []*server
	defer func() {
		for _, s := range servers {
			s.kill()
		}
	}()
	for p := range strings.SplitSeq(o.procs, ",") {
		c := l.ours
		c.name, c.env = "GOMAXPROCS="+p, []string{"GOMAXPROCS=" + p}
		s, err := c.start(ctx, filepath.Join(l.dir, "procs-"+p))
		if err != nil {
			return err
		}
		servers = append(servers, s)
		if err := s.fill(ctx, o.keys, func(w *worker, i int) { w.add("SET", dataKey(i), value(i, o.size)) }); err != nil {
			return err
		}
	}
	r := newResults("processors", servers[0].name, servers[0].name)
	for _, depth := range depths {
		for _, command := range []string{"SET", "GET"} {
			test := atDepth(command, depth)
			fmt.Fprintln(l.progress, test)
			err := r.turns(ctx, o.rounds, test, servers, func(s *server, round int) (sample, error) {
				ld := load{clients: o.clients, seed: l.seed + uint64(round), batch: depth, op: o.repeat(command, depth)}
				return s.take(ctx, ld, o.turn())
			})
			if err != nil {
				return err
			}
		}
	}
	o.print(l, r, servers)
	return nil
}

// repeat carries out a command on any of the keys, depth times at once.
func (o *scaleCommand) repeat(command string, depth int) operation {
	return func(w *worker) error {
		for range depth {
			if key := dataKey(w.rng.IntN(o.keys)); command == "SET" {
				w.add("SET", key, value(w.rng.IntN(1<<30), o.size))
			} else {
				w.add("GET", key)
			}
		}
		return w.flush(func(v resp.Value) error {
			if v.Str != "OK" && len(v.Str) != o.size {
				return wrongAnswer(v, command)
			}
			return nil
		})
	}
}

func (o *scaleCommand) print(l *lab, r *results, servers []*server) {
	fmt.Fprintf(l.report, "\nindependent keys, %d clients on the same machine; medians of %d rounds. Busy is how many processors the server kept busy.\n", o.clients, o.rounds)
	tw := tabwriter.NewWriter(l.report, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "requests/s\tratio\tcpu s/M\tbusy\tp99 ms\t  \t")
	for _, test := range r.tests {
		for _, s := range servers {
			r.ours = s.name
			one := func(f figure) float64 { return r.of(test, s.name, f) }
			fmt.Fprintf(tw, "%.0f\t%.2f\t%.1f\t%.2f\t%.3f\t  %s, %s\t\n", one(rps), r.ratio(test, rps), one(cpu), one(rps)*one(cpu)/1e6, one(p99), test, s.name)
		}
	}
	tw.Flush()
}
