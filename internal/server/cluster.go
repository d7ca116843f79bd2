package server

import (
	"cmp"
	"context"
	"encoding/hex"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"

	"github.com/elastickv/elastickv/internal/command"
)

// Cluster is what the server knows of the machines that keep the data together with this one.
type Cluster interface {
	// Lead reports whether updates are made here; changed is closed when the answer has become another.
	Lead() (leading bool, changed <-chan struct{})
	// Leader returns who leads, as far as this node knows. It waits for nothing.
	Leader() (Peer, bool)
	// Status tells what this node knows of all.
	Status(ctx context.Context) (ClusterStatus, error)
	// AwaitCopies returns when so many other nodes have the log up to index on their disks, or with an error when ctx has
	// ended, or this node does not lead.
	AwaitCopies(ctx context.Context, index uint64, others int) error
	// Connect makes a connection to a node, for what clients ask there: ServeNode serves the other end. It waits for that.
	Connect(ctx context.Context, node uint64) (net.Conn, error)
	// Say passes on what was published here to all other nodes, in the order of the calls and as far as they can be reached
	// now. It keeps nothing of it.
	Say(Message)
}

// Message is something that a client has published.
type Message struct {
	Shard            bool // to a shard channel
	Channel, Payload []byte
}

// messageMost is how many bytes of a channel and a payload can be passed on to other nodes.
const messageMost = 63 << 20

// Peer is a node of a cluster, and where clients reach it.
type Peer struct {
	Node          uint64
	Self          bool // it is this one
	Host          string
	Port, TLSPort int // 0: there are none of that kind
}

// ClusterStatus is what a node knows of its cluster.
type ClusterStatus struct {
	ID      [16]byte
	Leader  uint64 // 0: nobody is known to lead
	Leading bool   // this one does
	Term    uint64
	Commit  uint64 // entries up to here are on a majority
	Applied uint64 // and up to here in the data of this node
	Nodes   []ClusterNode
}

// ClusterNode is a member of a cluster.
type ClusterNode struct {
	Peer
	Addr    string    // at which other nodes reach it
	Voter   bool      // it may lead, and counts for majorities
	Applied uint64    // entries up to here are in its data, as it has said last
	Match   uint64    // and up to here in the log on its disk; only the leader knows
	Heard   time.Time // when it has said something last; zero: never
}

// clusterStatusMost is how long a node may take to tell what it knows.
const clusterStatusMost = 5 * time.Second

// clusterStatus returns the nodes in the order of their numbers.
func (s *Server) clusterStatus() (ClusterStatus, error) {
	ctx, cancel := context.WithTimeout(s.ctx, clusterStatusMost)
	defer cancel()
	st, err := s.opts.Cluster.Status(ctx)
	if err != nil {
		s.log.Error("the cluster's state is not known", "err", err)
		return st, errNoStatus
	}
	slices.SortFunc(st.Nodes, func(a, b ClusterNode) int { return cmp.Compare(a.Node, b.Node) })
	return st, nil
}

// silenceMost is how long a node may say nothing until it counts as lost. It says something twice a second.
const silenceMost = 3 * time.Second

// heardOf reports whether a node has said something in the last time.
func (s *Server) heardOf(n ClusterNode, within time.Duration) bool {
	return n.Self || !n.Heard.IsZero() && s.opts.Now().Sub(n.Heard) <= within
}

// portFor returns the port for clients that connect as one does; 0: there is none.
func (p Peer) portFor(c *session) int {
	if isSecure(c.conn) {
		return p.TLSPort
	}
	return p.Port
}

// addrFor returns where a client that connects as one does reaches a node, if it does.
func (p Peer) addrFor(c *session) (string, bool) {
	port := p.portFor(c)
	return p.Host + ":" + strconv.Itoa(port), p.Host != "" && port != 0
}

// nodeName is the id of a node in the form that clients of clusters know: 40 hexadecimal digits.
func (st *ClusterStatus) nodeName(node uint64) string {
	return fmt.Sprintf("%s%016x", hex.EncodeToString(st.ID[:12]), node)
}

