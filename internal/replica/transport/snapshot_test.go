package transport

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/testkit/harm"
)

// image is an image in memory.
type image struct {
	io.WriterTo
	closed *atomic.Int64
}

func (i image) Close() error {
	i.closed.Add(1)
	return nil
}

// writeTo is an image that a function writes.
type writeTo func(w io.Writer) error

func (f writeTo) WriteTo(w io.Writer) (int64, error) { return 0, f(w) }

// opened returns a function that opens an image of b as of an index, and counts in closed how many are closed.
func opened(b []byte, index uint64, closed *atomic.Int64) OpenImage {
	return func() (*pb.Message, Image, error) {
		return snap(1, 2, index), image{writeTo(func(w io.Writer) error {
			for rest := b; len(rest) > 0; { // in small pieces and large ones
				n := min(len(rest), 1+len(rest)/2)
				if _, err := w.Write(rest[:n]); err != nil {
					return err
				}
				rest = rest[n:]
			}
			return nil
		}), closed}, nil
	}
}

// random returns n bytes.
func random(n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(b)
	return b
}

var to2 = Address{7, 2}

func TestSnapshot(t *testing.T) {
	for _, secure := range []bool{false, true} {
		for _, size := range []int{0, 1, maxChunk, maxChunk + 1, 3_000_000} {
			t.Run(fmt.Sprintf("tls=%t/%d", secure, size), func(t *testing.T) {
				t.Cleanup(func() { noGoroutines(t) })
				var change [3][]func(*Options)
				if secure {
					ca := newAuthority(t)
					change[1], change[2] = append(change[1], ca.identify(t, 1)), append(change[2], ca.identify(t, 2))
				}
				a, b := start(t, 1, change[1]...), start(t, 2, change[2]...)
				introduce(t, a, b)
				var closed atomic.Int64
				want := random(size)
				a.SendSnapshot(2, to2, opened(want, 100, &closed))
				if err := a.outcome(t, 0); err != nil {
					t.Fatal(err)
				}
				if got := b.images[100]; got != string(want) {
					t.Errorf("%d bytes arrived, %d were sent, or others", len(got), len(want))
				}
				if closed.Load() != 1 || a.ends()[0].to != to2 {
					t.Errorf("closed %d times, told as %v", closed.Load(), a.ends()[0].to)
				}
				b.empty(t)
			})
		}
	}
}

