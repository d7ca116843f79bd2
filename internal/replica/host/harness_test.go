package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/replica"
	"github.com/elastickv/elastickv/internal/replica/raftlog"
	"github.com/elastickv/elastickv/internal/replica/transport"
	"github.com/elastickv/elastickv/internal/testkit/crashable"
	"github.com/elastickv/elastickv/internal/testkit/pipes"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// patience bounds every wait.
const patience = time.Minute

const group raftlog.GroupID = 1

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// cluster are nodes in one process, each with real engines on a disk in memory that forgets what was not synced.
type cluster struct {
	t     *testing.T
	net   *network
	nodes map[transport.NodeID]*node
	o     func(*Options)
}

// node is a machine. While it is up, host and what is below are set.
type node struct {
	c       *cluster
	id      transport.NodeID
	replica uint64
	addr    string
	seeds   map[transport.NodeID]string
	fs      vfs.FS // over disk
	disk    *vfs.MemFS

	host   *Host
	group  *Group
	engine store.Engine
	log    *raftlog.Log
	failed chan error

	order   sync.Mutex // of proposals
	mu      sync.Mutex
	numbers map[uint64]uint64 // of the next proposal, by term
}

// newCluster returns one of n nodes, which are up, with a voter on each.
func newCluster(t *testing.T, n int, change ...func(*Options)) *cluster {
	t.Helper()
	c := &cluster{t: t, net: &network{listeners: map[string]*pipes.Listener{}, cut: map[[2]transport.NodeID]bool{}}, nodes: map[transport.NodeID]*node{}}
	c.o = func(o *Options) {
		for _, f := range change {
			f(o)
		}
	}
	voters := map[uint64]replica.Node{}
	for i := 1; i <= n; i++ {
		voters[uint64(i)] = replica.Node{ID: uint64(i), Addr: fmt.Sprint("node-", i)}
	}
	for i := 1; i <= n; i++ {
		nd := c.node(transport.NodeID(i), uint64(i))
		nd.openDisks()
		m, err := replica.OpenMachine(nd.engine)
		must(t, err)
		must(t, m.Create(voters, 10))
		_, err = m.Sync()
		must(t, err)
		must(t, nd.log.Create(group, raftlog.Mark{Index: 10, Term: 5},
			&pb.HardState{Term: new(uint64(5)), Vote: new(uint64(0)), Commit: new(uint64(10))}))
		must(t, nd.closeDisks())
	}
	t.Cleanup(func() {
		for _, nd := range c.nodes {
			if nd.host != nil {
				nd.stop()
			}
		}
	})
	for i := 1; i <= n; i++ {
		c.nodes[transport.NodeID(i)].start()
	}
	return c
}

// node returns a machine with an empty disk.
func (c *cluster) node(id transport.NodeID, rep uint64) *node {
	mem := vfs.NewCrashableMem()
	n := &node{c: c, id: id, replica: rep, addr: fmt.Sprint("node-", id), disk: mem, fs: crashable.FS{MemFS: mem}}
	c.nodes[id] = n
	return n
}

// join returns a machine whose replica was added to the group, before it is started.
func (c *cluster) join(id transport.NodeID, rep uint64, seeds map[transport.NodeID]string) *node {
	c.t.Helper()
	n := c.node(id, rep)
	n.seeds = seeds
	n.openDisks()
	must(c.t, n.log.Create(group, raftlog.Mark{}, &pb.HardState{Term: new(uint64(0)), Vote: new(uint64(0)), Commit: new(uint64(0))}))
	must(c.t, n.closeDisks())
	return n
}

func (n *node) openDisks() {
	n.c.t.Helper()
	var err error
	n.log, err = raftlog.Open("log", raftlog.Options{FS: n.fs, TailBytes: 64 << 10})
	must(n.c.t, err)
	s, err := store.NewPebbleStore("data", store.WithFS(n.fs), store.WithFSMSyncMode(store.FSMNoSync), store.WithCacheSize(1<<20))
	must(n.c.t, err)
	n.engine = s.(store.Engine)
}

func (n *node) closeDisks() error { return errors.Join(n.engine.Close(), n.log.Close()) }

// start brings a machine up as it finds its disk.
func (n *node) start() {
	n.c.t.Helper()
	must(n.c.t, n.tryStart())
}

