// Command bench answers: how fast are we beside a redis-server that gives the same promise?
// It runs redis-benchmark by turns, test by test, against this tree's server and against redis-server
// with an append-only file that is synced before every reply, both on one disk and each with a fresh folder, and
// prints for each test what the median of the rounds is and their ratio. It imports nothing of
// this module.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"time"
)

// options are what the command line sets.
type options struct {
	requests, keyspace, clients, size, rounds int

	pipelines []string
	tests     []test
	dir       string
	history   string
}

// requestsAt is how many requests one run of a test has. Pipelines need more to take as long.
func (o options) requestsAt(pipeline string) int {
	if pipeline == "1" {
		return o.requests
	}
	return 4 * o.requests
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
	m := thisMachine(ctx, time.Now())
	var report bytes.Buffer
	w := io.MultiWriter(stdout, &report)
	m.write(w)
	fmt.Fprintf(w, "%d requests at pipeline 1 and four times as many else, of %d bytes, %d keys, %d clients, %d rounds\n",
		o.requests, o.size, o.keyspace, o.clients, o.rounds)
	for _, pipeline := range o.pipelines {
		r := newResults(pipeline)
		err := redis.with(ctx, dir, func(a *server) error {
			return ours.with(ctx, dir, func(b *server) error { return r.compare(ctx, o, stderr, a, b) })
		})
		if err != nil {
			return err
		}
		r.print(w, redis.name, ours.name)
	}
	return keep(o.history, m, report.Bytes())
}

// compare runs every test against the servers by turns.
func (r *results) compare(ctx context.Context, o options, stderr io.Writer, servers ...*server) error {
	for _, t := range o.tests {
		for _, s := range servers {
			if err := s.fill(ctx, t, o); err != nil {
				return err
			}
		}
		fmt.Fprintf(stderr, "pipeline %s: %s\n", r.pipeline, t.name)
		for range o.rounds {
			for _, s := range servers {
				got, err := s.measure(ctx, t, o, r.pipeline)
				if err != nil {
					return fmt.Errorf("%s: %w", s.name, err)
				}
				r.add(t.name, s.name, got)
			}
		}
	}
	for _, s := range servers {
		r.memory[s.name] = s.memory
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
	fs.IntVar(&o.size, "d", 100, "bytes of a value")
	fs.IntVar(&o.rounds, "rounds", 5, "rounds; the median counts")
	fs.StringVar(&o.history, "history", "", "folder to leave the report in as a file (default: none)")
	short := fs.Bool("short", false, "one round of a fifth of the requests")
	tests := fs.String("t", "", "tests, by the beginning of their names, separated by commas (default: all)")
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
	if *short {
		o.rounds, o.requests = 1, (o.requests+4)/5
	}
	o.tests = testsNamed(*tests)
	if len(o.tests) == 0 {
		return o, fmt.Errorf("-t: no test is called %q", *tests)
	}
	if o.requests < 1 || o.keyspace < 1 || o.clients < 1 || o.size < 1 || o.rounds < 1 || fs.NArg() > 0 {
		return o, fmt.Errorf("want -n, -r, -c, -d and -rounds above 0, and no further argument")
	}
	for _, tool := range []string{"redis-server", "redis-benchmark"} {
		if _, err := exec.LookPath(tool); err != nil {
			return o, fmt.Errorf("%s is not on the PATH (Debian: apt-get install redis)", tool)
		}
	}
	return o, nil
}

// testsNamed returns the tests whose names begin with one of a list, in any case.
func testsNamed(list string) []test {
	var out []test
	for _, t := range suite {
		if slices.ContainsFunc(strings.Split(list, ","), func(name string) bool {
			return strings.HasPrefix(strings.ToLower(t.name), strings.ToLower(name))
		}) {
			out = append(out, t)
		}
	}
	return out
}
