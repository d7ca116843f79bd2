package host

import (
	"context"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/replica"
	"github.com/elastickv/elastickv/internal/replica/transport"
)

// Add makes a new replica on a node a learner, and returns its id. From when its node runs it, it gets the data, and
// when it has caught up the leader makes it a voter.
func (g *Group) Add(ctx context.Context, node transport.NodeID, addr string) (uint64, error) {
	var id uint64
	err := g.change(ctx, func(w *worker) (*pb.ConfChangeV2, error) {
		m := g.machine.Members()
		for _, n := range m.Nodes {
			if n.ID == uint64(node) {
				return nil, fmt.Errorf("%w: node %d", ErrMember, node)
			}
		}
		id = m.Highest + 1
		return single(pb.ConfChangeAddLearnerNode, id, &replica.Node{ID: uint64(node), Addr: addr}), nil
	})
	if err != nil {
		return 0, err
	}
	return id, nil
}

// caughtUp is how many entries a learner may be behind when it becomes a voter, and promoteTicks how often it is
// looked for one.
const (
	caughtUp     = 1000
	promoteTicks = 10
)

// promote makes a learner a voter, if this replica leads and there is one that has caught up.
func (w *worker) promote() {
	if w.ticks%promoteTicks != 0 || !w.role.Leading || w.g.machine.Applied() < w.began {
		return
	}
	followers := w.r.Followers()
	for _, id := range w.g.machine.Members().Conf.GetLearners() {
		if p := followers[id]; p.Follows && w.active(id) && p.Match+caughtUp >= w.r.Commit() {
			// If another change is under way, or the lead is being handed over, this comes to nothing, and again.
			_, _ = w.r.ChangeMembers(single(pb.ConfChangeAddNode, id, nil))
			return
		}
	}
}

// Remove removes a member. What is left of the voters can decide, as far as can be seen.
func (g *Group) Remove(ctx context.Context, id uint64) error {
	return g.change(ctx, func(w *worker) (*pb.ConfChangeV2, error) {
		m := g.machine.Members()
		switch {
		case !m.Has(id):
			return nil, fmt.Errorf("%w: replica %d", ErrNoMember, id)
		case id == g.replica:
			return nil, ErrLeader
		}
		voters, active := 0, 0
		for other, p := range w.r.Followers() {
			if other != id && p.Voter {
				voters++
				if w.active(other) {
					active++
				}
			}
		}
		if active <= voters/2 {
			return nil, fmt.Errorf("%w: %d of %d", ErrMajority, active, voters)
		}
		return single(pb.ConfChangeRemoveNode, id, nil), nil
	})
}

// Move says that a member is reached at another address from now on.
func (g *Group) Move(ctx context.Context, id uint64, addr string) error {
	return g.change(ctx, func(*worker) (*pb.ConfChangeV2, error) {
		n, ok := g.machine.Members().Nodes[id]
		if !ok {
			return nil, fmt.Errorf("%w: replica %d", ErrNoMember, id)
		}
		return single(pb.ConfChangeUpdateNode, id, &replica.Node{ID: n.ID, Addr: addr}), nil
	})
}

func single(kind pb.ConfChangeType, id uint64, at *replica.Node) *pb.ConfChangeV2 {
	c := &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{{Type: kind.Enum(), NodeId: new(id)}}}
	if at != nil {
		c.Context = replica.AppendNodes(nil, map[uint64]replica.Node{id: *at})
	}
	return c
}

// change proposes a change that make makes of the present members, and returns when it is applied here.
func (g *Group) change(ctx context.Context, make func(*worker) (*pb.ConfChangeV2, error)) error {
	done := newOutcome()
	err := g.ask(ctx, func(w *worker) error {
		if !w.role.Leading || g.machine.Applied() < w.began {
			return replica.ErrNotLeader
		}
		c, err := make(w)
		if err != nil {
			return err
		}
		index, err := w.r.ChangeMembers(c)
		if err != nil {
			return err
		}
		g.await(index, wait{term: w.r.Role().Term, change: true, done: done.tell})
		return nil
	})
	if err != nil {
		return err
	}
	return done.await(ctx)
}

// outcome is told once, and awaited once.
type outcome chan error

func newOutcome() outcome { return make(outcome, 1) }

func (o outcome) tell(err error) { o <- err }

func (o outcome) await(ctx context.Context) error {
	select {
	case err := <-o:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// transferTicks is how long another replica may take to take the lead over.
const transferTicks = 20

// Transfer hands the lead to a voter, and returns when that leads. Meanwhile nothing is proposed.
func (g *Group) Transfer(ctx context.Context, to uint64) error {
	var asked bool
	var term, at uint64
	return g.until(ctx, func(w *worker) (bool, error) {
		switch {
		case w.role.Leader == to && (asked || to == g.replica):
			return true, nil
		case !asked && !w.role.Leading:
			return true, replica.ErrNotLeader
		case !asked && !g.machine.Members().Voter(to):
			return true, fmt.Errorf("%w: no voter is replica %d", ErrNoMember, to)
		case !asked:
			asked, term, at = true, w.role.Term, w.ticks
			w.r.Transfer(to)
		case w.role.Leader != 0 && w.role.Leader != to && w.role.Term > term, w.ticks >= at+transferTicks:
			return true, ErrNotTransferred
		}
		return false, nil
	})
}

// HandOver hands the lead, if this replica has it, to the voter that is furthest, if there is one that is heard of.
func (g *Group) HandOver(ctx context.Context) error {
	var best uint64
	err := g.ask(ctx, func(w *worker) error {
		var match uint64
		for id, p := range w.r.Followers() {
			if id != g.replica && p.Voter && w.active(id) && p.Match > match {
				best, match = id, p.Match
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	if best == 0 {
		return nil
	}
	return g.Transfer(ctx, best)
}

// watch is somebody who waits until something is true of a replica.
type watch struct {
	ctx    context.Context
	cond   func(*worker) (bool, error)
	answer chan error // holds one
}

// until returns when cond, which the worker calls time and again, is true.
func (g *Group) until(ctx context.Context, cond func(*worker) (bool, error)) error {
	of := &watch{ctx, cond, make(chan error, 1)}
	g.inbox.put(func(w *worker) {
		if w == nil {
			of.answer <- ErrClosed
			return
		}
		w.watches = append(w.watches, of)
	})
	select {
	case err := <-of.answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// watch asks those who wait.
func (w *worker) watch() {
	if len(w.watches) == 0 {
		return
	}
	left := w.watches[:0]
	for _, of := range w.watches {
		if of.ctx.Err() != nil {
			continue
		}
		if is, err := of.cond(w); is || err != nil {
			of.answer <- err
			continue
		}
		left = append(left, of)
	}
	clear(w.watches[len(left):])
	w.watches = left
	w.route() // what they have asked for
}
