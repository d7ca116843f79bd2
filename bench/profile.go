package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"time"
)

// profileCommand does all that redis and mixes measure, again and again, and keeps where the server spends its time meanwhile: the
// profile by which the compiler decides what to inline (https://go.dev/doc/pgo).
type profileCommand struct {
	lasts time.Duration
	out   string
}

func newProfileCommand(fs *flag.FlagSet) measurement {
	o := &profileCommand{}
	fs.DurationVar(&o.lasts, "for", 3*time.Minute, "how long, in full seconds")
	fs.StringVar(&o.out, "o", "cmd/elastickv/default.pgo", "file to leave the profile in; go build takes that name")
	return o
}

func (o *profileCommand) fault() error {
	if o.lasts < time.Second || o.out == "" {
		return errors.New("want -for of a second or more, and -o")
	}
	return nil
}

func (o *profileCommand) run(ctx context.Context, l *lab) error {
	if l.short {
		o.lasts = max(time.Second, o.lasts/60)
	}
	port, err := freePort()
	if err != nil {
		return err
	}
	addr := "127.0.0.1:" + port
	var profile []byte
	err = l.withServer(ctx, l.ours.with("--metrics-listen", addr, "--profiling", "yes"), func(s *server) error {
		// The profile takes as long as it takes, and the load ends with it.
		working, done := context.WithCancel(ctx)
		fetched := make(chan error, 1)
		go func() {
			defer done()
			var err error
			profile, err = fetchProfile(working, addr, o.lasts)
			fetched <- err
		}()
		err := o.load(working, l, s)
		if working.Err() != nil && ctx.Err() == nil {
			err = nil // cut short by the end of the profile
		}
		done()
		return errors.Join(err, <-fetched)
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(l.report, "%v of all tests and mixes: %d bytes in %s\n", o.lasts, len(profile), o.out)
	return os.WriteFile(o.out, profile, 0o644)
}

// fetchProfile returns where the server at addr has spent its time from now on.
func fetchProfile(ctx context.Context, addr string, lasts time.Duration) ([]byte, error) {
	ctx, cancel := context.WithTimeout(ctx, lasts+replyWait)
	defer cancel()
	url := "http://" + addr + "/debug/pprof/profile?seconds=" + strconv.Itoa(int(lasts/time.Second))
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err == nil && res.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", url, res.Status, b)
	}
	return b, err
}

// load keeps the server busy until ctx ends.
func (o *profileCommand) load(ctx context.Context, l *lab, s *server) error {
	tests := &testsCommand{requests: 5000, keyspace: 100_000, clients: 50, size: 100}
	mixes := &mixesCommand{pace: pace{clients: 50}, records: 10_000, seed: l.seed}
	for {
		for _, pipeline := range []string{"1", "16"} {
			if err := o.tests(ctx, l, s, tests, pipeline); err != nil {
				return err
			}
		}
		for _, sc := range scenes {
			if err := o.scene(ctx, l, s, sc.make(mixes)); err != nil {
				return err
			}
		}
	}
}

// tests runs every test once.
func (o *profileCommand) tests(ctx context.Context, l *lab, s *server, tests *testsCommand, pipeline string) error {
	for _, t := range suite {
		fmt.Fprintf(l.progress, "pipeline %s: %s\n", pipeline, t.name)
		if t.fill != nil {
			if _, err := s.benchmark(ctx, tests, fillTimes, "16", t.fill); err != nil {
				return err
			}
		}
		if _, err := s.measure(ctx, tests, t, pipeline); err != nil {
			return err
		}
	}
	return empty(s)
}

// scene runs every mix of a scene for a moment.
func (o *profileCommand) scene(ctx context.Context, l *lab, s *server, sc scene) error {
	if sc.fill != nil {
		if err := sc.fill(ctx, s); err != nil {
			return err
		}
	}
	for _, m := range sc.mixes {
		fmt.Fprintln(l.progress, m.name)
		if _, err := s.take(ctx, load{clients: 50, seed: l.seed, op: m.op, helper: m.helper}, 500*time.Millisecond); err != nil {
			return err
		}
	}
	return empty(s)
}

// empty deletes all keys, lest others find them in their way.
func empty(s *server) error {
	_, err := s.call("FLUSHALL")
	return err
}
