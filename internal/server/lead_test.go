package server_test

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// handLog is a log whose fate is in the hands of the test.
type handLog struct {
	store.Engine

	mu      sync.Mutex
	term    uint64
	leading bool
	changed chan struct{}
	held    bool // proposals wait
	cut     bool // nobody answers
	open    []func(error)
}

func (l *handLog) Lead() (uint64, bool, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.term, l.leading, l.changed
}

func (l *handLog) Propose(_, _ uint64, commits []store.Commit, done func(error)) {
	l.mu.Lock()
	l.open = append(l.open, func(err error) {
		if err == nil {
			err = l.ApplyCommitsRaftAt(context.Background(), commits, 0)
		}
		done(err)
	})
	held := l.held
	l.mu.Unlock()
	if !held {
		go l.end(nil)
	}
}

// end says what becomes of all that is open.
func (l *handLog) end(err error) {
	l.mu.Lock()
	open := l.open
	l.open = nil
	l.mu.Unlock()
	for _, fn := range open {
		fn(err)
	}
}

func (l *handLog) Barrier(ctx context.Context) error {
	l.mu.Lock()
	cut := l.cut
	l.mu.Unlock()
	if cut {
		<-ctx.Done()
		return ctx.Err()
	}
	return nil
}

func (l *handLog) set(fn func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	fn()
}

// lead makes this node the leader, or no longer.
func (l *handLog) lead(on bool) {
	l.set(func() {
		if l.leading = on; on {
			l.term++
		}
		close(l.changed)
		l.changed = make(chan struct{})
	})
	synctest.Wait()
}

// TestLead has clients of a node that leads, and ceases to. Each step is something that happens, or a client with what
// it sends and what it is told, if anything.
func TestLead(t *testing.T) {
	const (
		readOnly = "-READONLY You can't write against a read only replica.\r\n"
		unknown  = "-ERR The outcome is unknown: this node has ceased to lead. The command was carried out, or will be, or never will.\r\n"
		tryAgain = "-TRYAGAIN Nothing was written: this node has ceased to lead, or could not keep up. Try again.\r\n"
		down     = "-CLUSTERDOWN The cluster is down: no majority of its nodes has answered\r\n"
		deposed  = "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n"
	)
	for name, steps := range map[string][][3]string{
		"committed": {{"hold"}, {"a", "SET k v"}, {"commit"}, {"a", "", "+OK\r\n"}, {"a", "GET k", "$1\r\nv\r\n"}},
		"unknown": {{"a", "SET k old", "+OK\r\n"}, {"hold"}, {"a", "SET k v"}, {"follow"}, {"unknown"}, {"a", "", unknown},
			{"a", "GET k", "$3\r\nold\r\n"}},
		"not committed": {{"hold"}, {"a", "SET k v"}, {"follow"}, {"lost"}, {"a", "", tryAgain}, {"a", "GET k", "$-1\r\n"},
			{"lead"}, {"a", "SET k w"}, {"commit"}, {"a", "", "+OK\r\n"}},
		"follower": {{"a", "SET k v", "+OK\r\n"}, {"follow"}, {"a", "SET k w", readOnly}, {"a", "GET k", "$1\r\nv\r\n"},
			{"a", "BLPOP l 0", readOnly}, {"a", "WATCH k", readOnly}, {"a", "PING", "+PONG\r\n"}},
		"follower, in MULTI": {{"follow"}, {"a", "MULTI", "+OK\r\n"}, {"a", "SET k v", "+QUEUED\r\n"}, {"a", "EXEC", "-EXECABORT Transaction discarded because of: " + readOnly[1:]},
			{"a", "MULTI", "+OK\r\n"}, {"a", "GET k", "+QUEUED\r\n"}, {"a", "EXEC", "*1\r\n$-1\r\n"}},
		"a wait": {{"a", "BLPOP l 0"}, {"follow"}, {"a", "", deposed}, {"a", "PING", "+PONG\r\n"}},
		"a wait that is served": {{"a", "BLPOP l 0"}, {"hold"}, {"b", "RPUSH l x"}, {"follow"}, {"unknown"}, {"a", "", unknown}, {"b", "", unknown},
			{"a", "LLEN l", ":0\r\n"}},
		"a watch": {{"a", "WATCH k", "+OK\r\n"}, {"follow"}, {"lead"}, {"a", "MULTI", "+OK\r\n"}, {"a", "SET k v", "+QUEUED\r\n"},
			{"a", "EXEC", "*-1\r\n"}},
		"a script": {{"follow"}, {"a", `EVAL "return redis.call('set','k','v')" 0`, readOnly}},
		"tracking": {{"a", "HELLO 3"}, {"skip"}, {"a", "CLIENT TRACKING on", "+OK\r\n"}, {"a", "GET k", "_\r\n"}, {"follow"},
			{"a", "", ">2\r\n$10\r\ninvalidate\r\n_\r\n"},
			{"a", "GET k", "-ERR this node does not lead, so nobody can be told when what it reads changes: switch CLIENT TRACKING off, or ask the leader\r\n"}},
		"no majority": {{"cut"}, {"a", "GET k"}, {"wait"}, {"a", "", down}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playLead(t, steps) })
		})
	}
}

