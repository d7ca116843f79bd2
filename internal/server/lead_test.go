package server_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
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
	held    bool   // proposals wait
	cut     bool   // nobody answers
	nobody  bool   // leads, if this one does not
	hidden  bool   // it is not known where the leader is
	begins  bool   // this one leads, and has not applied everything
	matched uint64 // what the second node has
	said    []string
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

// handCluster has a second node, which leads when this one does not.
type handCluster struct{ l *handLog }

var second = server.Peer{Node: 2, Host: "10.0.0.2", Port: 7002}

func (c handCluster) Lead() (bool, <-chan struct{}) {
	_, leading, changed := c.l.Lead()
	return leading, changed
}

func (c handCluster) Leader() (server.Peer, bool) {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	switch {
	case c.l.leading || c.l.begins:
		return server.Peer{Node: 1, Self: true}, true
	case c.l.nobody:
		return server.Peer{}, false
	case c.l.hidden:
		return server.Peer{Node: 2}, true
	}
	return second, true
}

func (c handCluster) Status(context.Context) (server.ClusterStatus, error) {
	leader, known := c.Leader()
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	st := server.ClusterStatus{ID: [16]byte{0xab, 15: 0xcd}, Leading: c.l.leading, Term: 7, Commit: 41, Applied: 40}
	if known {
		st.Leader = leader.Node
	}
	st.Nodes = []server.ClusterNode{
		{Peer: second, Addr: "10.0.0.2:9002", Voter: true, Applied: 39, Match: c.l.matched, Heard: time.Now().Add(-time.Second)},
		{Peer: server.Peer{Node: 1, Self: true, Host: "10.0.0.1", Port: 7001, TLSPort: 7101}, Addr: "10.0.0.1:9001", Voter: true, Applied: 40, Match: 41},
		{Peer: server.Peer{Node: 3}, Addr: "10.0.0.3:9003", Voter: true},
	}
	return st, nil
}

// Connect fails: the other node is of an earlier release.
func (c handCluster) Connect(context.Context, uint64) (net.Conn, error) {
	return nil, errors.New("a connection for purpose 4, which there is not")
}

// Say takes down what the other node is to hear.
func (c handCluster) Say(m server.Message) {
	c.l.mu.Lock()
	defer c.l.mu.Unlock()
	c.l.said = append(c.l.said, fmt.Sprintf("%t %s %s", m.Shard, m.Channel, m.Payload))
}

