// Command bench answers: how fast are we, beside a redis-server that gives the same promise, and by ourselves
// where that is the question? It starts this tree's server, and a redis-server with an append-only file that is
// synced before every reply, on loopback and each with a fresh folder on one disk, has them do the same work by turns, and prints
// medians and their ratios. Of this module it uses how replies are read, and what the engine's options are.
package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/elastickv/elastickv/bench/machine"
)

// command is something that can be measured.
type command struct {
	name, about string
	tools       []string // programs that it needs
	// setup names the flags of the command and returns what it does once they have been read.
	setup func(*flag.FlagSet) measurement
}

// measurement does the work of a command. Fault says what is wrong with its flags.
type measurement interface {
	fault() error
	run(ctx context.Context, l *lab) error
}

var commands = []command{
	{"redis", "redis-benchmark's tests, and hot keys, beside a redis-server", []string{redisServer, redisBenchmark}, newTestsCommand},
	{"mixes", "what applications do: YCSB, job queues, a leaderboard, a rate limiter, sessions; beside a redis-server", []string{redisServer}, newMixesCommand},
	{"memory", "reads and writes of data that are ten times the caches, beside the engine alone and data that fit; the limit of memory", nil, newMemoryCommand},
	{"large", "values of many MiB, and collections of a million members, beside a redis-server", []string{redisServer}, newLargeCommand},
	{"start", "how long a large folder takes to be opened; memory of an idle server; size of the program", nil, newStartCommand},
	{"scale", "one processor and more", nil, newScaleCommand},
	{"cluster", "three nodes beside one, and beside an etcd of three; how long writes stop when the leader is killed", nil, newClusterCommand},
	{"profile", "no measurement: the profile of our server under all this, by which the compiler optimises it", []string{redisBenchmark}, newProfileCommand},
	{"steady", "mixed writes at full speed for a long time: the longest stall, percentiles by the minute", nil, newSteadyCommand},
}

// lab is where a command measures.
type lab struct {
	dir      string // for all that it needs; removed at the end
	ours     contestant
	report   io.Writer
	progress io.Writer
	short    bool
	seed     uint64
}

// common are the flags that every command has.
type common struct {
	dir, history, server string
	short                bool
	seed                 uint64
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
	case errors.Is(err, errUsage):
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(2)
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// errUsage is wrapped by faults of the command line.
var errUsage = errors.New("usage: bench COMMAND [flags]; bench COMMAND -help lists the flags")

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	c, m, o, err := parse(args, stderr)
	if err != nil {
		return err
	}
	for _, tool := range c.tools {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not on the PATH (Debian: apt-get install redis)", tool)
		}
	}
	l := &lab{progress: stderr, short: o.short, seed: o.seed}
	if l.dir, err = os.MkdirTemp(o.dir, "elastickv-bench-"); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(l.dir)) }()
	if o.server == "" {
		o.server = filepath.Join(l.dir, "elastickv")
		if err := buildOurs(ctx, o.server); err != nil {
			return err
		}
	}
	l.ours = ours(o.server)
	began := time.Now()
	from := machine.This(ctx, l.dir, began)
	var report bytes.Buffer
	l.report = io.MultiWriter(stdout, &report)
	if err := from.Write(l.report); err != nil {
		return err
	}
	fmt.Fprintf(l.report, "redis: %s\ncommand: bench %s\n", versionOf(ctx, redisServer), c.line(args))
	if err := m.run(ctx, l); err != nil {
		return errors.Join(ctx.Err(), err)
	}
	fmt.Fprintf(l.report, "\ntook %v\n", time.Since(began).Round(time.Second))
	return from.Keep(o.history, c.name, report.Bytes())
}

// versionOf is what a program says of itself.
func versionOf(ctx context.Context, program string) string {
	out, err := exec.CommandContext(ctx, program, "--version").Output()
	if err != nil {
		return "none"
	}
	return strings.TrimSpace(string(out))
}

// line is the command line without what does not change what is measured.
func (c command) line(args []string) string {
	out := c.name
	for i := 1; i < len(args); i++ {
		if args[i] == "-history" || args[i] == "-dir" {
			i++
			continue
		}
		out += " " + args[i]
	}
	return out
}

// parse finds the command and reads its flags.
func parse(args []string, stderr io.Writer) (c command, m measurement, o common, err error) {
	if len(args) == 0 {
		args = []string{""}
	}
	for _, c = range commands {
		if c.name != args[0] {
			continue
		}
		fs := flag.NewFlagSet("bench "+c.name, flag.ContinueOnError)
		fs.SetOutput(stderr)
		fs.StringVar(&o.dir, "dir", "", "folder for the data of the servers, on the disk to measure (default: the system's temporary one)")
		fs.StringVar(&o.history, "history", "", "folder to leave the report in as a file (default: none)")
		fs.StringVar(&o.server, "server", "", "program of our server (default: it is built from this tree)")
		fs.BoolVar(&o.short, "short", false, "once, and with little data: shows that all is well, and no more")
		fs.Uint64Var(&o.seed, "seed", 1, "what chance begins with")
		m = c.setup(fs)
		if err = fs.Parse(args[1:]); err != nil {
			return c, m, o, err
		}
		if fs.NArg() > 0 {
			return c, m, o, fmt.Errorf("%w: unexpected argument %q", errUsage, fs.Arg(0))
		}
		if err = m.fault(); err != nil {
			err = fmt.Errorf("%w: %s: %w", errUsage, c.name, err)
		}
		return c, m, o, err
	}
	for _, c := range commands {
		fmt.Fprintf(stderr, "  %-7s %s\n", c.name, c.about)
	}
	return c, m, o, fmt.Errorf("%w: no command %q", errUsage, args[0])
}
