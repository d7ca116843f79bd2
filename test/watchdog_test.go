package test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

// watchdogCPU is how much processor time a server may use while a client of everyday waits for one reply.
// How busy the machine is, or how slow its disk, does not matter: a server that does not run, or waits for the
// disk, uses none. What has to be waited for at worst is the slowest single commands that others have sent.
const watchdogCPU = testkit.RaceFactor * 10 * time.Second

// watchdog is a client of everyday. It writes and reads keys of its own, one request after the other, while
// others do what they like: what it reads is what it has written last, and no reply keeps the server busy
// for long.
type watchdog struct {
	s        *testkit.Server
	login    []string // nil: none is needed
	resident int64    // bytes that the process may have in RAM

	stop chan struct{}
	done sync.WaitGroup
	mu   struct {
		sync.Mutex
		written map[string]string // what the server has acknowledged
		waits   map[string][]time.Duration
		cpu     time.Duration // the most that one reply has cost
		costly  string        // whose
		peak    int64         // bytes in RAM
		busy    int           // replies that a script holds others up
		err     error
	}
}

// startWatchdog begins. The caller ends it with end.
func startWatchdog(t *testing.T, s *testkit.Server, resident int64, login ...string) *watchdog {
	t.Helper()
	s.Usage(t) // which skips the test where that is not known
	w := &watchdog{s: s, login: login, resident: testkit.RaceFactor * resident, stop: make(chan struct{})}
	w.mu.written, w.mu.waits = make(map[string]string), make(map[string][]time.Duration)
	c, err := w.connect()
	if err != nil {
		t.Fatal(err)
	}
	w.done.Go(func() {
		defer c.Close()
		if err := w.run(c, t); err != nil {
			w.mu.Lock()
			w.mu.err = err
			w.mu.Unlock()
		}
	})
	return w
}

func (w *watchdog) connect() (*testkit.Client, error) {
	c, err := testkit.Connect(w.s.Addr, 2)
	if err == nil && w.login != nil {
		var v resp.Value
		if v, err = c.Do(w.login...); err == nil && v.Str != "OK" {
			err = fmt.Errorf("the watchdog cannot log in: %s", v)
		}
	}
	return c, err
}

// watchdogKeys is how many keys a watchdog has.
const watchdogKeys = 50

func (w *watchdog) run(c *testkit.Client, t *testing.T) error {
	for i := 0; ; i++ {
		select {
		case <-w.stop:
			return nil
		default:
		}
		key, value := fmt.Sprintf("watchdog:%d", i%watchdogKeys), fmt.Sprintf("%d:%s", i, strings.Repeat("w", i%200))
		if err := w.write(c, t, key, value); err != nil {
			return err
		}
		if v, err := w.ask(c, t, "PING"); err != nil || v.Str != "PONG" && !busy(v) {
			return fmt.Errorf("PING: %s, %w", v, err)
		}
		key = fmt.Sprintf("watchdog:%d", (i*7)%watchdogKeys)
		v, err := w.ask(c, t, "GET", key)
		if err != nil {
			return err
		}
		if want := w.mu.written[key]; v.Str != want && !busy(v) {
			return fmt.Errorf("%s is %.100s, written was %.100q", key, v, want)
		}
	}
}

// write sets a key, again and again while a script holds up writers.
func (w *watchdog) write(c *testkit.Client, t *testing.T, key, value string) error {
	for {
		v, err := w.ask(c, t, "SET", key, value)
		switch {
		case err != nil:
			return fmt.Errorf("SET %s: %w", key, err)
		case v.Str == "OK":
			w.mu.Lock()
			w.mu.written[key] = value
			w.mu.Unlock()
			return nil
		case !busy(v):
			return fmt.Errorf("SET %s: %s", key, v)
		}
		select {
		case <-w.stop:
			return nil
		default:
		}
	}
}

func busy(v resp.Value) bool { return v.Kind == resp.KindError && strings.HasPrefix(v.Str, "BUSY ") }

// ask sends a command and takes down what the reply has cost.
func (w *watchdog) ask(c *testkit.Client, t *testing.T, args ...string) (resp.Value, error) {
	before, began := w.s.Usage(t), time.Now()
	v, err := c.Do(args...)
	took := time.Since(began)
	if err != nil {
		return v, err
	}
	after := w.s.Usage(t)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.waits[args[0]] = append(w.mu.waits[args[0]], took)
	w.mu.peak = max(w.mu.peak, before.Resident, after.Resident)
	if cost := after.CPU - before.CPU; cost > w.mu.cpu {
		w.mu.cpu, w.mu.costly = cost, fmt.Sprintf("%s took %v", args[0], took)
	}
	if busy(v) {
		w.mu.busy++
	}
	return v, nil
}

// failed returns what the watchdog has found so far.
func (w *watchdog) failed() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.mu.err != nil:
		return fmt.Errorf("the watchdog: %w", w.mu.err)
	case w.mu.cpu > watchdogCPU:
		return fmt.Errorf("the server has used %v of processor time until a reply came (%s), more than %v", w.mu.cpu, w.mu.costly, watchdogCPU)
	case w.mu.peak > w.resident:
		return fmt.Errorf("the server has taken %d MiB of memory, more than %d", w.mu.peak>>20, w.resident>>20)
	}
	return nil
}

// end stops the watchdog, fails t if it has found something, and reads all of its keys once more.
func (w *watchdog) end(t *testing.T) {
	t.Helper()
	close(w.stop)
	w.done.Wait()
	if err := w.failed(); err != nil {
		t.Error(err)
	}
	w.intact(t)
	t.Log(w)
}

// intact compares all keys of the watchdog with what was acknowledged.
func (w *watchdog) intact(t *testing.T) {
	t.Helper()
	c, err := w.connect()
	if err != nil {
		t.Error(err)
		return
	}
	defer c.Close()
	for key, want := range w.mu.written {
		if v, err := c.Do("GET", key); err != nil || v.Str != want {
			t.Errorf("%s is %.100s (%v), written was %.100q", key, v, err, want)
		}
	}
}

// String tells how long replies have taken.
func (w *watchdog) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var b strings.Builder
	fmt.Fprintf(&b, "at most %d MiB of memory, and %v of processor time until a reply came; %d times busy", w.mu.peak>>20, w.mu.cpu, w.mu.busy)
	for _, name := range []string{"PING", "GET", "SET"} {
		all := slices.Sorted(slices.Values(w.mu.waits[name]))
		if len(all) == 0 {
			continue
		}
		at := func(share float64) time.Duration {
			return all[min(int(share*float64(len(all))), len(all)-1)].Round(10 * time.Microsecond)
		}
		fmt.Fprintf(&b, "\n%-4s %6d replies: median %v, p90 %v, p99 %v, slowest %v", name, len(all), at(0.5), at(0.9), at(0.99), at(1))
	}
	return b.String()
}
