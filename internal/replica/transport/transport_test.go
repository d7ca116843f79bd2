package transport

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/elastickv/elastickv/internal/replica/raftlog"
	"github.com/elastickv/elastickv/internal/testkit/pipes"
)

// TestThreeNodes has everybody send to everybody, on both connections.
func TestThreeNodes(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%t", secure), func(t *testing.T) {
			t.Cleanup(func() { noGoroutines(t) })
			var nodes []*node
			ca := newAuthority(t)
			for id := range NodeID(3) {
				var change []func(*Options)
				if secure {
					change = append(change, ca.identify(t, id+1))
				}
				nodes = append(nodes, start(t, id+1, change...))
			}
			introduce(t, nodes...)
			const each = 200
			for i := range uint64(each) {
				for _, a := range nodes {
					for _, b := range nodes {
						if a == b {
							continue
						}
						from, to := uint64(a.o.Node), uint64(b.o.Node)
						for _, m := range []*pb.Message{beat(from, to, i), app(from, to, i)} {
							if err := a.Send(b.o.Node, raftlog.GroupID(i), m); err != nil {
								t.Fatal(err)
							}
						}
					}
				}
			}
			for _, b := range nodes {
				b.await(t, "that all messages arrive", func() bool { return len(b.got) >= 2*2*each })
				b.guard.Lock()
				for _, a := range nodes {
					for _, typ := range []pb.MessageType{pb.MsgHeartbeat, pb.MsgApp} {
						if got := b.numbers(a.o.Node, typ); a != b && (len(got) != each || !rising(got)) {
							t.Errorf("node %d got %s of node %d: %v", b.o.Node, typ, a.o.Node, got)
						}
					}
				}
				for _, r := range b.got {
					if want := app(uint64(r.from), uint64(b.o.Node), uint64(r.group)); r.m.GetType() == pb.MsgApp && !proto.Equal(r.m, want) {
						t.Errorf("got %v, want %v", r.m, want)
					}
				}
				b.guard.Unlock()
			}
		})
	}
}

