package server

import (
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/elastickv/elastickv/internal/command"
)

// Names of events, as Redis has them.
const (
	latencyCommand     = "command"
	latencyFastCommand = "fast-command"
	latencySync        = "aof-fsync-always" // a write waited for its sync
	latencyExpiry      = "expire-cycle"
	latencyEviction    = "eviction-cycle"
	latencyEvict       = "eviction-del"
)

// latencies remembers events that took long: at least the setting latency-monitor-threshold.
type latencies struct {
	mu     sync.Mutex
	byName map[string]*latencySeries // as many as there are names above
}

// latencySeries is the latest events of one name.
type latencySeries struct {
	samples []latencySample // one a second at most, the newest last
	most    int64           // of all that were ever seen, in milliseconds
}

// latencySample is the longest event of a second.
type latencySample struct {
	at     int64 // Unix seconds
	millis int64
}

// latencySamplesMost is how many samples a series keeps.
const latencySamplesMost = 160

// slow takes down an event if it took long.
func (s *Server) slow(event string, took time.Duration) {
	threshold := s.cfg.Load().latencyMillis
	if threshold == 0 || took.Milliseconds() < threshold {
		return
	}
	s.spikes.add(event, latencySample{s.opts.Now().Unix(), took.Milliseconds()})
}

// slowCommand is slow for a command that was carried out.
func (s *Server) slowCommand(cmd *command.Command, took time.Duration) {
	if cmd.Has(command.Fast) {
		s.slow(latencyFastCommand, took)
	} else {
		s.slow(latencyCommand, took)
	}
}

func (l *latencies) add(event string, sample latencySample) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.byName == nil {
		l.byName = make(map[string]*latencySeries)
	}
	t := l.byName[event]
	if t == nil {
		t = new(latencySeries)
		l.byName[event] = t
	}
	t.most = max(t.most, sample.millis)
	if n := len(t.samples); n > 0 && t.samples[n-1].at == sample.at {
		t.samples[n-1].millis = max(t.samples[n-1].millis, sample.millis)
		return
	}
	if len(t.samples) == latencySamplesMost {
		t.samples = slices.Delete(t.samples, 0, 1)
	}
	t.samples = append(t.samples, sample)
}

// series returns a copy of the events of one name, and whether there are any.
func (l *latencies) series(event string) (latencySeries, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	t := l.byName[event]
	if t == nil {
		return latencySeries{}, false
	}
	return latencySeries{slices.Clone(t.samples), t.most}, true
}

