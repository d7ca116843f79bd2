package host

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/replica/raftlog"
	"github.com/elastickv/elastickv/internal/replica/transport"
)

// Options say what a host works with.
type Options struct {
	// Transport says who this node is and how it talks. The host puts itself in for its Host, and
	// its own logger if it has none.
	Transport transport.Options
	// Log has the groups of this node. The caller closes it, after the host.
	Log *raftlog.Log
	// Staging is a folder that only this host uses, on the disk of the data: for images that arrive. It
	// is made if need be, and emptied.
	Staging string
	// Boot is a number that no other start of this node has had, by chance.
	Boot uint64
	// Failed is called once, if something has failed after which this node must promise nothing
	// more: the process has to end. Everything of the host has stopped, or is about to. It does not wait for Close.
	Failed func(error)
	Logger *slog.Logger // nothing by default
	// Note, if not nil, is what this node says of itself to all others, a few times a second. Noted takes what another
	// one says, and keeps nothing of the bytes; Heard takes what it has passed on. None waits for anything.
	Note  func() []byte
	Noted func(from transport.NodeID, note []byte)
	Heard func(from transport.NodeID, word []byte)
	// Connected, if not nil, takes a connection that another node has made with Connect, and returns when that is to end.
	Connected func(from transport.NodeID, conn net.Conn)

	// Tick is the time that raft counts in; 100 ms by default. A heartbeat takes two ticks, and ten to twenty
	// without one begin an election.
	Tick time.Duration
	// NoLease has a leader ask a majority for every read.
	NoLease bool
	// LogEntries and LogBytes are how long the log of a group may become before its beginning is cut off; 100000
	// and 64 MiB by default. For followers that are behind, and heard of, it becomes up to four times as long.
	LogEntries uint64
	LogBytes   int64
}

func (o *Options) withDefaults() {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Transport.Log == nil {
		o.Transport.Log = o.Logger
	}
	if o.Tick == 0 {
		o.Tick = 100 * time.Millisecond
	}
	if o.LogEntries == 0 {
		o.LogEntries = 100_000
	}
	if o.LogBytes == 0 {
		o.LogBytes = 64 << 20
	}
	if o.Noted == nil {
		o.Noted = func(transport.NodeID, []byte) {}
	}
	if o.Heard == nil {
		o.Heard = func(transport.NodeID, []byte) {}
	}
	if o.Connected == nil {
		o.Connected = func(transport.NodeID, net.Conn) {}
	}
}

func (o *Options) validate() error {
	var faults []error
	fault := func(bad bool, text string) {
		if bad {
			faults = append(faults, errors.New(text))
		}
	}
	fault(o.Log == nil, "there is no log")
	fault(o.Staging == "", "there is no folder for images")
	fault(o.Failed == nil, "nobody is told of a failure")
	fault(o.Transport.Now == nil, "there is no clock")
	fault(o.Tick < 0 || o.LogBytes < 0, "a bound below zero")
	if faults != nil {
		return fmt.Errorf("host: %w", errors.Join(faults...))
	}
	return nil
}

// Host runs the replicas of a node. Its methods may be called by any number of goroutines.
type Host struct {
	o         Options
	began     time.Time // with the reading of a clock that is never set
	transport *transport.Transport
	writer    writer
	ctx       context.Context // until Close, or a failure
	cancel    context.CancelFunc
	wg        sync.WaitGroup // every goroutine of the host
	peers     chan struct{}  // holds one when the nodes of the groups may have changed

	mu struct { // a leaf
		sync.Mutex
		groups map[raftlog.GroupID]*Group
		failed bool
		closed bool
	}
}

// Open returns a host without groups.
func Open(o Options) (*Host, error) {
	o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	if err := emptyFolder(o.Staging); err != nil {
		return nil, fmt.Errorf("host: folder for images: %w", err)
	}
	h := &Host{o: o, began: o.Transport.Now(), peers: make(chan struct{}, 1)}
	h.writer.init(h)
	h.mu.groups = map[raftlog.GroupID]*Group{}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	h.o.Transport.Host = (*inbound)(h)
	var err error
	if h.transport, err = transport.New(h.o.Transport); err != nil {
		h.cancel()
		return nil, err
	}
	h.wg.Go(h.writer.run)
	h.wg.Go(h.keepTime)
	h.wg.Go(h.settleLog)
	return h, nil
}

