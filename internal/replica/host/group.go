package host

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/replica"
	"github.com/elastickv/elastickv/internal/replica/raftlog"
	"github.com/elastickv/elastickv/internal/replica/transport"
	"github.com/elastickv/elastickv/internal/txn"
)

// GroupOptions say which replica this node has of a group.
type GroupOptions struct {
	ID      raftlog.GroupID
	Replica uint64 // its id
	Machine *replica.Machine
	// Seeds are where nodes of the group are. A replica that has no data yet knows it from here alone.
	Seeds map[transport.NodeID]string
}

// Group is the replica of a group on this node. Its methods may be called by any number of goroutines.
type Group struct {
	h       *Host
	id      raftlog.GroupID
	replica uint64
	seeds   map[transport.NodeID]string
	log     *raftlog.Group
	machine *replica.Machine
	logger  *slog.Logger
	inbox   inbox
	applier applier
	appends appends
	lease   atomic.Int64  // until when by Host.now nobody else can lead, and have committed more; 0: not known
	commit  atomic.Uint64 // as far as a replica elsewhere can know, and apply it before this one

	mu struct { // a leaf
		sync.Mutex
		lead    lead
		waits   map[uint64]wait             // proposals in the log, by index
		reads   []appliedRead               // answered, and waiting for their index to be applied
		heard   map[uint64]transport.NodeID // where messages of replicas have come from
		figures Figures
	}
}

var _ txn.Log = (*Group)(nil)

// lead is the answer of Group.Lead.
type lead struct {
	term    uint64
	leading bool
	changed chan struct{}
}

// wait is somebody who waits for the fate of an entry.
type wait struct {
	term   uint64
	change bool // of members
	done   func(error)
}

// Start runs a replica as the log and the data have it.
func (h *Host) Start(o GroupOptions) (*Group, error) {
	log, err := h.o.Log.Open(o.ID, o.Machine.Applied())
	if err != nil {
		return nil, err
	}
	g := &Group{h: h, id: o.ID, replica: o.Replica, seeds: o.Seeds, log: log, machine: o.Machine,
		logger: h.o.Logger.With("group", o.ID, "replica", o.Replica)}
	g.inbox.init()
	g.applier.init()
	g.mu.lead.changed = make(chan struct{})
	g.mu.waits, g.mu.heard = map[uint64]wait{}, map[uint64]transport.NodeID{}
	c := replica.Config{ID: o.Replica, Log: log, Machine: o.Machine, Logger: raftLogger{g.logger}, Now: h.now, Tick: h.o.Tick}
	if h.o.NoLease {
		c.Now = nil
	}
	r, err := replica.New(c)
	if err != nil {
		return nil, err
	}
	w := newWorker(g, r)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.mu.closed || h.mu.failed {
		return nil, ErrClosed
	}
	if h.mu.groups[o.ID] != nil {
		return nil, fmt.Errorf("host: group %d runs already", o.ID)
	}
	h.mu.groups[o.ID] = g
	h.wg.Go(w.run)
	h.wg.Go(g.apply)
	h.nodesChanged()
	return g, nil
}

// Machine returns the data.
func (g *Group) Machine() *replica.Machine { return g.machine }

// nodes are the nodes of the group, and where they are. A replica that does not know its members asks its seeds.
func (g *Group) nodes() map[transport.NodeID]string {
	members := g.machine.Members()
	if len(members.Nodes) == 0 {
		return g.seeds
	}
	of := map[transport.NodeID]string{}
	for _, n := range members.Nodes {
		of[transport.NodeID(n.ID)] = n.Addr
	}
	return of
}

