package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/elastickv/elastickv/encryption/keys"
	"github.com/elastickv/elastickv/internal/admin"
	"github.com/elastickv/elastickv/internal/metrics"
	"github.com/elastickv/elastickv/internal/replica/node"
	"github.com/elastickv/elastickv/internal/replica/transport"
	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/internal/txn"
)

// checkCluster fails if what is said of the cluster, and what the data folder is, do not go together.
func checkCluster(cfg *server.Config) error {
	c := cfg.Cluster()
	files := 0
	for _, f := range []string{c.CertFile, c.KeyFile, c.CAFile} {
		if f != "" {
			files++
		}
	}
	_, err := node.Load(cfg.Dir())
	none := errors.Is(err, node.ErrNoCluster)
	switch {
	case err != nil && !none:
		return fmt.Errorf("data folder: %w", err)
	case c.Listen == "" && (files > 0 || c.Insecure):
		return errors.New("--cluster-listen says where other nodes connect, and is missing")
	case c.Listen == "" && !none:
		return fmt.Errorf("data folder %s: it is that of a node of a cluster, and what is written without the others would be lost: say --cluster-listen", cfg.Dir())
	case c.Listen == "":
		return nil
	case none:
		return fmt.Errorf("data folder %s: %w", cfg.Dir(), err)
	case c.Insecure && files > 0:
		return errors.New("--cluster-insecure and the files of certificates exclude each other")
	case !c.Insecure && files < 3:
		return errors.New("nodes know each other by certificates: --cluster-cert-file, --cluster-key-file and --cluster-ca-file are needed, or --cluster-insecure yes in a network where nobody else is")
	}
	return nil
}

// listenCluster opens the address where other nodes connect, if there is one.
func listenCluster(ctx context.Context, cfg *server.Config) ([]net.Listener, error) {
	if cfg.Cluster().Listen == "" {
		return nil, nil
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", cfg.Cluster().Listen)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	return []net.Listener{ln}, nil
}

// openCluster has the data folder take part in its cluster. If that fails later, the process ends.
func openCluster(cfg *server.Config, ln net.Listener, e engine, ring *keys.Ring, running *atomic.Pointer[server.Server], log *slog.Logger, io stdio) (*node.Node, error) {
	c := cfg.Cluster()
	o := node.Options{
		Seal: sealLog(ring),
		Dir:  cfg.Dir(), Engine: e, Listener: ln, Now: time.Now, Rand: rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())), Log: log,
		LogMemory: cfg.MemoryPlan().Log,
		Failed:    func(err error) { os.Exit(complain(io, exitFault, err)) },
		Contact:   contactOf(running), NoLease: !c.Lease,
		Heard: func(m node.Message) {
			if srv := running.Load(); srv != nil {
				srv.Hear(server.Message(m))
			}
		},
		Connected: func(conn net.Conn) {
			if srv := running.Load(); srv != nil {
				srv.ServeNode(conn)
			}
		},
	}
	if c.Insecure {
		log.Warn("other nodes are trusted, whoever they are, and what is said between them can be read: --cluster-insecure")
	} else {
		o.Files = &transport.Files{Cert: c.CertFile, Key: c.KeyFile, CA: c.CAFile}
	}
	n, err := node.Open(o)
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	id := n.Identity()
	log.Info("this server is a node of a cluster", "cluster", id.Cluster.String(), "node", id.Node, "addr", ln.Addr().String())
	return n, nil
}

// contactOf tells where clients reach a server, from when there is one.
func contactOf(running *atomic.Pointer[server.Server]) func() node.Contact {
	return func() (c node.Contact) {
		if srv := running.Load(); srv != nil {
			c.Host, c.Port, c.TLSPort = srv.Announced()
		}
		return c
	}
}

// closeCluster ends the part of a node in its cluster, if there is one.
func closeCluster(member *node.Node) error {
	if member == nil {
		return nil
	}
	return member.Close()
}

// handOverMost is how long another node may take to take over the lead of one that is about to end.
const handOverMost = 3 * time.Second

