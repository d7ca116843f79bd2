package transport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/replica/raftlog"
)

// Host is who uses a transport. Its methods are called by goroutines of the transport, several
// at a time, and none may wait for the transport's Close.
type Host interface {
	// Receive takes a message from a node. While it runs nothing else arrives on that connection, and
	// if it takes longer than Options.Timeout the other node takes this one for dead.
	Receive(from NodeID, group raftlog.GroupID, m *pb.Message)
	// Unreachable says that messages to the replica got lost, or may have been.
	Unreachable(to Address)
	// StageSnapshot makes the place that takes the image of a MsgSnap. If it refuses,
	// the sender is told why. A place whose image does not become whole is removed.
	StageSnapshot(from NodeID, group raftlog.GroupID, m *pb.Message) (Stage, error)
	// ReceiveSnapshot takes a MsgSnap and the place of its image, which is whole and finished. The place
	// is the host's from here, unless it returns an error, which the sender is told.
	ReceiveSnapshot(from NodeID, group raftlog.GroupID, m *pb.Message, image Stage) error
	// SnapshotSent says how a call of SendSnapshot ended: exactly once for each, nil if the other
	// host has the image.
	SnapshotSent(to Address, err error)
	// Noted takes a note of a node, and keeps nothing of it; so does Heard with a word.
	Noted(from NodeID, note []byte)
	Heard(from NodeID, word []byte)
	// Connected takes a connection that a node has made with Connect. It ends when Connected returns, and there is one
	// from a node at a time: a new one ends that before it.
	Connected(from NodeID, conn net.Conn)
}

// Stage is where an image is kept while it arrives.
type Stage interface {
	io.Writer
	// Restart forgets what was written.
	Restart() error
	// Finish says that the image is whole. When it returns that is on the disk, and nothing more is written.
	Finish() error
	// Remove removes it, finished or not.
	Remove() error
}

// Options say who a node is and how it talks.
type Options struct {
	Cluster  ClusterID
	Node     NodeID
	Host     Host
	Listener net.Listener // the transport closes it
	// Identity is needed, unless Cleartext says that anybody who reaches the port may read what is said,
	// and say what he likes in the name of any node.
	Identity  *Identity
	Cleartext bool
	Now       func() time.Time
	Rand      *rand.Rand   // only the transport uses it from here
	Log       *slog.Logger // nothing by default

	// Dial is TCP by default.
	Dial func(ctx context.Context, addr string) (net.Conn, error)
	// Timeout is how long another node may take to answer a connection or a sign of life, and to read
	// or send the next piece of anything; 5 s by default.
	Timeout time.Duration
	// Backoff is how long a node that cannot be reached is left alone at most; 1 s by default.
	Backoff time.Duration
	// QueueBytes is how much may wait for a connection, or be on its way into it; 64 MiB by default.
	QueueBytes int
	// Snapshots is how many may be sent at a time, and received at a time; 2 by default.
	Snapshots int
	// SnapshotTimeout is how long a snapshot may wait for its turn, for the next piece of its image, and for
	// the other host to have it when it is sent; 1 min by default.
	SnapshotTimeout time.Duration
	// SnapshotRate is how many bytes a second a snapshot is sent with at most; 0 is no limit.
	SnapshotRate int
}

// minSnapshotRate lets a chunk pass in less than a few seconds.
const minSnapshotRate = 64 << 10

func (o *Options) withDefaults() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		}
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Second
	}
	if o.Backoff == 0 {
		o.Backoff = time.Second
	}
	if o.QueueBytes == 0 {
		o.QueueBytes = 64 << 20
	}
	if o.Snapshots == 0 {
		o.Snapshots = 2
	}
	if o.SnapshotTimeout == 0 {
		o.SnapshotTimeout = time.Minute
	}
}

