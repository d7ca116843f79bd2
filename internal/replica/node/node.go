package node

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"time"

	"github.com/elastickv/elastickv/internal/replica"
	"github.com/elastickv/elastickv/internal/replica/host"
	"github.com/elastickv/elastickv/internal/replica/raftlog"
	"github.com/elastickv/elastickv/internal/replica/transport"
	"github.com/elastickv/elastickv/store"
)

// Options say how a data folder takes part in its cluster.
type Options struct {
	Dir    string
	Engine store.Engine // of the folder; entries of a log need no sync of their own
	// Listener is where other nodes connect. The node closes it.
	Listener net.Listener
	// Files are what the node shows to others; nil has everything said in clear, to anybody.
	Files *transport.Files
	Now   func() time.Time
	Rand  *rand.Rand // only the node uses it from here
	// NoLease has this node ask a majority for every read when it leads.
	NoLease bool
	Failed  func(error)
	// Contact, if not nil, is where clients reach this node, to be told to the others. Without a host it is that of
	// the address of the node.
	Contact func() Contact
	// Heard, if not nil, takes what others have said with Say. It keeps nothing of it, and waits for nothing.
	Heard func(Message)
	// LogMemory is what the engine of the log may take, in bytes; 0 is the default of raftlog.
	LogMemory int64
	// Connected, if not nil, takes a connection that another member has made with Connect, and returns when that is to end.
	Connected func(net.Conn)
	Seal      raftlog.Seal // how the log is sealed on the disk; by default it is clear
	Log       *slog.Logger
}

// Node takes part in a cluster. Its methods may be called by any number of goroutines.
type Node struct {
	id    *Identity
	files *transport.Files
	log   *raftlog.Log
	host  *host.Host
	group *host.Group

	contact func() Contact
	heard   func(Message)
	clients func(net.Conn)
	machine *replica.Machine
	notes   notes
}

// Open has a data folder take part in its cluster, until Close. If Failed is called, the process has to end.
func Open(o Options) (n *Node, err error) {
	defer func() {
		if err != nil {
			_ = o.Listener.Close()
		}
	}()
	id, err := Load(o.Dir)
	if err != nil {
		return nil, err
	}
	var identity *transport.Identity
	if o.Files != nil {
		if identity, err = transport.LoadIdentity(id.Node, *o.Files); err != nil {
			return nil, err
		}
	}
	m, err := replica.OpenMachine(o.Engine)
	if err != nil {
		return nil, err
	}
	n = &Node{id: id, files: o.Files, contact: o.Contact, heard: o.Heard, clients: o.Connected, machine: m, notes: notes{now: o.Now}}
	log, err := raftlog.Open(filepath.Join(o.Dir, LogFolder), raftlog.Options{Logger: o.Log, EngineBytes: o.LogMemory, Seal: o.Seal})
	if err != nil {
		return nil, n.rejoin(o.Dir, err)
	}
	n.log = log
	n.host, err = host.Open(host.Options{
		Transport: transport.Options{Cluster: id.Cluster, Node: id.Node, Listener: o.Listener, Identity: identity, Cleartext: identity == nil,
			Now: o.Now, Rand: o.Rand},
		Log: log, Staging: filepath.Join(o.Dir, StagingFolder), Boot: o.Rand.Uint64(), Failed: func(err error) { o.Failed(n.rejoin(o.Dir, err)) }, Logger: o.Log,
		Note: n.note, Noted: n.notes.hear, Heard: n.hear, Connected: n.connected, NoLease: o.NoLease,
	})
	if err != nil {
		return nil, errors.Join(err, log.Close())
	}
	n.group, err = n.host.Start(host.GroupOptions{ID: group, Replica: id.Replica, Machine: m, Seeds: id.Peers})
	if err != nil {
		return nil, errors.Join(n.rejoin(o.Dir, err), n.host.Close(), log.Close())
	}
	return n, nil
}

// rejoin says what to do where a folder has lost something, and with it what it has promised.
func (n *Node) rejoin(dir string, err error) error {
	if !slices.ContainsFunc([]error{raftlog.ErrNoGroup, raftlog.ErrDamaged, raftlog.ErrForgotten, raftlog.ErrLogLost, raftlog.ErrStateLost}, func(lost error) bool { return errors.Is(err, lost) }) {
		return err
	}
	addr := n.addrOf(n.id.Node)
	if addr == "" { // the data is lost, too
		addr = "HOST:PORT"
	}
	return fmt.Errorf("%w. This node has lost what it has promised, and must not go on as what it was; nothing of the folder is removed. "+
		"On the node that leads, with its folder as DIR: elastickv cluster remove --dir DIR --node %d; elastickv cluster invite --dir DIR --node %d --addr %s. "+
		"Here, when %s is moved away: elastickv cluster join --dir %s --invitation WORD", err, n.id.Node, n.id.Node, addr, dir, dir)
}

