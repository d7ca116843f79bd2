package server_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// farCluster is the cluster as a node sees it that does not lead: the second node does, and can be connected to, unless the test
// says otherwise.
type farCluster struct {
	handCluster
	leader *server.Server

	mu      sync.Mutex
	cut     bool // nobody answers who connects
	deaf    bool // nothing of what is said arrives
	open    []net.Conn
	serving sync.WaitGroup
}

func (c *farCluster) Connect(context.Context, uint64) (net.Conn, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut {
		return nil, errors.New("connection refused")
	}
	ours, theirs := net.Pipe()
	c.open = append(c.open, ours, theirs)
	c.serving.Go(func() { c.leader.ServeNode(theirs) })
	return &deafConn{ours, c}, nil
}

// breakAll ends all connections.
func (c *farCluster) breakAll() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, conn := range c.open {
		_ = conn.Close()
	}
	c.open = nil
}

func (c *farCluster) set(fn func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	fn()
}

// deafConn is a connection on which what is said may get lost.
type deafConn struct {
	net.Conn
	c *farCluster
}

func (d *deafConn) Write(p []byte) (int, error) {
	d.c.mu.Lock()
	deaf := d.c.deaf
	d.c.mu.Unlock()
	if deaf {
		return len(p), nil
	}
	return d.Conn.Write(p)
}

