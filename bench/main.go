// Command bench answers: how fast are we beside a redis-server that gives the same promise?
// It runs redis-benchmark by turns against this tree's server and against redis-server
// with an append-only file that is synced before every reply, both on one disk, and
// prints for each test the median of the rounds and their ratio. It imports nothing of
// this module.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
)

// options are what the command line sets.
type options struct {
	requests, keyspace, clients, rounds int
	pipelines                           []string
	tests                               string
	dir                                 string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(o.dir, "elastickv-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ours, err := buildOurs(ctx, dir)
	if err != nil {
		return err
	}
	contestants := []contestant{redis, ours}
	fmt.Fprintf(stdout, "%d requests, %d keys, %d clients, %d rounds, %d cores\n",
		o.requests, o.keyspace, o.clients, o.rounds, runtime.GOMAXPROCS(0))
	for _, pipeline := range o.pipelines {
		results := newResults()
		for round := range o.rounds {
			for _, c := range contestants {
				fmt.Fprintf(stderr, "pipeline %s, round %d of %d: %s\n", pipeline, round+1, o.rounds, c.name)
				if err := results.measure(ctx, c, dir, o, pipeline); err != nil {
					return err
				}
			}
		}
		results.print(stdout, pipeline, redis.name, ours.name)
	}
	return nil
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("bench", flag.ContinueOnError)
	fs.SetOutput(stderr)
	fs.IntVar(&o.requests, "n", 100_000, "requests of each test")
	fs.IntVar(&o.keyspace, "r", 100_000, "different keys")
	fs.IntVar(&o.clients, "c", 50, "connections")
	fs.IntVar(&o.rounds, "rounds", 3, "rounds; the median counts")
	fs.StringVar(&o.tests, "t", "", "tests, as redis-benchmark -t takes them (default: all)")
	fs.StringVar(&o.dir, "dir", "", "folder to put both servers' data in (default: the system's temporary one)")
	pipelines := fs.String("P", "1,16", "requests in a pipeline, one measurement each")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	o.pipelines = strings.Split(*pipelines, ",")
	for _, p := range o.pipelines {
		if n, err := strconv.Atoi(p); err != nil || n < 1 {
			return o, fmt.Errorf("-P: %q is not a number above 0", p)
		}
	}
	if o.requests < 1 || o.keyspace < 1 || o.clients < 1 || o.rounds < 1 || fs.NArg() > 0 {
		return o, fmt.Errorf("want -n, -r, -c and -rounds above 0, and no further argument")
	}
	for _, tool := range []string{"redis-server", "redis-benchmark"} {
		if _, err := exec.LookPath(tool); err != nil {
			return o, fmt.Errorf("%s is not on the PATH (Debian: apt-get install redis)", tool)
		}
	}
	return o, nil
}