func (n *node) tryStart() error {
	n.c.t.Helper()
	n.openDisks()
	n.failed = make(chan error, 1)
	n.numbers = map[uint64]uint64{}
	failed := n.failed
	o := Options{
		Transport: transport.Options{
			Cluster: transport.ClusterID{7}, Node: n.id, Listener: n.c.net.listen(n.addr), Cleartext: true, Now: time.Now,
			Rand: rand.New(rand.NewPCG(1, uint64(n.id))), Timeout: 2 * time.Second, Backoff: 100 * time.Millisecond,
			Dial: func(ctx context.Context, addr string) (net.Conn, error) { return n.c.net.dial(ctx, n.id, addr) },
		},
		Log: n.log, Staging: n.c.t.TempDir(), Boot: rand.Uint64(), Failed: func(err error) { failed <- err },
		Logger: slog.New(slog.NewTextHandler(testLog{n.c.t, n.id}, nil)), Tick: 20 * time.Millisecond,
	}
	n.c.o(&o)
	h, err := Open(o)
	must(n.c.t, err)
	m, err := replica.OpenMachine(n.engine)
	must(n.c.t, err)
	n.host = h
	g, err := h.Start(GroupOptions{ID: group, Replica: n.replica, Machine: m, Seeds: n.seeds})
	if err != nil {
		n.stop()
		return err
	}
	n.group = g
	return nil
}

// testLog writes a log into that of a test, as long as that runs.
type testLog struct {
	t  *testing.T
	id transport.NodeID
}

func (l testLog) Write(p []byte) (int, error) {
	if l.t.Context().Err() == nil {
		l.t.Logf("node %d: %s", l.id, bytes.TrimSpace(p))
	}
	return len(p), nil
}

// stop ends a machine in good order.
func (n *node) stop() {
	n.c.t.Helper()
	if err := errors.Join(n.host.Close(), n.closeDisks()); err != nil {
		n.c.t.Error(err)
	}
	n.host, n.group = nil, nil
}

// crash ends a machine as a loss of power does.
func (n *node) crash() {
	n.c.t.Helper()
	after := n.disk.CrashClone(vfs.CrashCloneCfg{})
	n.stop()
	n.disk, n.fs = after, crashable.FS{MemFS: after}
}

// propose proposes that a key gets a value, as the next proposal of the term that this node leads in.
func (n *node) propose(key, value string) <-chan error {
	n.order.Lock()
	defer n.order.Unlock()
	done := make(chan error, 1)
	term, leading, _ := n.group.Lead()
	if !leading {
		done <- errNotLeading
		return done
	}
	n.mu.Lock()
	number := n.numbers[term]
	n.numbers[term]++
	n.mu.Unlock()
	// Timestamps rise with terms and numbers.
	ts := term<<32 | (number + 1)
	n.group.Propose(term, number, []store.Commit{{TS: ts, Mutations: []*store.KVPairMutation{
		{Op: store.OpTypePut, Key: []byte(key), Value: []byte(value)}}}}, func(err error) {
		done <- err
		if errors.Is(err, txn.ErrNotCommitted) { // the number is to be had again
			n.mu.Lock()
			defer n.mu.Unlock()
			n.numbers[term] = min(n.numbers[term], number)
		}
	})
	return done
}

var errNotLeading = errors.New("this node does not lead")

func (n *node) put(key, value string) error {
	select {
	case err := <-n.propose(key, value):
		return err
	case <-time.After(patience):
		return errors.New("a proposal has no end")
	}
}

// get returns the value of a key, or "".
func (n *node) get(key string) string {
	n.c.t.Helper()
	v, ok, err := n.engine.VersionAt(context.Background(), []byte(key), n.engine.LastCommitTS())
	must(n.c.t, err)
	if !ok {
		return ""
	}
	return string(v.Value)
}

// rows are the data of a node, with every version.
func (n *node) rows() string {
	n.c.t.Helper()
	image, err := n.engine.Snapshot()
	must(n.c.t, err)
	var b bytes.Buffer
	_, err = image.WriteTo(&b)
	must(n.c.t, errors.Join(err, image.Close()))
	return b.String()
}

// await waits until cond is true.
func (c *cluster) await(what string, cond func() bool) {
	c.t.Helper()
	limit := time.Now().Add(patience)
	for !cond() {
		if time.Now().After(limit) {
			c.t.Fatalf("%s does not happen; %s", what, c.describe())
		}
		time.Sleep(time.Millisecond) // between two looks
	}
}

