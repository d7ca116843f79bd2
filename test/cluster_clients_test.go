package test

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

// follower waits for a node that is up, does not lead, and knows where clients reach the one that does.
func (c *cluster) follower() (follower *peer) {
	c.t.Helper()
	c.await("a follower that knows the leader", func() bool {
		lead := c.leader()
		for _, p := range c.nodes {
			if p == lead || p.Server == nil {
				continue
			}
			st, err := p.status()
			for _, m := range st.Members {
				if err == nil && st.Leader == uint64(lead.id) && m.Node == st.Leader && m.Clients == lead.Addr {
					follower = p
					return true
				}
			}
		}
		return false
	})
	return follower
}

// clusterSlots is where a node sends clients: the leader, and then those that they can read at.
func clusterSlots(t testing.TB, addr string) (at []string) {
	t.Helper()
	for _, shard := range testkit.Dial(t, addr, 2).MustDo(t, "CLUSTER", "SLOTS").Elems {
		if from, to := shard.Elems[0].Int, shard.Elems[1].Int; from != 0 || to != command.Slots-1 {
			t.Errorf("slots from %d to %d", from, to)
		}
		for _, n := range shard.Elems[2:] {
			at = append(at, net.JoinHostPort(n.Elems[0].Str, strconv.FormatInt(n.Elems[1].Int, 10)))
		}
	}
	return at
}

// infoOf returns a section of INFO.
func infoOf(t testing.TB, conn *testkit.Client, section string) map[string]string {
	t.Helper()
	lines := map[string]string{}
	for line := range strings.Lines(conn.MustDo(t, "INFO", section).Str) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), ":"); ok {
			lines[name] = value
		}
	}
	return lines
}

// All nodes say the same of the cluster, each from where it stands.
func TestClusterTold(t *testing.T) {
	c := startCluster(t, 3)
	lead := c.leader()
	c.follower()
	c.await("that all nodes know of all", func() bool {
		for _, p := range c.nodes {
			if at := clusterSlots(t, p.Addr); len(at) != 3 || at[0] != lead.Addr {
				return false
			}
		}
		return true
	})
	ids := map[string]int{}
	for _, p := range c.nodes {
		conn := testkit.Dial(t, p.Addr, 3)
		id := conn.MustDo(t, "CLUSTER", "MYID").Str
		ids[id]++
		if len(id) != 40 {
			t.Errorf("node %d is %q", p.id, id)
		}
		master := 0
		for line := range strings.Lines(conn.MustDo(t, "CLUSTER", "NODES").Str) {
			f := strings.Fields(line)
			if strings.Contains(f[2], "master") {
				master++
				if !strings.HasPrefix(f[1], lead.Addr+"@") || f[7] != "connected" || f[8] != "0-16383" {
					t.Errorf("node %d says of the leader: %s", p.id, line)
				}
			}
			if (f[0] == id) != strings.Contains(f[2], "myself") || strings.Contains(f[2], "fail") {
				t.Errorf("node %d says: %s", p.id, line)
			}
		}
		info := infoOf(t, conn, "replication")
		role, hello := conn.MustDo(t, "ROLE"), conn.MustDo(t, "HELLO", "3")
		said := fmt.Sprint(role.Elems[0].Str, " ", info["role"], " ", hello.Elems[11].Str, " ", hello.Elems[9].Str)
		want := "slave slave replica cluster"
		if p == lead {
			want = "master master master cluster"
			if info["connected_slaves"] != "2" || !strings.Contains(info["slave0"], "state=online") {
				t.Errorf("the leader says %v", info)
			}
		} else {
			c.await("a link to the leader", func() bool {
				info = infoOf(t, conn, "replication")
				return info["master_link_status"] == "up" && net.JoinHostPort(info["master_host"], info["master_port"]) == lead.Addr
			})
		}
		if said != want || master != 1 {
			t.Errorf("node %d says %s, and names %d masters", p.id, said, master)
		}
		if st := conn.MustDo(t, "CLUSTER", "INFO").Str; !strings.Contains(st, "cluster_state:ok\r\n") || !strings.Contains(st, "cluster_known_nodes:3\r\n") {
			t.Errorf("node %d says %q", p.id, st)
		}
		shard := conn.MustDo(t, "CLUSTER", "SHARDS").Elems[0]
		if nodes := shard.Elems[3].Elems; len(nodes) != 3 || shard.Elems[1].Elems[1].Int != command.Slots-1 {
			t.Errorf("node %d says %+v", p.id, shard)
		}
		if v := conn.MustDo(t, "INFO", "cluster").Str; !strings.Contains(v, "cluster_enabled:1") {
			t.Errorf("node %d: %q", p.id, v)
		}
	}
	if len(ids) != 3 {
		t.Errorf("the nodes are %v", ids)
	}
	conn := testkit.Dial(t, lead.Addr, 2)
	for i := range 20 {
		conn.MustDo(t, "SET", fmt.Sprint("{foo}", i), "x")
	}
	conn.MustDo(t, "SET", "bar", "x")
	if n := conn.MustDo(t, "CLUSTER", "COUNTKEYSINSLOT", "12182").Int; n != 20 {
		t.Errorf("%d keys have the slot of foo", n)
	}
	if keys := conn.MustDo(t, "CLUSTER", "GETKEYSINSLOT", "12182", "5").Elems; len(keys) != 5 {
		t.Errorf("keys of the slot of foo: %v", keys)
	}
	if n := conn.MustDo(t, "WAIT", "2", "60000").Int; n != 2 {
		t.Errorf("%d others have it", n)
	}
	if v := conn.MustDo(t, "WAITAOF", "1", "2", "60000").Elems; v[0].Int != 1 || v[1].Int != 2 {
		t.Errorf("WAITAOF: %v", v)
	}
}