// TestSnapshotCut cuts every connection after so many bytes. The host of the sender is told once, and what the other
// host gets is whole.
func TestSnapshotCut(t *testing.T) {
	t.Cleanup(func() { noGoroutines(t) })
	a, b := start(t, 1, func(o *Options) { o.Snapshots, o.Backoff = 1, time.Millisecond }), start(t, 2)
	want := random(700)
	begun := len(appendHello(nil, hello{})) + len(framed(t, kindSnapshot, snap(1, 2, 100))) + frameStart + len(want)
	whole := begun + frameStart + endSize
	var limit atomic.Int64
	p := startProxy(t, b.addr, func() int64 { return limit.Load() })
	var closed atomic.Int64
	// Only snapshots: the peer has no lanes.
	a.only(2, p.Addr().String())
	opens := 0
	for n := 0; n <= whole; n += 1 + n%7 {
		limit.Store(int64(n))
		before := len(a.ends())
		b.idle(t)
		a.SendSnapshot(2, to2, func() (*pb.Message, Image, error) {
			opens++
			return opened(want, uint64(n+1), &closed)()
		})
		err := a.outcome(t, before)
		b.guard.Lock()
		got, arrived := b.images[uint64(n+1)]
		b.guard.Unlock()
		switch {
		case err == nil && n < begun: // the image is one piece, of which nothing is kept
			t.Errorf("cut after %d bytes of %d, and sent", n, whole)
		case err == nil && !arrived:
			t.Errorf("cut after %d bytes of %d: it is said to be sent, and has not arrived", n, whole)
		case arrived && got != string(want):
			t.Errorf("cut after %d bytes of %d, and %d of %d arrived", n, whole, len(got), len(want))
		}
	}
	limit.Store(-1)
	b.idle(t)
	n := len(a.ends())
	a.SendSnapshot(2, to2, opened(want, 100_000, &closed))
	opens++
	if err := a.outcome(t, n); err != nil {
		t.Error(err)
	}
	if len(a.ends()) != n+1 || int(closed.Load()) != opens {
		t.Errorf("told of %d ends of %d, closed %d images of %d", len(a.ends()), n+1, closed.Load(), opens)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	b.empty(t)
}

// idle waits until a node receives no snapshot.
func (n *node) idle(t *testing.T) {
	t.Helper()
	for range cap(n.taking) {
		select {
		case n.taking <- struct{}{}:
		case <-time.After(patience):
			t.Fatal("the end of a snapshot is not noticed")
		}
	}
	for range cap(n.taking) {
		<-n.taking
	}
}

// only makes a node a peer that no messages are sent to.
func (n *node) only(id NodeID, addr string) {
	n.Transport.mu.Lock()
	defer n.Transport.mu.Unlock()
	p := &peer{id: id, addr: addr}
	p.ctx, p.cancel = n.ctx, func() {}
	n.Transport.mu.peers[id] = p
}

var errFull = errors.New("the disk is full")

// TestSnapshotFails has a snapshot fail in every way that does not take time. Each is told, in words.
func TestSnapshotFails(t *testing.T) {
	var closed atomic.Int64
	good := opened(random(1_000_000), 100, &closed)
	failing := func(m *pb.Message, writeErr error) OpenImage {
		return func() (*pb.Message, Image, error) {
			return m, image{writeTo(func(w io.Writer) error {
				if _, err := w.Write(random(500_000)); err != nil {
					return err
				}
				return writeErr
			}), &closed}, nil
		}
	}
	for _, c := range []struct {
		name    string
		node    NodeID
		open    OpenImage
		prepare func(a, b *node)
		want    string
	}{
		{"unknown node", 9, good, nil, ErrUnknownNode.Error()},
		{"dead node", 2, good, func(_, b *node) { _ = b.Close() }, "connection refused"},
		{"closed", 2, good, func(a, _ *node) { _ = a.Close() }, ErrClosed.Error()},
		{"no image", 2, func() (*pb.Message, Image, error) { return nil, nil, errFull }, nil, errFull.Error()},
		{"half an image", 2, failing(snap(1, 2, 100), errFull), nil, errFull.Error()},
		{"another replica's", 2, failing(snap(1, 3, 100), nil), nil, "a snapshot for replica 2 is addressed to 3"},
		{"no snapshot", 2, failing(app(1, 2, 100), nil), nil, "MsgApp in place of a snapshot"},
		{"nowhere to stage", 2, good, func(_, b *node) { b.stage = func(*pb.Message) error { return errFull } }, "node 2 refuses: \"the disk is full\""},
		{"not accepted", 2, good, func(_, b *node) { b.install = func(*pb.Message) error { return errFull } }, "node 2 refuses: \"the disk is full\""},
		{"too many", 2, good, func(_, b *node) { b.taking <- struct{}{}; b.taking <- struct{}{} }, "this node is receiving 2 snapshots already"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Cleanup(func() { noGoroutines(t) })
			a, b := start(t, 1), start(t, 2)
			introduce(t, a, b)
			if c.prepare != nil {
				c.prepare(a, b)
			}
			a.SendSnapshot(c.node, to2, c.open)
			if err := a.outcome(t, 0); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("ended with %v, want %q", err, c.want)
			}
			_, _ = a.Close(), b.Close()
			if len(a.ends()) != 1 || len(b.images) != 0 {
				t.Errorf("told of %d ends; %d images arrived", len(a.ends()), len(b.images))
			}
			b.empty(t)
		})
	}
}

