package test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

// forwarded has clients that know nothing of clusters use nodes that do not lead. In the end the leader is lost.
func forwarded(t *testing.T, c *cluster) {
	other := c.follower()
	ctx, cancel := context.WithTimeout(t.Context(), clusterPatience)
	defer cancel()
	t.Run("go-redis", func(t *testing.T) { forwardGoRedis(ctx, t, other) })
	t.Run("redis-cli", func(t *testing.T) { forwardRedisCLI(t, other) })
	t.Run("the node itself", func(t *testing.T) { forwardOwn(t, c, other) })
	t.Run("waits", func(t *testing.T) { forwardWaits(ctx, t, c, other) })
	t.Run("scripts that are ended", func(t *testing.T) { forwardKills(ctx, t, c, other) })
	t.Run("users", func(t *testing.T) { forwardUsers(t, c, other) })
	t.Run("reads never go back", func(t *testing.T) { forwardReads(t, c) })
	t.Run("the leader is lost", func(t *testing.T) { forwardLoss(ctx, t, c) })
}

func plainClient(t *testing.T, p *peer) *redis.Client {
	client := redis.NewClient(&redis.Options{Addr: p.Addr, MaxRetries: -1, ReadTimeout: time.Minute})
	t.Cleanup(func() { _ = client.Close() })
	return client
}

func forwardGoRedis(ctx context.Context, t *testing.T, other *peer) {
	client := plainClient(t, other)
	ok(t, client.Set(ctx, "k", "v", 0).Err())
	if v := client.Get(ctx, "k").Val(); v != "v" {
		t.Errorf("it reads %q", v)
	}
	rounds, large := 10, strings.Repeat("x", 3<<20)
	if testing.Short() {
		rounds, large = 3, large[:1<<20]
	}
	replies, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for i := range 10 * rounds {
			p.Incr(ctx, "n")
			p.Get(ctx, "n")
			if i%10 == 0 {
				p.LRange(ctx, "l", 0, -1)
				p.RPush(ctx, "l", i)
				p.Ping(ctx)
			}
		}
		return nil
	})
	ok(t, err)
	for i, n := 0, 0; i < len(replies); i++ {
		if get, isGet := replies[i].(*redis.StringCmd); isGet {
			n++
			if get.Val() != fmt.Sprint(n) {
				t.Fatalf("behind INCR number %d it reads %s", n, get.Val())
			}
		}
	}
	ok(t, client.Set(ctx, "large", large, 0).Err())
	if replies, err := client.Pipelined(ctx, func(p redis.Pipeliner) error {
		for range 5 {
			p.GetSet(ctx, "large", large)
		}
		return nil
	}); err != nil || replies[4].(*redis.StringCmd).Val() != large {
		t.Errorf("large values: %v", err)
	}
	_, err = client.TxPipelined(ctx, func(p redis.Pipeliner) error {
		p.Set(ctx, "tx", "1", 0)
		p.Incr(ctx, "tx")
		p.Publish(ctx, "nobody", "x")
		return nil
	})
	ok(t, err)
	add := func(tx *redis.Tx) error {
		n, err := tx.Get(ctx, "tx").Int()
		if err != nil {
			return err
		}
		_, err = tx.TxPipelined(ctx, func(p redis.Pipeliner) error { p.Set(ctx, "tx", n+1, 0); return nil })
		return err
	}
	var done atomic.Int64
	var all sync.WaitGroup
	for range 4 { // each disturbs the others
		all.Go(func() {
			for range rounds {
				switch err := client.Watch(ctx, add, "tx"); {
				case err == nil:
					done.Add(1)
				case !errors.Is(err, redis.TxFailedErr):
					t.Error(err)
				}
			}
		})
	}
	all.Wait()
	if n, err := client.Get(ctx, "tx").Int(); err != nil || n != 2+int(done.Load()) || done.Load() == 0 {
		t.Errorf("%d transactions were carried out, and the sum is %d, %v", done.Load(), n, err)
	}
	script := redis.NewScript("return redis.call('incrby', KEYS[1], ARGV[1])")
	for i := range 3 {
		if n, err := script.Run(ctx, client, []string{"script"}, 2).Int(); err != nil || n != 2*(i+1) {
			t.Errorf("a script: %d, %v", n, err)
		}
	}
	sha, err := client.ScriptLoad(ctx, "return redis.call('append', KEYS[1], 'x')").Result() // at this node, and the leader has to be told
	ok(t, err)
	ok(t, client.EvalSha(ctx, sha, []string{"loaded"}).Err())
	ok(t, client.FunctionLoad(ctx, "#!lua name=lib\nredis.register_function('f', function(keys) return redis.call('incr', keys[1]) end)").Err())
	if n, err := client.FCall(ctx, "f", []string{"script"}).Int(); err != nil || n != 7 {
		t.Errorf("a function: %d, %v", n, err)
	}
	listener := client.Subscribe(ctx, "c")
	defer listener.Close()
	_, err = listener.Receive(ctx)
	ok(t, err)
	ok(t, client.Publish(ctx, "c", "hello").Err())
	if m, err := listener.ReceiveMessage(ctx); err != nil || m.Payload != "hello" {
		t.Errorf("heard %v, %v", m, err)
	}
	ok(t, client.FlushAll(ctx).Err())
}