// TestNotes has nodes say what raft knows nothing of: it comes as it was said, once and in order, or is refused before
// it is sent. To whom nobody knows it goes nowhere, and nobody is told.
func TestNotes(t *testing.T) {
	a, b := start(t, 1), start(t, 2)
	introduce(t, a, b)
	long := strings.Repeat("x", maxNote)
	for _, what := range []string{"one", "", long} {
		for _, send := range []func(NodeID, []byte) error{a.Note, a.Pass} {
			if err := send(2, []byte(what)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := a.Pass(2, []byte(long+"x")); err != nil {
		t.Fatal(err)
	}
	b.await(t, "that all arrives", func() bool { return len(b.notes[1]) == 3 && len(b.words[1]) == 4 })
	if got := append(b.notes[1], b.words[1]...); !slices.Equal(got, []string{"one", "", long, "one", "", long, long + "x"}) {
		t.Errorf("got %.20q", got)
	}
	for what, err := range map[string]error{"note": a.Note(2, []byte(long+"x")), "word": a.Pass(2, make([]byte, maxWord+1))} {
		if !errors.Is(err, ErrNotSendable) {
			t.Errorf("a %s that is too long: %v", what, err)
		}
	}
	if err := errors.Join(a.Note(9, nil), a.Pass(9, nil)); err != nil {
		t.Errorf("to nobody: %v", err)
	}
	if len(a.missed) > 0 || len(b.got) > 0 {
		t.Errorf("missed %v, got %v", a.missed, b.got)
	}
}

// TestCuts has connections cut after any number of bytes. What arrives is whole, in order and comes once, and
// whoever was sent something that was lost is named.
func TestCuts(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprintf("tls=%t", secure), func(t *testing.T) {
			t.Cleanup(func() { noGoroutines(t) })
			var change [3][]func(*Options)
			if secure {
				ca := newAuthority(t)
				change[1], change[2] = append(change[1], ca.identify(t, 1)), append(change[2], ca.identify(t, 2))
			}
			change[1] = append(change[1], func(o *Options) { o.Backoff = backoffFirst })
			a, b := start(t, 1, change[1]...), start(t, 2, change[2]...)
			var cuts atomic.Int64
			p := startProxy(t, b.addr, func() int64 { // called by one goroutine
				if cuts.Add(1) > 40 {
					return -1
				}
				return r.Int64N(3000)
			})
			var beats, apps atomic.Uint64 // the last ones that arrived
			b.receive = func(r received) {
				if r.m.GetType() == pb.MsgApp {
					apps.Store(r.m.GetIndex())
				} else {
					beats.Store(r.m.GetCommit())
				}
				a.change(func() {})
			}
			if err := a.SetPeer(2, p.Addr().String()); err != nil {
				t.Fatal(err)
			}
			// A message arrives, or its loss is told. This goes on until connections last and one more has come.
			for i := uint64(1); cuts.Load() < 42 || beats.Load() < i-1 || apps.Load() < i-1; i++ {
				told := 0
				a.await(t, "the chance to send", func() bool { told = a.missed[Address{7, 2}]; return true })
				for _, m := range []*pb.Message{beat(1, 2, i), app(1, 2, i)} {
					if err := a.Send(2, 7, m); err != nil {
						t.Fatal(err)
					}
				}
				a.await(t, "that a message arrives or is lost", func() bool {
					return beats.Load() == i && apps.Load() == i || a.missed[Address{7, 2}] > told
				})
			}
			b.guard.Lock()
			defer b.guard.Unlock()
			for _, typ := range []pb.MessageType{pb.MsgHeartbeat, pb.MsgApp} {
				if got := b.numbers(1, typ); !rising(got) {
					t.Errorf("%s arrive twice or out of order: %v", typ, got)
				}
			}
			a.guard.Lock()
			defer a.guard.Unlock()
			if a.missed[Address{7, 2}] == 0 {
				t.Error("messages were lost and nobody was told")
			}
		})
	}
}

// TestHostile has somebody break the rules: he is told, in words, and the host hears of nothing.
func TestHostile(t *testing.T) {
	t.Cleanup(func() { noGoroutines(t) })
	n := start(t, 2)
	good := hello{clusterA, 1, 2, forControl}
	version := appendHello(nil, good)
	binary.BigEndian.PutUint32(version[frameStart+8:], 9)
	version = appendFrame(nil, kindHello, version[frameStart:])
	frame := func(k kind, body string) []byte { return appendFrame(nil, k, []byte(body)) }
	after := func(h hello, more ...[]byte) []byte { return append(appendHello(nil, h), bytes.Join(more, nil)...) }
	snapshot := func(more ...[]byte) []byte {
		return after(hello{clusterA, 1, 2, forSnapshot}, more...)
	}
	damaged := framed(t, kindMessage, beat(1, 2, 3))
	damaged[len(damaged)-1] ^= 1
	for _, c := range []struct {
		name string
		says []byte
		want string
	}{
		{"no hello", frame(kindMessage, "x"), "a frame of kind 4 has no place here"},
		{"another protocol", frame(kindHello, "HELLO I AM SOMEBODY ELSE"), "no hello of another"},
		{"version", version, "you speak version 9 between nodes, and this node version 1 only"},
		{"cluster", appendHello(nil, hello{ClusterID{1}, 1, 2, forControl}), "you are of cluster 01000000000000000000000000000000"},
		{"dialled", appendHello(nil, hello{clusterA, 1, 3, forControl}), "you have dialled node 3, and this is node 2"},
		{"itself", appendHello(nil, hello{clusterA, 2, 2, forControl}), "you say that you are node 2"},
		{"nobody", appendHello(nil, hello{clusterA, 0, 2, forControl}), "you say that you are node 0"},
		{"purpose", appendHello(nil, hello{clusterA, 1, 2, 9}), "purpose 9"},
		{"second hello", after(good, appendHello(nil, good)), "a frame of kind 1 has no place here"},
		{"local", after(good, rawMessage(t, &pb.Message{Type: new(pb.MsgHup), From: new(uint64(1)), To: new(uint64(2))})), "MsgHup, which is for within a node"},
		{"snapshot as message", after(good, rawMessage(t, snap(1, 2, 3))), "MsgSnap without its image"},
		{"wrong connection", after(good, framed(t, kindMessage, app(1, 2, 3))), "MsgApp on the control connection"},
		{"damaged", after(good, damaged), "its sum is wrong"},
		{"chunk as message", after(good, frame(kindChunk, "x")), "a frame of kind 8 has no place here"},
		{"image without snapshot", snapshot(frame(kindChunk, "x")), "a frame of kind 8 has no place here"},
		{"message as snapshot", snapshot(appendFrame(nil, kindSnapshot, framed(t, kindMessage, app(1, 2, 3))[frameStart:])), "MsgApp in place of a snapshot"},
		{"other image", snapshot(framed(t, kindSnapshot, snap(1, 2, 3)), frame(kindChunk, "x"), frame(kindEnd, "\x00\x00\x00\x00\x00\x00\x00\x01"+strings.Repeat("x", 32))), "its SHA-256 is wrong"},
		{"shorter image", snapshot(framed(t, kindSnapshot, snap(1, 2, 3)), frame(kindChunk, "x"), frame(kindEnd, strings.Repeat("\x00", endSize))), "the image has 0 bytes and ends after 1"},
		{"short end", snapshot(framed(t, kindSnapshot, snap(1, 2, 3)), frame(kindEnd, "x")), "an end of 1 bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", n.addr)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := conn.Write(c.says); err != nil {
				t.Fatal(err)
			}
			frames := &frameReader{r: conn}
			k, body, err := frames.next(kindWelcome, kindRefusal)
			for err == nil && k != kindRefusal {
				k, body, err = frames.next(kindHave, kindRefusal)
			}
			if err != nil || !strings.Contains(string(body), c.want) {
				t.Errorf("told %q, %v; want %q", body, err, c.want)
			}
		})
	}
	n.guard.Lock()
	defer n.guard.Unlock()
	if len(n.got) > 0 || len(n.images) > 0 {
		t.Errorf("the host was given %v, %v", n.got, n.images)
	}
	n.empty(t)
}