// route returns the node that a replica is on, if that is known.
func (g *Group) route(id uint64) (transport.NodeID, bool) {
	if n, ok := g.machine.Members().Nodes[id]; ok {
		return transport.NodeID(n.ID), true
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	n, ok := g.mu.heard[id]
	return n, ok
}

// receive takes a message of another replica in.
func (g *Group) receive(from transport.NodeID, m *pb.Message) {
	g.hear(from, m.GetFrom())
	g.inbox.putMessage(m, func(w *worker) {
		if w != nil {
			w.heard[m.GetFrom()] = w.ticks
			w.r.Step(m)
		}
	})
}

// heardMost bounds what is remembered of who has sent something.
const heardMost = 1024

func (g *Group) hear(from transport.NodeID, id uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.mu.heard) >= heardMost {
		clear(g.mu.heard)
	}
	g.mu.heard[id] = from
}

// receiveSnapshot takes a snapshot in, whose image has arrived.
func (g *Group) receiveSnapshot(from transport.NodeID, m *pb.Message, image *stage) error {
	g.hear(from, m.GetFrom())
	g.inbox.put(func(w *worker) {
		if w == nil || !w.restore(m, image) {
			g.h.drop(image)
		}
	})
	return nil
}

func (g *Group) snapshotSent(to uint64, ok bool) {
	g.inbox.put(func(w *worker) {
		if w != nil {
			w.r.SnapshotSent(to, ok)
		}
	})
}

// deliver brings answers to whom they are for, in order.
func (g *Group) deliver(answers []*pb.Message) {
	for _, m := range answers {
		if m.GetTo() != g.replica {
			g.send(m)
			continue
		}
		g.inbox.put(func(w *worker) {
			if w != nil {
				w.r.Step(m)
			}
		})
	}
}

// send sends a message to another replica. Whatever becomes of it, raft sends again what matters.
func (g *Group) send(m *pb.Message) {
	to := transport.Address{Group: g.id, Replica: m.GetTo()}
	node, known := g.route(to.Replica)
	switch {
	case m.GetType() == pb.MsgSnap && !known:
		g.snapshotSent(to.Replica, false)
	case m.GetType() == pb.MsgSnap:
		g.h.transport.SendSnapshot(node, to, func() (*pb.Message, transport.Image, error) { return g.image(m) })
	case !known:
		(*inbound)(g.h).Unreachable(to)
	default:
		if err := g.h.transport.Send(node, g.id, m); err != nil && g.h.ctx.Err() == nil {
			g.logger.Error("a message cannot be sent", "to", to.Replica, "err", err)
		}
	}
}

// ask has the worker answer a question.
func (g *Group) ask(ctx context.Context, question func(*worker) error) error {
	answer := make(chan error, 1)
	g.inbox.put(func(w *worker) {
		if w == nil {
			answer <- ErrClosed
			return
		}
		answer <- question(w)
	})
	select {
	case err := <-answer:
		return err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// raftLogger passes on what raft reports. What raft takes for the end is one.
type raftLogger struct{ log *slog.Logger }

func (l raftLogger) Debug(v ...any)            { l.log.Debug(fmt.Sprint(v...)) }
func (l raftLogger) Debugf(f string, v ...any) { l.log.Debug(fmt.Sprintf(f, v...)) }
func (l raftLogger) Info(v ...any)             { l.log.Debug(fmt.Sprint(v...)) }
func (l raftLogger) Infof(f string, v ...any)  { l.log.Debug(fmt.Sprintf(f, v...)) }

func (l raftLogger) Warning(v ...any)            { l.log.Warn(fmt.Sprint(v...)) }
func (l raftLogger) Warningf(f string, v ...any) { l.log.Warn(fmt.Sprintf(f, v...)) }
func (l raftLogger) Error(v ...any)              { l.log.Error(fmt.Sprint(v...)) }
func (l raftLogger) Errorf(f string, v ...any)   { l.log.Error(fmt.Sprintf(f, v...)) }
func (l raftLogger) Fatal(v ...any)              { panic(fmt.Sprint(v...)) }
func (l raftLogger) Fatalf(f string, v ...any)   { panic(fmt.Sprintf(f, v...)) }
func (l raftLogger) Panic(v ...any)              { panic(fmt.Sprint(v...)) }
func (l raftLogger) Panicf(f string, v ...any)   { panic(fmt.Sprintf(f, v...)) }