func (o *Options) validate() error {
	var faults []error
	fault := func(bad bool, text string) {
		if bad {
			faults = append(faults, errors.New(text))
		}
	}
	fault(o.Cluster == ClusterID{}, "the cluster has no id")
	fault(o.Node == 0, "the node has no id")
	fault(o.Host == nil, "there is no host")
	fault(o.Listener == nil, "there is no listener")
	fault(o.Now == nil, "there is no clock")
	fault(o.Rand == nil, "there is no chance")
	fault(o.Identity == nil && !o.Cleartext, "there is no identity, and cleartext is not asked for")
	fault(o.Identity != nil && o.Cleartext, "there is an identity, and cleartext is asked for")
	fault(o.Timeout < 0 || o.SnapshotTimeout < 0 || o.Backoff < 0, "a time below zero")
	fault(o.QueueBytes < 0 || o.Snapshots < 0, "a bound below zero")
	fault(o.SnapshotRate != 0 && o.SnapshotRate < minSnapshotRate, fmt.Sprintf("a rate of snapshots below %d bytes a second", minSnapshotRate))
	if faults != nil {
		return fmt.Errorf("transport: %w", errors.Join(faults...))
	}
	if o.Identity != nil {
		if err := checkName(o.Identity.certificate.Leaf, o.Node); err != nil {
			return fmt.Errorf("transport: %w", err)
		}
	}
	return nil
}

// maxInbound bounds the connections that others have made.
const maxInbound = 1024

// Transport carries messages between this node and others. All its methods may be called at any time, by
// any number of goroutines; none but Close waits for anything.
type Transport struct {
	o        Options
	began    time.Time
	identity atomic.Pointer[Identity] // nil in cleartext
	lost     losses
	sending  chan struct{} // holds one for each snapshot that is being sent
	taking   chan struct{} // and for each that is being received
	ctx      context.Context
	cancel   context.CancelFunc
	wg       sync.WaitGroup // every goroutine

	mu struct { // a leaf
		sync.Mutex
		closed  bool // nothing is added to wg any more
		peers   map[NodeID]*peer
		inbound map[inboundKey]*inbound
		partial map[imageKey]*partial // images whose connections have broken
		rand    *rand.Rand
	}
}

// peer is a node that is sent to.
type peer struct {
	id     NodeID
	addr   string
	ctx    context.Context // until the peer is removed or replaced
	cancel context.CancelFunc
	lanes  map[purpose]*lane
}

// New returns a transport that listens, and knows no other node yet.
func New(o Options) (*Transport, error) {
	o.withDefaults()
	if err := o.validate(); err != nil {
		return nil, err
	}
	t := &Transport{o: o, began: o.Now(), sending: make(chan struct{}, o.Snapshots), taking: make(chan struct{}, o.Snapshots)}
	t.identity.Store(o.Identity)
	t.lost.init()
	t.ctx, t.cancel = context.WithCancel(context.Background())
	t.mu.peers, t.mu.inbound, t.mu.rand = map[NodeID]*peer{}, map[inboundKey]*inbound{}, o.Rand
	t.mu.partial = map[imageKey]*partial{}
	t.wg.Go(t.accept)
	t.wg.Go(func() { t.lost.tell(t.ctx, o.Host) })
	return t, nil
}

// SetIdentity replaces the identity, for connections that begin from now on.
func (t *Transport) SetIdentity(id *Identity) error {
	if t.o.Cleartext || id == nil {
		return errors.New("transport: an identity can only take the place of another one")
	}
	if err := checkName(id.certificate.Leaf, t.o.Node); err != nil {
		return fmt.Errorf("transport: %w", err)
	}
	t.identity.Store(id)
	return nil
}