// handOverFirst returns a context that ends some time after ctx: when another node leads, if this one has led. So clients find
// a leader as soon as they look for one. done is called when nobody needs it any more.
func handOverFirst(ctx context.Context, member *node.Node, log *slog.Logger) (serving context.Context, done func()) {
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		defer cancel()
		if member == nil {
			return
		}
		handOver(serving, member, log)
	})
	return serving, func() {
		if stop() && member != nil { // it was SHUTDOWN
			handOver(ctx, member, log)
		}
		cancel()
	}
}

func handOver(ctx context.Context, member *node.Node, log *slog.Logger) {
	limit, cancel := context.WithTimeout(ctx, handOverMost)
	defer cancel()
	if err := member.Group().HandOver(limit); err != nil {
		log.Warn("the lead was not handed over", "err", err)
	}
}

// replicaOf tells metrics of the cluster, if there is one.
func replicaOf(member *node.Node, db txn.DB) func() metrics.Replica {
	if member == nil {
		return nil
	}
	return func() metrics.Replica {
		f := member.Group().Figures()
		writes, took := member.Host().LogWrites()
		leader, err := member.Group().Leader()
		if err != nil {
			leader = 0
		}
		return metrics.Replica{
			Leader: uint64(leader), Leading: f.Leading, Removed: member.Group().Removed(), Term: f.Term,
			Applied: f.Applied, Commit: f.Commit, First: f.First, Last: f.Last, Staleness: staleness(f.Leading, db),
			Proposed: f.Proposed, Refused: f.Refused, Unknown: f.Unknown, LogWrites: writes, LogTime: took,
		}
	}
}

// clusterOf is what operators can do with the cluster, if there is one.
func clusterOf(member *node.Node, db txn.DB) admin.Cluster {
	if member == nil {
		return nil
	}
	return operatedCluster{member, db}
}

type operatedCluster struct {
	n  *node.Node
	db txn.DB
}

// Status implements admin.Cluster.
func (c operatedCluster) Status(ctx context.Context) (admin.ClusterStatus, error) {
	st, err := c.n.Group().Status(ctx)
	if err != nil {
		return admin.ClusterStatus{}, err
	}
	id := c.n.Identity()
	leader, err := c.n.Group().Leader()
	if err != nil {
		leader = 0
	}
	out := admin.ClusterStatus{Cluster: id.Cluster.String(), Node: uint64(id.Node), Leader: uint64(leader),
		Term: st.Term, Commit: st.Commit, Applied: st.Applied, Removed: st.Removed, Members: []admin.Node{}}
	out.StalenessMillis = staleness(st.Leading, c.db).Milliseconds()
	for _, m := range st.Members {
		h := c.n.Heard(m.Node)
		out.Members = append(out.Members, admin.Node{Node: uint64(m.Node), Addr: m.Addr, Voter: m.Voter, Known: m.Known, Match: m.Match, Alive: m.Active,
			Clients: clientAddr(h.Contact), Applied: h.Applied})
	}
	return out, nil
}

// staleness is how old what a node shows is at most; below 0: nobody knows.
func staleness(leading bool, db txn.DB) time.Duration {
	if leading {
		return 0
	}
	age, known := db.Staleness()
	if !known {
		return -time.Second
	}
	return age
}

// clientAddr is where clients reach a node, empty if that is not known.
func clientAddr(c node.Contact) string {
	port := c.Port
	if port == 0 {
		port = c.TLSPort
	}
	if c.Host == "" || port == 0 {
		return ""
	}
	return net.JoinHostPort(c.Host, strconv.Itoa(int(port)))
}

// Invite implements admin.Cluster.
func (c operatedCluster) Invite(ctx context.Context, other uint64, addr string) (string, error) {
	i, err := c.n.Invite(ctx, transport.NodeID(other), addr)
	if err != nil {
		return "", err
	}
	return i.String(), nil
}

// Remove implements admin.Cluster.
func (c operatedCluster) Remove(ctx context.Context, other uint64) error {
	return c.n.Remove(ctx, transport.NodeID(other))
}

// Move implements admin.Cluster.
func (c operatedCluster) Move(ctx context.Context, other uint64, addr string) error {
	return c.n.Move(ctx, transport.NodeID(other), addr)
}

// Transfer implements admin.Cluster.
func (c operatedCluster) Transfer(ctx context.Context, other uint64) error {
	return c.n.Transfer(ctx, transport.NodeID(other))
}