// Who asks a follower is sent to the leader, or is shown what is here.
func TestClusterFollower(t *testing.T) {
	c := startCluster(t, 3)
	lead, other := c.leader(), c.follower()
	atLead, at := testkit.Dial(t, lead.Addr, 2), testkit.Dial(t, other.Addr, 2)
	for i := range 100 {
		want := fmt.Sprint(i)
		atLead.MustDo(t, "SET", "k", want)
		if v := at.MustDo(t, "GET", "k"); v.Str != want {
			t.Fatalf("the follower has %v of %s, which was acknowledged", v, want)
		}
	}
	if v, err := at.Do("SET", "k", "x"); err != nil || v.Kind != resp.KindError || v.Str != "MOVED 7629 "+lead.Addr {
		t.Errorf("a write: %v, %v", v, err)
	}
	if v, err := at.Do("FLUSHALL"); err != nil || !strings.HasPrefix(v.Str, "READONLY ") || !strings.Contains(v.Str, lead.Addr) {
		t.Errorf("a write without keys: %v, %v", v, err)
	}
	near := testkit.Dial(t, other.Addr, 2)
	near.MustDo(t, "READONLY")
	c.await("what was written, near by", func() bool { return near.MustDo(t, "GET", "k").Str == "99" })

	// Nobody is there that could say how old it is: within the bound it is shown, and then no longer.
	at.MustDo(t, "CONFIG", "SET", "cluster-max-staleness", "200")
	for _, p := range c.nodes {
		if p != other {
			p.Kill()
		}
	}
	c.await("that what the follower has is too old", func() bool {
		v, err := near.Do("GET", "k")
		if err != nil {
			t.Fatal(err)
		}
		if v.Kind == resp.KindError && !strings.HasPrefix(v.Str, "MASTERDOWN ") || v.Kind != resp.KindError && v.Str != "99" {
			t.Fatalf("got %v", v)
		}
		return v.Kind == resp.KindError
	})
	info := infoOf(t, at, "replication")
	if age, err := strconv.Atoi(info["staleness_ms"]); err != nil || age < 200 || info["staleness_limit_ms"] != "200" || info["master_link_status"] != "down" {
		t.Errorf("it says %v", info)
	}
	if v := at.MustDo(t, "INFO").Str; !strings.Contains(v, "cluster_enabled:1") {
		t.Errorf("INFO without a majority: %q", v)
	}
	for _, p := range c.nodes {
		if p != other {
			p.Server = p.Restart(t)
		}
	}
	c.await("that it is known again", func() bool {
		v, err := near.Do("GET", "k")
		return err == nil && v.Str == "99"
	})
}

