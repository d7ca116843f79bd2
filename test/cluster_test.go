package test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/admin"
	"github.com/elastickv/elastickv/internal/testkit"
	"github.com/elastickv/elastickv/store"
)

// clusterPatience bounds every wait for a cluster.
const clusterPatience = 2 * time.Minute

// peer is a server of ours that is a node of a cluster.
type peer struct {
	t    testing.TB
	id   int
	dir  string
	addr string   // for other nodes
	at   string   // where it listens for them; the same, unless a test stands between
	tls  []string // flags
	init []string // flags of the first node's init
	// inHarm is whether its clock can be stepped and its disk slow.
	inHarm bool
	*testkit.Server
}

// serve starts it, where clients have reached it if they have.
func (p *peer) serve() {
	p.t.Helper()
	flags := append(slices.Clip(p.tls), "--cluster-listen", p.at)
	if !p.inHarm {
		p.Server = testkit.Elastickv(p.t, p.dir, flags...)
		return
	}
	addr := ""
	if p.Server != nil {
		addr = p.Addr
	} else {
		addr = testkit.FreeAddr(p.t)
	}
	p.Server = testkit.ElastickvInHarm(p.t, addr, p.dir, flags...)
}

// cluster are the nodes of one, each a process.
type cluster struct {
	t     testing.TB
	nodes []*peer
}

// elastickv runs our program to its end, and returns what it has printed.
func elastickv(t testing.TB, args ...string) (out string, err error) {
	t.Helper()
	var o, e bytes.Buffer
	cmd := exec.Command(testkit.Binary(t), args...)
	cmd.Stdout, cmd.Stderr = &o, &e
	if cmd.Run() != nil {
		err = errors.New(strings.TrimSpace(e.String()))
	}
	return o.String(), err
}

func mustRun(t testing.TB, args ...string) string {
	t.Helper()
	out, err := elastickv(t, args...)
	if err != nil {
		t.Fatalf("elastickv %q: %v", args, err)
	}
	return strings.TrimSpace(out)
}

// startCluster makes one of n empty machines, as an operator does. Before the first act of each, shape may change what it is.
func startCluster(t testing.TB, n int, shape ...func(*peer)) *cluster {
	t.Helper()
	authority := testkit.NewAuthority(t, "a cluster")
	c := &cluster{t: t}
	for id := 1; id <= n; id++ {
		shown := authority.Valid(t, fmt.Sprintf("node-%d.elastickv", id))
		p := &peer{t: t, id: id, dir: filepath.Join(t.TempDir(), "data"), addr: testkit.FreeAddr(t),
			tls: []string{"--cluster-cert-file", shown.CertFile, "--cluster-key-file", shown.KeyFile, "--cluster-ca-file", authority.File}}
		p.at = p.addr
		for _, f := range shape {
			f(p)
		}
		c.nodes = append(c.nodes, p)
		if id == 1 {
			mustRun(t, append([]string{"cluster", "init", "--dir", p.dir, "--node", "1", "--addr", p.addr}, p.init...)...)
		} else {
			word := mustRun(t, "cluster", "invite", "--dir", c.leader().dir, "--node", fmt.Sprint(id), "--addr", p.addr)
			mustRun(t, "cluster", "join", "--dir", p.dir, "--invitation", word)
		}
		p.serve()
		c.await(fmt.Sprint(id, " voters"), func() bool {
			st, err := c.leader().status()
			voters := 0
			for _, m := range st.Members {
				if m.Voter {
					voters++
				}
			}
			return err == nil && voters == id
		})
	}
	return c
}

func (p *peer) status() (st admin.ClusterStatus, err error) {
	out, err := elastickv(p.t, "cluster", "status", "--dir", p.dir, "--json")
	if err == nil {
		err = json.Unmarshal([]byte(out), &st)
	}
	return st, err
}

func (c *cluster) await(what string, cond func() bool) {
	c.t.Helper()
	limit := time.Now().Add(clusterPatience)
	for !cond() {
		if time.Now().After(limit) {
			c.t.Fatalf("%s does not happen; %s", what, c.describe())
		}
		time.Sleep(10 * time.Millisecond) // between two looks
	}
}

