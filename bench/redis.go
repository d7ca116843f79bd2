package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// testsCommand runs redis-benchmark against both servers.
type testsCommand struct {
	requests, keyspace, clients, size, rounds int

	pipelines, names string
}

func newTestsCommand(fs *flag.FlagSet) measurement {
	o := &testsCommand{}
	fs.IntVar(&o.requests, "n", 100_000, "requests of each test; four times as many in pipelines, a fifth of that for LRANGE")
	fs.IntVar(&o.keyspace, "r", 100_000, "different keys")
	fs.IntVar(&o.clients, "c", 50, "connections")
	fs.IntVar(&o.size, "d", 100, "bytes of a value")
	fs.IntVar(&o.rounds, "rounds", 5, "rounds; the median counts")
	fs.StringVar(&o.names, "t", "", "tests, by the beginning of their names, separated by commas (default: all)")
	fs.StringVar(&o.pipelines, "P", "1,16", "requests in a pipeline, one measurement each")
	return o
}

func (o *testsCommand) fault() error {
	for _, p := range strings.Split(o.pipelines, ",") {
		if n, err := strconv.Atoi(p); err != nil || n < 1 {
			return fmt.Errorf("-P: %q is not a number above 0", p)
		}
	}
	if len(testsNamed(o.names)) == 0 {
		return fmt.Errorf("-t: no test is called %q", o.names)
	}
	if min(o.requests, o.keyspace, o.clients, o.size, o.rounds) < 1 {
		return errors.New("want -n, -r, -c, -d and -rounds above 0")
	}
	return nil
}

// requestsOf is how many requests one run of a test has. Pipelines need more to take as long.
func (o *testsCommand) requestsOf(t test, pipeline string) int {
	n := o.requests
	if pipeline != "1" {
		n *= 4
	}
	return max(1, n/max(1, t.fewer))
}

func (o *testsCommand) run(ctx context.Context, l *lab) error {
	if l.short {
		o.rounds, o.requests = 1, (o.requests+4)/5
	}
	fmt.Fprintf(l.report, "%d requests at pipeline 1 and four times as many else (LRANGE: a fifth), of %d bytes, %d keys, %d clients, %d rounds\n",
		o.requests, o.size, o.keyspace, o.clients, o.rounds)
	for _, pipeline := range strings.Split(o.pipelines, ",") {
		r := newResults("pipeline "+pipeline, redis.name, l.ours.name)
		err := l.withBoth(ctx, func(base, ours *server) error { return o.compare(ctx, l, r, pipeline, []*server{base, ours}) })
		r.print(l.report) // also what was measured before an interruption
		printGoals(l.report, o.goals(r, pipeline))
		if err != nil {
			return err
		}
	}
	return nil
}

// compare runs every test against the servers by turns.
func (o *testsCommand) compare(ctx context.Context, l *lab, r *results, pipeline string, servers []*server) error {
	for _, t := range testsNamed(o.names) {
		for _, s := range servers {
			if t.fill == nil {
				continue
			}
			if _, err := s.benchmark(ctx, o, fillTimes, "16", t.fill); err != nil {
				return err
			}
		}
		fmt.Fprintf(l.progress, "pipeline %s: %s\n", pipeline, t.name)
		err := r.turns(ctx, o.rounds, t.name, servers, func(s *server, _ int) (sample, error) { return s.measure(ctx, o, t, pipeline) })
		if err != nil {
			return err
		}
	}
	return nil
}

// goals are what we want to reach; those of the mean and the lowest ratio are about all tests.
func (o *testsCommand) goals(r *results, pipeline string) []goal {
	lowest, get := .8, 1.
	if pipeline != "1" {
		lowest, get = .7, .9
	}
	var goals []goal
	if len(r.tests) == len(suite) {
		goals = append(goals, goal{what: "geometric mean", got: geometricMean(r.ratios()), target: 1},
			goal{what: "lowest ratio", got: slices.Min(r.ratios()), target: lowest})
	}
	for _, t := range testsNamed(o.names) {
		switch {
		case r.samples[t.name] == nil: // interrupted
			continue
		case t.name == "GET":
			goals = append(goals, goal{what: "GET", got: r.ratio(t.name, rps), target: get})
		case t.hot:
			goals = append(goals, goal{what: t.name, got: r.ratio(t.name, rps), target: 1})
		}
		if t.name == "GET" || t.name == "SET" {
			goals = append(goals, goal{what: "p99 of " + t.name + ", times that of " + r.base, got: r.ratio(t.name, p99), target: 1.2, most: true})
		}
	}
	return goals
}