// TestSnapshotsInTurn sends three at once, and has one end by RemovePeer and one by Close while they wait and run.
func TestSnapshotsInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := piped(t)
		a.only(2, "b")
		stuck := make(chan struct{})
		var opens, closed atomic.Int64
		hang := func() (*pb.Message, Image, error) {
			opens.Add(1)
			<-stuck
			return opened(random(100), 100, &closed)()
		}
		for range 3 {
			a.SendSnapshot(2, to2, hang)
		}
		synctest.Wait()
		if opens.Load() != 2 {
			t.Errorf("%d snapshots are being sent", opens.Load())
		}
		// The third gives up.
		time.Sleep(a.o.SnapshotTimeout - time.Second)
		a.SendSnapshot(2, to2, hang)
		synctest.Wait()
		if len(a.ends()) != 0 {
			t.Errorf("ended too soon: %v", a.ends())
		}
		time.Sleep(2 * time.Second)
		if len(a.ends()) != 1 || !strings.Contains(fmt.Sprint(a.ends()[0].err), "has not had its turn") {
			t.Errorf("ended: %v", a.ends())
		}
		go func() { _ = a.Close() }()
		synctest.Wait()
		close(stuck)
		synctest.Wait()
		if len(a.ends()) != 4 || int(closed.Load()) != int(opens.Load()) {
			t.Errorf("ended: %v; closed %d of %d", a.ends(), closed.Load(), opens.Load())
		}
		for _, s := range a.ends() {
			if s.err == nil {
				t.Error("sent by a transport that is closed")
			}
		}
		_, _ = a.Close(), b.Close()
	})
}

// welcome accepts a connection as node 2 does.
func (p *listener) welcome() (net.Conn, *frameReader) {
	c, err := p.Accept()
	if err != nil {
		return nil, nil // it is over
	}
	frames := &frameReader{r: c}
	_, _, _ = frames.next(kindHello)
	_, _ = c.Write(appendWelcome(nil, welcome{clusterA, 2}))
	return c, frames
}

// TestSnapshotStuck has the other node stop at every stage. The sender's host is told in bounded time.
func TestSnapshotStuck(t *testing.T) {
	for _, stage := range []string{"before the welcome", "in the image", "at the end"} {
		t.Run(stage, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hole := newPipes()
				a := startOn(t, 1, newPipes(), func(o *Options) { o.Dial = hole.dial })
				a.only(2, "hole")
				go func() {
					if stage == "before the welcome" {
						_, _ = hole.Accept()
						return
					}
					for {
						c, frames := hole.welcome()
						if c == nil {
							return
						}
						_, _, err := frames.next(kindSnapshot)
						_, _ = c.Write(appendFrame(nil, kindHave, make([]byte, endSize)))
						for stage == "at the end" && err == nil {
							_, _, err = frames.next(kindChunk, kindEnd)
						}
					}
				}()
				began := time.Now()
				var closed atomic.Int64
				a.SendSnapshot(2, to2, opened(random(1_000_000), 100, &closed))
				time.Sleep(2 * (resumeMost + 1) * a.o.SnapshotTimeout)
				if len(a.ends()) != 1 || a.ends()[0].err == nil {
					t.Errorf("after %v: %v", time.Since(began), a.ends())
				}
				_ = a.Close()
				_ = hole.Close()
			})
		})
	}
}

// TestSnapshotSilent has the one image that is received come to a halt, and the clock be set. Another one takes its place when it
// has been silent for a while, whatever the clock says, and not before.
func TestSnapshotSilent(t *testing.T) {
	for _, c := range []struct {
		name    string
		timeout time.Duration
		step    time.Duration
		dead    bool
	}{
		{"set ahead", patience, time.Hour, false},
		{"set back", 10 * time.Millisecond, -time.Hour, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			var step atomic.Int64
			b := start(t, 2, func(o *Options) {
				o.Snapshots, o.Timeout = 1, c.timeout
				o.Now = func() time.Time { return harm.Stepped(time.Now(), time.Duration(step.Load())) }
			})
			// come begins an image for a replica, and returns the answer to the hello.
			come := func(to uint64) kind {
				conn, err := net.Dial("tcp", b.addr)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = conn.Close() })
				_ = conn.SetDeadline(time.Now().Add(patience))
				begun := append(appendHello(nil, hello{clusterA, 1, 2, forSnapshot}), framed(t, kindSnapshot, snap(1, to, 100))...)
				if _, err := conn.Write(begun); err != nil {
					t.Fatal(err)
				}
				frames := &frameReader{r: conn}
				k, body, err := frames.next(kindWelcome, kindRefusal)
				if err == nil && k == kindWelcome {
					_, _, err = frames.next(kindHave)
				}
				if err != nil {
					t.Fatalf("an image for replica %d: %s, %v", to, body, err)
				}
				return k
			}
			if come(2) != kindWelcome {
				t.Fatal("the first is refused")
			}
			step.Store(int64(c.step))
			taken := come(3) == kindWelcome
			for began := time.Now(); c.dead && !taken && time.Since(began) < patience; {
				taken = come(3) == kindWelcome
			}
			if taken != c.dead {
				t.Errorf("its place is taken: %v", taken)
			}
		})
	}
}