func forwardRedisCLI(t *testing.T, other *peer) {
	cli, err := exec.LookPath("redis-cli")
	if err != nil {
		t.Skip("there is no redis-cli")
	}
	host, port, _ := net.SplitHostPort(other.Addr)
	for _, protocol := range []string{"-2", "-3"} {
		cmd := exec.Command(cli, protocol, "-h", host, "-p", port)
		cmd.Stdin = strings.NewReader("select 3\nset k v\nmulti\nincr n\nget k\nexec\nget k\nwatch k\nset k w\nmulti\nset k x\nexec\nget k\nflushdb\n")
		out, err := cmd.CombinedOutput()
		if want := "OK OK OK QUEUED QUEUED 1 v v OK OK OK QUEUED  w OK"; err != nil || strings.Join(strings.Split(strings.TrimSpace(string(out)), "\n"), " ") != want {
			t.Errorf("redis-cli %s: %q, %v; want %q", protocol, out, err, want)
		}
	}
}

// What is about a connection or a node is answered by the node where the client is.
func forwardOwn(t *testing.T, c *cluster, other *peer) {
	lead := c.leader()
	conn, atLead := testkit.Dial(t, other.Addr, 3), testkit.Dial(t, lead.Addr, 2)
	defer conn.Close()
	conn.MustDo(t, "CLIENT", "SETNAME", "visitor")
	conn.MustDo(t, "SELECT", "2")
	conn.MustDo(t, "SET", "k", "v")
	if v := conn.MustDo(t, "CLIENT", "INFO").Str; !strings.Contains(v, " name=visitor ") || !strings.Contains(v, " db=2 ") {
		t.Errorf("it is %s", v)
	}
	_, addr, _ := strings.Cut(conn.MustDo(t, "CLIENT", "INFO").Str, " addr=")
	addr, _, _ = strings.Cut(addr, " ")
	if list := atLead.MustDo(t, "CLIENT", "LIST").Str; !strings.Contains(list, "addr="+addr+" ") || strings.Contains(list, "visitor") {
		t.Errorf("the leader has %s", list)
	}
	if info := infoOf(t, conn, "replication"); info["role"] != "slave" {
		t.Errorf("it is %v", info)
	}
	if info := infoOf(t, conn, "stats"); info["forwarded_calls"] == "0" || info["forwarded_answers_lost"] != "0" {
		t.Errorf("it counts %v", info)
	}
	conn.MustDo(t, "CONFIG", "SET", "slowlog-max-len", "77")
	if v := atLead.MustDo(t, "CONFIG", "GET", "slowlog-max-len").Elems; v[1].Str == "77" {
		t.Error("a setting was changed at the leader")
	}
	refused := func(want string, args ...string) {
		t.Helper()
		if v, err := conn.Do(args...); err != nil || v.Kind != resp.KindError || !strings.HasPrefix(v.Str, want) {
			t.Errorf("%q: %v, %v", args, v, err)
		}
	}
	conn.MustDo(t, "MULTI")
	conn.MustDo(t, "SET", "k", "w")
	conn.MustDo(t, "CONFIG", "SET", "slowlog-max-len", "78")
	refused("EXECABORT ", "EXEC")
	conn.MustDo(t, "MULTI")
	refused("ERR WATCH inside MULTI", "WATCH", "k")
	conn.MustDo(t, "DISCARD")
	conn.MustDo(t, "CLIENT", "TRACKING", "ON")
	refused("READONLY ", "SET", "k", "w")
	conn.MustDo(t, "CLIENT", "TRACKING", "OFF")
	if v := conn.MustDo(t, "GETSET", "k", "w").Str; v != "v" {
		t.Errorf("what was refused has been done: %s", v)
	}
	if n := conn.MustDo(t, "WAIT", "2", "60000").Int; n != 2 {
		t.Errorf("%d others have it", n)
	}
	conn.MustDo(t, "CLUSTER", "SLOTS") // it knows clusters, after all
	refused("MOVED 7629 "+lead.Addr, "SET", "k", "w")
	if v := conn.MustDo(t, "RESET"); v.Str != "RESET" {
		t.Error(v)
	}
	conn.MustDo(t, "FLUSHALL")
}

