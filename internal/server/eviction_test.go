package server_test

import (
	"bytes"
	"context"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/store"
)

// field returns a number of INFO.
func (w *wire) field(name string) int64 {
	w.t.Helper()
	w.send("INFO all\r\n")
	info := w.bulk()
	_, rest, ok := strings.Cut(info, "\r\n"+name+":")
	line, _, _ := strings.Cut(rest, "\r\n")
	n, err := strconv.ParseInt(line, 10, 64)
	if !ok || err != nil {
		w.t.Fatalf("no number %s in\n%s", name, info)
	}
	return n
}

// number asks for an integer.
func (w *wire) number(line string) int64 {
	w.t.Helper()
	w.send(line + "\r\n")
	reply, err := w.r.ReadString('\n')
	if err != nil {
		w.t.Fatal(err)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimPrefix(reply, ":")), 10, 64)
	if err != nil {
		w.t.Fatalf("%s: %q is not a number", line, reply)
	}
	return n
}

// fill sets keys, in one pipeline, to values of 1000 bytes that expire in the far future.
func (w *wire) fill(prefix string, n int) {
	w.t.Helper()
	value := strings.Repeat("v", 1000)
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "SET %s%d %s EX %d\r\n", prefix, i, value, 100_000+i)
	}
	w.send(b.String())
	w.expect(strings.Repeat("+OK\r\n", n))
}

const emptyServer = 1 << 20 // what used_memory is without data

// Whatever the policy, the dataset stays within the limit while it is written to, what has gone was
// evicted and counted, and all of it is told in events.
func TestEviction(t *testing.T) {
	for _, policy := range []string{
		"allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl",
	} {
		t.Run(policy, func(t *testing.T) {
			const limit, keys = emptyServer + 200_000, 600
			addr := start(t, nil, "maxmemory", strconv.Itoa(limit), "maxmemory-policy", policy,
				"maxmemory-eviction-tenacity", "100", "notify-keyspace-events", "Ee").addr
			w, events := dial(t, addr), dial(t, addr)
			events.send("SUBSCRIBE __keyevent@0__:evicted\r\n")
			events.expect("*3\r\n$9\r\nsubscribe\r\n$22\r\n__keyevent@0__:evicted\r\n:1\r\n")
			eventually(t, "an empty dataset is counted", func() bool { return w.field("dataset_counted") == 1 })
			for i := range keys / 50 {
				w.fill(fmt.Sprintf("k%d:", i), 50)
				if used := w.field("used_memory"); used > limit {
					t.Fatalf("used_memory is %d, over the limit of %d", used, limit)
				}
			}
			left, evicted := w.number("DBSIZE"), w.field("evicted_keys")
			if left+evicted != keys || left < 150 {
				t.Errorf("%d keys are left and %d were evicted of %d", left, evicted, keys)
			}
			for range evicted {
				events.expect("*3\r\n$7\r\nmessage\r\n$22\r\n__keyevent@0__:evicted\r\n$")
				for range 2 { // the length of the key, and the key
					if _, err := events.r.ReadString('\n'); err != nil {
						t.Fatal(err)
					}
				}
			}
			if w.field("total_eviction_exceeded_time") < 0 || w.field("current_eviction_exceeded_time") != 0 {
				t.Error("the limit is said to be exceeded")
			}
		})
	}
}

// Keys that are used stay, those that are not go.
func TestEvictionByUse(t *testing.T) {
	for policy, use := range map[string]int{"allkeys-lfu": 50, "volatile-lfu": 50} {
		t.Run(policy, func(t *testing.T) {
			addr := start(t, nil, "maxmemory", strconv.Itoa(emptyServer+200_000), "maxmemory-policy", policy,
				"maxmemory-samples", "64", "lfu-log-factor", "0").addr
			w := dial(t, addr)
			w.fill("hot", 20)
			for i := range 20 {
				for range use {
					w.ask(fmt.Sprintf("STRLEN hot%d", i), ":1000\r\n")
				}
			}
			w.fill("cold", 1000)
			for i := range 20 {
				w.ask(fmt.Sprintf("EXISTS hot%d", i), ":1\r\n")
			}
			if w.field("evicted_keys") < 700 {
				t.Error("hardly any key was evicted")
			}
		})
	}
}