func (c *cluster) describe() (text string) {
	for _, n := range c.up() {
		text += fmt.Sprintf("node %d: %+v, members %v; ", n.id, n.group.Figures(), n.group.machine.Members())
	}
	return text
}

func (c *cluster) up() (up []*node) {
	for id := transport.NodeID(1); int(id) <= len(c.nodes)+10; id++ {
		if n := c.nodes[id]; n != nil && n.group != nil {
			up = append(up, n)
		}
	}
	return up
}

// leader waits until one of the nodes, of those that are up if none are named, leads, and returns it.
func (c *cluster) leader(of ...*node) *node {
	c.t.Helper()
	if len(of) == 0 {
		of = c.up()
	}
	var leader *node
	c.await("a leader", func() bool {
		for _, n := range of {
			if _, leading, _ := n.group.Lead(); leading {
				leader = n
				return true
			}
		}
		return false
	})
	return leader
}

// write has a key be a value, whoever leads, however often it takes.
func (c *cluster) write(key, value string) {
	c.t.Helper()
	for range 100 {
		if c.leader().put(key, value) == nil {
			return
		}
	}
	c.t.Fatalf("%s cannot be written; %s", key, c.describe())
}

// equal waits until all nodes that are up have applied the same, and compares their data.
func (c *cluster) equal() {
	c.t.Helper()
	c.await("the same index everywhere", func() bool {
		up := c.up()
		lead := c.leader().group.Figures()
		for _, n := range up {
			if n.group.machine.Applied() != lead.Last {
				return false
			}
		}
		return true
	})
	up := c.up()
	want := up[0].rows()
	for _, n := range up[1:] {
		if got := n.rows(); got != want {
			c.t.Errorf("node %d has %d bytes of data, and node %d %d that are not the same", n.id, len(got), up[0].id, len(want))
		}
	}
}

// awaitVoter waits until a replica that was added is a voter.
func (c *cluster) awaitVoter(id uint64) {
	c.t.Helper()
	c.await(fmt.Sprint("a voter ", id), func() bool { return c.leader().group.machine.Members().Voter(id) })
}

// others are those that are up but n.
func (c *cluster) others(n *node) (others []*node) {
	for _, o := range c.up() {
		if o != n {
			others = append(others, o)
		}
	}
	return others
}

func (c *cluster) addrs() map[transport.NodeID]string {
	addrs := map[transport.NodeID]string{}
	for _, n := range c.nodes {
		addrs[n.id] = n.addr
	}
	return addrs
}

// network carries connections in memory, and can be cut.
type network struct {
	mu        sync.Mutex
	listeners map[string]*pipes.Listener
	cut       map[[2]transport.NodeID]bool
	conns     []cutConn
}

type cutConn struct {
	between [2]transport.NodeID
	c       net.Conn
}

func (nw *network) listen(addr string) net.Listener {
	nw.mu.Lock()
	defer nw.mu.Unlock()
	l := pipes.Listen(addr)
	nw.listeners[addr] = l
	return l
}

func nodeAt(addr string) (id transport.NodeID) {
	_, _ = fmt.Sscanf(addr, "node-%d", &id)
	return id
}

var errNoWay = errors.New("there is no way there")

func (nw *network) dial(ctx context.Context, from transport.NodeID, addr string) (net.Conn, error) {
	between := [2]transport.NodeID{from, nodeAt(addr)}
	nw.mu.Lock()
	p := nw.listeners[addr]
	if p == nil || nw.cut[between] {
		nw.mu.Unlock()
		return nil, errNoWay
	}
	a, b := net.Pipe()
	nw.conns = append(nw.conns, cutConn{between, a})
	nw.mu.Unlock()
	if err := p.Hand(ctx, a); err != nil {
		return nil, errors.Join(errNoWay, err, a.Close(), b.Close())
	}
	return b, nil
}

// isolate cuts a node from some others, in both directions.
func (nw *network) isolate(n *node, from []*node) {
	nw.mu.Lock()
	defer nw.mu.Unlock()
	for _, o := range from {
		nw.cut[[2]transport.NodeID{n.id, o.id}], nw.cut[[2]transport.NodeID{o.id, n.id}] = true, true
	}
	for _, c := range nw.conns {
		if nw.cut[c.between] {
			_ = c.c.Close()
		}
	}
}

// heal makes the network whole.
func (nw *network) heal() {
	nw.mu.Lock()
	defer nw.mu.Unlock()
	clear(nw.cut)
}