func (c *cluster) describe() (text string) {
	for _, p := range c.nodes {
		if p.Server != nil {
			st, err := p.status()
			text += fmt.Sprintf("node %d: %+v, %v; its log:\n%s\n", p.id, st, err, p.Log())
		}
	}
	return text
}

// leader waits for a node that is up and says that it leads.
func (c *cluster) leader() (leader *peer) {
	c.t.Helper()
	c.await("a leader", func() bool {
		for _, p := range c.nodes {
			if p.Server == nil {
				continue
			}
			if st, err := p.status(); err == nil && st.Leader == uint64(p.id) {
				leader = p
				return true
			}
		}
		return false
	})
	return leader
}

// clusterWriter writes keys of its own, one after the other, to whoever takes them.
type clusterWriter struct {
	name  string
	acked []int // what was acknowledged
	sent  int
}

// run writes to the servers at addrs until stop is closed.
func (w *clusterWriter) run(addrs []string, stop <-chan struct{}, acked *atomic.Int64) {
	at := 0
	var conn *testkit.Client
	defer func() {
		if conn != nil {
			_ = conn.Close()
		}
	}()
	for {
		select {
		case <-stop:
			return
		default:
		}
		if conn == nil {
			var err error
			if conn, err = testkit.Connect(addrs[at], 2); err != nil {
				conn = nil
				at = (at + 1) % len(addrs)
				time.Sleep(time.Millisecond) // nobody may be there
				continue
			}
		}
		w.sent++
		v, err := conn.Do("SET", fmt.Sprint(w.name, ":", w.sent), "x")
		if err == nil && v.Str == "OK" {
			w.acked = append(w.acked, w.sent)
			acked.Add(1)
			continue
		}
		_ = conn.Close()
		conn = nil
		at = (at + 1) % len(addrs)
	}
}

// The leader of three is killed while clients write, time and again. Whoever is left goes on within seconds,
// all that was acknowledged is there, and in the end all nodes have the same.
func TestClusterFailover(t *testing.T) {
	rounds := 3
	if testing.Short() {
		rounds = 1
	}
	c := startCluster(t, 3)
	var writers []*clusterWriter
	for i := range 4 {
		writers = append(writers, &clusterWriter{name: fmt.Sprint("writer ", i)})
	}
	// A node that is started anew is another process at the same address: the writers know addresses only.
	var addrs []string
	for _, p := range c.nodes {
		addrs = append(addrs, p.Addr)
	}
	var acked atomic.Int64
	stop := make(chan struct{})
	var all sync.WaitGroup
	end := sync.OnceFunc(func() { close(stop); all.Wait() })
	defer end()
	for _, w := range writers {
		all.Go(func() { w.run(addrs, stop, &acked) })
	}
	for round := range rounds {
		progress := func(what string) {
			before := acked.Load()
			c.await(what, func() bool { return acked.Load() > before+100 })
		}
		progress("progress")
		lead := c.leader()
		lead.Kill()
		killed, before := time.Now(), acked.Load()
		// Each writer may still have an answer from before.
		c.await("a write without the leader", func() bool { return acked.Load() > before+int64(len(writers)) })
		t.Logf("round %d: node %d was killed, and the next write was acknowledged after %v", round, lead.id, time.Since(killed).Round(time.Millisecond))
		progress("progress without one")
		lead.Server = lead.Restart(t)
	}
	// In good order: the lead is handed over first.
	lead := c.leader()
	if err := lead.Stop(); err != nil {
		t.Errorf("node %d: %v", lead.id, err)
	}
	lead.Server = lead.Restart(t)
	end()
	c.leader()
	for _, p := range c.nodes {
		conn := testkit.Dial(t, p.Addr, 2)
		for _, w := range writers {
			for _, n := range w.acked {
				v, err := conn.Do("GET", fmt.Sprint(w.name, ":", n))
				if err != nil || v.Str != "x" {
					t.Fatalf("node %d has not got write %d of %s, which was acknowledged: %v, %v", p.id, n, w.name, v, err)
				}
			}
		}
	}
	t.Logf("%d writes were acknowledged", acked.Load())
	c.equal()
}

