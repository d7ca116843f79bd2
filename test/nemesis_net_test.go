package test

import (
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/testkit"
)

// network stands between the nodes of a cluster: each is reached by the others at an address of the network, which
// passes on what it is told to. A direction between two nodes can hold back what is under way and pass it on later, as a network
// does that loses packets for a while; or be cut, which ends its connections; or take its time.
type network struct {
	mu    sync.Mutex
	moved *sync.Cond // a link has changed
	links map[link]linkState
	conns map[*passage]bool
	over  bool
	wg    sync.WaitGroup
}

// link is a direction between two nodes.
type link struct{ from, to int }

type linkState struct {
	held  bool
	cut   bool
	delay time.Duration // at most; how much of it each piece takes is left to chance
}

// passage is a connection that a node has made to another.
type passage struct {
	of          link // who has connected, to whom
	out, in     net.Conn
	closeItOnce sync.Once
}

func (p *passage) close() {
	p.closeItOnce.Do(func() { _ = p.out.Close(); _ = p.in.Close() })
}

func newNetwork(t testing.TB) *network {
	w := &network{links: map[link]linkState{}, conns: map[*passage]bool{}}
	w.moved = sync.NewCond(&w.mu)
	t.Cleanup(w.close)
	return w
}

// join puts the network in front of a node that listens at an address, and returns the one for others.
func (w *network) join(t testing.TB, id int, at string) (addr string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	w.wg.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			w.wg.Go(func() { w.pass(conn, id, at) })
		}
	})
	return l.Addr().String()
}

// helloBytes is how long the first frame of a connection is, and helloNode where in it is who has connected. Nodes that talk
// in clear say so; see internal/replica/transport.
const (
	helloBytes = 9 + 45
	helloNode  = 9 + 28
)

// pass passes on what a connection to a node brings, and what the node answers.
func (w *network) pass(in net.Conn, to int, at string) {
	hello := make([]byte, helloBytes)
	_ = in.SetReadDeadline(time.Now().Add(clusterPatience))
	if _, err := io.ReadFull(in, hello); err != nil {
		_ = in.Close()
		return
	}
	_ = in.SetReadDeadline(time.Time{})
	out, err := net.Dial("tcp", at)
	if err != nil {
		_ = in.Close()
		return
	}
	p := &passage{of: link{int(binary.BigEndian.Uint64(hello[helloNode:])), to}, out: out, in: in}
	defer p.close()
	if !w.add(p) {
		return
	}
	defer w.remove(p)
	var both sync.WaitGroup
	both.Go(func() { w.stream(p, p.of, hello, p.in, p.out) })
	both.Go(func() { w.stream(p, link{p.of.to, p.of.from}, nil, p.out, p.in) })
	both.Wait()
}

func (w *network) add(p *passage) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.over || w.links[p.of].cut {
		return false
	}
	w.conns[p] = true
	return true
}

func (w *network) remove(p *passage) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.conns, p)
}

// stream brings what comes from one side to the other, first piece first.
func (w *network) stream(p *passage, l link, piece []byte, from, to net.Conn) {
	defer p.close()
	buf := make([]byte, 64<<10)
	for {
		if len(piece) > 0 {
			if !w.permit(l) {
				return
			}
			if _, err := to.Write(piece); err != nil {
				return
			}
		}
		n, err := from.Read(buf)
		if err != nil {
			return
		}
		piece = buf[:n]
	}
}

// permit waits until a piece may go on, and reports whether it may ever.
func (w *network) permit(l link) bool {
	w.mu.Lock()
	for w.links[l].held && !w.over {
		w.moved.Wait()
	}
	delay, over := w.links[l].delay, w.over
	w.mu.Unlock()
	if delay > 0 && !over {
		time.Sleep(rand.N(delay)) // a slow network
	}
	return !over
}

// set makes this the state of links.
func (w *network) set(s linkState, links ...link) {
	var ended []*passage
	w.mu.Lock()
	for _, l := range links {
		w.links[l] = s
	}
	for p := range w.conns {
		if w.links[p.of].cut {
			ended = append(ended, p)
		}
	}
	w.moved.Broadcast()
	w.mu.Unlock()
	for _, p := range ended {
		p.close()
	}
}

// heal has everything passed on again.
func (w *network) heal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	clear(w.links)
	w.moved.Broadcast()
}

func (w *network) close() {
	w.mu.Lock()
	w.over = true
	var open []*passage
	for p := range w.conns {
		open = append(open, p)
	}
	w.moved.Broadcast()
	w.mu.Unlock()
	for _, p := range open {
		p.close()
	}
	w.wg.Wait()
}

// startInNetwork makes a cluster of n nodes whose connections go through a network.
func startInNetwork(t testing.TB, n int, shape ...func(*peer)) (*cluster, *network) {
	w := newNetwork(t)
	return startCluster(t, n, append(shape, func(p *peer) {
		p.at = testkit.FreeAddr(t)
		p.addr = w.join(t, p.id, p.at)
		p.tls = []string{"--cluster-insecure", "yes"}
	})...), w
}