// TestWhoAnswers has nodes dial somebody else than they think.
func TestWhoAnswers(t *testing.T) {
	a, b := start(t, 1), start(t, 2)
	if err := a.SetPeer(3, b.addr); err != nil {
		t.Fatal(err)
	}
	a.awaitLog(t, "you have dialled node 3, and this is node 2")
	other := start(t, 4, func(o *Options) { o.Cluster = ClusterID{0xBB} })
	if err := a.SetPeer(4, other.addr); err != nil {
		t.Fatal(err)
	}
	a.awaitLog(t, "and this node of cluster bb00")
	for _, c := range []struct {
		answer []byte
		want   string
	}{
		{appendWelcome(nil, welcome{clusterA, 6}), "there is node 6 of cluster"},
		{appendWelcome(nil, welcome{ClusterID{1}, 5}), "there is node 5 of cluster 0100"},
		{appendFrame(nil, kindWelcome, []byte("\x00\x00\x00\x09")), "you speak version 9 between nodes"},
		{appendFrame(nil, kindWelcome, []byte("\x00\x00\x00\x01")), "a welcome of 4 bytes"},
		{appendFrame(nil, kindWelcome, nil), "a welcome of 0 bytes"},
		{appendFrame(nil, kindPong, nil), "a frame of kind 6 has no place here"},
	} {
		local, remote := net.Pipe()
		go func() {
			_, _, _ = (&frameReader{r: remote}).next(kindHello)
			_, _ = remote.Write(c.answer)
		}()
		if _, err := a.greet(t.Context(), local, hello{clusterA, 1, 5, forBulk}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("answered %x: %v, want %q", c.answer, err, c.want)
		}
		_, _ = local.Close(), remote.Close()
	}
}

