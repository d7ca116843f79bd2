// Command store answers: how near is package store to the engine it stands on?
// It does the same work on our store, on raw Pebble with the options that our store
// opened it with, and on Badger, by turns in one process, and prints for each row the
// medians of the rounds, their ratio and whether that reaches the row's target. It uses
// what package store exports and nothing else of the database.
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"

	"github.com/elastickv/elastickv/bench/machine"
)

// options are what the command line sets.
type options struct {
	run      *regexp.Regexp
	rounds   int
	keys     int
	seconds  float64
	dir      string
	history  string
	profiles string
}

// turnTime is how long a timed turn takes.
func (o options) turnTime() time.Duration { return time.Duration(o.seconds * float64(time.Second)) }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "bench-store:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	o, err := parseOptions(args, stderr)
	if err != nil {
		return err
	}
	began := time.Now()
	dir, err := os.MkdirTemp(o.dir, "elastickv-bench-")
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, os.RemoveAll(dir)) }()
	m := machine.This(ctx, dir, began)
	a := &arena{options: o, dir: dir, fixtures: map[string]string{}}
	r := &results{}
	for _, j := range jobs() {
		if !o.run.MatchString(j.name) {
			continue
		}
		if err := j.measure(ctx, a, r, stderr); err != nil {
			return fmt.Errorf("%s: %w", j.name, err)
		}
	}
	if len(r.rows) == 0 {
		return fmt.Errorf("-run %q matches no row", o.run)
	}
	var report bytes.Buffer
	if err := r.report(io.MultiWriter(stdout, &report), m, o, time.Since(began)); err != nil {
		return err
	}
	return m.Keep(o.history, "store", report.Bytes())
}

func parseOptions(args []string, stderr io.Writer) (options, error) {
	var o options
	fs := flag.NewFlagSet("bench-store", flag.ContinueOnError)
	fs.SetOutput(stderr)
	pattern := fs.String("run", "", "regular expression of the rows to measure (default: all)")
	fs.IntVar(&o.rounds, "rounds", 5, "rounds; the median counts")
	fs.IntVar(&o.keys, "keys", 1_000_000, "keys in the stores")
	fs.Float64Var(&o.seconds, "seconds", 1, "seconds that a turn of one contestant takes")
	fs.StringVar(&o.dir, "dir", "", "folder to put the stores in, on the disk to measure (default: the system's temporary one)")
	fs.StringVar(&o.history, "history", "", "folder to leave the report in as a file (default: none)")
	fs.StringVar(&o.profiles, "cpuprofile", "", "folder to leave a CPU profile of each turn in, with what makes it ready (default: none)")
	if err := fs.Parse(args); err != nil {
		return o, err
	}
	if o.rounds < 1 || o.keys < scanRows || o.seconds <= 0 || fs.NArg() > 0 {
		return o, fmt.Errorf("want -rounds and -seconds above 0, -keys from %d on, and no further argument", scanRows)
	}
	var err error
	if o.run, err = regexp.Compile(*pattern); err != nil {
		return o, fmt.Errorf("-run: %w", err)
	}
	return o, nil
}

// firstError returns the first error that is not nil.
func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}
