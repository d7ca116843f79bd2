package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"strings"

	"github.com/cockroachdb/pebble/v2"
	"github.com/elastickv/elastickv/bench/engine"
)

// arena is where contestants meet.
type arena struct {
	options
	dir      string            // everything is in here
	fixtures map[string]string // folders that are filled once, by name
	toClose  []io.Closer       // by the end of the job, the last one first
}

// job measures some rows of the table together.
type job struct {
	name string // of its benchmark, as -run matches it
	rows []row
	// enter makes the contestants ready and returns their turns, in the order they
	// take them in each round.
	enter func(ctx context.Context, a *arena) ([]turn, error)
}

// turn is what one contestant does in a round.
type turn struct {
	by   string
	take func(ctx context.Context) ([]sample, error)
}

// measure runs the rounds of j and adds what they have measured to r.
func (j job) measure(ctx context.Context, a *arena, r *results, progress io.Writer) (err error) {
	fmt.Fprintf(progress, "%s: ", j.name)
	defer fmt.Fprintln(progress)
	defer func() { err = firstError(err, a.closeAll()) }()
	turns, err := j.enter(ctx, a)
	if err != nil {
		return err
	}
	r.rows = append(r.rows, j.rows...)
	for round := range a.rounds {
		for _, t := range turns {
			fmt.Fprintf(progress, "%s ", t.by)
			samples, err := a.profiled(ctx, t, fmt.Sprintf("%s-%s-%d", j.name, t.by, round+1))
			if err := firstError(err, ctx.Err()); err != nil {
				return fmt.Errorf("%s: %w", t.by, err)
			}
			for _, s := range samples {
				r.add(j, t, s)
			}
		}
	}
	return nil
}

// profiled takes a turn, under the profiler if that is asked for.
func (a *arena) profiled(ctx context.Context, t turn, name string) (_ []sample, err error) {
	if a.profiles == "" {
		return t.take(ctx)
	}
	if err := os.MkdirAll(a.profiles, 0o755); err != nil {
		return nil, err
	}
	f, err := os.Create(filepath.Join(a.profiles, strings.ReplaceAll(name, "/", "_")+".pprof"))
	if err != nil {
		return nil, err
	}
	defer func() { err = firstError(err, f.Close()) }()
	if err := pprof.StartCPUProfile(f); err != nil {
		return nil, err
	}
	defer pprof.StopCPUProfile()
	return t.take(ctx)
}

// atEnd has c closed when the job ends.
func (a *arena) atEnd(c io.Closer) { a.toClose = append(a.toClose, c) }

func (a *arena) closeAll() (err error) {
	for len(a.toClose) > 0 {
		last := len(a.toClose) - 1
		err = firstError(err, a.toClose[last].Close())
		a.toClose = a.toClose[:last]
	}
	return err
}

// filled returns a folder that c has filled; it does so the first time.
func (a *arena) filled(ctx context.Context, c contestant, versions int) (string, error) {
	name := fmt.Sprintf("%s-%d", c.name(), versions)
	if dir, ok := a.fixtures[name]; ok {
		return dir, nil
	}
	dir := filepath.Join(a.dir, name)
	if err := c.fill(ctx, a, dir, versions); err != nil {
		return "", fmt.Errorf("fill %s: %w", name, err)
	}
	a.fixtures[name] = dir
	return dir, nil
}

// inFresh calls fn with the path of a folder that is not there yet, and removes it afterwards.
func (a *arena) inFresh(fn func(dir string) error) (err error) {
	dir, err := os.MkdirTemp(a.dir, "turn-")
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, os.RemoveAll(dir)) }()
	return fn(filepath.Join(dir, "data"))
}

// inCopy calls fn with a copy of a folder, and removes it afterwards.
func (a *arena) inCopy(folder string, fn func(dir string) error) error {
	return a.inFresh(func(dir string) error {
		if err := os.CopyFS(dir, os.DirFS(folder)); err != nil {
			return err
		}
		return fn(dir)
	})
}

// engineOptions are those of our store's engine, for the engine alone.
func (a *arena) engineOptions() (o *pebble.Options, err error) {
	err = a.inFresh(func(dir string) (err error) {
		o, err = engine.Options(dir, a.cacheSize())
		return err
	})
	return o, err
}

// cacheSize is in bytes and large enough for every block of the largest fixture.
func (a *arena) cacheSize() int64 {
	return 64<<20 + 2*versionsMost*int64(a.keys)*int64(keySize+valueSize)
}