// TestForward has clients (a, b) of a node that asks another one, which leads. Each step is something that happens, or a client with what it
// sends and what it is told; L is a client of the leader.
func TestForward(t *testing.T) {
	const (
		lost     = "-ERR The outcome is unknown: the leader has not answered this node. The command was carried out, or will be, or never will.\r\n"
		readLost = "-CLUSTERDOWN The cluster is down: the leader has not answered this node\r\n"
		away     = "-CLUSTERDOWN Nothing was written: this node cannot reach the leader, node 2\r\n"
		nobody   = "-CLUSTERDOWN The cluster is down: nobody leads at the moment\r\n"
		begins   = "-TRYAGAIN Nothing was written: this node has only begun to lead. Try again.\r\n"
		tryAgain = "-TRYAGAIN Nothing was written: this node has ceased to lead, or could not keep up. Try again.\r\n"
		unknown  = "-ERR The outcome is unknown: this node has ceased to lead. The command was carried out, or will be, or never will.\r\n"
		deposed  = "-UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)\r\n"
		moved    = "-MOVED 7629 10.0.0.2:7002\r\n"
		ok       = "+OK\r\n"
		queued   = "+QUEUED\r\n"
		null     = "*-1\r\n"
		v        = "$1\r\nv\r\n"
		notBusy  = "-NOTBUSY No scripts in execution right now.\r\n"
	)
	for name, steps := range map[string][][3]string{
		"carried out": {{"a", "SET k v", ok}, {"a", "GET k", v}, {"L", "GET k", v}, {"a", "INCR k", "-ERR value is not an integer or out of range\r\n"}},
		"a pipeline": {{"a", "SET k v\r\nGET k\r\nPING\r\nAPPEND k w\r\nSELECT 1\r\nSET k x\r\nGET k\r\nNOSUCH\r\nDEL k",
			ok + v + "+PONG\r\n:2\r\n" + ok + ok + "$1\r\nx\r\n-ERR unknown command 'NOSUCH', with args beginning with: \r\n:1\r\n"}},
		"protocols": {{"a", "HSET h f v", ":1\r\n"}, {"a", "SET n x\r\nHGETALL h\r\nGET none", ok + "*2\r\n$1\r\nf\r\n" + v + "$-1\r\n"}, {"a", "HELLO 3"}, {"skip"},
			{"a", "SET n x\r\nGET none\r\nGETDEL none", ok + "_\r\n_\r\n"}},
		"silence":           {{"a", "CLIENT REPLY SKIP\r\nSET k v\r\nGET k", v}, {"a", "CLIENT REPLY OFF\r\nSET k w\r\nINCR k\r\nBLPOP l 0.1"}, {"wait"}, {"a", "CLIENT REPLY ON\r\nSET k x", ok + ok}},
		"it takes its time": {{"hold"}, {"a", "SET k v"}, {"wait"}, {"commit"}, {"a", "", ok}},
		"MULTI": {{"a", "MULTI\r\nSET k v\r\nGET k\r\nPUBLISH c x\r\nEXEC", ok + queued + queued + queued + "*3\r\n" + ok + v + ":0\r\n"}, {"a", "MULTI\r\nSET k v\r\nNOSUCH\r\nEXEC",
			ok + queued + "-ERR unknown command 'NOSUCH', with args beginning with: \r\n-EXECABORT Transaction discarded because of previous errors.\r\n"},
			{"a", "MULTI\r\nSET k w\r\nSELECT 1\r\nEXEC", ok + queued + queued +
				"-EXECABORT Transaction discarded because of: 'select' is about the connection or the node, and the rest of the transaction is for the leader, which this node is not\r\n"},
			{"a", "GET k", v}, {"a", "EXEC", "-ERR EXEC without MULTI\r\n"}},
		"WATCH": {{"a", "WATCH k\r\nMULTI\r\nSET k v\r\nEXEC", ok + ok + queued + "*1\r\n" + ok}, {"a", "WATCH k", ok}, {"L", "SET k w", ok},
			{"a", "MULTI\r\nGET k\r\nEXEC", ok + queued + null}, {"a", "MULTI\r\nGET k\r\nEXEC", ok + queued + "*1\r\n$1\r\nw\r\n"},
			{"a", "WATCH k", ok}, {"L", "SET k v", ok}, {"a", "UNWATCH\r\nMULTI\r\nSET k x\r\nEXEC", ok + ok + queued + "*1\r\n" + ok},
			{"a", "WATCH k", ok}, {"L", "SET k v", ok}, {"a", "MULTI\r\nDISCARD\r\nMULTI\r\nSET k x\r\nEXEC", ok + ok + ok + queued + "*1\r\n" + ok}},
		"WATCH, and the connection breaks": {{"a", "WATCH k", ok}, {"break"}, {"a", "SET n 1", ok}, {"a", "MULTI\r\nSET k v\r\nEXEC", ok + queued + null},
			{"a", "MULTI\r\nSET k v\r\nEXEC", ok + queued + "*1\r\n" + ok}},
		"WATCH, and the connection breaks behind it": {{"a", "WATCH k", ok}, {"a", "MULTI\r\nSET k v", ok + queued}, {"break"}, {"a", "EXEC", null}},
		"WATCH, and this node leads": {{"a", "WATCH k", ok}, {"here"}, {"a", "MULTI\r\nSET k v\r\nEXEC", ok + queued + null},
			{"a", "MULTI\r\nSET k v\r\nEXEC", ok + queued + "*1\r\n" + ok}},
		"WATCH, and this node leads no longer": {{"here"}, {"a", "WATCH k", ok}, {"there"}, {"a", "MULTI\r\nSET k v\r\nEXEC", ok + queued + null},
			{"a", "MULTI\r\nSET k v\r\nEXEC", ok + queued + "*1\r\n" + ok}},
		"the connection breaks": {{"a", "SET k v", ok}, {"hold"}, {"a", "SET k w\r\nGET k\r\nSET l w"}, {"break"}, {"a", "", lost + readLost + lost}, {"commit"}, {"a", "GET k", "$1\r\nw\r\n"},
			{"stats", "forwarded_calls:4 forwarded_answers_lost:3"}},
		"the connection breaks at EXEC": {{"hold"}, {"a", "MULTI\r\nSET k w\r\nGET k", ok + queued + queued}, {"a", "EXEC"}, {"break"}, {"a", "", lost}, {"a", "EXEC", "-ERR EXEC without MULTI\r\n"}},
		"the connection breaks at rest": {{"a", "SET k v", ok}, {"break"}, {"a", "SET k w", ok}},
		"nothing arrives":               {{"a", "SET k v", ok}, {"deaf"}, {"a", "SET k w\r\nPING"}, {"wait"}, {"a", "", lost + "+PONG\r\n"}, {"hears"}, {"a", "SET k v", ok}},
		"nobody answers":                {{"cut"}, {"a", "SET k v\r\nGET k", away + away}, {"a", "BLPOP l 0", away}, {"a", "MULTI\r\nSET k v\r\nEXEC", ok + queued + away}, {"wait"}, {"joined"}, {"a", "SET k v", ok}},
		"nobody leads":                  {{"nobody"}, {"a", "SET k v\r\nFLUSHALL\r\nMULTI\r\nSET k v\r\nEXEC", nobody + nobody + ok + queued + nobody}, {"a", "BLPOP l 0", nobody}},
		"it begins to lead":             {{"begins"}, {"a", "SET k v", begins}},
		"the leader is none, and asks nobody else": {{"a", "SET k v", ok}, {"deposed"}, {"a", "SET k w\r\nGET k", tryAgain + v}, {"a", "MULTI\r\nSET k v\r\nEXEC", ok + queued + "-EXECABORT Transaction discarded because of: " + tryAgain[1:]}, {"a", "WAIT 1 0",
			"-ERR WAIT cannot be used with replica instances. Please also note that since Redis 4.0 if a replica is configured to be writable (which is not the default) writes to replicas are just local and are not propagated.\r\n"}},
		"the leader ceases to lead": {{"hold"}, {"a", "SET k v\r\nSET l v"}, {"deposed"}, {"unknown"}, {"a", "", unknown + unknown}, {"a", "GET k", "$-1\r\n"}},
		"the leader stops":          {{"a", "SET k v", ok}, {"stop"}, {"a", "SET k w", tryAgain}},
		"BLPOP": {{"a", "BLPOP l 0\r\nPING"}, {"L", "RPUSH l x", ":1\r\n"}, {"a", "", "*2\r\n$1\r\nl\r\n$1\r\nx\r\n+PONG\r\n"}, {"a", "BLPOP l 1"}, {"wait"}, {"a", "", null},
			{"a", "RPUSH l x", ":1\r\n"}, {"a", "BLPOP l 0", "*2\r\n$1\r\nl\r\n$1\r\nx\r\n"}, {"a", "WATCH w\r\nBLPOP l 0.1"}, {"wait"}, {"a", "", ok + null}, {"L", "SET w v", ok},
			{"a", "MULTI\r\nSET k v\r\nEXEC", ok + queued + null}},
		"BLPOP, and the client leaves":         {{"a", "BLPOP l 0"}, {"leave", "a"}, {"b", "RPUSH l x", ":1\r\n"}, {"b", "LLEN l", ":1\r\n"}},
		"BLPOP, and the connection breaks":     {{"a", "BLPOP l 0"}, {"break"}, {"a", "", lost}, {"b", "RPUSH l x", ":1\r\n"}, {"b", "LLEN l", ":1\r\n"}},
		"BLPOP, and the leader ceases to lead": {{"a", "BLPOP l 0"}, {"deposed"}, {"a", "", deposed}},
		"BLPOP is unblocked": {{"a", "BLPOP l 0"}, {"b", "CLIENT UNBLOCK 1", ":1\r\n"}, {"a", "", null}, {"a", "BLPOP l 0"}, {"b", "CLIENT UNBLOCK 1 ERROR", ":1\r\n"},
			{"a", "", "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"}, {"b", "CLIENT UNBLOCK 1", ":0\r\n"}},
		"XREAD waits": {{"a", "XREAD BLOCK 0 STREAMS s $"}, {"L", "XADD s 1-1 f v", "$3\r\n1-1\r\n"}, {"a", "", "*1\r\n*2\r\n$1\r\ns\r\n*1\r\n*2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nf\r\n" + v}},
		"scripts": {{"a", `EVAL "return redis.call('incr',KEYS[1])" 1 n`, ":1\r\n"}, {"a", "EVALSHA 8d7a7fb9e5e2ac02fb0e6d7b91e2ff6ba1bb4a7a 1 n", "-NOSCRIPT No matching script. Please use EVAL.\r\n"},
			{"a", `SCRIPT LOAD "return redis.call('incr','n')"`}, {"skip"}, {"sha", "return redis.call('incr','n')", ":2\r\n"}, {"sha", "return redis.call('incr','n')", ":3\r\n"},
			{"L", "SCRIPT FLUSH", ok}, {"sha", "return redis.call('incr','n')", ":4\r\n"}},
		"no script to be killed": {{"a", "SCRIPT KILL\r\nFUNCTION KILL", notBusy + notBusy}, {"stats", "forwarded_calls:2"}, {"a", "MULTI\r\nSET k v\r\nSCRIPT KILL\r\nEXEC", ok + queued + queued + "*2\r\n" + ok + notBusy},
			{"cut"}, {"break"}, {"b", "SCRIPT KILL", away}, {"joined"}, {"wait"}, {"a", "READONLY\r\nSCRIPT KILL", ok + notBusy}, {"stats", "forwarded_calls:5"}},
		"clients of clusters": {{"a", "SET k v", ok}, {"a", "READONLY", ok}, {"a", "SET k w", moved}, {"a", "RESET", "+RESET\r\n"}, {"a", "SET k w", ok}, {"a", "CLUSTER NODES"}, {"skip"}, {"a", "SET k w", moved},
			{"b", "SET k v", ok}, {"b", "CONFIG SET cluster-redirects yes", ok}, {"b", "SET k v", moved}, {"b", "CONFIG SET cluster-redirects no", ok},
			{"a", "SET k v", "-READONLY You can't write against a read only replica. The leader is 10.0.0.2:7002.\r\n"}},
		"too many clients": {{"L", "CONFIG SET maxclients 1", ok}, {"a", "SET k v", "-ERR max number of clients reached\r\n"}, {"L", "CONFIG SET maxclients 2", ok}, {"a", "SET k v", ok},
			{"b", "SET k v", "-ERR max number of clients reached\r\n"}, {"leave", "a"}, {"b", "SET k v", ok}},
		"killed at the leader": {{"a", "SET k v", ok}, {"L", "CLIENT KILL TYPE normal SKIPME yes", ":1\r\n"}, {"a", "SET k w", ok}, {"a", "BLPOP l 0"}, {"L", "CLIENT KILL TYPE normal SKIPME yes", ":1\r\n"}, {"a", "", lost}},
		"many replies":         {{"a", "SETRANGE k 299999 x", ":300000\r\n"}, {"a", strings.Repeat("SET n 1\r\nGET k\r\n", 12), strings.Repeat(ok+"$300000\r\n"+strings.Repeat("\x00", 299_999)+"x\r\n", 12)}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { playForward(t, steps) })
		})
	}
}