// names returns the names of all events that there are, in order.
func (l *latencies) names() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := make([]string, 0, len(l.byName))
	for name := range l.byName {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// reset forgets the events of one name, in any case, or all if it is empty. It returns how many
// names had any.
func (l *latencies) reset(event string) (n int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for name := range l.byName {
		if event == "" || strings.EqualFold(name, event) {
			delete(l.byName, name)
			n++
		}
	}
	return n
}

var latencyTips = []string{"nondeterministic_output", "request_policy:all_nodes", "response_policy:special"}

var latencyRow = &command.Command{
	Name: "latency", Arity: -2, Group: command.GroupServer, Since: "2.8.13",
	Summary: "A container for commands about what took long.", Complexity: "Depends on subcommand.",
	Sub: []*command.Command{
		{Name: "history", Arity: 3, Flags: adminFlags, Group: command.GroupServer, Run: latencyHistory, Since: "2.8.13",
			Syntax:  "event",
			Summary: "Returns the latest events of one name.", Complexity: "O(1)", Tips: latencyTips},
		{Name: "latest", Arity: 2, Flags: adminFlags, Group: command.GroupServer, Run: latencyLatest, Since: "2.8.13",
			Summary: "Returns the latest event of each name.", Complexity: "O(1)", Tips: latencyTips},
		{Name: "reset", Arity: -2, Flags: adminFlags, Group: command.GroupServer, Run: latencyReset, Since: "2.8.13",
			Syntax:  "[event...]",
			Summary: "Forgets events.", Complexity: "O(1)", Tips: []string{"request_policy:all_nodes", "response_policy:agg_sum"}},
		{Name: "graph", Arity: 3, Flags: adminFlags, Group: command.GroupServer, Run: latencyGraph, Since: "2.8.13",
			Syntax:  "event",
			Summary: "Draws the latest events of one name.", Complexity: "O(1)", Tips: latencyTips},
		{Name: "doctor", Arity: 2, Flags: adminFlags, Group: command.GroupServer, Run: latencyDoctor, Since: "2.8.13",
			Summary: "Tells in words what took long, and what may help.", Complexity: "O(1)", Tips: latencyTips},
		{Name: "histogram", Arity: -2, Flags: adminFlags, Group: command.GroupServer, Run: latencyHistogram, Since: "7.0.0",
			Syntax:  "[command...]",
			Summary: "Returns how many calls of commands took how long.", Complexity: "O(N) where N is the number of commands with calls", Tips: latencyTips},
		{Name: "help", Arity: 2, Flags: command.Loading | command.Stale, Group: command.GroupServer, Run: latencyHelp, Since: "2.8.13",
			Summary: "Returns help about the subcommands.", Complexity: "O(1)"},
	},
}

func latencyHistory(c *command.Ctx) error {
	t, _ := serverOf(c).spikes.series(string(c.Args[2]))
	c.Out.Array(len(t.samples))
	for _, s := range t.samples {
		c.Out.Array(2)
		c.Out.Int(s.at)
		c.Out.Int(s.millis)
	}
	return nil
}

func latencyLatest(c *command.Ctx) error {
	l := &serverOf(c).spikes
	l.mu.Lock()
	defer l.mu.Unlock()
	c.Out.Array(len(l.byName))
	for name, t := range l.byName {
		last := t.samples[len(t.samples)-1]
		c.Out.Array(4)
		c.Out.BulkString(name)
		c.Out.Int(last.at)
		c.Out.Int(last.millis)
		c.Out.Int(t.most)
	}
	return nil
}

func latencyReset(c *command.Ctx) error {
	l := &serverOf(c).spikes
	var n int64
	if len(c.Args) == 2 {
		n = l.reset("")
	}
	for _, event := range c.Args[2:] {
		if len(event) > 0 {
			n += l.reset(string(event))
		}
	}
	c.Out.Int(n)
	return nil
}

func latencyHelp(c *command.Ctx) error {
	return help(c, "LATENCY",
		"DOCTOR", "    Return a human readable latency analysis report.",
		"GRAPH <event>", "    Return an ASCII latency graph for the <event> class.",
		"HISTORY <event>", "    Return time-latency samples for the <event> class.",
		"LATEST", "    Return the latest latency samples for all events.",
		"RESET [<event> ...]",
		"    Reset latency data of one or more <event> classes.",
		"    (default: reset all data for all event classes)",
		"HISTOGRAM [COMMAND ...]",
		"    Return a cumulative distribution of latencies in the format of a histogram for the specified command names.",
		"    If no commands are specified then all histograms are replied.")
}

// latencyHistogram answers for the commands named, or for all, which calls there were.
func latencyHistogram(c *command.Ctx) error {
	srv := serverOf(c)
	var shown []*route
	add := func(r *route) {
		if r != nil && r.stats.calls.Load() > 0 {
			shown = append(shown, r)
		}
	}
	if len(c.Args) == 2 {
		for _, r := range srv.busyRoutes() {
			add(r)
		}
	}
	for _, name := range c.Args[2:] {
		r := srv.named[strings.ToLower(string(name))]
		add(r)
		if r != nil {
			for _, sub := range r.cmd.Sub {
				add(srv.routes[sub])
			}
		}
	}
	c.Out.Map(len(shown))
	for _, r := range shown {
		c.Out.BulkString(r.cmd.FullName())
		replyHistogram(c, &r.stats)
	}
	return nil
}

// replyHistogram writes the number of calls, and for durations that double, in microseconds, how
// many calls took no longer, where that is more than before.
func replyHistogram(c *command.Ctx, s *commandStats) {
	counts := s.latency.upTo()
	c.Out.Map(2)
	c.Out.BulkString("calls")
	c.Out.Int(s.calls.Load())
	c.Out.BulkString("histogram_usec")
	type step struct{ micros, calls int64 }
	var steps []step
	var before int64
	for i, n := range counts {
		if n > before {
			top := int64(latencyFirst) << i
			steps = append(steps, step{(top + top/128 - 1) / 1000, n}) // what Redis' histogram cannot tell from top
		}
		before = n
	}
	c.Out.Map(len(steps))
	for _, s := range steps {
		c.Out.Int(s.micros)
		c.Out.Int(s.calls)
	}
}

// latencyFirst is the first duration of LATENCY HISTOGRAM, in nanoseconds.
const latencyFirst = 1024

// upTo returns how many durations are at most 1024 ns, twice that, and so on, until there are
// no more.
func (h *histogram) upTo() []int64 {
	var out []int64
	var n int64
	for i := range h {
		count := h[i].Load()
		n += count
		for count > 0 && len(out) < 40 && int64(bucketTop(i)) >= int64(latencyFirst)<<len(out) {
			out = append(out, n-count)
		}
	}
	return append(out, n)
}