func (c handCluster) AwaitCopies(ctx context.Context, index uint64, others int) error {
	for {
		c.l.mu.Lock()
		there, leading, changed := c.l.matched >= index && others <= 1, c.l.leading, c.l.changed
		c.l.mu.Unlock()
		switch {
		case !leading:
			return errors.New("this node does not lead")
		case there:
			return nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// TestLead has clients of a node that leads, and ceases to. Each step is something that happens, or a client with what
// it sends and what it is told, if anything.
func TestLead(t *testing.T) {
	const (
		moved     = "-MOVED 7629 10.0.0.2:7002\r\n"
		movedL    = "-MOVED 11562 10.0.0.2:7002\r\n"
		readOnly  = "-READONLY You can't write against a read only replica.\r\n"
		elsewhere = "-READONLY You can't write against a read only replica. The leader is 10.0.0.2:7002.\r\n"
		nobody    = "-CLUSTERDOWN The cluster is down: nobody leads at the moment\r\n"
		begins    = "-TRYAGAIN Nothing was written: this node has only begun to lead. Try again.\r\n"
		tooStale  = "-MASTERDOWN The leader does not answer, and what this node has may be older than 1000 ms (cluster-max-staleness). Ask another node, or again later.\r\n"
		unknown   = "-ERR The outcome is unknown: this node has ceased to lead. The command was carried out, or will be, or never will.\r\n"
		tryAgain  = "-TRYAGAIN Nothing was written: this node has ceased to lead, or could not keep up. Try again.\r\n"
		down      = "-CLUSTERDOWN The cluster is down: no majority of its nodes has answered\r\n"
		deposed   = "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n"
	)
	for name, steps := range map[string][][3]string{
		"committed": {{"hold"}, {"a", "SET k v"}, {"commit"}, {"a", "", "+OK\r\n"}, {"a", "GET k", "$1\r\nv\r\n"}},
		"unknown": {{"a", "SET k old", "+OK\r\n"}, {"hold"}, {"a", "SET k v"}, {"follow"}, {"unknown"}, {"a", "", unknown},
			{"a", "GET k", "$3\r\nold\r\n"}},
		"not committed": {{"hold"}, {"a", "SET k v"}, {"follow"}, {"lost"}, {"a", "", tryAgain}, {"a", "GET k", "$-1\r\n"},
			{"lead"}, {"a", "SET k w"}, {"commit"}, {"a", "", "+OK\r\n"}},
		"follower": {{"a", "SET k v", "+OK\r\n"}, {"follow"}, {"a", "SET k w", moved}, {"a", "GET k", "$1\r\nv\r\n"},
			{"a", "BLPOP l 0", movedL}, {"a", "WATCH k", moved}, {"a", "FLUSHALL", elsewhere}, {"a", "SPUBLISH {l} x", ":0\r\n"},
			{"a", "XREAD BLOCK 0 STREAMS l 0", movedL}, {"a", "PING", "+PONG\r\n"}},
		"follower, pipelined": {{"a", "SET k v", "+OK\r\n"}, {"follow"}, {"a", "SET k w\r\nGET k\r\nSET l w\r\nPING", moved + "$1\r\nv\r\n" + movedL + "+PONG\r\n"}},
		"follower, in MULTI": {{"follow"}, {"a", "MULTI", "+OK\r\n"}, {"a", "SET k v", moved}, {"a", "EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n"},
			{"a", "MULTI", "+OK\r\n"}, {"a", "GET k", "+QUEUED\r\n"}, {"a", "EXEC", "*1\r\n$-1\r\n"}},
		"EXEC behind the lead": {{"a", "MULTI", "+OK\r\n"}, {"a", "GET l", "+QUEUED\r\n"}, {"a", "SET k v", "+QUEUED\r\n"}, {"follow"}, {"a", "EXEC", movedL},
			{"a", "EXEC", "-ERR EXEC without MULTI\r\n"}},
		"EXEC, unknown": {{"hold"}, {"a", "MULTI", "+OK\r\n"}, {"a", "SET k v", "+QUEUED\r\n"}, {"a", "INCR n", "+QUEUED\r\n"}, {"a", "EXEC"}, {"follow"}, {"unknown"},
			{"a", "", unknown}, {"a", "EXEC", "-ERR EXEC without MULTI\r\n"}},
		"EXEC, not committed": {{"hold"}, {"a", "MULTI", "+OK\r\n"}, {"a", "SET k v", "+QUEUED\r\n"}, {"a", "EXEC"}, {"follow"}, {"lost"},
			{"a", "", tryAgain}, {"a", "GET k", "$-1\r\n"}},
		"a script, unknown": {{"hold"}, {"a", `EVAL "redis.call('set','k','v') return 1" 1 k`}, {"follow"}, {"unknown"}, {"a", "", unknown}},
		"a script, not committed": {{"hold"}, {"a", `EVAL "redis.call('set','k','v') return 1" 1 k`}, {"follow"}, {"lost"}, {"a", "", tryAgain},
			{"a", `EVAL_RO "return redis.call('get','k')" 1 k`, "$-1\r\n"}},
		"a function library, unknown": {{"hold"}, {"a", `FUNCTION LOAD "#!lua name=lib\nredis.register_function('f', function() return 1 end)"`}, {"follow"}, {"unknown"}, {"a", "", unknown}},
		"a message, unknown": {{"b", "SUBSCRIBE c", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"}, {"hold"}, {"a", "MULTI", "+OK\r\n"}, {"a", "SET k v", "+QUEUED\r\n"},
			{"a", "PUBLISH c x", "+QUEUED\r\n"}, {"a", "EXEC"}, {"follow"}, {"unknown"}, {"a", "", unknown}, {"b", "PING", "*2\r\n$4\r\npong\r\n$0\r\n\r\n"}, {"said", ""}},
		"messages": {{"a", "PUBLISH c x", ":0\r\n"}, {"a", "SPUBLISH s y", ":0\r\n"}, {"said", "false c x, true s y"}, {"hold"}, {"a", "MULTI", "+OK\r\n"}, {"a", "SET k v", "+QUEUED\r\n"},
			{"a", "PUBLISH c z", "+QUEUED\r\n"}, {"a", "EXEC"}, {"said", ""}, {"commit"}, {"a", "", "*2\r\n+OK\r\n:0\r\n"}, {"said", "false c z"},
			{"a", "CONFIG SET notify-keyspace-events KEA", "+OK\r\n"}, {"a", "DEL k"}, {"commit"}, {"a", "", ":1\r\n"},
			{"said", "false __keyspace@0__:k del, false __keyevent@0__:del k"},
			{"follow"}, {"b", "SUBSCRIBE c", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n"}, {"a", "PUBLISH c x", ":1\r\n"}, {"said", "false c x"},
			{"b", "", "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nx\r\n"}, {"hear", "c", "from afar"}, {"b", "", "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$9\r\nfrom afar\r\n"}, {"said", ""}},
		"a pipeline, unknown": {{"hold"}, {"a", "SET k v\r\nSET l v"}, {"follow"}, {"unknown"}, {"a", "", unknown}},
		"no majority, one answer": {{"cut"}, {"a", "MIGRATE 127.0.0.1 1 k 0 10"}, {"wait"}, {"a", "", down}, {"a", "DEBUG DIGEST-VALUE k"}, {"wait"}, {"a", "", down},
			{"a", "CLUSTER COUNTKEYSINSLOT 0"}, {"wait"}, {"a", "", down}, {"a", "PING", "+PONG\r\n"}},
		"no redirects": {{"a", "CONFIG SET cluster-redirects no", "+OK\r\n"}, {"follow"}, {"a", "SET k v", elsewhere}, {"a", "MULTI", "+OK\r\n"},
			{"a", "GET k", "+QUEUED\r\n"}, {"a", "SET k v", elsewhere}, {"a", "EXEC", "-EXECABORT Transaction discarded because of previous errors.\r\n"}},
		"nobody leads":         {{"follow"}, {"nobody"}, {"a", "SET k v", nobody}, {"a", "GET k", "$-1\r\n"}, {"a", "FLUSHALL", nobody}},
		"the leader is hidden": {{"follow"}, {"hidden"}, {"a", "SET k v", readOnly}},
		"it begins to lead":    {{"follow"}, {"begins"}, {"a", "SET k v", begins}},
		"READONLY": {{"a", "SET k v", "+OK\r\n"}, {"a", "READONLY", "+OK\r\n"}, {"follow"}, {"a", "GET k", "$1\r\nv\r\n"}, {"a", "SET k w", moved},
			{"cut"}, {"a", "GET k", "$1\r\nv\r\n"}, {"a", "MULTI", "+OK\r\n"}, {"a", "GET k", "+QUEUED\r\n"}, {"a", "EXEC", "*1\r\n$1\r\nv\r\n"}, {"wait"},
			{"a", "GET k"}, {"wait"}, {"a", "", tooStale}, {"a", "READWRITE", "+OK\r\n"}, {"a", "GET k"}, {"wait"}, {"a", "", down}},
		"ASKING": {{"a", "ASKING", "+OK\r\n"}},
		"WAIT": {{"matched"}, {"a", "WAIT 1 0", ":1\r\n"}, {"a", "WAIT 0 0", ":1\r\n"}, {"a", "WAIT 2 10"}, {"wait"}, {"a", "", ":1\r\n"}, {"a", "WAITAOF 1 1 0", "*2\r\n:1\r\n:1\r\n"},
			{"follow"}, {"a", "WAIT 1 0", "-ERR WAIT cannot"}, {"skip"}, {"a", "WAITAOF 0 0 0", "-ERR WAITAOF cannot"}},
		"replicas that are wanted": {{"wait"}, {"a", "CONFIG SET min-replicas-to-write 1", "+OK\r\n"}, {"a", "SET k v", "+OK\r\n"}, {"a", "CONFIG SET min-replicas-to-write 2", "+OK\r\n"},
			{"a", "SET k v", "-NOREPLICAS Not enough good replicas to write.\r\n"}},
		"WAIT for it":       {{"a", "WAIT 1 0"}, {"matched"}, {"lead"}, {"a", "", ":1\r\n"}},
		"WAIT and the lead": {{"a", "WAIT 1 0"}, {"follow"}, {"a", "", deposed}},
		"ROLE": {{"a", "ROLE", "*3\r\n$6\r\nmaster\r\n:40\r\n*1\r\n*3\r\n$8\r\n10.0.0.2\r\n$4\r\n7002\r\n$2\r\n39\r\n"}, {"follow"},
			{"wait"}, {"a", "ROLE", "*5\r\n$5\r\nslave\r\n$8\r\n10.0.0.2\r\n:7002\r\n$9\r\nconnected\r\n:40\r\n"}},
		"a wait": {{"a", "BLPOP l 0"}, {"follow"}, {"a", "", deposed}, {"a", "PING", "+PONG\r\n"}},
		"a wait that is served": {{"a", "BLPOP l 0"}, {"hold"}, {"b", "RPUSH l x"}, {"follow"}, {"unknown"}, {"a", "", unknown}, {"b", "", unknown},
			{"a", "LLEN l", ":0\r\n"}},
		"a watch": {{"a", "WATCH k", "+OK\r\n"}, {"follow"}, {"lead"}, {"a", "MULTI", "+OK\r\n"}, {"a", "SET k v", "+QUEUED\r\n"},
			{"a", "EXEC", "*-1\r\n"}},
		"a script": {{"follow"}, {"a", `EVAL "return redis.call('set','k','v')" 0`, elsewhere}, {"a", `EVAL "return redis.call('set','k','v')" 1 k`, moved},
			{"a", `EVAL_RO "return 1" 1 k`, ":1\r\n"}},
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

// handNode is a server over a log in the hands of the test.
type handNode struct {
	log *handLog
	ln  *pipes
	srv *server.Server
	end context.CancelFunc
	// close ends it, and what is open is committed.
	close func()
}

func newHandLog(e store.Engine) *handLog { return &handLog{Engine: e, changed: make(chan struct{})} }

// startHandNode starts one; without a cluster it has that of the log.
func startHandNode(t *testing.T, l *handLog, log *safeLog, cfg *server.Config, cluster server.Cluster) *handNode {
	if cluster == nil {
		cluster = handCluster{l}
	}
	n := &handNode{log: l, ln: &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}}
	db := txn.NewReplicated(l.Engine, hlc.New(time.Now), l, txn.Options{Now: time.Now})
	n.srv = server.New(server.Options{
		DB: db, Config: cfg, Log: slog.New(slog.NewTextHandler(log, nil)), Now: time.Now, Rand: rand.Uint64, Version: "test", Cluster: cluster,
	})
	var ctx context.Context
	ctx, n.end = context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- n.srv.Serve(ctx, n.ln) }()
	n.close = func() {
		l.set(func() { l.held, l.cut = false, false })
		l.end(nil)
		n.end()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	}
	return n
}

// client connects one.
func (n *handNode) client() (net.Conn, *bufio.ReadWriter) {
	ours, theirs := net.Pipe()
	n.ln.conns <- theirs
	synctest.Wait() // so that its number is known
	_ = ours.SetReadDeadline(time.Now().Add(time.Minute))
	return ours, bufio.NewReadWriter(bufio.NewReader(ours), bufio.NewWriter(ours))
}

func playLead(t *testing.T, steps [][3]string) {
	l, log := newHandLog(store.NewMVCCStore().(store.Engine)), &safeLog{}
	n := startHandNode(t, l, log, redirecting(t), nil)
	l.lead(true)
	clients := map[string]*bufio.ReadWriter{}
	for _, name := range []string{"a", "b"} {
		conn, c := n.client()
		defer conn.Close()
		clients[name] = c
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
		case "nobody":
			l.set(func() { l.nobody = true })
		case "hidden":
			l.set(func() { l.hidden = true })
		case "begins":
			l.set(func() { l.begins = true })
		case "said":
			l.set(func() {
				if got := strings.Join(l.said, ", "); got != s[1] {
					t.Errorf("the other node hears %q, and is to hear %q", got, s[1])
				}
				l.said = nil
			})
		case "hear":
			n.srv.Hear(server.Message{Channel: []byte(s[1]), Payload: []byte(s[2])})
		case "matched":
			l.set(func() { l.matched = 40 })
		case "wait":
			time.Sleep(6 * time.Second)
		case "skip":
			drain(t, clients["a"])
		default:
			exchange(t, clients[s[0]], s[1], s[2])
		}
		synctest.Wait()
	}
	n.close()
	if t.Failed() {
		t.Log(log.String())
	}
}

// redirecting is a configuration of a node that asks no other for its clients.
func redirecting(t *testing.T) *server.Config {
	t.Helper()
	cfg := server.NewConfig()
	if err := cfg.Set("cluster-redirects", "yes"); err != nil {
		t.Fatal(err)
	}
	return cfg
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
