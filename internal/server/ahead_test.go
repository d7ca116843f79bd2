package server_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/store"
)

// preparedEngine notes which rows are prepared.
type preparedEngine struct {
	store.Engine
	mu       sync.Mutex
	prepared [][]string
}

func (e *preparedEngine) Prefetch(keys [][]byte) {
	e.mu.Lock()
	defer e.mu.Unlock()
	var names []string
	for _, k := range keys {
		names = append(names, strings.TrimPrefix(string(k), "!redis|key|"))
	}
	e.prepared = append(e.prepared, names)
}

func (e *preparedEngine) take() [][]string {
	e.mu.Lock()
	defer e.mu.Unlock()
	got := e.prepared
	e.prepared = nil
	return got
}

// What a pipeline, a transaction or a call of many keys looks up first is prepared in one go. For one key alone that is of no use.
func TestLookAhead(t *testing.T) {
	e := &preparedEngine{Engine: store.NewMVCCStore().(store.Engine)}
	w := dial(t, serveAt(t, e, time.Now, server.NewConfig(), anyPort(t)).addr)
	names := func(from, to int) (all []string) {
		for i := from; i < to; i++ {
			all = append(all, fmt.Sprintf("k%d", i))
		}
		return all
	}
	pipeline := func(format string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, format, i)
		}
		return b.String()
	}
	for _, c := range []struct {
		send, want string
		prepared   [][]string
	}{
		{"SET k0 v\r\n", "+OK\r\n", nil},
		{"GET k0\r\n", "$1\r\nv\r\n", nil},
		{"PING\r\nPING\r\n", "+PONG\r\n+PONG\r\n", nil},
		{pipeline("SET k%d v\r\n", 16), strings.Repeat("+OK\r\n", 16), [][]string{names(0, 16)}},
		{pipeline("GET k%d\r\n", 16), strings.Repeat("$1\r\nv\r\n", 16), [][]string{names(0, 16)}},
		{pipeline("EXISTS k%d\r\n", 40), strings.Repeat(":1\r\n", 16) + strings.Repeat(":0\r\n", 24), [][]string{names(0, 32), names(32, 40)}},
		{"MGET k0 k1 k2 k3\r\n", "*4\r\n" + strings.Repeat("$1\r\nv\r\n", 4), [][]string{names(0, 4)}},
		{"MSET k0 w k1 w\r\n", "+OK\r\n", [][]string{names(0, 2)}},
		{"MULTI\r\nGET k0\r\nGET k1\r\nEXEC\r\n", "+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n$1\r\nw\r\n$1\r\nw\r\n", [][]string{names(0, 2)}},
		{"NONE\r\nGET k0\r\nGET\r\nGET k1\r\n", "-ERR unknown command 'NONE', with args beginning with: \r\n$1\r\nw\r\n-ERR wrong number of arguments for 'get' command\r\n$1\r\nw\r\n", [][]string{names(0, 2)}},
	} {
		e.take()
		w.ask(strings.TrimSuffix(c.send, "\r\n"), c.want)
		if got := e.take(); !slices.EqualFunc(got, c.prepared, slices.Equal[[]string]) {
			t.Errorf("%q: %q are prepared, want %q", c.send, got, c.prepared)
		}
	}
}

// What the units of several connections look up first is prepared in one go, unless databases have been swapped.
func TestUnitsAreLookedAheadTogether(t *testing.T) {
	e := &preparedEngine{Engine: store.NewMVCCStore().(store.Engine)}
	r := serveAt(t, e, time.Now, server.NewConfig(), anyPort(t))
	w := dial(t, r.addr)
	one := func(db int, call string) server.Unit { return server.Unit{DB: db, Calls: []string{call}} }
	units := []server.Unit{one(0, "SET a 1"), one(0, "HSET h f v"), one(3, "SET a 1"), one(0, "FLUSHALL")}
	for _, c := range []struct {
		before, answer string
		units          []server.Unit
		prepared       [][]string
	}{
		{"PING", "+PONG\r\n", units[:1], nil},
		{"GET a", "$-1\r\n", units, [][]string{{"a", "h", "!hs|fld|\x00\x00\x00\x01hf", "!db|03|!redis|key|a"}}},
		{"GET a", "$-1\r\n", []server.Unit{units[0], {Calls: []string{"SET b 1", "SET c 1"}}}, [][]string{{"a"}}},
		{"SWAPDB 0 1", "+OK\r\n", units, nil},
	} {
		w.ask(c.before, c.answer)
		e.take()
		server.PrepareUnits(r.srv, c.units...)
		got := e.take()
		got = slices.DeleteFunc(got, func(names []string) bool { return len(names) == 0 })
		if !slices.EqualFunc(got, c.prepared, slices.Equal[[]string]) {
			t.Errorf("behind %q: %q are prepared for %v, want %q", c.before, got, c.units, c.prepared)
		}
	}
}

// What the turns of a round read is prepared in one go, too.
func TestReadsOfARoundAreLookedAheadTogether(t *testing.T) {
	e := &preparedEngine{Engine: store.NewMVCCStore().(store.Engine)}
	addr := serveAt(t, e, time.Now, server.NewConfig(), anyPort(t)).addr
	var all []*wire
	for range 16 {
		all = append(all, dial(t, addr))
	}
	for range 1000 {
		for i, w := range all {
			w.send(fmt.Sprintf("GET k%d\r\n", i))
		}
		for _, w := range all {
			w.expect("$-1\r\n")
		}
		for _, names := range e.take() {
			if len(names) > 1 && strings.HasPrefix(names[0], "k") && names[0] != names[1] {
				return
			}
		}
	}
	t.Error("nothing was prepared for several connections at once")
}

// A call that has many arguments and looks nothing up leaves nothing behind for the next one.
func TestLookAheadEndsWithItsCalls(t *testing.T) {
	const set, done = "CONFIG SET slowlog-max-len 10 slowlog-log-slower-than 1000", "+OK\r\n"
	e := &preparedEngine{Engine: store.NewMVCCStore().(store.Engine)}
	w := dial(t, serveAt(t, e, time.Now, server.NewConfig(), anyPort(t)).addr)
	for _, c := range [][]struct{ send, want string }{
		{{set, done}},
		{{"PING\r\n" + set, "+PONG\r\n" + done}},
		{{"GET k with far too many", "-ERR wrong number of arguments for 'get' command\r\n"}},
		{{"GET k\r\nGET k with far too many", "$-1\r\n-ERR wrong number of arguments for 'get' command\r\n"}},
		{{"MULTI", "+OK\r\n"}, {"MGET k0 k1 k2 k3", "+QUEUED\r\n"}, {"EXEC", "*1\r\n*4\r\n$-1\r\n$-1\r\n$-1\r\n$-1\r\n"}},
		{{"MULTI", "+OK\r\n"}, {"MSET k0 v k1 v", "+QUEUED\r\n"}, {"DISCARD", "+OK\r\n"}},
	} {
		for _, x := range c {
			w.ask(x.send, x.want)
		}
		e.take()
		w.ask("LRANGE none 0 -1", "*0\r\n")
		if got := e.take(); len(got) > 0 {
			t.Errorf("behind %q: %q are prepared", c, got)
		}
	}
}