func playForward(t *testing.T, steps [][3]string) {
	e, log := store.NewMVCCStore().(store.Engine), &safeLog{}
	leader := startHandNode(t, newHandLog(e), log, server.NewConfig(), nil)
	leader.log.lead(true)
	l := newHandLog(e)
	far := &farCluster{handCluster: handCluster{l}, leader: leader.srv}
	node := startHandNode(t, l, log, server.NewConfig(), far)
	conns, clients := map[string]net.Conn{}, map[string]*bufio.ReadWriter{}
	conns["a"], clients["a"] = node.client()
	conns["b"], clients["b"] = node.client()
	conns["L"], clients["L"] = leader.client()
	for _, s := range steps {
		switch s[0] {
		case "hold":
			leader.log.set(func() { leader.log.held = true })
		case "commit":
			leader.log.end(nil)
		case "unknown":
			leader.log.end(fmt.Errorf("%w: the test", txn.ErrUnknown))
		case "deposed":
			leader.log.lead(false)
		case "here":
			leader.log.lead(false)
			node.log.lead(true)
		case "there":
			node.log.lead(false)
			leader.log.lead(true)
		case "nobody":
			node.log.set(func() { node.log.nobody = true })
		case "begins":
			node.log.set(func() { node.log.begins = true })
		case "break":
			far.breakAll()
		case "cut", "joined":
			far.set(func() { far.cut = s[0] == "cut" })
		case "deaf", "hears":
			far.set(func() { far.deaf = s[0] == "deaf" })
		case "stop":
			leader.end()
		case "leave":
			_ = conns[s[1]].Close()
		case "wait":
			time.Sleep(6 * time.Second)
		case "skip":
			drain(t, clients["a"])
		case "sha":
			exchange(t, clients["a"], "EVALSHA "+digestOf(s[1])+" 0", s[2])
		case "stats":
			for want := range strings.FieldsSeq(s[1]) {
				name, n, _ := strings.Cut(want, ":")
				exchange(t, clients["b"], "INFO stats", "$")
				text := take(clients["b"])
				if !strings.Contains(text, "\n"+want+"\r") {
					t.Errorf("%s is not %s: %s", name, n, text)
				}
			}
		default:
			exchange(t, clients[s[0]], s[1], s[2])
		}
		synctest.Wait()
	}
	for _, conn := range conns {
		_ = conn.Close()
	}
	node.close()
	far.breakAll()
	leader.close()
	far.serving.Wait()
	if t.Failed() {
		t.Log(log.String())
	}
}

// take returns what the client is told now, without waiting for more.
func take(c *bufio.ReadWriter) string {
	_, _ = c.Peek(1)
	b := make([]byte, c.Reader.Buffered())
	n, _ := c.Read(b)
	return string(b[:n])
}

func digestOf(body string) string { return fmt.Sprintf("%x", sha1.Sum([]byte(body))) }