func TestSend(t *testing.T) {
	a := start(t, 1)
	// Nobody knows the node.
	if err := a.Send(2, 7, beat(1, 2, 3)); err != nil {
		t.Error(err)
	}
	a.await(t, "that an unknown node is out of reach", func() bool { return a.missed[Address{7, 2}] == 1 })
	for _, known := range []bool{false, true} {
		for _, m := range []*pb.Message{{}, snap(1, 2, 3), beat(1, 0, 0)} {
			if err := a.Send(2, 7, m); !errors.Is(err, ErrNotSendable) {
				t.Errorf("known=%t, %v: %v", known, m, err)
			}
		}
		big := app(1, 2, 3)
		big.Entries[0].Data = make([]byte, maxMessage)
		if err := a.Send(2, 7, big); !errors.Is(err, ErrNotSendable) || !strings.Contains(err.Error(), "are the most") {
			t.Errorf("known=%t, too long: %v", known, err)
		}
		// Nobody listens there.
		if err := a.SetPeer(2, "127.0.0.1:1"); err != nil {
			t.Fatal(err)
		}
	}
	if err := a.Send(2, 8, beat(1, 2, 3)); err != nil {
		t.Error(err)
	}
	a.await(t, "that a dead node is out of reach", func() bool { return a.missed[Address{8, 2}] > 0 })
	for _, c := range []struct {
		node NodeID
		addr string
	}{{0, "x"}, {1, "x"}, {2, ""}} {
		if err := a.SetPeer(c.node, c.addr); err == nil {
			t.Errorf("%q is the address of node %d", c.addr, c.node)
		}
	}
	if err := a.Close(); err != nil {
		t.Error(err)
	}
	if err := a.Send(2, 7, beat(1, 2, 3)); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	if err := a.SetPeer(3, "x"); !errors.Is(err, ErrClosed) {
		t.Errorf("closed: %v", err)
	}
	noGoroutines(t)
}

// TestPeersComeAndGo moves a node, and removes it.
func TestPeersComeAndGo(t *testing.T) {
	t.Cleanup(func() { noGoroutines(t) })
	a, b := start(t, 1), start(t, 2)
	introduce(t, a, b)
	send := func(i uint64) {
		t.Helper()
		if err := a.Send(2, 7, beat(1, 2, i)); err != nil {
			t.Fatal(err)
		}
	}
	send(1)
	b.await(t, "the first message", func() bool { return slices.Equal(b.numbers(1, pb.MsgHeartbeat), []uint64{1}) })
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	moved := start(t, 2)
	if err := a.SetPeer(2, moved.addr); err != nil {
		t.Fatal(err)
	}
	send(2)
	moved.await(t, "the message to the new address", func() bool { return slices.Equal(moved.numbers(1, pb.MsgHeartbeat), []uint64{2}) })
	a.RemovePeer(2)
	a.RemovePeer(2)
	a.await(t, "that both are told as out of reach", func() bool { return a.missed[Address{7, 2}] > 0 })
	before := 0
	a.await(t, "a number", func() bool { before = a.missed[Address{7, 2}]; return true })
	send(3)
	a.await(t, "that a removed node is out of reach", func() bool { return a.missed[Address{7, 2}] > before })
	moved.guard.Lock()
	defer moved.guard.Unlock()
	if got := moved.numbers(1, pb.MsgHeartbeat); len(got) != 1 {
		t.Errorf("a removed node got %v", got)
	}
}

