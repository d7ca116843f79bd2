package transport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/replica/raftlog"
	"github.com/elastickv/elastickv/internal/testkit/pipes"
)

// patience bounds every wait.
const patience = time.Minute

// received is a message as a host got it.
type received struct {
	from  NodeID
	group raftlog.GroupID
	m     *pb.Message
}

// sentSnapshot is how a snapshot ended.
type sentSnapshot struct {
	to  Address
	err error
}

// host remembers what it is told. The functions may be nil.
type host struct {
	dir       string
	receive   func(received)
	stage     func(m *pb.Message) error
	install   func(m *pb.Message) error
	connected func(from NodeID, conn net.Conn)

	guard   sync.Mutex
	changed chan struct{} // closed at every change
	got     []received
	missed  map[Address]int
	images  map[uint64]string // by the index of the snapshot
	sent    []sentSnapshot
	notes   map[NodeID][]string
	words   map[NodeID][]string
	log     bytes.Buffer
}

func newHost(t *testing.T) *host {
	return &host{dir: t.TempDir(), changed: make(chan struct{}), missed: map[Address]int{}, images: map[uint64]string{}, notes: map[NodeID][]string{}, words: map[NodeID][]string{}}
}

func (h *host) change(f func()) {
	h.guard.Lock()
	defer h.guard.Unlock()
	f()
	close(h.changed)
	h.changed = make(chan struct{})
}

// await waits until cond, which sees the host at rest, holds.
func (h *host) await(t *testing.T, what string, cond func() bool) {
	t.Helper()
	limit := time.NewTimer(patience)
	defer limit.Stop()
	for {
		h.guard.Lock()
		ok, changed := cond(), h.changed
		h.guard.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-limit.C:
			h.guard.Lock()
			defer h.guard.Unlock()
			t.Fatalf("%s does not happen; got %d messages, lost %v, snapshots sent %v, log:\n%s", what, len(h.got), h.missed, h.sent, h.log.String())
		}
	}
}

func (h *host) awaitLog(t *testing.T, text string) {
	t.Helper()
	h.await(t, fmt.Sprintf("%q in the log", text), func() bool { return strings.Contains(h.log.String(), text) })
}

// Write implements io.Writer, for the log.
func (h *host) Write(p []byte) (int, error) {
	h.change(func() { h.log.Write(p) })
	return len(p), nil
}

func (h *host) Receive(from NodeID, group raftlog.GroupID, m *pb.Message) {
	if h.receive != nil {
		h.receive(received{from, group, m})
	}
	h.change(func() { h.got = append(h.got, received{from, group, m}) })
}

func (h *host) Unreachable(to Address) { h.change(func() { h.missed[to]++ }) }

func (h *host) StageSnapshot(_ NodeID, _ raftlog.GroupID, m *pb.Message) (Stage, error) {
	if h.stage != nil {
		if err := h.stage(m); err != nil {
			return nil, err
		}
	}
	f, err := os.CreateTemp(h.dir, "image-*")
	return fileStage{f}, err
}

// fileStage is a Stage as a file.
type fileStage struct{ *os.File }

func (f fileStage) Restart() error {
	_, err := f.Seek(0, io.SeekStart)
	return errors.Join(f.Truncate(0), err)
}

func (f fileStage) Finish() error { return errors.Join(f.Sync(), f.Close()) }

func (f fileStage) Remove() error {
	_ = f.Close() // it may be finished
	return os.Remove(f.Name())
}

func (h *host) ReceiveSnapshot(_ NodeID, _ raftlog.GroupID, m *pb.Message, image Stage) error {
	if h.install != nil {
		if err := h.install(m); err != nil {
			return err
		}
	}
	b, err := os.ReadFile(image.(fileStage).Name())
	if err != nil {
		return err
	}
	h.change(func() { h.images[m.GetSnapshot().GetMetadata().GetIndex()] = string(b) })
	return image.Remove()
}

func (h *host) SnapshotSent(to Address, err error) {
	h.change(func() { h.sent = append(h.sent, sentSnapshot{to, err}) })
}

func (h *host) Noted(from NodeID, note []byte) {
	h.change(func() { h.notes[from] = append(h.notes[from], string(note)) })
}

func (h *host) Heard(from NodeID, word []byte) {
	h.change(func() { h.words[from] = append(h.words[from], string(word)) })
}

func (h *host) Connected(from NodeID, conn net.Conn) {
	if h.connected != nil {
		h.connected(from, conn)
	}
}

// ends are those of the snapshots so far.
func (h *host) ends() []sentSnapshot {
	h.guard.Lock()
	defer h.guard.Unlock()
	return slices.Clone(h.sent)
}