// shardName is that of all nodes, which keep the same data.
func (st *ClusterStatus) shardName() string {
	return fmt.Sprintf("%s%08x", hex.EncodeToString(st.ID[:]), 1)
}

// leads reports whether a node is the one that leads.
func (st *ClusterStatus) leads(n ClusterNode) bool { return n.Node == st.Leader }

// self returns this node.
func (st *ClusterStatus) self() (ClusterNode, bool) {
	return st.find(func(n ClusterNode) bool { return n.Self })
}

func (st *ClusterStatus) leader() (ClusterNode, bool) { return st.find(st.leads) }

func (st *ClusterStatus) find(which func(ClusterNode) bool) (ClusterNode, bool) {
	if i := slices.IndexFunc(st.Nodes, which); i >= 0 {
		return st.Nodes[i], true
	}
	return ClusterNode{}, false
}

// notLeader is what a client is told of a call that only the leader carries out: where that is, in the words of a
// cluster if the call has keys and clients are to be redirected.
func (c *session) notLeader(k call) command.Error {
	if c.guest {
		return errNotCommitted // the client has nothing to do with this node
	}
	leader, err := c.srv.leader()
	if err != "" {
		return err
	}
	addr, ok := leader.addrFor(c)
	if !ok {
		return errNotLeader
	}
	if slot, ok := c.slotOf(k); ok && c.redirected() {
		return errMoved(slot, addr)
	}
	return errLeaderIs(addr)
}

// leader returns which other node leads, or what clients are told if none does.
func (s *Server) leader() (Peer, command.Error) {
	leader, known := s.opts.Cluster.Leader()
	switch {
	case !known:
		return leader, errNobodyLeads
	case leader.Self:
		return leader, errBeginsToLead
	}
	return leader, ""
}

// Values of cluster-redirects: who is told where the leader is, in the words of a cluster. With auto those are who have asked for the nodes
// of the cluster; for the others this node asks the leader.
const (
	redirectsAuto = "auto"
	redirectsAll  = "yes"
	redirectsNone = "no"
)

// redirected reports whether the client goes to the leader itself when it is told where that is.
func (c *session) redirected() bool {
	mode := c.srv.cfg.Load().cluster.redirects
	return mode == redirectsAll || mode == redirectsAuto && c.facts.clustered.Load()
}

// slotOf returns the slot of the first key of a call, or of what it carries out.
func (c *session) slotOf(k call) (int, bool) {
	if k.route == nil {
		return 0, false
	}
	calls := []call{k}
	if k.route.exec {
		calls = c.multi.calls
	}
	for _, k := range calls {
		if keys := k.route.cmd.KeysOf(k.args); len(keys) > 0 {
			return command.Slot(k.args[keys[0].At]), true
		}
	}
	return 0, false
}

// refusalByLead is why a call cannot be carried out on a node that does not lead.
func (c *session) refusalByLead(k call) error {
	switch {
	case c.guest && !k.route.travels:
		return errNotForGuests
	case c.guest && c.multi.on: // EXEC is told
		return nil
	case c.srv.following.Load() && (k.route.place == inSequencer || c.changes(k)) && !c.forwards():
		return c.notLeader(k)
	}
	return nil
}

// toldOf is what the client is told of an error of the DB in a call that leaves everything in order; "" if it is none.
func (c *session) toldOf(err error, k call) command.Error {
	told := errorOf(err)
	switch {
	case told == errNotLeader:
		return c.notLeader(k)
	case told == errNoMajority && c.near():
		return errTooStale(c.srv.cfg.Load().maxStaleness())
	}
	return told
}

// told is an error of the DB in the words for the client, if it leaves everything in order.
func (c *session) told(err error, k call) error {
	if told := c.toldOf(err, k); told != "" {
		return told
	}
	return err
}

// near reports whether the client wants to read what this node has, even if it is not the newest.
func (c *session) near() bool { return c.facts.near.Load() && c.srv.following.Load() }

// portOf is the port of an address; 0 if it has none.
func portOf(addr string) int {
	_, text, _ := net.SplitHostPort(addr)
	port, _ := strconv.Atoi(text)
	return port
}