// piped makes two nodes without a network, in a bubble.
func piped(t *testing.T, change ...func(*Options)) (a, b *node) {
	t.Helper()
	la, lb := newPipes(), newPipes()
	b = startOn(t, 2, lb, append([]func(*Options){func(o *Options) { o.Dial = la.dial }}, change...)...)
	a = startOn(t, 1, la, append([]func(*Options){func(o *Options) { o.Dial = lb.dial }}, change...)...)
	return a, b
}

// TestSlowReader has a host take nothing. Who sends is never held up, what waits is bounded, and the node counts as dead
// in the end; when it goes on, so do messages.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := piped(t, func(o *Options) { o.QueueBytes = 200_000 })
		stuck := make(chan struct{})
		b.receive = func(received) { <-stuck }
		if err := a.SetPeer(2, "b"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		began := time.Now()
		for i := range uint64(20_000) {
			if err := a.Send(2, 7, app(1, 2, i+1)); err != nil {
				t.Fatal(err)
			}
		}
		if time.Since(began) != 0 {
			t.Errorf("who sends waited for %v", time.Since(began))
		}
		synctest.Wait()
		a.guard.Lock()
		if a.missed[Address{7, 2}] == 0 {
			t.Error("the queue has no bound")
		}
		a.guard.Unlock()
		q := &a.peers()[2].lanes[forBulk].queue
		q.mu.Lock()
		if waiting := len(q.mu.buf) + q.mu.inside; waiting > 200_000 || waiting < 100_000 {
			t.Errorf("%d bytes wait", waiting)
		}
		q.mu.Unlock()
		time.Sleep(2 * a.o.Timeout)
		a.guard.Lock()
		if !strings.Contains(a.log.String(), "connection=bulk") {
			t.Errorf("a node that reads nothing still counts as alive:\n%s", a.log.String())
		}
		a.guard.Unlock()
		close(stuck)
		time.Sleep(2 * a.o.Backoff)
		if err := a.Send(2, 7, app(1, 2, 50_000)); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		b.guard.Lock()
		got := b.numbers(1, pb.MsgApp)
		if !rising(got) || got[len(got)-1] != 50_000 {
			t.Errorf("got %v", got)
		}
		b.guard.Unlock()
		_, _ = a.Close(), b.Close()
	})
}

func (n *node) peers() map[NodeID]*peer {
	n.Transport.mu.Lock()
	defer n.Transport.mu.Unlock()
	return n.Transport.mu.peers
}

// TestSilence has the network swallow everything: a node that says nothing is dialled again, and one that is idle is not.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := piped(t)
		if err := a.SetPeer(2, "b"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		a.guard.Lock()
		if got := strings.Count(a.log.String(), "connected to a node"); got != 2 || strings.Contains(a.log.String(), "no connection") {
			t.Errorf("idle connections do not last:\n%s", a.log.String())
		}
		a.guard.Unlock()

		hole := newPipes()
		silent := startOn(t, 3, newPipes(), func(o *Options) { o.Dial = hole.dial })
		conns := make(chan net.Conn, 100)
		go func() {
			for {
				c, err := hole.Accept()
				if err != nil {
					return
				}
				_, _, _ = (&frameReader{r: c}).next(kindHello)
				_, _ = c.Write(appendWelcome(nil, welcome{clusterA, 4}))
				conns <- c
				go func() { // reads, and never answers
					buf := make([]byte, 100)
					for {
						if _, err := c.Read(buf); err != nil {
							return
						}
					}
				}()
			}
		}()
		if err := silent.SetPeer(4, "hole"); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := silent.Send(4, 7, beat(1, 2, 3)); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * silent.o.Timeout)
		silent.guard.Lock()
		if !strings.Contains(silent.log.String(), errNoAnswer.Error()) || silent.missed[Address{7, 2}] == 0 || len(conns) < 4 {
			t.Errorf("silence is not noticed: %d connections, lost %v, log:\n%s", len(conns), silent.missed, silent.log.String())
		}
		silent.guard.Unlock()
		_ = hole.Close()
		_, _, _ = a.Close(), b.Close(), silent.Close()
	})
}