// now returns how long the host has been there, and a second, by a clock that is never set.
func (h *Host) now() time.Duration { return time.Second + h.o.Transport.Now().Sub(h.began) }

// emptyFolder removes what a host before has staged and not installed.
func emptyFolder(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	files, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := os.Remove(filepath.Join(dir, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

// SetIdentity replaces what this node shows to others.
func (h *Host) SetIdentity(id *transport.Identity) error { return h.transport.SetIdentity(id) }

// Close ends all groups and waits for it. Whoever waits for something is told that it is over.
func (h *Host) Close() error {
	h.mu.Lock()
	h.mu.closed = true
	h.mu.Unlock()
	h.cancel()
	err := h.transport.Close()
	h.wg.Wait()
	return err
}

// fail ends everything because of err, which is final.
func (h *Host) fail(err error) {
	h.mu.Lock()
	first := !h.mu.failed
	h.mu.failed = true
	h.mu.Unlock()
	if !first {
		return
	}
	h.cancel()
	h.o.Logger.Error("replication has failed, and this node promises nothing any more", "err", err)
	h.o.Failed(err)
}

// guard is deferred by every goroutine that changes something: raft, an engine or this program has found that it is
// not what it has to be, or that a disk cannot be relied on.
func (h *Host) guard() {
	if p := recover(); p != nil {
		h.fail(fmt.Errorf("host: %v\n%s", p, debug.Stack()))
	}
}

// group returns a group of this node, or nil.
func (h *Host) group(id raftlog.GroupID) *Group {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.mu.groups[id]
}

func (h *Host) groups() (all []*Group) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, g := range h.mu.groups {
		all = append(all, g)
	}
	return all
}

// leaveTicks is how long a node is still sent to that is in no group any more: it may not have heard yet.
const leaveTicks = 50

// keepTime tells the groups of ticks, and the transport of nodes.
func (h *Host) keepTime() {
	ticker := time.NewTicker(h.o.Tick)
	defer ticker.Stop()
	var p peers
	for {
		select {
		case <-ticker.C:
			for _, g := range h.groups() {
				g.inbox.tick()
			}
			p.tick(h)
		case <-h.peers:
			p.refresh(h)
		case <-h.ctx.Done():
			return
		}
	}
}

// settleTicks is how often the log is told to settle.
const settleTicks = 10

// settleLog has the log settle now and then, which writers do not wait for.
func (h *Host) settleLog() {
	ticker := time.NewTicker(settleTicks * h.o.Tick)
	defer ticker.Stop()
	for {
		select {
		case <-ticker.C:
			if err := h.o.Log.Settle(); err != nil {
				h.fail(err)
				return
			}
		case <-h.ctx.Done():
			return
		}
	}
}

// peers are the nodes that the transport knows.
type peers struct {
	known   map[transport.NodeID]string
	leaving map[transport.NodeID]int // for so many ticks more
	ticks   uint64
}

// refresh tells the transport where the nodes of all groups are.
func (p *peers) refresh(h *Host) {
	wanted := map[transport.NodeID]string{}
	for _, g := range h.groups() {
		for node, addr := range g.nodes() {
			if node != h.o.Transport.Node && addr != "" {
				wanted[node] = addr
			}
		}
	}
	if p.leaving == nil {
		p.leaving = map[transport.NodeID]int{}
	}
	for node, addr := range p.known {
		if _, ok := wanted[node]; !ok {
			wanted[node] = addr
			if p.leaving[node] == 0 {
				p.leaving[node] = leaveTicks
			}
		} else {
			delete(p.leaving, node)
		}
	}
	p.known = wanted
	for node, addr := range wanted {
		if err := h.transport.SetPeer(node, addr); err != nil && h.ctx.Err() == nil {
			h.o.Logger.Error("a node cannot be reached", "node", node, "addr", addr, "err", err)
		}
	}
}

// noteTicks is how often a node says something of itself.
const noteTicks = 5

func (p *peers) tick(h *Host) {
	if p.ticks++; h.o.Note != nil && p.ticks%noteTicks == 0 {
		note := h.o.Note()
		for node := range p.known {
			if err := h.transport.Note(node, note); err != nil && h.ctx.Err() == nil {
				h.o.Logger.Error("a note cannot be sent", "node", node, "err", err)
			}
		}
	}
	for node := range p.leaving {
		if p.leaving[node]--; p.leaving[node] <= 0 {
			h.transport.RemovePeer(node)
			delete(p.leaving, node)
			delete(p.known, node)
		}
	}
}

func (h *Host) nodesChanged() {
	select {
	case h.peers <- struct{}{}:
	default:
	}
}

// inbound is a host as its transport sees it. Nothing here waits.
type inbound Host

func (in *inbound) host() *Host { return (*Host)(in) }

// Receive implements transport.Host.
func (in *inbound) Receive(from transport.NodeID, id raftlog.GroupID, m *pb.Message) {
	if g, err := in.host().addressee(from, id, m); err != nil {
		in.o.Logger.Debug("a message for nobody", "node", from, "err", err)
	} else {
		g.receive(from, m)
	}
}

// Unreachable implements transport.Host.
func (in *inbound) Unreachable(to transport.Address) {
	if g := in.host().group(to.Group); g != nil {
		g.inbox.put(func(w *worker) {
			if w != nil {
				w.r.Unreachable(to.Replica)
			}
		})
	}
}

// StageSnapshot implements transport.Host.
func (in *inbound) StageSnapshot(from transport.NodeID, id raftlog.GroupID, m *pb.Message) (transport.Stage, error) {
	if _, err := in.host().addressee(from, id, m); err != nil {
		return nil, err
	}
	return newStage(in.o.Staging)
}

// ReceiveSnapshot implements transport.Host.
func (in *inbound) ReceiveSnapshot(from transport.NodeID, id raftlog.GroupID, m *pb.Message, image transport.Stage) error {
	g, err := in.host().addressee(from, id, m)
	if err != nil {
		return err
	}
	return g.receiveSnapshot(from, m, image.(*stage))
}

// SnapshotSent implements transport.Host.
func (in *inbound) SnapshotSent(to transport.Address, err error) {
	if err != nil && in.ctx.Err() == nil {
		in.o.Logger.Warn("a snapshot was not sent", "group", to.Group, "replica", to.Replica, "err", err)
	}
	if g := in.host().group(to.Group); g != nil {
		g.snapshotSent(to.Replica, err == nil)
	}
}

// Noted implements transport.Host.
func (in *inbound) Noted(from transport.NodeID, note []byte) { in.o.Noted(from, note) }

// Heard implements transport.Host.
func (in *inbound) Heard(from transport.NodeID, word []byte) { in.o.Heard(from, word) }

// Connected implements transport.Host.
func (in *inbound) Connected(from transport.NodeID, conn net.Conn) { in.o.Connected(from, conn) }

// Connect makes a connection to another node, for what clients ask; see transport.Transport.
func (h *Host) Connect(ctx context.Context, node transport.NodeID) (net.Conn, error) {
	return h.transport.Connect(ctx, node)
}

// Pass passes a word on to all other nodes of the group, as far as they can be reached now.
func (g *Group) Pass(word []byte) error {
	var errs []error
	for node := range g.nodes() {
		if node != g.h.o.Transport.Node {
			errs = append(errs, g.h.transport.Pass(node, word))
		}
	}
	return errors.Join(errs...)
}

// addressee returns the group that a message is for, or why there is none.
func (h *Host) addressee(from transport.NodeID, id raftlog.GroupID, m *pb.Message) (*Group, error) {
	g := h.group(id)
	if g == nil {
		return nil, fmt.Errorf("host: node %d has no replica of group %d", h.o.Transport.Node, id)
	}
	if m.GetTo() != g.replica {
		return nil, fmt.Errorf("host: the replica of group %d on node %d is %d, and not %d", id, h.o.Transport.Node, g.replica, m.GetTo())
	}
	if n, ok := g.machine.Members().Nodes[m.GetFrom()]; ok && transport.NodeID(n.ID) != from {
		return nil, fmt.Errorf("host: replica %d of group %d is on node %d, and not on %d", m.GetFrom(), id, n.ID, from)
	}
	return g, nil
}

// drop removes an image that nobody needs. What is left the next start removes.
func (h *Host) drop(image *stage) {
	if err := image.Remove(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		h.o.Logger.Warn("an image was left", "err", err)
	}
}
