package test

import (
	"context"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"regexp"
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
	conn := testkit.Dial(t, addr, 2)
	defer conn.Close()
	for _, shard := range conn.MustDo(t, "CLUSTER", "SLOTS").Elems {
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

// faultsIn compares what a node says of the cluster with what is so.
func faultsIn(t testing.TB, p, lead *peer) (faults []string) {
	want := func(ok bool, format string, args ...any) {
		if !ok {
			faults = append(faults, fmt.Sprintf(format, args...))
		}
	}
	conn := testkit.Dial(t, p.Addr, 3)
	defer conn.Close()
	id := conn.MustDo(t, "CLUSTER", "MYID").Str
	masters := 0
	for line := range strings.Lines(conn.MustDo(t, "CLUSTER", "NODES").Str) {
		f := strings.Fields(line)
		if strings.Contains(f[2], "master") {
			masters++
			want(strings.HasPrefix(f[1], lead.Addr+"@") && f[7] == "connected" && len(f) == 9 && f[8] == "0-16383", "of the leader: %s", line)
		}
		want((f[0] == id) == strings.Contains(f[2], "myself") && !strings.Contains(f[2], "fail"), "%s", line)
	}
	want(masters == 1 && len(id) == 40, "%d masters; it is %s", masters, id)
	at := clusterSlots(t, p.Addr)
	want(len(at) == 3 && at[0] == lead.Addr, "the slots are at %q", at)
	info, hello := infoOf(t, conn, "replication"), conn.MustDo(t, "HELLO", "3")
	said := fmt.Sprint(conn.MustDo(t, "ROLE").Elems[0].Str, " ", info["role"], " ", hello.Elems[11].Str, " ", hello.Elems[9].Str)
	if p == lead {
		want(said == "master master master cluster", "it is %s", said)
		want(info["connected_slaves"] == "2" && strings.Contains(info["slave0"], "state=online"), "%v", info)
	} else {
		want(said == "slave slave replica cluster", "it is %s", said)
		want(info["master_link_status"] == "up" && net.JoinHostPort(info["master_host"], info["master_port"]) == lead.Addr, "%v", info)
	}
	told := conn.MustDo(t, "CLUSTER", "INFO").Str
	want(strings.Contains(told, "cluster_state:ok\r\n") && strings.Contains(told, "cluster_known_nodes:3\r\n"), "%s", told)
	shard := conn.MustDo(t, "CLUSTER", "SHARDS").Elems[0]
	want(len(shard.Elems[3].Elems) == 3 && shard.Elems[1].Elems[1].Int == command.Slots-1, "%v", shard)
	want(infoOf(t, conn, "cluster")["cluster_enabled"] == "1", "it is no cluster")
	return faults
}

// All nodes say the same of the cluster, each from where it stands.
func TestClusterTold(t *testing.T) {
	c := startCluster(t, 3)
	c.follower()
	var lead *peer
	var faults []string
	limit := time.Now().Add(clusterPatience)
	for first := true; first || len(faults) > 0; first = false {
		if time.Now().After(limit) {
			t.Fatalf("the nodes do not agree:\n%s", strings.Join(faults, "\n"))
		}
		lead, faults = c.leader(), nil
		for _, p := range c.nodes {
			for _, f := range faultsIn(t, p, lead) {
				faults = append(faults, fmt.Sprintf("node %d says: %s", p.id, f))
			}
		}
	}
	ids := map[string]bool{}
	for _, p := range c.nodes {
		ids[testkit.Dial(t, p.Addr, 2).MustDo(t, "CLUSTER", "MYID").Str] = true
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

// Who asks a follower is answered as if by the leader, or is sent there, or is shown what is here.
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
	at.MustDo(t, "CONFIG", "SET", "cluster-redirects", "yes")
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
	at.MustDo(t, "CONFIG", "SET", "cluster-redirects", "auto")
	forwarded(t, c)
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

// Clients of TLS are sent to where TLS is spoken, and plain ones are not, also when the lead has moved.
func TestClusterTLS(t *testing.T) {
	if testing.Short() {
		t.Skip("clusters start slowly under the race detector, and others do there what this one does")
	}
	ca := testkit.NewAuthority(t, "clients")
	shown, own := ca.Valid(t, "server"), ca.Valid(t, "client")
	at := map[*peer]string{} // by TLS
	c := startCluster(t, 3, func(p *peer) {
		at[p] = testkit.FreeAddr(t)
		p.tls = append(p.tls, "--tls-listen", at[p], "--tls-cert-file", shown.CertFile, "--tls-key-file", shown.KeyFile, "--tls-ca-cert-file", ca.File)
	})
	ctx, cancel := context.WithTimeout(t.Context(), clusterPatience)
	defer cancel()
	cluster := redis.NewClusterClient(&redis.ClusterOptions{Addrs: []string{at[c.follower()]}, TLSConfig: ca.Trusting(own), MaxRedirects: 8, ClusterStateReloadInterval: time.Second})
	defer cluster.Close()
	for round := range 2 {
		lead, other := c.leader(), c.follower()
		secure := redis.NewClient(&redis.Options{Addr: at[other], TLSConfig: ca.Trusting(own), MaxRetries: -1, PoolSize: 1})
		defer secure.Close()
		plain := redis.NewClient(&redis.Options{Addr: other.Addr, MaxRetries: -1, PoolSize: 1})
		defer plain.Close()
		for _, told := range []struct {
			client *redis.Client
			leader string
			at     func(*peer) string
		}{
			{secure, at[lead], func(p *peer) string { return at[p] }},
			{plain, lead.Addr, func(p *peer) string { return p.Addr }},
		} {
			var want, got []string
			for _, p := range c.nodes {
				want = append(want, told.at(p))
			}
			c.await("all addresses of one kind", func() bool {
				got = nil
				shards, err := told.client.Do(ctx, "CLUSTER", "SLOTS").Slice()
				if err != nil || len(shards) != 1 {
					t.Fatalf("CLUSTER SLOTS: %v, %v", shards, err)
				}
				for _, n := range shards[0].([]any)[2:] {
					got = append(got, fmt.Sprintf("%v:%v", n.([]any)[:2]...))
				}
				slices.Sort(got)
				return slices.Equal(got, slices.Sorted(slices.Values(want)))
			})
			// Who has asked for the nodes is told where to go; others would be answered. What another node is told of itself may be on its way.
			c.await("MOVED to "+told.leader, func() bool {
				err := told.client.Set(ctx, "k", "x", 0).Err()
				return err != nil && err.Error() == "MOVED 7629 "+told.leader
			})
		}
		value := fmt.Sprint("round ", round)
		c.await("a write of "+value, func() bool { return cluster.Set(ctx, "k", value, 0).Err() == nil })
		c.await("a read of it", func() bool { return cluster.Get(ctx, "k").Val() == value })
		mustRun(t, "cluster", "transfer", "--dir", lead.dir, "--node", fmt.Sprint(other.id))
		c.await("another lead", func() bool { return c.leader() != lead })
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
		conn := testkit.Dial(t, from.Addr, 2)
		defer conn.Close()
		if n := conn.MustDo(t, "PUBLISH", "c", text).Int; n != 1 {
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

// What there is of a cluster has the form that a real redis-server gives it: clients parse that.
func TestClusterForms(t *testing.T) {
	if testing.Short() {
		t.Skip("clusters start slowly under the race detector, and others do there what this one does")
	}
	_, bus, err := net.SplitHostPort(testkit.FreeAddr(t))
	ok(t, err)
	real := testkit.Redis(t, "--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-announce-ip", "127.0.0.1", "--cluster-config-file", filepath.Join(t.TempDir(), "nodes.conf"))
	c := startCluster(t, 1)
	ours, theirs := testkit.Dial(t, c.leader().Addr, 3), testkit.Dial(t, real.Addr, 3)
	theirs.MustDo(t, "CLUSTER", "ADDSLOTSRANGE", "0", "16383")
	c.await("that the real one serves", func() bool { return strings.Contains(theirs.MustDo(t, "CLUSTER", "INFO").Str, "cluster_state:ok") })
	for _, call := range [][]string{{"CLUSTER", "SLOTS"}, {"CLUSTER", "SHARDS"}, {"CLUSTER", "NODES"}, {"CLUSTER", "MYID"}, {"CLUSTER", "KEYSLOT", "foo"},
		{"CLUSTER", "COUNTKEYSINSLOT", "1"}, {"CLUSTER", "GETKEYSINSLOT", "1", "2"}, {"CLUSTER", "COUNTKEYSINSLOT", "16384"}, {"CLUSTER", "GETKEYSINSLOT", "1", "-1"},
		{"CLUSTER", "COUNTKEYSINSLOT", "x"}, {"CLUSTER", "GETKEYSINSLOT", "x", "1"}, {"CLUSTER", "REPLICAS", "x"}, {"READONLY"}, {"READWRITE"}, {"ASKING"}, {"ROLE"}, {"WAIT", "0", "0"}, {"CLUSTER", "NOSUCH"}} {
		got, want := formOf(replyOf(t, ours, call)), formOf(replyOf(t, theirs, call))
		if got != want {
			t.Errorf("%q has the form %s, and that of a real one is %s", call, got, want)
		}
	}
	told, real1 := infoOf(t, ours, "replication"), infoOf(t, theirs, "replication")
	for name := range real1 {
		if _, there := told[name]; !there && !strings.HasPrefix(name, "repl_backlog") {
			t.Errorf("INFO replication says nothing of %s", name)
		}
	}
}

func replyOf(t *testing.T, conn *testkit.Client, call []string) resp.Value {
	t.Helper()
	v, err := conn.Do(call...)
	ok(t, err)
	return v
}

var variable = regexp.MustCompile(`[0-9a-f]{40}|[0-9]+`)

// formOf is a reply without what differs between servers: ids, ports and counts in texts, and numbers.
func formOf(v resp.Value) string {
	switch v.Kind {
	case resp.KindInt:
		return "(integer)"
	case resp.KindArray, resp.KindMap:
		var parts []string
		for _, e := range v.Elems {
			parts = append(parts, formOf(e))
		}
		return fmt.Sprintf("%v[%s]", v.Kind, strings.Join(parts, " "))
	}
	return fmt.Sprintf("%v %q", v.Kind, variable.ReplaceAllString(v.Str, "0"))
}
