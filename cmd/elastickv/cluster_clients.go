package main

import (
	"context"
	"net"

	"github.com/elastickv/elastickv/internal/replica/node"
	"github.com/elastickv/elastickv/internal/replica/transport"
	"github.com/elastickv/elastickv/internal/server"
)

// clientCluster is a cluster as the server tells clients of it.
type clientCluster struct{ n *node.Node }

// serverCluster returns it, or nil where there is no cluster.
func serverCluster(member *node.Node) server.Cluster {
	if member == nil {
		return nil
	}
	return clientCluster{member}
}

// Lead implements server.Cluster.
func (c clientCluster) Lead() (leading bool, changed <-chan struct{}) {
	_, leading, changed = c.n.Group().Lead()
	return leading, changed
}

// Leader implements server.Cluster.
func (c clientCluster) Leader() (server.Peer, bool) {
	leader, err := c.n.Group().Leader()
	if err != nil {
		return server.Peer{}, false
	}
	return c.peer(uint64(leader), c.n.Heard(leader)), true
}

func (c clientCluster) peer(id uint64, h node.Heard) server.Peer {
	return server.Peer{Node: id, Self: id == uint64(c.n.Identity().Node), Host: h.Host, Port: int(h.Port), TLSPort: int(h.TLSPort)}
}

// Status implements server.Cluster.
func (c clientCluster) Status(ctx context.Context) (server.ClusterStatus, error) {
	st, err := c.n.Group().Status(ctx)
	if err != nil {
		return server.ClusterStatus{}, err
	}
	out := server.ClusterStatus{ID: c.n.Identity().Cluster, Leading: st.Leading, Term: st.Term, Commit: st.Commit, Applied: st.Applied}
	if leader, err := c.n.Group().Leader(); err == nil {
		out.Leader = uint64(leader)
	}
	for _, m := range st.Members {
		h := c.n.Heard(m.Node)
		out.Nodes = append(out.Nodes, server.ClusterNode{Peer: c.peer(uint64(m.Node), h), Addr: m.Addr, Voter: m.Voter,
			Applied: h.Applied, Match: m.Match, Heard: h.At})
	}
	return out, nil
}

// Say implements server.Cluster.
func (c clientCluster) Say(m server.Message) {
	_ = c.n.Say(node.Message(m)) // only one that is too long is not passed on, and the server has none
}

// Connect implements server.Cluster.
func (c clientCluster) Connect(ctx context.Context, to uint64) (net.Conn, error) {
	return c.n.Connect(ctx, transport.NodeID(to))
}

// AwaitCopies implements server.Cluster.
func (c clientCluster) AwaitCopies(ctx context.Context, index uint64, others int) error {
	return c.n.Group().AwaitCopies(ctx, index, others)
}