// What expires soonest goes first.
func TestEvictionByExpiry(t *testing.T) {
	addr := start(t, nil, "maxmemory", strconv.Itoa(emptyServer+100_000), "maxmemory-policy", "volatile-ttl",
		"maxmemory-eviction-tenacity", "100").addr
	w := dial(t, addr)
	eventually(t, "an empty dataset is counted", func() bool { return w.field("dataset_counted") == 1 })
	w.fill("k", 300)
	evicted := w.field("evicted_keys")
	for i := range int64(300) {
		want := ":1\r\n"
		if i < evicted {
			want = ":0\r\n"
		}
		w.ask(fmt.Sprintf("EXISTS k%d", i), want)
	}
}

// A folder that is over the limit when the server starts is counted and brought within it, beside
// clients that only read.
func TestEvictionAtStart(t *testing.T) {
	engine := store.NewMVCCStore().(store.Engine)
	first := start(t, engine)
	w := dial(t, first.addr)
	w.fill("k", 500)
	first.stop()
	if err := first.end(t); err != nil {
		t.Fatal(err)
	}
	const limit = emptyServer + 100_000
	w = dial(t, start(t, engine, "maxmemory", strconv.Itoa(limit), "maxmemory-policy", "allkeys-random").addr)
	eventually(t, "the dataset is within the limit", func() bool {
		return w.field("used_memory") <= limit && w.field("dataset_counted") == 1
	})
	if left, evicted := w.number("DBSIZE"), w.field("evicted_keys"); left+evicted != 500 || left < 50 {
		t.Errorf("%d keys are left and %d were evicted", left, evicted)
	}
}

// slowHash is an engine in which a walk over the fields of hashes waits when it reads the past.
type slowHash struct {
	store.Engine
	gate chan struct{}
}

func (s *slowHash) WalkAt(ctx context.Context, span store.Span, order store.Order, ts uint64, fn func([]byte, store.VersionedValue) bool) error {
	rows := 0
	return s.Engine.WalkAt(ctx, span, order, ts, func(key []byte, v store.VersionedValue) bool {
		if rows++; rows == 1500 && bytes.HasPrefix(key, []byte(store.HashFieldPrefix)) {
			select {
			case <-s.gate:
			case <-ctx.Done():
			}
		}
		return fn(key, v)
	})
}

// While the rows of a large collection that was deleted are still counted, nobody pays for it: nothing
// is evicted and nothing refused.
func TestNoEvictionForWhatIsDeleted(t *testing.T) {
	for _, policy := range []string{"allkeys-lru", "noeviction"} {
		t.Run(policy, func(t *testing.T) {
			engine := &slowHash{Engine: store.NewMVCCStore().(store.Engine), gate: make(chan struct{})}
			addr := start(t, engine, "maxmemory", strconv.Itoa(emptyServer+300_000), "maxmemory-policy", policy).addr
			w := dial(t, addr)
			eventually(t, "an empty dataset is counted", func() bool { return w.field("dataset_counted") == 1 })
			for part := range 10 {
				line := "HSET h"
				for i := range 300 {
					line += fmt.Sprintf(" field:%d:%05d %s", part, i, strings.Repeat("v", 50))
				}
				w.ask(line, ":300\r\n")
			}
			w.fill("k", 20)
			w.ask("DEL h", ":1\r\n")
			if pending := w.field("lazyfree_pending_objects"); pending != 1 {
				t.Fatalf("%d spans are pending, want 1", pending)
			}
			w.fill("l", 200)
			if n := w.number("DBSIZE"); n != 220 {
				t.Errorf("%d keys are left, want 220", n)
			}
			close(engine.gate)
			eventually(t, "all is counted", func() bool { return w.field("lazyfree_pending_objects") == 0 })
			if freed := w.field("lazyfreed_objects"); freed != 1 {
				t.Errorf("%d spans were freed, want 1", freed)
			}
			w.ask("SET k v", "+OK\r\n")
		})
	}
}