func forwardWaits(ctx context.Context, t *testing.T, c *cluster, other *peer) {
	client := plainClient(t, other)
	popped := make(chan string, 1)
	pop := func() {
		v, err := client.BLPop(ctx, 0, "l").Result()
		popped <- fmt.Sprint(v, err)
	}
	atLead := testkit.Dial(t, c.leader().Addr, 2)
	blocked := func(n int64) {
		t.Helper()
		c.await(fmt.Sprint("that clients wait at the leader: ", n), func() bool { return infoOf(t, atLead, "clients")["blocked_clients"] == fmt.Sprint(n) })
	}
	go pop()
	blocked(1)
	ok(t, client.RPush(ctx, "l", "x").Err())
	if v := <-popped; v != "[l x] <nil>" {
		t.Errorf("popped %s", v)
	}
	if err := client.BLPop(ctx, time.Second, "l").Err(); err != redis.Nil {
		t.Errorf("behind the time: %v", err)
	}
	// Who leaves takes nothing, and whom others end is told so.
	conn := testkit.Dial(t, other.Addr, 2)
	id := fmt.Sprint(conn.MustDo(t, "CLIENT", "ID").Int)
	for _, how := range [][2]string{{"TIMEOUT", ""}, {"ERROR", "UNBLOCKED client unblocked via CLIENT UNBLOCK"}} {
		ok(t, errors.Join(conn.Send("BLMOVE", "l", "m", "LEFT", "LEFT", "0"), conn.Flush()))
		blocked(1)
		if n, err := client.Do(ctx, "CLIENT", "UNBLOCK", id, how[0]).Int(); n != 1 || err != nil {
			t.Errorf("%d are unblocked, %v", n, err)
		}
		if v, err := conn.Receive(); err != nil || v.Str != how[1] || v.IsNull() != (how[1] == "") {
			t.Errorf("%s: %v, %v", how[0], v, err)
		}
	}
	ok(t, errors.Join(conn.Send("BLMOVE", "l", "m", "LEFT", "LEFT", "0"), conn.Flush()))
	blocked(1)
	ok(t, conn.Close())
	blocked(0)
	ok(t, client.RPush(ctx, "l", "y").Err())
	if n := client.LLen(ctx, "l").Val(); n != 1 {
		t.Errorf("%d are left", n)
	}
	read := make(chan error, 1)
	go func() {
		read <- client.XRead(ctx, &redis.XReadArgs{Streams: []string{"s", "$"}, Block: 0}).Err()
	}()
	blocked(1)
	ok(t, client.XAdd(ctx, &redis.XAddArgs{Stream: "s", Values: []string{"f", "v"}}).Err())
	ok(t, <-read)
	ok(t, client.FlushAll(ctx).Err())
}

