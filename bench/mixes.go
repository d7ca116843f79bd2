package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
)

// scene is a dataset and what applications do with it, in one server.
type scene struct {
	// fill makes the dataset.
	fill  func(ctx context.Context, s *server) error
	mixes []mix
}

// mix is what clients do, each again and again.
type mix struct {
	name       string
	op, helper operation // as a load has them
}

// scenes are all that is measured. Each server gets scenes of its own, since some know what has been written. How YCSB's and other
// workloads are told in commands stands where they are made.
var scenes = []struct {
	name string
	make func(o *mixesCommand) scene
}{
	{"YCSB", ycsb},
	{"queue, lists", listQueue},
	{"queue, stream", streamQueue},
	{"leaderboard", leaderboard},
	{"rate limiter", rateLimiter},
	{"sessions", sessions},
}

// mixesCommand runs the scenes against both servers.
type mixesCommand struct {
	pace
	records int
	names   string

	seed uint64
}

func newMixesCommand(fs *flag.FlagSet) measurement {
	o := &mixesCommand{}
	fs.IntVar(&o.records, "records", 100_000, "records, members and users in the datasets")
	o.name(fs, 5, 2)
	fs.StringVar(&o.names, "t", "", "datasets, by the beginning of their names, separated by commas (default: all)")
	return o
}

func (o *mixesCommand) fault() error {
	if o.records < 1 || o.clients < 2 {
		return errors.New("want -records above 0 and -c above 1")
	}
	for _, sc := range scenes {
		if beginsWithOne(sc.name, o.names) {
			return o.pace.fault()
		}
	}
	return fmt.Errorf("-t: no dataset is called %q", o.names)
}

func (o *mixesCommand) run(ctx context.Context, l *lab) error {
	o.seed = l.seed
	if l.short {
		o.shorten()
		o.records = (o.records + 9) / 10
	}
	fmt.Fprintf(l.report, "%d clients, each of which waits for every reply; %d records; %d rounds of %gs; seed %d\n",
		o.clients, o.records, o.rounds, o.seconds, o.seed)
	r := newResults("mixes", redis.name, l.ours.name)
	defer func() { // also what was measured before an interruption
		r.print(l.report)
		fmt.Fprint(l.report, mixesLegend)
	}()
	for _, sc := range scenes {
		if !beginsWithOne(sc.name, o.names) {
			continue
		}
		err := l.withBoth(ctx, func(base, ours *server) error {
			return o.play(ctx, l, r, []*server{base, ours}, []scene{sc.make(o), sc.make(o)})
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// play runs every mix of a scene by turns. Each server has its own one.
func (o *mixesCommand) play(ctx context.Context, l *lab, r *results, servers []*server, scenes []scene) error {
	for i, s := range servers {
		if scenes[i].fill == nil {
			continue
		}
		fmt.Fprintf(l.progress, "fill %s\n", s.name)
		if err := scenes[i].fill(ctx, s); err != nil {
			return err
		}
	}
	for i, m := range scenes[0].mixes {
		fmt.Fprintf(l.progress, "%s\n", m.name)
		err := r.turns(ctx, o.rounds, m.name, servers, func(s *server, round int) (sample, error) {
			own := m
			if s == servers[1] {
				own = scenes[1].mixes[i]
			}
			ld := load{clients: o.clients, seed: o.seed + uint64(round), op: own.op, helper: own.helper}
			return s.take(ctx, ld, o.turn())
		})
		if err != nil {
			return err
		}
	}
	return nil
}

const mixesLegend = `An operation is what an application would call one, of one command or several, each with its own round trip:
YCSB's records are hashes of ten fields of 100 bytes, read by HGETALL and updated by HSET of one field; E scans by ZRANGE BYLEX
over an index of keys, then HGETALL of each (1 to 100); inserts are HSET and ZADD. A job of "queue, lists" is LPUSH, LMOVE, LREM; of
"half wait" LPUSH by one client, BRPOPLPUSH, LREM and LPUSH of the result by another, BRPOP by the first; of "stream" XADD, XREADGROUP, XACK, XDEL.
`
