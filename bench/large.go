package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/elastickv/elastickv/internal/resp"
)

// largeCommand measures values of many MiB and collections of many members.
type largeCommand struct {
	pace
	values  string
	sizes   []int // of values, in MiB
	members int
}

func newLargeCommand(fs *flag.FlagSet) measurement {
	o := &largeCommand{}
	fs.StringVar(&o.values, "values", "1,64", "MiB of the values, separated by commas; none if empty")
	fs.IntVar(&o.members, "members", 1_000_000, "members of a large collection; none is made if it is 0")
	o.name(fs, 3, 1)
	return o
}

func (o *largeCommand) fault() error {
	for text := range strings.SplitSeq(o.values, ",") {
		n, err := strconv.Atoi(text)
		if o.values != "" && (err != nil || n < 1 || n > 256) {
			return fmt.Errorf("-values: %q is not a number from 1 to 256", text)
		}
		if o.values != "" {
			o.sizes = append(o.sizes, n)
		}
	}
	if o.members < 0 {
		return errors.New("want -members from 0 on")
	}
	return o.pace.fault()
}

func (o *largeCommand) run(ctx context.Context, l *lab) error {
	if l.short {
		o.shorten()
		o.members /= 20
	}
	for _, size := range o.sizes {
		err := l.withBoth(ctx, func(base, ours *server) error { return o.value(ctx, l, size, []*server{base, ours}) })
		if err != nil {
			return err
		}
	}
	if o.members == 0 {
		return nil
	}
	return l.withBoth(ctx, func(base, ours *server) error { return o.collections(ctx, l, base, ours) })
}

// timing is how long one call took, and how much memory the server had at most, and before it.
type timing struct {
	took         time.Duration
	peak, before float64
}

// timed carries out one command. check is given the reply.
func (s *server) timed(c *client, check func(resp.Value) bool, args ...string) (timing, error) {
	if err := c.allow(replyWait); err != nil {
		return timing{}, err
	}
	s.beginPeak()
	before, began := s.memory(), time.Now()
	v, err := c.do(args...)
	t := timing{time.Since(began), usageOf(s.pid).peak, before}
	if err == nil && !check(v) {
		err = wrongAnswer(v, args[0])
	}
	return t, err
}

// timings are all rounds of one call, by contestant.
type timings map[string][]timing

// milliseconds is the median.
func (t timings) milliseconds(by string) float64 {
	var all []float64
	for _, one := range t[by] {
		all = append(all, milliseconds(one.took))
	}
	return median(all)
}

// grown is the most that the memory has grown by during a call, in MiB.
func (t timings) grown(by string) float64 {
	var most float64
	for _, one := range t[by] {
		most = max(most, one.peak-one.before)
	}
	return most / (1 << 20)
}

// value measures SET and GET of one value by one client that waits for each reply.
func (o *largeCommand) value(ctx context.Context, l *lab, size int, servers []*server) error {
	fmt.Fprintf(l.progress, "a value of %d MiB\n", size)
	content := strings.Repeat(valuePool, (size+3)/4)[:size<<20]
	sets, gets := timings{}, timings{}
	for round := range o.rounds {
		for _, s := range servers {
			if err := ctx.Err(); err != nil {
				return err
			}
			c, err := s.dial()
			if err != nil {
				return err
			}
			set, errSet := s.timed(c, func(v resp.Value) bool { return v.Str == "OK" }, "SET", "large:"+strconv.Itoa(round), content)
			get, errGet := s.timed(c, func(v resp.Value) bool { return v.Str == content }, "GET", "large:"+strconv.Itoa(round))
			c.close()
			if err := errors.Join(errSet, errGet); err != nil {
				return fmt.Errorf("%s: a value of %d MiB: %w", s.name, size, err)
			}
			sets[s.name], gets[s.name] = append(sets[s.name], set), append(gets[s.name], get)
		}
	}
	base, ours := servers[0].name, servers[1].name
	fmt.Fprintf(l.report, "\na value of %d MiB, %d times: %s | %s; by how much memory grew at most during the call\n", size, o.rounds, base, ours)
	tw := tabwriter.NewWriter(l.report, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tw, "median ms\t\tgrown MiB\t\t  command\t")
	for _, row := range []struct {
		name string
		t    timings
	}{{"SET", sets}, {"GET", gets}} {
		fmt.Fprintf(tw, "%.1f\t%.1f\t%.0f\t%.0f\t  %s\t\n", row.t.milliseconds(base), row.t.milliseconds(ours), row.t.grown(base), row.t.grown(ours), row.name)
	}
	return tw.Flush()
}