func playLead(t *testing.T, steps [][3]string) {
	l := &handLog{Engine: store.NewMVCCStore().(store.Engine), changed: make(chan struct{})}
	ln := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	db := txn.NewReplicated(l.Engine, hlc.New(time.Now), l, txn.Options{Now: time.Now})
	log := &safeLog{}
	srv := server.New(server.Options{
		DB: db, Config: server.NewConfig(), Log: slog.New(slog.NewTextHandler(log, nil)), Now: time.Now, Rand: rand.Uint64, Version: "test",
		Lead: func() (bool, <-chan struct{}) {
			_, leading, changed := l.Lead()
			return leading, changed
		},
	})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx, ln) }()
	l.lead(true)
	clients := map[string]*bufio.ReadWriter{}
	for _, name := range []string{"a", "b"} {
		ours, theirs := net.Pipe()
		ln.conns <- theirs
		defer ours.Close()
		_ = ours.SetReadDeadline(time.Now().Add(time.Minute))
		clients[name] = bufio.NewReadWriter(bufio.NewReader(ours), bufio.NewWriter(ours))
	}
	for _, s := range steps {
		switch s[0] {
		case "hold":
			l.set(func() { l.held = true })
		case "commit":
			l.end(nil)
		case "unknown":
			l.end(fmt.Errorf("%w: the test", txn.ErrUnknown))
		case "lost":
			l.end(fmt.Errorf("%w: the test", txn.ErrNotCommitted))
		case "lead", "follow":
			l.lead(s[0] == "lead")
		case "cut":
			l.set(func() { l.cut = true })
		case "wait":
			time.Sleep(6 * time.Second)
		case "skip":
			drain(t, clients["a"])
		default:
			exchange(t, clients[s[0]], s[1], s[2])
		}
		synctest.Wait()
	}
	l.set(func() { l.held, l.cut = false, false })
	l.end(nil)
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Log(log.String())
	}
}

// exchange sends a command, unless it is empty, and reads what is to be told.
func exchange(t *testing.T, c *bufio.ReadWriter, command, reply string) {
	t.Helper()
	if command != "" {
		if _, err := c.WriteString(command + "\r\n"); err != nil {
			t.Error(err)
		}
		if err := c.Flush(); err != nil {
			t.Error(err)
		}
	}
	synctest.Wait()
	got := make([]byte, len(reply))
	for n := range got {
		b, err := c.ReadByte()
		if err != nil {
			t.Errorf("%s: got %q, then %v", command, got[:n], err)
			return
		}
		if got[n] = b; b != reply[n] {
			rest, _ := c.ReadString('\n')
			t.Errorf("%s: got %q, want %q", command, string(got[:n+1])+rest, reply)
			return
		}
	}
}

// drain takes whatever the client is told now.
func drain(t *testing.T, c *bufio.ReadWriter) {
	t.Helper()
	_, err := c.Peek(1)
	if err == nil {
		_, err = c.Discard(c.Reader.Buffered())
	}
	if err != nil {
		t.Error(err)
	}
}
