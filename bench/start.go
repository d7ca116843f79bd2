package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// startCommand measures what it costs that the server is there: its size, its memory when nobody asks anything, and how
// long it takes to come back over a large folder.
type startCommand struct {
	size, value, rounds int
}

func newStartCommand(fs *flag.FlagSet) measurement {
	o := &startCommand{}
	fs.IntVar(&o.size, "size", 10_000, "MB of data")
	fs.IntVar(&o.value, "d", 4000, "bytes of a value, which cannot be compressed")
	fs.IntVar(&o.rounds, "rounds", 3, "rounds; the median counts")
	return o
}

func (o *startCommand) fault() error {
	if min(o.size, o.value, o.rounds) < 1 || o.value > len(valuePool)/4 {
		return fmt.Errorf("want -size and -rounds above 0, and -d from 1 to %d", len(valuePool)/4)
	}
	return nil
}

const (
	megabyte = 1e6

	sizeGoal   = 40 * megabyte
	idleGoal   = 60 * megabyte
	startsGoal = 2 * time.Second
)

func (o *startCommand) run(ctx context.Context, l *lab) error {
	if l.short {
		o.size, o.rounds = max(1, o.size/50), 1
	}
	program, err := os.Stat(l.ours.program)
	if err != nil {
		return err
	}
	goals := []goal{{what: "MB of the program", got: float64(program.Size()) / megabyte, target: sizeGoal / megabyte, most: true}}
	err = l.withServer(ctx, l.ours, func(s *server) error {
		if err := s.settle(ctx); err != nil {
			return err
		}
		goals = append(goals, goal{what: "MB of memory of an idle server, empty", got: s.memory() / megabyte, target: idleGoal / megabyte, most: true})
		return nil
	})
	if err != nil {
		return err
	}
	data := filepath.Join(l.dir, "large")
	keys := o.size * megabyte / o.value
	if err := o.fill(ctx, l, data, keys); err != nil {
		return err
	}
	fmt.Fprintf(l.report, "%d MB of data in %d keys: a folder of %.0f MB. The machine's own cache of files was not emptied.\n\n", o.size, keys, folderSize(data)/megabyte)
	killed, stopped, memory, err := o.starts(ctx, l, data, keys)
	if err != nil {
		return err
	}
	printGoals(l.report, append(goals,
		goal{what: "MB of memory after the start, large folder", got: memory / megabyte, target: idleGoal / megabyte, most: true},
		goal{what: "seconds to the first answer, after kill -9 under load", got: median(killed), target: startsGoal.Seconds(), most: true},
		goal{what: "seconds to the first answer, after SIGTERM", got: median(stopped), target: startsGoal.Seconds(), most: true}))
	return nil
}

func (o *startCommand) put(w *worker, i int) { w.add("SET", dataKey(i), value(i, o.value)) }

// fill makes the folder, a tenth after the other.
func (o *startCommand) fill(ctx context.Context, l *lab, data string, keys int) error {
	s, err := l.ours.start(ctx, data)
	if err != nil {
		return err
	}
	const parts = 10
	for part := range parts {
		from, to := keys*part/parts, keys*(part+1)/parts
		if err := s.fill(ctx, to-from, func(w *worker, i int) { o.put(w, from+i) }); err != nil {
			s.kill()
			return s.failed(err)
		}
		fmt.Fprintf(l.progress, "filled %d of %d keys\n", to, keys)
	}
	return s.stop()
}

// starts ends and starts the server by turns: killed while it writes, and stopped. It returns the seconds of each kind
// of start, and the median of the memory after the first answer.
func (o *startCommand) starts(ctx context.Context, l *lab, data string, keys int) (killed, stopped []float64, memory float64, err error) {
	var held []float64
	for range o.rounds {
		s, err := l.ours.start(ctx, data)
		if err != nil {
			return nil, nil, 0, err
		}
		s.killUnderLoad(ctx, keys, o.put)
		for _, kind := range []*[]float64{&killed, &stopped} {
			began := time.Now()
			s, err := l.ours.start(ctx, data)
			if err != nil {
				return nil, nil, 0, err
			}
			*kind = append(*kind, time.Since(began).Seconds())
			held = append(held, s.memory())
			if err := errors.Join(o.find(s, keys), s.stop()); err != nil {
				return nil, nil, 0, err
			}
		}
		fmt.Fprintf(l.progress, "started after a kill in %.3fs, after a stop in %.3fs\n", killed[len(killed)-1], stopped[len(stopped)-1])
	}
	return killed, stopped, median(held), nil
}

// killUnderLoad kills the server in the middle of many writes, whose errors are meant.
func (s *server) killUnderLoad(ctx context.Context, keys int, put func(*worker, int)) {
	ctx, cancel := context.WithCancel(ctx)
	time.AfterFunc(3*time.Second, cancel)
	context.AfterFunc(ctx, func() { s.cmd.Process.Kill() })
	_ = s.fill(ctx, keys, put)
	cancel()
	<-s.exited
}

// find looks for the first and the last key.
func (o *startCommand) find(s *server, keys int) error {
	for _, i := range []int{0, keys - 1} {
		v, err := s.call("GET", dataKey(i))
		if err == nil && v.Str != value(i, o.value) {
			err = wrongAnswer(v, "GET", dataKey(i))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// folderSize is how many bytes the files in a folder have. What goes away meanwhile counts as nothing.
func folderSize(dir string) float64 {
	total := 0.
	_ = filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil
		}
		if info, err := d.Info(); err == nil {
			total += float64(info.Size())
		}
		return nil
	})
	return total
}