// few is how many members a small collection has.
const few = 10

// collections measures calls on a hash and a sorted set with many members and with few, and what makes an end of many.
func (o *largeCommand) collections(ctx context.Context, l *lab, base, ours *server) error {
	servers := []*server{base, ours}
	for _, s := range servers {
		fmt.Fprintf(l.progress, "fill %s\n", s.name)
		for _, c := range []struct {
			kind    collection
			name    string
			members int
		}{{hash, "hash:large", o.members}, {hash, "hash:small", few}, {sortedSet, "zset:large", o.members}, {sortedSet, "zset:small", few}} {
			if err := c.kind.make(ctx, s, c.name, c.members); err != nil {
				return err
			}
		}
		if err := s.settle(ctx); err != nil {
			return err
		}
	}
	r := newResults(fmt.Sprintf("collections of %d and of %d members", o.members, few), base.name, ours.name)
	for _, u := range o.uses() {
		fmt.Fprintln(l.progress, u.name)
		err := r.turns(ctx, o.rounds, u.name, servers, func(s *server, round int) (sample, error) {
			return s.take(ctx, load{clients: o.clients, seed: l.seed + uint64(round), op: u.op}, o.turn())
		})
		if err != nil {
			return err
		}
	}
	r.print(l.report)
	var goals []goal
	for _, pair := range [][2]string{{hsetLarge, hsetSmall}, {zaddLarge, zaddSmall}, {zrangeMiddle, zrangeFirst}} {
		goals = append(goals, goal{
			what: fmt.Sprintf("%s, times those of %s", pair[0], pair[1]),
			got:  r.of(pair[0], ours.name, rps) / r.of(pair[1], ours.name, rps), target: .8,
		})
	}
	printGoals(l.report, goals)
	return o.ends(ctx, l, servers)
}

// collection is a type of them.
type collection struct {
	command string
	// member appends what the command takes for one.
	member func(args []string, i int) []string
}

func memberName(i int) string { return fmt.Sprintf("member:%08d", i) }

var (
	hash      = collection{"HSET", func(args []string, i int) []string { return append(args, memberName(i), value(i, 20)) }}
	sortedSet = collection{"ZADD", func(args []string, i int) []string { return append(args, strconv.Itoa(i), memberName(i)) }}
)

// make makes one with so many members.
func (c collection) make(ctx context.Context, s *server, key string, members int) error {
	const perCommand = 100
	return s.fill(ctx, (members+perCommand-1)/perCommand, func(w *worker, part int) {
		args := []string{c.command, key}
		for i := part * perCommand; i < min((part+1)*perCommand, members); i++ {
			args = c.member(args, i)
		}
		w.add(args...)
	})
}

// use is a call on a collection.
type use struct {
	name string
	op   operation
}

// The calls that goals are about.
const (
	hsetLarge    = "HSET, large"
	hsetSmall    = "HSET, small"
	zaddLarge    = "ZADD, large"
	zaddSmall    = "ZADD, small"
	zrangeFirst  = "ZRANGE of 10, first"
	zrangeMiddle = "ZRANGE of 10, in the middle"
)

