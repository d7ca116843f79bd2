package host

import (
	"context"
	"errors"

	"github.com/elastickv/elastickv/internal/replica"
	"github.com/elastickv/elastickv/internal/replica/transport"
)

// Figures are what a meter shows of a group.
type Figures struct {
	replica.Role
	Applied uint64 // the index of the last entry that is applied here
	Commit  uint64 // of the last one that is known to be committed
	First   uint64 // the log begins here
	Last    uint64 // and ends here

	Proposed uint64 // proposals of this node that got into the log
	Refused  uint64 // that did not
	Unknown  uint64 // of which this node could not tell what became of them
}

// Figures returns them as of now.
func (g *Group) Figures() Figures {
	g.mu.Lock()
	defer g.mu.Unlock()
	f := g.mu.figures
	f.Applied = g.machine.Applied()
	return f
}

func (g *Group) count(f func(*Figures)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	f(&g.mu.figures)
}

// show makes the figures those of the replica.
func (w *worker) show() {
	first, _ := w.g.log.FirstIndex()
	commit := w.r.Commit()
	w.g.count(func(f *Figures) {
		f.Role, f.Commit, f.First, f.Last = w.role, commit, first, w.r.Last()
	})
}

// Status is what a replica knows of its group.
type Status struct {
	Replica uint64
	Removed bool // this replica is no member any more
	Figures
	Members []Member // by replica
}

// Member is one of them.
type Member struct {
	Replica uint64
	Node    transport.NodeID
	Addr    string
	Voter   bool   // a learner otherwise
	Known   bool   // the rest is known: this replica leads
	Match   uint64 // it has the log up to here
	Active  bool   // it was heard of lately
}

// Status returns it as of now.
func (g *Group) Status(ctx context.Context) (Status, error) {
	var members []Member
	err := g.ask(ctx, func(w *worker) error {
		followers := w.r.Followers()
		m := g.machine.Members()
		for _, id := range m.Replicas() {
			n := m.Nodes[id]
			p, known := followers[id]
			members = append(members, Member{Replica: id, Node: transport.NodeID(n.ID), Addr: n.Addr,
				Voter: m.Voter(id), Known: known, Match: p.Match, Active: w.active(id)})
		}
		return nil
	})
	if err != nil {
		return Status{}, err
	}
	return Status{Replica: g.replica, Removed: g.Removed(), Figures: g.Figures(), Members: members}, nil
}

// AwaitCopies returns when so many other replicas have the log up to index on their disks. It fails if this one does not lead.
func (g *Group) AwaitCopies(ctx context.Context, index uint64, others int) error {
	return g.until(ctx, func(w *worker) (bool, error) {
		if !w.role.Leading {
			return true, replica.ErrNotLeader
		}
		n := 0
		for id, p := range w.r.Followers() {
			if id != g.replica && p.Match >= index {
				n++
			}
		}
		return n >= others, nil
	})
}

// Leader returns where the leader is, as far as that is known.
func (g *Group) Leader() (transport.NodeID, error) {
	if id := g.Figures().Leader; id != 0 {
		if node, ok := g.route(id); ok {
			return node, nil
		}
	}
	return 0, errNoLeader
}

var errNoLeader = errors.New("host: nobody is known to lead")