// TestSnapshotAcceptedEarly has the other node accept what it has not got.
func TestSnapshotAcceptedEarly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hole := newPipes()
		a := startOn(t, 1, newPipes(), func(o *Options) { o.Dial = hole.dial })
		a.only(2, "hole")
		go func() {
			c, frames := hole.welcome()
			_, _, _ = frames.next(kindSnapshot)
			_, _ = c.Write(appendFrame(nil, kindHave, make([]byte, endSize)))
			_, _ = c.Write(appendFrame(nil, kindAccepted, make([]byte, 32)))
		}()
		var closed atomic.Int64
		a.SendSnapshot(2, to2, opened(random(1_000_000), 100, &closed))
		synctest.Wait()
		if len(a.ends()) != 1 || !strings.Contains(fmt.Sprint(a.ends()[0].err), "accepted before its end") {
			t.Errorf("ended: %v", a.ends())
		}
		_ = a.Close()
		_ = hole.Close()
	})
}

// TestSnapshotRate measures, in the time of the bubble, how long an image takes.
func TestSnapshotRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := piped(t, func(o *Options) { o.SnapshotRate = 100_000 })
		a.only(2, "b")
		began := time.Now()
		var closed atomic.Int64
		a.SendSnapshot(2, to2, opened(random(1_000_000), 100, &closed))
		if err := a.outcome(t, 0); err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took < 9*time.Second || took > 11*time.Second {
			t.Errorf("1 MB at 100 kB a second took %v", took)
		}
		_, _ = a.Close(), b.Close()
	})
}

// TestImageCut cuts an image everywhere: only the whole one is taken for one. What has come of another is gone on with by a second
// connection, from any byte, and the sum is that of the image.
func TestImageCut(t *testing.T) {
	want := random(2000)
	frame := framed(t, kindSnapshot, snap(1, 2, 3))
	body := frame[frameStart:]
	send := func(p *partial, image []byte) []byte {
		client, server := net.Pipe()
		var stream []byte
		done := make(chan struct{})
		go func() {
			defer close(done)
			stream, _ = io.ReadAll(server)
		}()
		var closed atomic.Int64
		_, img, _ := opened(image, 3, &closed)()
		w := &chunkWriter{c: &conn{Conn: client, raw: client, now: time.Now, timeout: patience}, body: body, there: p.size, have: p.have()[8:]}
		if err := w.send(img, func() error { return nil }); err != nil {
			t.Fatal(err)
		}
		_ = client.Close()
		<-done
		return stream
	}
	receive := func(p *partial, stream []byte) error {
		return p.receive(&frameReader{r: bytes.NewReader(stream)}, func() {})
	}
	fresh := func() *partial {
		file, err := os.CreateTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		return newPartial(fileStage{file}, body)
	}
	whole := send(fresh(), want)
	for n := range len(whole) {
		p := fresh()
		if err := receive(p, whole[:n]); err == nil {
			t.Fatalf("%d bytes of %d are a whole image", n, len(whole))
		}
		_ = p.stage.(fileStage).Close()
	}
	other := random(3000)[1000:]
	for n := 0; n <= len(want); n += 1 + n%97 {
		for _, begun := range [][]byte{want, other} { // the same image, and another one at the same moment
			p := fresh()
			if err := receive(p, appendFrame(nil, kindChunk, begun[:n])); err == nil {
				t.Fatal("a piece is a whole image")
			}
			rest := send(p, want)
			if same := n > 0 && &begun[0] == &want[0]; same && len(rest) > len(whole)-n {
				t.Errorf("%d bytes were there, and %d of %d were sent again", n, len(rest), len(whole))
			}
			if err := receive(p, rest); err != nil {
				t.Fatalf("%d bytes were there: %v", n, err)
			}
			if got, err := os.ReadFile(p.stage.(fileStage).Name()); err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%d bytes were there, and %d of %d arrived, %v", n, len(got), len(want), err)
			}
		}
	}
}

