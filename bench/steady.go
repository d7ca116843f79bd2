package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"time"
)

// steadyCommand writes at full speed for a long time.
type steadyCommand struct {
	lasts, report              time.Duration
	keys, clients, depth, size int
	retention                  int
}

func newSteadyCommand(fs *flag.FlagSet) measurement {
	o := &steadyCommand{}
	fs.DurationVar(&o.lasts, "for", time.Hour, "how long")
	fs.DurationVar(&o.report, "every", time.Minute, "time of one line of figures")
	fs.IntVar(&o.keys, "r", 1_000_000, "different keys of each kind; fields of hashes and members of sorted sets, of a hundred each")
	fs.IntVar(&o.clients, "c", 50, "connections")
	fs.IntVar(&o.depth, "P", 16, "commands in a pipeline")
	fs.IntVar(&o.size, "d", 500, "bytes of a value at most; half of it on average")
	fs.IntVar(&o.retention, "retention", 60, "seconds for which old versions are kept, and between rounds that drop them: with the server's own hour, the folder has at the end all that was written")
	return o
}

func (o *steadyCommand) fault() error {
	if o.lasts <= 0 || o.report <= 0 || min(o.keys, o.clients, o.depth, o.size, o.retention) < 1 || o.size > len(valuePool)/4 {
		return errors.New("want -for, -every, -r, -c, -P, -d and -retention above 0, and -d not above 1 MiB")
	}
	return nil
}

// stallGoal is what no stall may last longer than.
const stallGoal = 250 * time.Millisecond

func (o *steadyCommand) run(ctx context.Context, l *lab) error {
	if l.short {
		o.lasts, o.report, o.keys = o.lasts/300, o.report/12, max(1, o.keys/10)
	}
	fmt.Fprintf(l.report, "%v of %d clients, pipelines of %d, %d keys of each kind, values of up to %d bytes, retention %ds; seed %d\n",
		o.lasts, o.clients, o.depth, o.keys, o.size, o.retention, l.seed)
	disk, err := probeDisk(ctx, l.dir)
	if err != nil {
		return err
	}
	defer disk.end()
	data := filepath.Join(l.dir, "steady")
	s, err := l.ours.with("--retention", strconv.Itoa(o.retention)).start(ctx, data)
	if err != nil {
		return err
	}
	if err = o.dropOften(s); err == nil {
		err = o.observe(ctx, l, s, data, disk)
	}
	s.kill()
	if err != nil {
		return s.failed(err)
	}
	return nil
}

// dropOften has old versions dropped as often as they are kept for.
func (o *steadyCommand) dropOften(s *server) error {
	_, err := s.call("CONFIG", "SET", "retention-interval", strconv.Itoa(o.retention))
	return err
}

// write is one pipeline of mixed writes.
func (o *steadyCommand) write(w *worker) error {
	for range o.depth {
		number := w.rng.IntN(o.keys)
		n, group, member := strconv.Itoa(number), strconv.Itoa(number/100), strconv.Itoa(number%100)
		v := value(w.rng.IntN(1<<30), 1+w.rng.IntN(o.size))
		switch p := w.rng.IntN(100); {
		case p < 40:
			w.add("SET", "s:"+n, v)
		case p < 50:
			w.add("SET", "e:"+n, v, "EX", strconv.Itoa(1+w.rng.IntN(100)))
		case p < 65:
			w.add("HSET", "h:"+group, member, v)
		case p < 75:
			w.add("ZADD", "z:"+group, strconv.Itoa(w.rng.IntN(o.keys)), member)
		case p < 85:
			w.add("LPUSH", "l:"+n, v)
		case p < 90:
			w.add("LTRIM", "l:"+n, "0", "9")
		case p < 95:
			w.add("INCR", "c:"+n)
		default:
			w.add("DEL", "s:"+n, "l:"+n)
		}
	}
	return w.flush(nil)
}

// interval is what was seen between two lines.
type interval struct {
	latencies
	silence time.Duration // the longest time without a reply to anybody
	disk    time.Duration // the longest that somebody else's sync took
}

// watch gathers intervals while workers work.
type watch struct {
	last atomic.Int64 // when the latest reply came, in nanoseconds since began
	mu   struct {
		sync.Mutex
		now interval
	}
}

