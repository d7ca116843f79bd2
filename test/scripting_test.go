package test

import (
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
	"github.com/elastickv/elastickv/store"
)

// busyServer is a server on which a script is told to take too long nearly at once.
func busyServer(t *testing.T) (addr string) {
	t.Helper()
	return testkit.InProcess(t, store.NewMVCCStore().(store.Engine), map[string]string{"busy-reply-threshold": "10"})
}

// eventually sends a command until its reply begins with want.
func eventually(t *testing.T, c *testkit.Client, want string, args ...string) {
	t.Helper()
	var last resp.Value
	for range 100_000 {
		v, err := c.Do(args...)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(v.Str, want) {
			return
		}
		last = v
	}
	t.Fatalf("%q never answered %s, but at last %s", args, want, last)
}

func send(t *testing.T, c *testkit.Client, args ...string) {
	t.Helper()
	if err := c.Send(args...); err != nil {
		t.Fatal(err)
	}
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
}

func receive(t *testing.T, c *testkit.Client) resp.Value {
	t.Helper()
	v, err := c.Receive()
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func wantReply(t *testing.T, c *testkit.Client, want string, args ...string) {
	t.Helper()
	v, err := c.Do(args...)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(v.String(), want) {
		t.Errorf("%q: got %s, want %s", args, v, want)
	}
}

// TestBusy looks at a server from all sides while a script holds it up.
func TestBusy(t *testing.T) {
	addr := busyServer(t)
	script, other, waiting, queued := testkit.Dial(t, addr, 2), testkit.Dial(t, addr, 2), testkit.Dial(t, addr, 2), testkit.Dial(t, addr, 2)
	other.MustDo(t, "SET", "k", "v")
	queued.MustDo(t, "MULTI")
	queued.MustDo(t, "SET", "k", "w")

	send(t, script, "EVAL", "while true do end", "0")
	send(t, waiting, "SET", "waited", "1") // may come before the script, wait for it, or be refused
	eventually(t, other, "BUSY", "PING")
	if v := receive(t, waiting); v.Str != "OK" && !strings.HasPrefix(v.Str, "BUSY") {
		t.Errorf("a write that waited got %s", v)
	}
	wantReply(t, other, "(error) BUSY", "GET", "k")
	wantReply(t, other, "(error) BUSY", "SET", "k", "x")
	wantReply(t, other, "(error) BUSY", "EVAL", "return 1", "0")
	wantReply(t, other, "(error) BUSY", "SCRIPT", "EXISTS", "x")
	wantReply(t, other, "(error) BUSY Redis is busy running a script. You can only call SCRIPT KILL", "SHUTDOWN")
	wantReply(t, other, "(error) BUSY Redis is busy running a script. You can only call SCRIPT KILL", "FUNCTION", "KILL")
	wantReply(t, other, "(error) BUSY", "FUNCTION", "STATS")
	wantReply(t, queued, "(error) EXECABORT Transaction discarded because of: BUSY", "EXEC")
	wantReply(t, queued, "OK", "MULTI")
	wantReply(t, queued, "(error) BUSY", "SET", "k", "w")
	wantReply(t, other, "OK", "SCRIPT", "KILL")
	if v := receive(t, script); !strings.HasPrefix(v.Str, "ERR Script killed by user") {
		t.Errorf("the script got %s", v)
	}
	eventually(t, other, "v", "GET", "k")
	wantReply(t, queued, "(error) EXECABORT", "EXEC")
	wantReply(t, script, `"v"`, "GET", "k")
	wantReply(t, other, "(error) NOTBUSY", "SCRIPT", "KILL")
}

// TestUnkillable kills a script that has written: only the end of the server ends it, and what
// it wrote has not happened.
func TestUnkillable(t *testing.T) {
	dir := t.TempDir()
	server := testkit.Elastickv(t, dir)
	script, other := testkit.Dial(t, server.Addr, 2), testkit.Dial(t, server.Addr, 2)
	other.MustDo(t, "CONFIG", "SET", "busy-reply-threshold", "10")
	other.MustDo(t, "SET", "k", "before")
	send(t, script, "EVAL", "redis.call('set', 'k', 'within') while true do end", "0")
	eventually(t, other, "BUSY", "PING")
	wantReply(t, other, "(error) UNKILLABLE", "SCRIPT", "KILL")
	wantReply(t, other, "(error) BUSY", "PING")
	send(t, other, "SHUTDOWN", "NOSAVE")
	if v, err := script.Receive(); err == nil && v.Kind != resp.KindError {
		t.Errorf("the script got %s", v)
	}
	if v, err := other.Receive(); !testkit.Closed(err) {
		t.Errorf("SHUTDOWN got %s, %v", v, err)
	}
	if err := server.Ended(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	again := testkit.Dial(t, testkit.Elastickv(t, dir).Addr, 2)
	wantReply(t, again, `"before"`, "GET", "k")
}

// TestFunctionsSurvive kills the process after libraries were loaded, replaced and deleted.
func TestFunctionsSurvive(t *testing.T) {
	dir := t.TempDir()
	server := testkit.Elastickv(t, dir)
	c := testkit.Dial(t, server.Addr, 2)
	for _, lib := range []string{
		"#!lua name=a\nredis.register_function('one', function() return 1 end)",
		"#!lua name=b\nredis.register_function('two', function() return 2 end)",
		"#!lua name=c\nredis.register_function('three', function() return 3 end)",
	} {
		c.MustDo(t, "FUNCTION", "LOAD", lib)
	}
	c.MustDo(t, "FUNCTION", "LOAD", "REPLACE", "#!lua name=b\nredis.register_function{function_name='two', callback=function() return 22 end, flags={'no-writes'}}")
	c.MustDo(t, "FUNCTION", "DELETE", "c")
	c.MustDo(t, "FLUSHALL")
	listed := c.MustDo(t, "FUNCTION", "LIST").String()
	server.Kill()

	c = testkit.Dial(t, testkit.Elastickv(t, dir).Addr, 2)
	wantReply(t, c, "(integer) 1", "FCALL", "one", "0")
	wantReply(t, c, "(integer) 22", "FCALL_RO", "two", "0")
	wantReply(t, c, "(error) ERR Function not found", "FCALL", "three", "0")
	wantReply(t, c, listed, "FUNCTION", "LIST")
}

// TestScriptInTransaction: a script in MULTI is part of it, and what it loads is seen by what comes
// behind; WATCH hears of what scripts change, and those who wait for a key as well.
func TestScriptInTransaction(t *testing.T) {
	addr := testkit.Memory(t)
	c, other := testkit.Dial(t, addr, 2), testkit.Dial(t, addr, 2)
	c.MustDo(t, "MULTI")
	c.MustDo(t, "SET", "k", "1")
	c.MustDo(t, "EVAL", "return redis.call('incr', KEYS[1])", "1", "k")
	c.MustDo(t, "FUNCTION", "LOAD", "#!lua name=l\nredis.register_function('f', function(keys) return redis.call('incr', keys[1]) end)")
	c.MustDo(t, "FCALL", "f", "1", "k")
	c.MustDo(t, "EVAL", "redis.call('set', 'gone', 1) return redis.call('lpush', 'k', 'x')", "0")
	c.MustDo(t, "GET", "gone")
	if got, want := c.MustDo(t, "EXEC").String(), "1) OK\n2) (integer) 2\n3) \"l\"\n4) (integer) 3\n5) (error) WRONGTYPE"; !strings.HasPrefix(got, want) || !strings.HasSuffix(got, "\n6) \"1\"") {
		t.Errorf("EXEC: %s", got)
	}
	c.MustDo(t, "WATCH", "k")
	other.MustDo(t, "FCALL", "f", "1", "k")
	c.MustDo(t, "MULTI")
	c.MustDo(t, "PING")
	if v := c.MustDo(t, "EXEC"); v.Kind != resp.KindNullArray {
		t.Errorf("EXEC after a script has changed the key: %s", v)
	}
	id := other.MustDo(t, "CLIENT", "ID").String()
	send(t, other, "BLPOP", "list", "0")
	for !strings.Contains(c.MustDo(t, "INFO", "clients").Str, "blocked_clients:1") {
	}
	c.MustDo(t, "EVAL", "redis.call('rpush', 'list', 'a', 'b') redis.call('lpop', 'list') return 1", "0")
	if v := receive(t, other); len(v.Elems) != 2 || v.Elems[1].Str != "b" {
		t.Errorf("BLPOP (client %s) got %s", id, v)
	}
}

// TestScriptsBeside: scripts that only read run beside the sequencer, so that one that never ends
// holds up nobody.
func TestScriptsBeside(t *testing.T) {
	addr := busyServer(t)
	c := testkit.Dial(t, addr, 2)
	c.MustDo(t, "SET", "k", "v")
	c.MustDo(t, "FUNCTION", "LOAD", "#!lua name=l\nredis.register_function{function_name='spin', callback=function() while true do end end, flags={'no-writes'}}")
	scripts := [][]string{
		{"EVAL_RO", "while true do end", "0"}, {"EVAL", "#!lua flags=no-writes\nwhile true do end", "0"}, {"FCALL", "spin", "0"}, {"FCALL_RO", "spin", "0"},
	}
	var running []*testkit.Client
	for _, args := range scripts {
		r := testkit.Dial(t, addr, 2)
		send(t, r, args...)
		running = append(running, r)
	}
	for range 20 {
		wantReply(t, c, `"v"`, "GET", "k")
		wantReply(t, c, "OK", "SET", "k", "v")
		wantReply(t, c, "(integer) 7", "EVAL", "return 7", "0")
	}
	eventually(t, c, "OK", "SCRIPT", "KILL")
	for _, r := range running[:2] {
		if v := receive(t, r); !strings.Contains(v.Str, "killed by user") {
			t.Errorf("killed: %s", v)
		}
	}
	eventually(t, c, "OK", "FUNCTION", "KILL")
	for _, r := range running[2:] {
		if v := receive(t, r); !strings.Contains(v.Str, "killed by user") {
			t.Errorf("killed: %s", v)
		}
	}
}

// TestScriptErrorsCounted: an error is counted once, where it happened, and not again as that of the
// script around it.
func TestScriptErrorsCounted(t *testing.T) {
	c := testkit.Dial(t, testkit.Memory(t), 2)
	for _, tc := range []struct {
		script, errors string
		stats          []string
	}{
		{"return redis.call('select', 99)", "errorstat_ERR:count=1", []string{"cmdstat_select:calls=1,rejected=0,failed=1", "cmdstat_eval:calls=1,rejected=0,failed=1"}},
		{"redis.pcall('select', 99) return 1", "errorstat_ERR:count=1", []string{"cmdstat_select:calls=1,rejected=0,failed=1", "cmdstat_eval:calls=1,rejected=0,failed=0"}},
		{"return redis.pcall('select', 99)", "errorstat_ERR:count=1", []string{"cmdstat_eval:calls=1,rejected=0,failed=1"}},
		{"return redis.call('get')", "errorstat_ERR:count=1", []string{"cmdstat_get:calls=0,rejected=1,failed=0", "cmdstat_eval:calls=1,rejected=0,failed=1"}},
		{"return {err='MINE own'}", "errorstat_MINE:count=1", []string{"cmdstat_eval:calls=1,rejected=0,failed=1"}},
		{"error('x')", "errorstat_ERR:count=1", []string{"cmdstat_eval:calls=1,rejected=0,failed=1"}},
	} {
		c.MustDo(t, "CONFIG", "RESETSTAT")
		if _, err := c.Do("EVAL", tc.script, "0"); err != nil {
			t.Fatal(err)
		}
		info := c.MustDo(t, "INFO", "everything").Str
		if !strings.Contains(info, tc.errors) || !strings.Contains(info, "total_error_replies:1\r\n") {
			t.Errorf("%s: not counted as %s", tc.script, tc.errors)
		}
		for _, want := range tc.stats {
			if !hasStat(info, want) {
				t.Errorf("%s: no %s", tc.script, want)
			}
		}
	}
}

// hasStat reports whether INFO has a line of a command with these counts.
func hasStat(info, want string) bool {
	name, counts, _ := strings.Cut(want, ":")
	for line := range strings.SplitSeq(info, "\r\n") {
		if !strings.HasPrefix(line, name+":") {
			continue
		}
		line = strings.NewReplacer("rejected_calls", "rejected", "failed_calls", "failed").Replace(line)
		for count := range strings.SplitSeq(counts, ",") {
			if !strings.Contains(line+",", count+",") {
				return false
			}
		}
		return true
	}
	return false
}