// note is what this node says of itself.
func (n *Node) note() []byte { return appendNote(nil, n.Own()) }

// Own is what the others hear of this node.
func (n *Node) Own() Heard {
	h := Heard{Applied: n.machine.Applied(), At: n.notes.now()}
	if n.contact != nil {
		h.Contact = n.contact()
	}
	if h.Host == "" {
		h.Host, _, _ = net.SplitHostPort(n.addrOf(n.id.Node)) // a member has an address
	}
	return h
}

// Connect makes a connection to another node, for what clients of this one ask there.
func (n *Node) Connect(ctx context.Context, other transport.NodeID) (net.Conn, error) {
	return n.host.Connect(ctx, other)
}

// connected takes in a connection of another node. Who is no member any more asks nothing.
func (n *Node) connected(from transport.NodeID, conn net.Conn) {
	if n.clients != nil && n.member(from) {
		n.clients(conn)
	}
}

// member reports whether a node is one, as far as this one knows: as long as it has no data, whoever has the right certificate.
func (n *Node) member(other transport.NodeID) bool {
	return n.addrOf(other) != "" || len(n.machine.Members().Nodes) == 0
}

// Heard returns what a node has said of itself last; the zero Heard if nothing.
func (n *Node) Heard(of transport.NodeID) Heard {
	if of == n.id.Node {
		return n.Own()
	}
	return n.notes.get(of)
}

// Reseal seals entries of the log again.
func (n *Node) Reseal(ctx context.Context, o raftlog.ResealOptions) error {
	return n.log.Reseal(ctx, o)
}

// Close ends it. The engine stays open.
func (n *Node) Close() error { return errors.Join(n.host.Close(), n.log.Close()) }

// Group returns the replica, which is the log that transactions go through.
func (n *Node) Group() *host.Group { return n.group }

// Host returns what runs it.
func (n *Node) Host() *host.Host { return n.host }

// Identity returns which node it is.
func (n *Node) Identity() Identity { return *n.id }

// Reload reads the certificate and the authorities again, for connections that begin from now on.
func (n *Node) Reload() error {
	if n.files == nil {
		return nil
	}
	identity, err := transport.LoadIdentity(n.id.Node, *n.files)
	if err != nil {
		return err
	}
	return n.host.SetIdentity(identity)
}

// Invite makes another node a member, which gets no vote before it has the data, and returns what that needs to
// join. This node leads.
func (n *Node) Invite(ctx context.Context, other transport.NodeID, addr string) (Invitation, error) {
	if other == 0 {
		return Invitation{}, errNobody
	}
	if err := CheckAddr(addr); err != nil {
		return Invitation{}, err
	}
	id, err := n.group.Add(ctx, other, addr)
	if err != nil {
		return Invitation{}, n.explain(err)
	}
	i := Invitation{Cluster: n.id.Cluster, Node: other, Replica: id, Peers: map[transport.NodeID]string{}}
	for _, at := range n.group.Machine().Members().Nodes {
		if at := transport.NodeID(at.ID); at != other {
			i.Peers[at] = n.addrOf(at)
		}
	}
	return i, nil
}

func (n *Node) addrOf(other transport.NodeID) string {
	for _, at := range n.machine.Members().Nodes {
		if transport.NodeID(at.ID) == other {
			return at.Addr
		}
	}
	return ""
}

// Remove removes a node from the cluster, for good: what is in its folder is of no use then. This node leads.
func (n *Node) Remove(ctx context.Context, other transport.NodeID) error {
	return n.onReplica(other, func(id uint64) error { return n.group.Remove(ctx, id) })
}

// Move says that a node is reached at another address from now on. This node leads.
func (n *Node) Move(ctx context.Context, other transport.NodeID, addr string) error {
	if err := CheckAddr(addr); err != nil {
		return err
	}
	return n.onReplica(other, func(id uint64) error { return n.group.Move(ctx, id, addr) })
}

// Transfer hands the lead to a node. This node leads.
func (n *Node) Transfer(ctx context.Context, other transport.NodeID) error {
	return n.onReplica(other, func(id uint64) error { return n.group.Transfer(ctx, id) })
}

// onReplica does something with the replica of a node.
func (n *Node) onReplica(other transport.NodeID, do func(id uint64) error) error {
	for id, at := range n.group.Machine().Members().Nodes {
		if transport.NodeID(at.ID) == other {
			return n.explain(do(id))
		}
	}
	return fmt.Errorf("node %d is no member", other)
}

// explain says where to ask instead.
func (n *Node) explain(err error) error {
	if !errors.Is(err, replica.ErrNotLeader) {
		return err
	}
	leader, noLeader := n.group.Leader()
	switch {
	case noLeader != nil:
		return errors.New("nobody leads the cluster at the moment: fewer than a majority of its nodes can be reached")
	case leader == n.id.Node:
		return errors.New("this node begins to lead; try again")
	}
	return fmt.Errorf("node %d at %s leads; ask there", leader, n.addrOf(leader))
}