func (o *largeCommand) uses() []use {
	hset := func(key string, n int) operation {
		return func(w *worker) error {
			_, err := w.do("HSET", key, memberName(w.rng.IntN(n)), value(w.rng.IntN(1<<30), 20))
			return err
		}
	}
	zadd := func(key string, n int) operation {
		return func(w *worker) error {
			_, err := w.do("ZADD", key, strconv.Itoa(w.rng.IntN(n)), memberName(w.rng.IntN(n)))
			return err
		}
	}
	zrange := func(first int) operation {
		return func(w *worker) error {
			v, err := w.do("ZRANGE", "zset:large", strconv.Itoa(first), strconv.Itoa(first+9))
			if err == nil && len(v.Elems) != min(10, o.members-first) {
				err = wrongAnswer(v, "ZRANGE")
			}
			return err
		}
	}
	return []use{
		{hsetLarge, hset("hash:large", o.members)},
		{hsetSmall, hset("hash:small", few)},
		{zaddLarge, zadd("zset:large", o.members)},
		{zaddSmall, zadd("zset:small", few)},
		{zrangeFirst, zrange(0)},
		{zrangeMiddle, zrange(o.members / 2)},
		{"ZRANK, any", func(w *worker) error {
			v, err := w.do("ZRANK", "zset:large", memberName(w.rng.IntN(o.members)))
			if err == nil && v.Kind != resp.KindInt {
				err = wrongAnswer(v, "ZRANK")
			}
			return err
		}},
	}
}

// renamed is another name for what was made for an ending.
const renamed = "renamed"

// endings are what makes an end of a collection or of its key, or tells when it comes. Each gets a collection of its own.
var endings = []struct {
	name string
	kind collection
	args []string // of the command, the key left out
}{
	{"DEL of a hash", hash, []string{"DEL"}},
	{"DEL of a sorted set", sortedSet, []string{"DEL"}},
	{"EXPIRE of a hash, in an hour", hash, []string{"EXPIRE", "3600"}},
	{"EXPIRE of a hash, at once", hash, []string{"EXPIRE", "-1"}},
	{"SET over a sorted set", sortedSet, []string{"SET", "x"}},
	{"RENAME of a sorted set", sortedSet, []string{"RENAME", renamed}},
}

// ends measures the endings.
func (o *largeCommand) ends(ctx context.Context, l *lab, servers []*server) error {
	base, ours := servers[0].name, servers[1].name
	fmt.Fprintf(l.report, "\ncollections of %d members, median of %d rounds in ms, and by how many MiB memory grew at most: %s | %s\n", o.members, o.rounds, base, ours)
	var goals []goal
	tw := tabwriter.NewWriter(l.report, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, e := range endings {
		fmt.Fprintln(l.progress, e.name)
		t := timings{}
		for range o.rounds {
			for _, s := range servers {
				one, err := e.kind.end(ctx, s, o.members, e.args)
				if err != nil {
					return fmt.Errorf("%s: %s: %w", s.name, e.name, err)
				}
				t[s.name] = append(t[s.name], one)
			}
		}
		fmt.Fprintf(tw, "%.2f\t%.2f\t%.0f\t%.0f\t  %s\t\n", t.milliseconds(base), t.milliseconds(ours), t.grown(base), t.grown(ours), e.name)
		goals = append(goals, goal{what: "ms of " + e.name, got: t.milliseconds(ours), target: 5, most: true})
	}
	tw.Flush()
	printGoals(l.report, goals)
	return nil
}

// end makes a collection and carries out the command on it.
func (c collection) end(ctx context.Context, s *server, members int, args []string) (timing, error) {
	const key = "ending"
	conn, err := s.dial()
	if err != nil {
		return timing{}, err
	}
	defer conn.close()
	if _, err := conn.do("DEL", key, renamed); err != nil {
		return timing{}, err
	}
	if err := c.make(ctx, s, key, members); err != nil {
		return timing{}, err
	}
	args = slices.Insert(slices.Clone(args), 1, key)
	return s.timed(conn, func(v resp.Value) bool { return v.Int == 1 || v.Str == "OK" }, args...)
}