// A script that the leader runs is ended from any node, whoever has called it; and one that runs at the node, there.
func forwardKills(ctx context.Context, t *testing.T, c *cluster, other *peer) {
	lead := c.leader()
	client := plainClient(t, other)
	ok(t, client.FunctionLoad(ctx, "#!lua name=spinning\nredis.register_function('spins', function() while true do end end)").Err())
	for _, tc := range []struct {
		name string
		at   *peer // where it is called
		call []any
		kill string
	}{
		{"a script that was passed on", other, []any{"EVAL", "while true do end", "0"}, "SCRIPT"},
		{"a function that was passed on", other, []any{"FCALL", "spins", "0"}, "FUNCTION"},
		{"a script of a client of the leader", lead, []any{"EVAL", "while true do end", "0"}, "SCRIPT"},
		{"a script that runs here", other, []any{"EVAL_RO", "while true do end", "0"}, "SCRIPT"},
	} {
		caller := plainClient(t, tc.at)
		ended := make(chan error, 1)
		go func() { ended <- caller.Do(ctx, tc.call...).Err() }()
		c.await(tc.name+" is ended", func() bool { return client.Do(ctx, tc.kill, "KILL").Err() == nil })
		if err := <-ended; err == nil || !strings.Contains(err.Error(), "killed by user") {
			t.Errorf("%s: %v", tc.name, err)
		}
		if err := client.Set(ctx, "k", tc.name, 0).Err(); err != nil {
			t.Errorf("behind %s: %v", tc.name, err)
		}
	}
	ok(t, client.FlushAll(ctx).Err())
	ok(t, client.FunctionDelete(ctx, "spinning").Err())
}

// Both nodes ask what a user may.
func forwardUsers(t *testing.T, c *cluster, other *peer) {
	atLead, admin, conn := testkit.Dial(t, c.leader().Addr, 2), testkit.Dial(t, other.Addr, 2), testkit.Dial(t, other.Addr, 2)
	defer conn.Close()
	admin.MustDo(t, "ACL", "SETUSER", "ann", "on", "nopass", "+@all", "~*")
	conn.MustDo(t, "AUTH", "ann", "x")
	refused := func(want string, args ...string) {
		t.Helper()
		if v, err := conn.Do(args...); err != nil || v.Kind != resp.KindError || !strings.HasPrefix(v.Str, want) {
			t.Errorf("%q: %v, %v", args, v, err)
		}
	}
	refused("NOPERM The leader of the cluster does not know the user 'ann'", "SET", "a", "x")
	atLead.MustDo(t, "ACL", "SETUSER", "ann", "on", "nopass", "+@all", "-incr", "~a*")
	conn.MustDo(t, "SET", "a", "x")
	refused("NOPERM ", "SET", "b", "x")
	admin.MustDo(t, "ACL", "SETUSER", "ann", "-append")
	refused("NOPERM ", "APPEND", "a", "x")
	conn.MustDo(t, "MULTI")
	conn.MustDo(t, "SET", "a", "y")
	conn.MustDo(t, "INCR", "a")
	refused("EXECABORT ", "EXEC")
	if v := conn.MustDo(t, "GET", "a").Str; v != "x" {
		t.Errorf("what was refused has been done: %s", v)
	}
	atLead.MustDo(t, "ACL", "DELUSER", "ann")
	refused("NOPERM ", "SET", "a", "x")
	admin.MustDo(t, "ACL", "DELUSER", "ann")
	atLead.MustDo(t, "FLUSHALL")
}

// forwardReads has a number rise through one node, and others read it at all of them: who begins to read when a number has been seen, sees
// that or a later one.
func forwardReads(t *testing.T, c *cluster) {
	var seen atomic.Int64
	see := func(n int64) {
		for at := seen.Load(); at < n && !seen.CompareAndSwap(at, n); at = seen.Load() {
		}
	}
	var all sync.WaitGroup
	stop := make(chan struct{})
	for i, p := range c.nodes {
		for _, call := range [][]string{{"GET", "n"}, {"EVAL", "return redis.call('get', 'n')", "0"}} { // at the node, and at the leader
			conn := testkit.Dial(t, p.Addr, 2+i%2)
			all.Go(func() {
				for {
					select {
					case <-stop:
						return
					default:
					}
					least := seen.Load()
					v, err := conn.Do(call...)
					var n int64
					if _, scanned := fmt.Sscan(v.Str, &n); err != nil || scanned != nil && !v.IsNull() {
						t.Errorf("node %d: %v, %v", p.id, v, err)
						return
					}
					if n < least {
						t.Errorf("node %d shows %d, and %d was seen before", p.id, n, least)
						return
					}
					see(n)
				}
			})
		}
	}
	conn := testkit.Dial(t, c.follower().Addr, 2)
	writes := 300
	if testing.Short() {
		writes = 30
	}
	for range writes {
		see(conn.MustDo(t, "INCR", "n").Int)
	}
	close(stop)
	all.Wait()
}