// A client that knows clusters goes on over failovers, and so does redis-cli.
func TestClusterGoRedis(t *testing.T) {
	c := startCluster(t, 3)
	other := c.follower()
	if cli, err := exec.LookPath("redis-cli"); err == nil {
		host, port, _ := net.SplitHostPort(other.Addr)
		out, err := exec.Command(cli, "-c", "-h", host, "-p", port, "set", "k", "by redis-cli").CombinedOutput()
		if strings.TrimSpace(string(out)) != "OK" || err != nil {
			t.Errorf("redis-cli: %s, %v", out, err)
		}
	}
	// Of a leader that does not answer go-redis asks nobody before this time is over.
	client := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{other.Addr}, MaxRedirects: 8, ClusterStateReloadInterval: time.Second})
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), clusterPatience)
	defer cancel()
	set := func(value string) {
		t.Helper()
		c.await("a write of "+value, func() bool { return client.Set(ctx, "k", value, 0).Err() == nil })
	}
	set("first")
	ok(t, client.Watch(ctx, func(tx *redis.Tx) error {
		_, err := tx.TxPipelined(ctx, func(p redis.Pipeliner) error {
			p.Incr(ctx, "{k}n")
			p.Incr(ctx, "{k}n")
			return nil
		})
		return err
	}, "k", "{k}n"))
	if n, err := client.Eval(ctx, "return redis.call('incr', KEYS[1])", []string{"{k}n"}).Int(); err != nil || n != 3 {
		t.Errorf("a script: %d, %v", n, err)
	}
	// It reads at followers, too.
	near := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{other.Addr}, ReadOnly: true, RouteRandomly: true, MaxRedirects: 8})
	defer near.Close()
	for range 30 {
		c.await("a read near by", func() bool { return near.Get(ctx, "k").Val() == "first" })
	}
	lead := c.leader()
	lead.Kill()
	began := time.Now()
	lead.Server = nil
	set("second")
	t.Logf("the first write without the leader was acknowledged after %v", time.Since(began).Round(time.Millisecond))
	c.await("a read of it", func() bool { return client.Get(ctx, "k").Val() == "second" })
	if n, err := client.Get(ctx, "{k}n").Int(); err != nil || n != 3 {
		t.Errorf("what was acknowledged before is %d, %v", n, err)
	}
}

// audience is a client at each node that listens, and what they have heard, how often.
type audience struct {
	mu    sync.Mutex
	heard []map[string]int
}

func (a *audience) listen(t testing.TB, p *peer) {
	conn, at := testkit.Dial(t, p.Addr, 3), len(a.heard)
	conn.MustDo(t, "SUBSCRIBE", "c")
	a.heard = append(a.heard, map[string]int{})
	go func() {
		for v, err := conn.Receive(); err == nil; v, err = conn.Receive() {
			a.mu.Lock()
			a.heard[at][v.Elems[2].Str]++
			a.mu.Unlock()
		}
	}()
}

// count returns how often a text was heard, at the node where that was least often and at most.
func (a *audience) count(text string, nodes []int) (least, most int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, at := range nodes {
		n := a.heard[at][text]
		if most = max(most, n); i == 0 {
			least = n
		}
		least = min(least, n)
	}
	return least, most
}

// Who listens at any node hears what is published at any, also when another one leads than before.
func TestClusterMessages(t *testing.T) {
	c := startCluster(t, 3)
	c.follower()
	a := &audience{}
	all := []int{0, 1, 2}
	for _, p := range c.nodes {
		a.listen(t, p)
	}
	publish := func(from *peer, text string) {
		t.Helper()
		if n := testkit.Dial(t, from.Addr, 2).MustDo(t, "PUBLISH", "c", text).Int; n != 1 {
			t.Errorf("%d hear it at once", n)
		}
	}
	hear := func(text string, nodes []int) {
		t.Helper()
		c.await(fmt.Sprintf("%.20s is heard", text), func() bool { least, _ := a.count(text, nodes); return least > 0 })
	}
	for _, p := range c.nodes { // a node may not be connected to another one yet
		text := fmt.Sprint(p.id, " is there")
		c.await(text, func() bool { publish(p, text); least, _ := a.count(text, all); return least > 0 })
	}
	large := strings.Repeat("x", 1<<20)
	for _, p := range c.nodes {
		text := fmt.Sprint(p.id, large)
		publish(p, text)
		hear(text, all)
	}
	lead := c.leader()
	lead.Kill()
	lead.Server = nil
	left := slices.Delete(slices.Clone(all), lead.id-1, lead.id)
	publish(c.leader(), "without one")
	hear("without one", left)
	for _, p := range c.nodes {
		if _, most := a.count(fmt.Sprint(p.id, large), all); most != 1 {
			t.Errorf("what was published at node %d was heard %d times", p.id, most)
		}
	}
}