// outcome waits for the end of one more snapshot than n, and returns how it ended.
func (h *host) outcome(t *testing.T, n int) error {
	t.Helper()
	h.await(t, "the end of a snapshot", func() bool { return len(h.sent) > n })
	return h.ends()[n].err
}

// empty fails t if a staged file is left.
func (h *host) empty(t *testing.T) {
	t.Helper()
	left, err := os.ReadDir(h.dir)
	if err != nil || len(left) > 0 {
		t.Errorf("files are left: %v, %v", left, err)
	}
}

// node is a transport with its host.
type node struct {
	*host
	*Transport
	addr string
}

// start starts a node on loopback. It ends with the test, and nothing of it is left then.
func start(t *testing.T, id NodeID, change ...func(*Options)) *node {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return startOn(t, id, listener, change...)
}

func startOn(t *testing.T, id NodeID, listener net.Listener, change ...func(*Options)) *node {
	t.Helper()
	h := newHost(t)
	o := Options{
		Cluster: clusterA, Node: id, Host: h, Listener: listener, Cleartext: true, Now: time.Now,
		Rand: rand.New(rand.NewPCG(1, uint64(id))), Log: slog.New(slog.NewTextHandler(h, nil)),
	}
	for _, c := range change {
		c(&o)
	}
	tr, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	n := &node{h, tr, listener.Addr().String()}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	})
	return n
}

// introduce tells every node of every other.
func introduce(t *testing.T, nodes ...*node) {
	t.Helper()
	for _, a := range nodes {
		for _, b := range nodes {
			if a != b {
				if err := a.SetPeer(b.o.Node, b.addr); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
}

// noGoroutines fails t unless all goroutines of transports end. What only closes a connection may take a moment.
func noGoroutines(t *testing.T) {
	t.Helper()
	var left string
	for range 1000 {
		buf := make([]byte, 1<<20)
		left = ""
		for g := range strings.SplitSeq(string(buf[:runtime.Stack(buf, true)]), "\n\n") {
			if strings.Contains(g, "transport.(*") && !strings.Contains(g, "noGoroutines") {
				left = g
			}
		}
		if left == "" {
			return
		}
		runtime.Gosched()
	}
	t.Errorf("a goroutine is left:\n%s", left)
}

// numbers are the commit indexes, or indexes of MsgApp, that a host got from a node, in order.
func (h *host) numbers(from NodeID, typ pb.MessageType) (of []uint64) {
	for _, r := range h.got {
		switch {
		case r.from != from || r.m.GetType() != typ:
		case typ == pb.MsgApp:
			of = append(of, r.m.GetIndex())
		default:
			of = append(of, r.m.GetCommit())
		}
	}
	return of
}

// rising reports whether numbers rise: nothing came twice, and nothing out of order.
func rising(of []uint64) bool {
	return slices.IsSortedFunc(of, func(a, b uint64) int {
		if a < b {
			return -1
		}
		return 1
	})
}

// proxy carries bytes to a transport, and cuts connections after as many as cut says, of those that who dials sends.
type proxy struct {
	net.Listener
	to   string
	cut  func() int64 // negative: never
	wg   sync.WaitGroup
	mu   sync.Mutex
	open map[net.Conn]struct{}
	end  bool
}

func startProxy(t *testing.T, to string, cut func() int64) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{Listener: l, to: to, cut: cut, open: map[net.Conn]struct{}{}}
	p.wg.Go(p.run)
	t.Cleanup(func() {
		_ = l.Close()
		p.mu.Lock()
		p.end = true
		for c := range p.open {
			_ = c.Close()
		}
		p.mu.Unlock()
		p.wg.Wait()
	})
	return p
}

func (p *proxy) run() {
	for {
		in, err := p.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("tcp", p.to)
		if err != nil || !p.add(in, out) {
			_ = in.Close()
			continue
		}
		limit := p.cut()
		closeBoth := func() {
			_, _ = in.Close(), out.Close()
		}
		p.wg.Go(func() {
			defer closeBoth()
			if limit >= 0 {
				_, _ = io.CopyN(out, in, limit)
			} else {
				_, _ = io.Copy(out, in)
			}
		})
		p.wg.Go(func() {
			defer closeBoth()
			_, _ = io.Copy(in, out)
		})
	}
}

func (p *proxy) add(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.open[c] = struct{}{}
	}
	return !p.end
}

// listener is a listener without a network.
type listener struct{ *pipes.Listener }

func newPipes() *listener { return &listener{pipes.Listen("pipe")} }

func (p *listener) dial(ctx context.Context, _ string) (net.Conn, error) { return p.Dial(ctx) }