// SetPeer says where a node is, and connects to it for as long as that is so.
func (t *Transport) SetPeer(node NodeID, addr string) error {
	if node == 0 || node == t.o.Node || addr == "" {
		return fmt.Errorf("transport: %q is no address of another node, %d", addr, node)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.closed {
		return ErrClosed
	}
	if old := t.mu.peers[node]; old != nil {
		if old.addr == addr {
			return nil
		}
		old.cancel()
	}
	p := &peer{id: node, addr: addr, lanes: map[purpose]*lane{}}
	p.ctx, p.cancel = context.WithCancel(t.ctx)
	for _, use := range []purpose{forControl, forBulk} {
		l := newLane(t, p, use)
		p.lanes[use] = l
		t.wg.Go(func() { l.run(p.ctx) })
	}
	t.mu.peers[node] = p
	return nil
}

// RemovePeer has nothing sent to a node any more, and ends the snapshots that are being sent there. What
// the node sends goes to the host as before: the host knows who belongs to its groups.
func (t *Transport) RemovePeer(node NodeID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.mu.peers[node]; p != nil {
		p.cancel()
		delete(t.mu.peers, node)
	}
}

func (t *Transport) peer(node NodeID) (*peer, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.closed {
		return nil, ErrClosed
	}
	if p := t.mu.peers[node]; p != nil {
		return p, nil
	}
	return nil, fmt.Errorf("%w: %d", ErrUnknownNode, node)
}

// Send sends a message to a replica of a group on another node, now or never; m may be shared, and nobody
// changes it meanwhile. Where it cannot go, Host.Unreachable is told. An error says that it cannot go anywhere.
func (t *Transport) Send(to NodeID, group raftlog.GroupID, m *pb.Message) error {
	p, err := t.peer(to)
	if errors.Is(err, ErrUnknownNode) {
		if _, err := messageSize(kindMessage, m); err != nil {
			return err
		}
		t.lost.add(Address{group, m.GetTo()})
		return nil
	}
	if err != nil {
		return err
	}
	taken, err := p.lanes[purposeOf(m)].queue.push(group, m)
	if err == nil && !taken {
		t.lost.add(Address{group, m.GetTo()})
	}
	return err
}

// Note sends a note to a node, now or never, and tells nobody if it gets lost.
func (t *Transport) Note(to NodeID, note []byte) error { return t.say(to, forControl, kindNote, note) }

// Pass sends a word to a node, now or never, in the order of the calls, and tells nobody if it gets lost. It may be longer than
// a note, and holds up nothing that is urgent.
func (t *Transport) Pass(to NodeID, word []byte) error { return t.say(to, forBulk, kindWord, word) }

func (t *Transport) say(to NodeID, use purpose, k kind, what []byte) error {
	if len(what) > int(limits[k]) {
		return fmt.Errorf("%w: %d bytes; %d are the most", ErrNotSendable, len(what), limits[k])
	}
	p, err := t.peer(to)
	if errors.Is(err, ErrUnknownNode) {
		return nil
	}
	if err == nil {
		p.lanes[use].queue.pushFrame(k, what)
	}
	return err
}

// Connect makes a connection to a node, for what clients ask: encrypted and authenticated, and nothing else is said on it. It waits
// for the node to answer, and ends with ctx, as long as it waits. A node of an earlier release refuses it. The connection ends
// when it is closed on either side, the node is removed, or the transport closed. A piece that is written has to be taken within
// Options.Timeout; the time to read in is the caller's to set.
func (t *Transport) Connect(ctx context.Context, node NodeID) (net.Conn, error) {
	p, err := t.peer(node)
	if err != nil {
		return nil, err
	}
	dialling, cancel := context.WithCancel(p.ctx)
	stop := context.AfterFunc(ctx, cancel)
	c, closeConn, err := t.connect(dialling, p, forClients)
	if err == nil && !stop() {
		closeConn()
		err = context.Cause(ctx)
	}
	if err != nil {
		cancel()
		return nil, err
	}
	return &stream{c, func() { closeConn(); cancel() }}, nil
}

// Close ends everything and waits for it. The host hears of nothing afterwards.
func (t *Transport) Close() error {
	t.mu.Lock()
	t.mu.closed = true
	t.mu.Unlock()
	t.cancel()
	err := t.o.Listener.Close()
	t.wg.Wait()
	t.dropPartials()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// spawn runs f in a goroutine that Close waits for, or returns false if it is too late.
func (t *Transport) spawn(f func()) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.mu.closed {
		t.wg.Go(f)
	}
	return !t.mu.closed
}

// chance returns a number in [0, 1).
func (t *Transport) chance() float64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mu.rand.Float64()
}

// sleep returns after d, or with an error when ctx ends.
func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// losses are replicas that the host is still to be told of. Each stands there once, however much was lost.
type losses struct {
	ready chan struct{} // holds one when there is something to tell

	mu struct {
		sync.Mutex
		of map[Address]struct{}
	}
}

func (l *losses) init() {
	l.ready = make(chan struct{}, 1)
	l.mu.of = map[Address]struct{}{}
}

func (l *losses) add(lost ...Address) {
	if len(lost) == 0 {
		return
	}
	l.mu.Lock()
	for _, a := range lost {
		l.mu.of[a] = struct{}{}
	}
	l.mu.Unlock()
	select {
	case l.ready <- struct{}{}:
	default:
	}
}

// tell tells the host until ctx ends.
func (l *losses) tell(ctx context.Context, h Host) {
	for {
		select {
		case <-l.ready:
		case <-ctx.Done():
			return
		}
		l.mu.Lock()
		of := l.mu.of
		l.mu.of = map[Address]struct{}{}
		l.mu.Unlock()
		for a := range of {
			if ctx.Err() != nil {
				return
			}
			h.Unreachable(a)
		}
	}
}