// TestSnapshotResumed has every connection break at a random place, and the image, which is made once, get there all the same, with
// little of it sent twice.
func TestSnapshotResumed(t *testing.T) {
	t.Cleanup(func() { noGoroutines(t) })
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))
	a, b := start(t, 1, func(o *Options) { o.Backoff = time.Millisecond }), start(t, 2)
	want := random(6_000_000)
	var connections, passed atomic.Int64
	p := startProxy(t, b.addr, func() int64 {
		n := 300_000 + rng.Int64N(1_000_000)
		connections.Add(1)
		passed.Add(n)
		return n
	})
	a.only(2, p.Addr().String())
	var opens, closed atomic.Int64
	a.SendSnapshot(2, to2, func() (*pb.Message, Image, error) {
		opens.Add(1)
		return opened(want, 100, &closed)()
	})
	if err := a.outcome(t, 0); err != nil {
		t.Fatal(err)
	}
	b.guard.Lock()
	got := b.images[100]
	b.guard.Unlock()
	if got != string(want) {
		t.Errorf("%d bytes of %d arrived, or others", len(got), len(want))
	}
	if connections.Load() < 5 || opens.Load() != 1 || closed.Load() != 1 {
		t.Errorf("%d connections, %d images made, %d closed", connections.Load(), opens.Load(), closed.Load())
	}
	// Of each connection what is no whole piece is lost, with what had not been read when it broke: on a busy machine more than a
	// piece. Of the last one that is what it was not used for.
	if most := 3 * int64(len(want)); passed.Load() > most {
		t.Errorf("%d bytes were sent for an image of %d, on %d connections", passed.Load(), len(want), connections.Load())
	}
}

// TestSnapshotGivenUp has the connections break for good. Who sends is told; what has come is kept for the next image, which is another one of the same
// moment, and removed when nobody asks for it.
func TestSnapshotGivenUp(t *testing.T) {
	t.Cleanup(func() { noGoroutines(t) })
	a, b := start(t, 1, func(o *Options) { o.Backoff = time.Millisecond }), start(t, 2, func(o *Options) { o.SnapshotTimeout = time.Second })
	var limit atomic.Int64
	p := startProxy(t, b.addr, func() int64 { return limit.Swap(0) })
	a.only(2, p.Addr().String())
	var closed atomic.Int64
	parts := func() int {
		b.Transport.mu.Lock()
		defer b.Transport.mu.Unlock()
		return len(b.Transport.mu.partial)
	}
	await := func(what string, cond func() bool) {
		t.Helper()
		for began := time.Now(); !cond(); time.Sleep(time.Millisecond) { // between two looks
			if time.Since(began) > patience {
				t.Fatalf("%s does not happen", what)
			}
		}
	}
	for i, next := range [][]byte{random(3_000_000), random(3_000_001)[1:], nil} {
		if next == nil {
			break
		}
		limit.Store(1_000_000)
		a.SendSnapshot(2, to2, opened(next, 100, &closed))
		if err := a.outcome(t, i); err == nil {
			t.Fatal("it was sent")
		}
		await("that a part is kept", func() bool { return parts() == 1 })
	}
	limit.Store(-1)
	last := random(3_000_002)[2:]
	a.SendSnapshot(2, to2, opened(last, 100, &closed))
	if err := a.outcome(t, 2); err != nil {
		t.Fatal(err)
	}
	b.guard.Lock()
	got := b.images[100]
	b.guard.Unlock()
	if got != string(last) {
		t.Errorf("%d bytes of %d arrived, or others", len(got), len(last))
	}
	limit.Store(1_000_000)
	a.SendSnapshot(2, to2, opened(last, 101, &closed))
	if err := a.outcome(t, 3); err == nil {
		t.Fatal("it was sent")
	}
	await("that a part is kept", func() bool { return parts() == 1 })
	await("that nobody keeps it for ever", func() bool { return parts() == 0 })
	b.empty(t)
}