// TestBackoff dials somebody who is never there.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		times := make(chan time.Time, 10_000)
		a := startOn(t, 1, newPipes(), func(o *Options) {
			o.Dial = func(context.Context, string) (net.Conn, error) {
				times <- time.Now()
				return nil, pipes.ErrNobody
			}
		})
		if err := a.SetPeer(2, "x"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if n := len(times); n < 2*60 || n > 2*140 {
			t.Errorf("dialled %d times in a minute", n)
		}
		a.guard.Lock()
		if got := strings.Count(a.log.String(), pipes.ErrNobody.Error()); got != 2 {
			t.Errorf("said %d times:\n%s", got, a.log.String())
		}
		a.guard.Unlock()
		_ = a.Close()
	})
}

// TestCoalesce has what waits for a connection leave in one write.
func TestCoalesce(t *testing.T) {
	q := queue{max: 1 << 20, ready: make(chan struct{}, 1)}
	if taken, err := q.push(1, beat(1, 2, 3)); taken || err != nil {
		t.Errorf("a queue that is shut takes messages: %v", err)
	}
	q.open()
	for g := range raftlog.GroupID(100) {
		if taken, err := q.push(g, beat(1, 2, uint64(g))); !taken || err != nil {
			t.Fatal(taken, err)
		}
	}
	<-q.ready
	frames := &frameReader{r: bytes.NewReader(q.take())}
	for g := range raftlog.GroupID(100) {
		k, body, err := frames.next(kindMessage)
		if err != nil {
			t.Fatal(err)
		}
		if got, m, err := parseMessage(k, body); got != g || m.GetCommit() != uint64(g) || err != nil {
			t.Errorf("group %d: got %d, %v, %v", g, got, m, err)
		}
	}
	if got := len(q.shut()); got != 100 {
		t.Errorf("%d replicas were written to", got)
	}
}

// TestReplaced has a node connect twice: the first connection ends, and what came on it is with the host
// before anything of the second.
func TestReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		la := newPipes()
		b := startOn(t, 2, la)
		stuck := make(chan struct{})
		b.receive = func(r received) {
			if r.m.GetCommit() == 1 {
				<-stuck
			}
		}
		say := func(i uint64) net.Conn {
			c, err := la.dial(t.Context(), "")
			if err != nil {
				t.Fatal(err)
			}
			go func() {
				_, _ = c.Write(appendHello(nil, hello{clusterA, 1, 2, forControl}))
				if _, _, err := (&frameReader{r: c}).next(kindWelcome); err != nil {
					return
				}
				_, _ = c.Write(framed(t, kindMessage, beat(1, 2, i)))
			}()
			return c
		}
		first := say(1)
		synctest.Wait()
		second := say(2)
		synctest.Wait()
		if _, err := first.Read(make([]byte, 1)); err == nil {
			t.Error("the first connection goes on")
		}
		b.guard.Lock()
		if got := b.numbers(1, pb.MsgHeartbeat); len(got) != 0 {
			t.Errorf("the second connection came first: %v", got)
		}
		b.guard.Unlock()
		close(stuck)
		synctest.Wait()
		b.guard.Lock()
		if got := b.numbers(1, pb.MsgHeartbeat); !slices.Equal(got, []uint64{1, 2}) {
			t.Errorf("got %v", got)
		}
		b.guard.Unlock()
		_, _ = second.Close(), b.Close()
	})
}

func TestOptions(t *testing.T) {
	_, err := New(Options{Timeout: -1, QueueBytes: -1, SnapshotRate: 1})
	for _, want := range []string{"the cluster has no id", "the node has no id", "no host", "no listener", "no clock", "no chance",
		"no identity, and cleartext is not asked for", "a time below zero", "a bound below zero", "a rate of snapshots below"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
