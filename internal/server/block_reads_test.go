package server_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/internal/testkit"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// longerRow waits until one of its lists is longer than a number; "$" is the length of the
// first at the time of the call. Like XREAD it only reads, and so runs on a snapshot; if
// told ANY it looks again whatever a key becomes, like XREADGROUP, and wants the first to be there.
//
//	LONGER key… length PLAIN|ANY
var longerRow = &command.Command{
	Name: "longer", Arity: -4, Flags: command.ReadOnly | command.Blocking, Group: command.GroupList, Run: longer,
	Since: "7.0.0", Summary: "For tests.",
}

func longer(c *command.Ctx) error {
	keys, at, how := c.Args[1:len(c.Args)-2], len(c.Args)-2, string(c.Args[len(c.Args)-1])
	for i, key := range keys {
		l, err := c.Keys.List(key)
		if err != nil {
			return err
		}
		if how == "ANY" && i == 0 && !l.Exists() {
			return command.ErrNoSuchKey
		}
		if string(c.Args[at]) == "$" {
			c.Args[at] = strconv.AppendInt(nil, l.Len(), 10)
		}
		n, err := strconv.ParseInt(string(c.Args[at]), 10, 64)
		if err != nil {
			return command.ErrNotInteger
		}
		if l.Len() > n {
			c.Out.Int(l.Len())
			return nil
		}
	}
	b := &command.Block{Keys: keys, Kind: keyspace.KindList, Timeout: 20 * time.Second, Expired: (*resp.Writer).NullArray}
	if how == "ANY" {
		b.Kind = keyspace.KindNone
	}
	return c.Block(b)
}

// startWith serves with more commands.
func startWith(t *testing.T, more ...*command.Command) string {
	t.Helper()
	return startChanged(t, func(s *server.Server) { server.AddCommands(s, more...) })
}

// startChanged serves after change.
func startChanged(t *testing.T, change func(*server.Server)) string {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	db := txn.NewLocal(store.NewMVCCStore().(store.Engine), hlc.New(time.Now), txn.Options{})
	s := server.New(server.Options{
		DB: db, Config: server.NewConfig(), Log: slog.New(slog.DiscardHandler), Now: time.Now, Rand: rand.Uint64,
	})
	change(s)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Serve(ctx, ln) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		_ = db.Close()
	})
	return ln.Addr().String()
}

// A command that only reads waits like one that writes.
func TestReadsThatWait(t *testing.T) {
	addr := startWith(t, longerRow)
	other := testkit.Dial(t, addr, 2)
	for _, tc := range []struct {
		name, call string
		writes     []string
		want       string
	}{
		{"there already", "LONGER k 0 PLAIN", nil, "(integer) 1"},
		{"from now on", "LONGER k $ PLAIN", []string{"RPUSH k x"}, "(integer) 2"},
		{"not yet", "LONGER k 2 PLAIN", []string{"RPUSH k x", "RPUSH k x"}, "(integer) 3"},
		{"other keys", "LONGER k l m $ PLAIN", []string{"RPUSH m a", "RPUSH l a b"}, "(integer) 2"},
		{"gone for a time", "LONGER k $ PLAIN", []string{"DEL k", "SET k v", "DEL k", "RPUSH k x x x"}, "(integer) 3"},
		{"flushed for a time", "LONGER k $ PLAIN", []string{"FLUSHALL", "RPUSH k x x x"}, "(integer) 3"},
		{"deleted", "LONGER k l $ ANY", []string{"SET other x", "DEL k"}, "(error) ERR no such key"},
		{"emptied", "LONGER k $ ANY", []string{"LPOP k"}, "(error) ERR no such key"},
		{"overwritten", "LONGER k $ ANY", []string{"SET k v"}, "(error) WRONGTYPE Operation against a key holding the wrong kind of value"},
		{"flushed", "LONGER k $ ANY", []string{"FLUSHDB"}, "(error) ERR no such key"},
		{"renamed", "LONGER k $ ANY", []string{"RENAME k l"}, "(error) ERR no such key"},
	} {
		other.MustDo(t, "FLUSHALL")
		other.MustDo(t, "RPUSH", "k", "x")
		w := testkit.Dial(t, addr, 2)
		args, err := testkit.Split(tc.call)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Send(args...); err != nil {
			t.Fatal(err)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		if len(tc.writes) > 0 {
			eventually(t, "it waits", func() bool { return isBlocked(t, other, 1) })
		}
		for i, line := range tc.writes {
			args, _ := testkit.Split(line)
			other.MustDo(t, args...)
			if !isBlocked(t, other, 1) && i < len(tc.writes)-1 {
				t.Errorf("%s: %q ended the wait", tc.name, line)
			}
		}
		got, err := w.Receive()
		if err != nil || got.String() != tc.want {
			t.Errorf("%s: got %s (%v), want %s", tc.name, got, err, tc.want)
		}
		w.Close()
	}
	if !isBlocked(t, other, 0) {
		t.Error("somebody still waits")
	}
}

// What is written between a call's look at its snapshot and the beginning of its wait is not missed.
func TestReadsThatWaitMissNothing(t *testing.T) {
	inBubble(t, func(b *bubble) {
		w, other := b.dial(), b.dial()
		b.engine.close()
		other.send("RPUSH k v\r\n")
		synctest.Wait()
		w.send("LONGER k 0 PLAIN\r\n") // its snapshot does not have what is not durable
		b.silent(w, "before the sync")
		b.engine.open(nil)
		other.expect(":1\r\n")
		w.expect(":1\r\n")
		other.ask("WATCH k", "+OK\r\n")
		w.send("LONGER k $ PLAIN\r\nLONGER k $ PLAIN\r\n")
		synctest.Wait()
		other.ask("RPUSH k v v", ":3\r\n")
		w.expect(":3\r\n")
		b.silent(w, "although the second call wants to see more than there is now")
		other.ask("RPUSH k v", ":4\r\n")
		w.expect(":4\r\n")
	})
}

// isBlocked reports whether so many clients wait.
func isBlocked(t *testing.T, c *testkit.Client, n int) bool {
	t.Helper()
	return strings.Contains(c.MustDo(t, "INFO", "clients").Str, "\r\nblocked_clients:"+strconv.Itoa(n)+"\r\n")
}