// add counts a pipeline that took d and whose replies came at a time since the beginning.
func (w *watch) add(d, at time.Duration) {
	silence := at - time.Duration(w.last.Swap(int64(at)))
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.now.add(d)
	w.mu.now.silence = max(w.mu.now.silence, silence)
}

// take returns what was gathered since the last call.
func (w *watch) take() interval {
	w.mu.Lock()
	defer w.mu.Unlock()
	got := w.mu.now
	w.mu.now = interval{}
	return got
}

// observe has clients write and prints a line of figures for each interval.
func (o *steadyCommand) observe(ctx context.Context, l *lab, s *server, data string, disk *diskProbe) error {
	workers, err := s.workers(load{clients: o.clients, seed: l.seed})
	if err != nil {
		return err
	}
	defer closeAll(workers)
	var seen watch
	began := time.Now()
	ld := load{op: func(w *worker) error {
		start := time.Now()
		err := errors.Join(w.allow(replyWait), o.write(w))
		seen.add(time.Since(start), time.Since(began))
		return err
	}}
	done := make(chan error, 1)
	go func() { done <- ld.work(ctx, workers, began.Add(o.lasts), make([]latencies, len(workers))) }()
	fmt.Fprintf(l.report, "\n%8s %10s %9s %9s %10s %11s %8s %8s %10s %11s\n", "after", "writes/s", "p50 ms", "p99 ms", "longest ms", "no reply ms", "disk ms", "RSS MiB", "folder MiB", "written MiB")
	var lines []interval
	tick := time.NewTicker(o.report)
	defer tick.Stop()
	for written, from := usageOf(s.pid).written, began; ; {
		var err error
		ended := false
		select {
		case <-tick.C:
		case err = <-done:
			ended = true
		}
		line, now, sofar := seen.take(), time.Now(), usageOf(s.pid).written
		line.disk = disk.take()
		if line.n > 0 {
			lines = append(lines, line)
		}
		if line.n > 0 && now.Sub(from) > o.report/10 { // the rest may be a moment
			fmt.Fprintf(l.report, "%8v %10.0f %9.2f %9.2f %10.1f %11.1f %8.1f %8.0f %10.0f %11.0f\n", now.Sub(began).Round(time.Second),
				float64(line.n)*float64(o.depth)/now.Sub(from).Seconds(), milliseconds(line.at(.5)), milliseconds(line.at(.99)), milliseconds(line.max),
				milliseconds(line.silence), milliseconds(line.disk), s.memory()/(1<<20), folderSize(data)/(1<<20), (sofar-written)/(1<<20))
		}
		written, from = sofar, now
		if ended {
			o.print(l, lines)
			return err
		}
	}
}

// print writes the sum of all lines.
func (o *steadyCommand) print(l *lab, lines []interval) {
	var all interval
	var ours time.Duration // the longest stall, without what the disk alone stalled at that time
	for i := range lines {
		ours = max(ours, lines[i].max-lines[i].disk)
		all.merge(&lines[i].latencies)
		all.silence, all.disk = max(all.silence, lines[i].silence), max(all.disk, lines[i].disk)
	}
	fmt.Fprintf(l.report, "\n%d pipelines of %d: p50 %.2f ms, p99 %.2f ms, p99.9 %.2f ms, longest %.1f ms, longest time without any reply %.1f ms; longest sync of a file of 4 KiB that nobody else writes %.1f ms\n",
		all.n, o.depth, milliseconds(all.at(.5)), milliseconds(all.at(.99)), milliseconds(all.at(.999)), milliseconds(all.max), milliseconds(all.silence), milliseconds(all.disk))
	goals := []goal{
		{what: "longest stall in ms", got: milliseconds(all.max), target: milliseconds(stallGoal), most: true},
		{what: "longest stall in ms, without the disk's own at that time", got: milliseconds(ours), target: milliseconds(stallGoal), most: true},
	}
	if half := len(lines) / 2; half > 0 {
		early, late := p99OfAll(lines[:half]), p99OfAll(lines[len(lines)-half:])
		goals = append(goals, goal{what: "p99 of the later half, times that of the earlier", got: late / early, target: 1.2, most: true})
	}
	printGoals(l.report, goals)
}

func p99OfAll(lines []interval) float64 {
	var all latencies
	for i := range lines {
		all.merge(&lines[i].latencies)
	}
	return milliseconds(all.at(.99))
}