// equal waits until all nodes have applied the same, ends them, and compares their data.
func (c *cluster) equal() {
	c.t.Helper()
	c.await("the same index everywhere", func() bool {
		var applied []uint64
		for _, p := range c.nodes {
			st, err := p.status()
			if err != nil {
				return false
			}
			applied = append(applied, st.Applied)
		}
		for _, a := range applied {
			if a != applied[0] {
				return false
			}
		}
		return true
	})
	for _, p := range c.nodes {
		if err := p.Stop(); err != nil {
			c.t.Errorf("node %d: %v", p.id, err)
		}
	}
	var want string
	for _, p := range c.nodes {
		switch got := presentRows(c.t, filepath.Join(p.dir, "store")); {
		case want == "":
			want = got
		case got != want:
			c.t.Errorf("node %d has other rows than node %d", p.id, c.nodes[0].id)
		}
	}
}

// presentRows are the rows of a store as of the newest commit, and when that was.
func presentRows(t testing.TB, dir string) string {
	t.Helper()
	s, err := store.NewPebbleStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	e := s.(store.Engine)
	var b strings.Builder
	ts := e.LastCommitTS()
	err = e.WalkAt(t.Context(), store.Span{}, store.Ascending, ts, func(key []byte, v store.VersionedValue) bool {
		fmt.Fprintf(&b, "%q = %q @%d until %d\n", key, v.Value, v.TS, v.ExpireAt)
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("%d\n%s", ts, b.String())
}

// One of three is lost for good, and another machine takes its place; then two are lost, and what is left begins anew.
func TestClusterLosses(t *testing.T) {
	c := startCluster(t, 3)
	set := func(key string) {
		c.t.Helper()
		c.await("a write of "+key, func() bool {
			conn, err := testkit.Connect(c.leader().Addr, 2)
			if err != nil {
				return false
			}
			defer conn.Close()
			v, err := conn.Do("SET", key, "x")
			return err == nil && v.Str == "OK"
		})
	}
	set("three")
	lead := c.leader()
	var lost *peer
	for _, p := range c.nodes {
		if p != lead {
			lost = p
		}
	}
	lost.Kill()
	set("two")
	c.await("that the lost one is missed", func() bool {
		st, err := c.leader().status()
		for _, m := range st.Members {
			if m.Node == uint64(lost.id) {
				return err == nil && !m.Alive
			}
		}
		return false
	})
	lead = c.leader()
	mustRun(t, "cluster", "remove", "--dir", lead.dir, "--node", fmt.Sprint(lost.id))
	word := mustRun(t, "cluster", "invite", "--dir", lead.dir, "--node", fmt.Sprint(lost.id), "--addr", lost.addr)
	if _, err := elastickv(t, "cluster", "join", "--dir", lost.dir, "--invitation", word); err == nil {
		t.Error("a folder joins with what it has")
	}
	lost.dir = filepath.Join(t.TempDir(), "data")
	mustRun(t, "cluster", "join", "--dir", lost.dir, "--invitation", word)
	lost.serve()
	c.awaitVote(lost)
	set("three again")
	// The two others may have it alone, and be lost with it.
	near := testkit.Dial(t, lost.Addr, 2)
	near.MustDo(t, "READONLY")
	c.await("that the one that stays has it", func() bool {
		v, err := near.Do("GET", "three again")
		return err == nil && v.Str == "x"
	})

	for _, p := range c.nodes {
		if p != lost {
			p.Kill()
			p.Server = nil
		}
	}
	if err := lost.Stop(); err != nil {
		t.Errorf("without a majority: %v", err)
	}
	mustRun(t, "cluster", "init", "--dir", lost.dir, "--node", fmt.Sprint(lost.id), "--addr", lost.addr, "--lost-majority")
	lost.Server = lost.Restart(t)
	c.nodes = []*peer{lost}
	set("one")
	conn := testkit.Dial(t, lost.Addr, 2)
	for _, key := range []string{"three", "two", "three again", "one"} {
		if v, err := conn.Do("GET", key); err != nil || v.Str != "x" {
			t.Errorf("%s is %v, %v", key, v, err)
		}
	}
}