// forwardLoss kills the leader while clients of the others write, read and wait. What was acknowledged is there, and what was answered by
// an error that says so is not.
func forwardLoss(ctx context.Context, t *testing.T, c *cluster) {
	lead := c.leader()
	var acked, refused sync.Map
	var writes atomic.Int64
	stop := make(chan struct{})
	var all sync.WaitGroup
	for i, p := range c.nodes {
		if p == lead {
			continue
		}
		for j := range 3 {
			client := plainClient(t, p)
			all.Go(func() {
				pace := time.NewTicker(time.Millisecond) // also while nobody leads, and nothing is waited for
				defer pace.Stop()
				for n := 0; ; n++ {
					select {
					case <-stop:
						return
					case <-pace.C:
					}
					key := fmt.Sprint("w:", i, ":", j, ":", n)
					switch err := client.Set(ctx, key, "x", 0).Err(); {
					case err == nil:
						acked.Store(key, true)
						writes.Add(1)
					case strings.HasPrefix(err.Error(), "CLUSTERDOWN "), strings.HasPrefix(err.Error(), "TRYAGAIN "):
						refused.Store(key, true)
					case !strings.HasPrefix(err.Error(), "ERR The outcome is unknown"):
						t.Errorf("a write at node %d: %v", p.id, err)
					}
				}
			})
		}
	}
	var left []*peer
	for _, p := range c.nodes {
		if p != lead {
			left = append(left, p)
		}
	}
	waiter, watcher := testkit.Dial(t, left[0].Addr, 2), testkit.Dial(t, left[1].Addr, 2)
	ok(t, errors.Join(waiter.Send("BLPOP", "nothing", "0"), waiter.Flush()))
	watcher.MustDo(t, "WATCH", "watched")
	c.await("progress", func() bool { return writes.Load() > 100 })
	lead.Kill()
	killed, before := time.Now(), writes.Load()
	lead.Server = nil
	c.await("a write without the leader", func() bool { return writes.Load() > before+20 })
	t.Logf("the first writes through the others were acknowledged after %v", time.Since(killed).Round(time.Millisecond))
	if v, err := waiter.Receive(); err != nil || v.Kind != resp.KindError || !strings.HasPrefix(v.Str, "ERR The outcome is unknown") && !strings.HasPrefix(v.Str, "UNBLOCKED ") {
		t.Errorf("who has waited is told %v, %v", v, err)
	}
	watcher.MustDo(t, "MULTI")
	watcher.MustDo(t, "SET", "watched", "x")
	c.await("the end of a transaction", func() bool {
		v, err := watcher.Do("EXEC")
		ok(t, err)
		if v.Kind == resp.KindError && !strings.HasPrefix(v.Str, "ERR EXEC without MULTI") || v.IsNull() {
			return v.IsNull() || strings.HasPrefix(v.Str, "CLUSTERDOWN ")
		}
		t.Fatalf("the keys are watched by nobody any more, and EXEC is answered by %v", v)
		return false
	})
	close(stop)
	all.Wait()
	conn := testkit.Dial(t, left[0].Addr, 2)
	c.await("a leader", func() bool { v, err := conn.Do("SET", "k", "v"); return err == nil && v.Str == "OK" })
	n := 0
	check := func(keys *sync.Map, there int64) {
		keys.Range(func(key, _ any) bool {
			n++
			if v := conn.MustDo(t, "EXISTS", key.(string)); v.Int != there {
				t.Errorf("%s is there %d times", key, v.Int)
			}
			return true
		})
	}
	check(&acked, 1)
	check(&refused, 0)
	t.Logf("%d writes were told what has become of them", n)
}
