package test

import (
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

// migrationEnd is a server that keys are moved between.
type migrationEnd struct {
	*testkit.Client
	host, port string
}

func migrationEnds(t *testing.T, addrs ...string) (ends []migrationEnd) {
	t.Helper()
	for _, addr := range addrs {
		host, port, err := net.SplitHostPort(addr)
		if err != nil {
			t.Fatal(err)
		}
		ends = append(ends, migrationEnd{testkit.Dial(t, addr, 2), host, port})
	}
	return ends
}

// TestMigrate moves keys to a real redis-server and back again.
func TestMigrate(t *testing.T) {
	ends := migrationEnds(t, testkit.Memory(t), testkit.Redis(t).Addr)
	ours, redis := ends[0], ends[1]
	ours.MustDo(t, "RPUSH", "l", "a", "b")
	ours.MustDo(t, "SET", "s", "v", "PX", "100000000")
	ours.MustDo(t, "SET", "stays", "v")
	digest := ours.MustDo(t, "DEBUG", "DIGEST-VALUE", "l", "s").String()
	want := func(c migrationEnd, reply string, args ...string) {
		t.Helper()
		if v, err := c.Do(args...); err != nil || v.String() != reply {
			t.Errorf("%q: %s, %v; want %s", args, v, err, reply)
		}
	}
	want(ours, "OK", "MIGRATE", redis.host, redis.port, "", "3", "5000", "KEYS", "l", "nosuch", "s")
	want(ours, "(integer) 0", "EXISTS", "l", "s")
	want(ours, "(integer) 1", "DBSIZE")
	want(redis, "OK", "SELECT", "3")
	want(redis, digest, "DEBUG", "DIGEST-VALUE", "l", "s")
	want(redis, "OK", "MIGRATE", ours.host, ours.port, "", "0", "5000", "COPY", "KEYS", "l", "s")
	want(ours, digest, "DEBUG", "DIGEST-VALUE", "l", "s")

	// A key that is there is refused, and stays here, unless it may be replaced.
	want(ours, "(error) ERR Target instance replied with error: BUSYKEY Target key name already exists.", "MIGRATE", redis.host, redis.port, "l", "3", "5000")
	want(ours, "(integer) 1", "EXISTS", "l")
	want(ours, "OK", "MIGRATE", redis.host, redis.port, "l", "3", "5000", "REPLACE", "COPY")
	want(ours, "(integer) 1", "EXISTS", "l")
	want(ours, "(error) ERR Target instance replied with error: ERR DB index is out of range", "MIGRATE", redis.host, redis.port, "l", "99", "5000")
	want(ours, "OK", "WATCH", "s")
	want(ours, "OK", "MIGRATE", redis.host, redis.port, "l", "3", "5000", "REPLACE")
	want(ours, "OK", "MULTI")
	want(ours, "QUEUED", "PING")
	want(ours, "1) PONG", "EXEC")
}

// TestMigrateKeepsWhatChanges has a key written while the other server holds the answer back.
func TestMigrateKeepsWhatChanges(t *testing.T) {
	addr := testkit.Memory(t)
	ours, other := testkit.Dial(t, addr, 2), testkit.Dial(t, addr, 2)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	host, port, _ := net.SplitHostPort(ln.Addr().String())
	for _, changed := range []bool{false, true} {
		ours.MustDo(t, "SET", "k", "v")
		if err := ours.Send("MIGRATE", host, port, "k", "0", "20000"); err != nil {
			t.Fatal(err)
		}
		if err := ours.Flush(); err != nil {
			t.Fatal(err)
		}
		target := acceptCalls(t, ln)
		target.answer(t, "SELECT", "+OK\r\n")
		target.expect(t, "RESTORE")
		if changed {
			other.MustDo(t, "APPEND", "k", "w")
		}
		target.answer(t, "", "+OK\r\n")
		reply, err := ours.Receive()
		if err != nil || (reply.Kind == resp.KindError) != changed {
			t.Errorf("changed %v: %s, %v", changed, reply, err)
		}
		if got := other.MustDo(t, "EXISTS", "k").String(); got != fmt.Sprintf("(integer) %d", map[bool]int{true: 1}[changed]) {
			t.Errorf("changed %v: EXISTS answers %s", changed, got)
		}
	}
}

// TestMigrateKeepsWhatGroupsDo has a group of a stream read while the stream is on its way.
func TestMigrateKeepsWhatGroupsDo(t *testing.T) {
	addr := testkit.Memory(t)
	ours, other := testkit.Dial(t, addr, 2), testkit.Dial(t, addr, 2)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	host, port, _ := net.SplitHostPort(ln.Addr().String())
	for _, meanwhile := range [][]string{nil, {"XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "s", ">"}, {"XACK", "s", "g", "1-1"}, {"XGROUP", "SETID", "s", "g", "0"}} {
		ours.MustDo(t, "DEL", "s")
		for _, id := range []string{"1-1", "1-2"} {
			ours.MustDo(t, "XADD", "s", id, "a", "b")
		}
		ours.MustDo(t, "XGROUP", "CREATE", "s", "g", "0")
		ours.MustDo(t, "XREADGROUP", "GROUP", "g", "c", "COUNT", "1", "STREAMS", "s", ">")
		if err := ours.Send("MIGRATE", host, port, "s", "0", "20000"); err != nil {
			t.Fatal(err)
		}
		if err := ours.Flush(); err != nil {
			t.Fatal(err)
		}
		target := acceptCalls(t, ln)
		target.answer(t, "SELECT", "+OK\r\n")
		target.expect(t, "RESTORE")
		if meanwhile != nil {
			other.MustDo(t, meanwhile...)
		}
		target.answer(t, "", "+OK\r\n")
		if reply, err := ours.Receive(); err != nil || (reply.Kind == resp.KindError) != (meanwhile != nil) {
			t.Errorf("%q: %s, %v", meanwhile, reply, err)
		}
		if got := other.MustDo(t, "EXISTS", "s").Int; (got == 1) != (meanwhile != nil) {
			t.Errorf("%q: EXISTS answers %d", meanwhile, got)
		}
	}
}

// target is a server that the test plays.
type target struct {
	net.Conn
	in *resp.Reader
}

func acceptCalls(t *testing.T, ln net.Listener) target {
	t.Helper()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return target{conn, resp.NewReader(conn, resp.Limits{})}
}

// expect reads a call of the command.
func (c target) expect(t *testing.T, command string) {
	t.Helper()
	args, err := c.in.ReadCommand()
	if err != nil || !strings.EqualFold(string(args[0]), command) {
		t.Fatalf("got %q, %v; want %s", args, err, command)
	}
}

// answer reads a call of the command, unless that is empty, and replies.
func (c target) answer(t *testing.T, command, reply string) {
	t.Helper()
	if command != "" {
		c.expect(t, command)
	}
	if _, err := c.Write([]byte(reply)); err != nil {
		t.Fatal(err)
	}
}
