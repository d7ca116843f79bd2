package admin

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
)

// Cluster is what a server can do with the cluster that it is a node of. Nodes go by their numbers. All but
// Status are done by the leader alone.
type Cluster interface {
	// Status tells what this node knows.
	Status(ctx context.Context) (ClusterStatus, error)
	// Invite makes a node a member, and returns the word by which it joins.
	Invite(ctx context.Context, node uint64, addr string) (invitation string, err error)
	// Remove removes a node for good.
	Remove(ctx context.Context, node uint64) error
	// Move says that a node is reached at another address.
	Move(ctx context.Context, node uint64, addr string) error
	// Transfer hands the lead to a node.
	Transfer(ctx context.Context, node uint64) error
}

// ClusterStatus is what a node knows of its cluster.
type ClusterStatus struct {
	Cluster string `json:"cluster"` // its id
	Node    uint64 `json:"node"`    // the one that tells
	Leader  uint64 `json:"leader"`  // 0: not known
	Term    uint64 `json:"term"`
	Commit  uint64 `json:"commit"`  // entries up to here are on a majority
	Applied uint64 `json:"applied"` // up to here in the data of this node
	Removed bool   `json:"removed"` // this node is no member any more
	// What can be read at the node that tells is at most so old; below 0: it is not known.
	StalenessMillis int64  `json:"staleness_ms"`
	Members         []Node `json:"members"`
}

// Node is a member of a cluster.
type Node struct {
	Node  uint64 `json:"node"`
	Addr  string `json:"addr"`
	Voter bool   `json:"voter"`
	// What it has said last of itself: where clients reach it, and up to which entry its data is.
	Clients string `json:"clients"` // empty: not known
	Applied uint64 `json:"applied"`
	Known   bool   `json:"known"` // what follows; only the leader knows it
	Match   uint64 `json:"match"` // entries up to here are on its disk
	Alive   bool   `json:"alive"` // it was heard of lately
}

type nodeRequest struct {
	Node uint64 `json:"node"`
	Addr string `json:"addr,omitempty"`
}

// Invited is the answer to an invitation.
type Invited struct {
	Invitation string `json:"invitation"`
}

var errNoCluster = errors.New("this server is no node of a cluster: it was started without --cluster-listen")

func handleCluster(mux *http.ServeMux, c Cluster, log *slog.Logger) {
	mux.HandleFunc("GET "+clusterPath, func(w http.ResponseWriter, r *http.Request) {
		if c == nil {
			answer(w, nil, errNoCluster)
			return
		}
		st, err := c.Status(r.Context())
		answer(w, st, err)
	})
	do := func(path, what string, do func(ctx context.Context, in nodeRequest) (any, error)) {
		mux.HandleFunc("POST "+path, func(w http.ResponseWriter, r *http.Request) {
			var in nodeRequest
			switch {
			case c == nil:
				answer(w, nil, errNoCluster)
				return
			case !read(w, r, &in):
				return
			}
			out, err := do(r.Context(), in)
			if err != nil {
				log.Warn("cluster: "+what+" refused", "node", in.Node, "err", err)
			} else {
				log.Info("cluster: "+what, "node", in.Node)
			}
			answer(w, out, err)
		})
	}
	do(invitePath, "invite", func(ctx context.Context, in nodeRequest) (any, error) {
		word, err := c.Invite(ctx, in.Node, in.Addr)
		return Invited{word}, err
	})
	do(removePath, "remove", func(ctx context.Context, in nodeRequest) (any, error) {
		return struct{}{}, c.Remove(ctx, in.Node)
	})
	do(movePath, "move", func(ctx context.Context, in nodeRequest) (any, error) {
		return struct{}{}, c.Move(ctx, in.Node, in.Addr)
	})
	do(transferPath, "transfer", func(ctx context.Context, in nodeRequest) (any, error) {
		return struct{}{}, c.Transfer(ctx, in.Node)
	})
}

// ClusterStatus is Cluster.Status.
func (c *Client) ClusterStatus(ctx context.Context) (st ClusterStatus, err error) {
	return st, c.ask(ctx, http.MethodGet, clusterPath, nil, &st)
}

// Invite is Cluster.Invite.
func (c *Client) Invite(ctx context.Context, node uint64, addr string) (out Invited, err error) {
	return out, c.ask(ctx, http.MethodPost, invitePath, nodeRequest{node, addr}, &out)
}

// Remove is Cluster.Remove.
func (c *Client) Remove(ctx context.Context, node uint64) error {
	return c.ask(ctx, http.MethodPost, removePath, nodeRequest{Node: node}, &struct{}{})
}

// Move is Cluster.Move.
func (c *Client) Move(ctx context.Context, node uint64, addr string) error {
	return c.ask(ctx, http.MethodPost, movePath, nodeRequest{node, addr}, &struct{}{})
}

// Transfer is Cluster.Transfer.
func (c *Client) Transfer(ctx context.Context, node uint64) error {
	return c.ask(ctx, http.MethodPost, transferPath, nodeRequest{Node: node}, &struct{}{})
}
