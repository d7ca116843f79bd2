//go:build linux

package netpoll

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
	"time"
)

// world is a Poller in a test, with a goroutine that takes what rests no more.
type world struct {
	t      *testing.T
	p      *Poller
	ready  chan *Conn // from Wait
	woken  chan *Conn
	listen net.Listener
}

func newWorld(t *testing.T) *world {
	t.Helper()
	p, err := New(time.Now)
	if err != nil {
		t.Fatal(err)
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, p: p, ready: make(chan *Conn, 100), woken: make(chan *Conn, 100), listen: ln}
	ended := make(chan error)
	go func() {
		for {
			some, err := p.Wait(nil)
			if err != nil {
				ended <- err
				return
			}
			for _, c := range some {
				w.ready <- c
			}
		}
	}()
	t.Cleanup(func() {
		ln.Close()
		p.Close()
		if err := <-ended; !errors.Is(err, net.ErrClosed) {
			t.Errorf("Wait: got %v, want %v", err, net.ErrClosed)
		}
	})
	return w
}

// dial returns both ends of a connection.
func (w *world) dial() (peer net.Conn, c *Conn) {
	w.t.Helper()
	peer, err := net.Dial("tcp", w.listen.Addr().String())
	if err != nil {
		w.t.Fatal(err)
	}
	accepted, err := w.listen.Accept()
	if err != nil {
		w.t.Fatal(err)
	}
	if c, err = w.p.Adopt(accepted.(*net.TCPConn), func(c *Conn) { w.woken <- c }); err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { peer.Close(); c.Close() })
	return peer, c
}

// rest puts c to rest when it has been read empty.
func (w *world) rest(c *Conn) {
	w.t.Helper()
	for !c.Rest() {
		if n, err := c.ReadNow(make([]byte, 10)); err != ErrWouldBlock {
			w.t.Fatalf("ReadNow: got %d, %v", n, err)
		}
	}
}

func (w *world) write(peer net.Conn, s string) {
	w.t.Helper()
	if _, err := io.WriteString(peer, s); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) took(from chan *Conn, c *Conn) {
	w.t.Helper()
	if got := <-from; got != c {
		w.t.Fatalf("got %p, want %p", got, c)
	}
}

func TestWait(t *testing.T) {
	w := newWorld(t)
	peer, c := w.dial()
	other, d := w.dial()
	w.rest(c)
	w.rest(d)
	for _, s := range []string{"a", "bc"} {
		w.write(peer, s)
		w.took(w.ready, c)
		b := make([]byte, 2)
		if n, err := c.ReadNow(b); string(b[:n]) != s || err != nil {
			t.Fatalf("ReadNow: got %q, %v; want %q", b[:n], err, s)
		}
		w.rest(c)
	}
	// What arrives while a connection does not rest is found by Rest, or by a Read that waits.
	w.write(other, "x")
	w.took(w.ready, d)
	w.write(other, "yz")
	if got, err := io.ReadAll(io.LimitReader(d, 3)); string(got) != "xyz" || err != nil {
		t.Fatalf("got %q, %v", got, err)
	}
	w.rest(d)
	other.Close()
	w.took(w.ready, d)
	if _, err := d.ReadNow(make([]byte, 1)); err != io.EOF {
		t.Fatalf("after the peer has closed: got %v, want %v", err, io.EOF)
	}
	if d.Rest() {
		t.Fatal("a connection at its end rests")
	}
}

// A last word and the end that follows it are both found, however they are read.
func TestLastWord(t *testing.T) {
	w := newWorld(t)
	for range 200 {
		peer, c := w.dial()
		w.rest(c)
		w.write(peer, "bye")
		peer.Close()
		w.took(w.ready, c)
		var got []byte
		for {
			b := make([]byte, 64)
			n, err := c.ReadNow(b)
			got = append(got, b[:n]...)
			if err == io.EOF {
				break
			}
			if err == ErrWouldBlock && c.Rest() {
				w.took(w.ready, c)
			} else if err != nil && err != ErrWouldBlock {
				t.Fatal(err)
			}
		}
		if string(got) != "bye" {
			t.Fatalf("got %q", got)
		}
		c.Close()
	}
}

func TestClose(t *testing.T) {
	w := newWorld(t)
	peer, resting := w.dial()
	w.rest(resting)
	resting.Close()
	select { // the system may tell first
	case c := <-w.woken:
		w.check(c, resting)
	case c := <-w.ready:
		w.check(c, resting)
	}
	if _, err := peer.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the peer: got %v, want %v", err, io.EOF)
	}
	if _, err := resting.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Read: got %v, want %v", err, net.ErrClosed)
	}
	if _, err := resting.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Write: got %v, want %v", err, net.ErrClosed)
	}
	if resting.Rest() {
		t.Error("a closed connection rests")
	}
	if err := resting.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Close again: got %v, want %v", err, net.ErrClosed)
	}

	_, waiting := w.dial()
	failed := make(chan error)
	go func() {
		_, err := waiting.Read(make([]byte, 1))
		failed <- err
	}()
	waiting.Close()
	if err := <-failed; err == nil {
		t.Error("Read has read something of a connection that was closed")
	}
}

func (w *world) check(got, want *Conn) {
	w.t.Helper()
	if got != want {
		w.t.Fatalf("got %p, want %p", got, want)
	}
}

func TestDeadlines(t *testing.T) {
	w := newWorld(t)
	_, c := w.dial()
	w.rest(c)
	for _, when := range []time.Time{time.Now().Add(time.Millisecond), time.Unix(1, 0)} {
		c.SetReadDeadline(when)
		w.took(w.woken, c)
		if !c.Expired() {
			t.Fatal("it was not the deadline")
		}
		if _, err := c.ReadNow(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("ReadNow: got %v", err)
		}
		if _, err := c.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("Read: got %v", err)
		}
		if c.Rest() {
			t.Fatal("it rests after its deadline")
		}
		c.SetReadDeadline(time.Time{})
		w.rest(c)
	}
	c.SetReadDeadline(time.Now().Add(time.Hour))
	c.SetReadDeadline(time.Now().Add(time.Millisecond)) // the last one counts
	w.took(w.woken, c)
	c.SetWriteDeadline(time.Unix(1, 0))
	if _, err := c.Write([]byte("x")); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Write: got %v", err)
	}
}

// A peer that does not read makes WriteNow give up and Write wait.
func TestWrite(t *testing.T) {
	w := newWorld(t)
	peer, c := w.dial()
	big := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	n, err := c.WriteNow(big)
	if err != ErrWouldBlock || n == 0 || n == len(big) {
		t.Fatalf("WriteNow: got %d of %d, %v", n, len(big), err)
	}
	c.SetWriteDeadline(time.Now().Add(time.Millisecond))
	more, err := c.Write(big[n:])
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("Write: got %d, %v", more, err)
	}
	n += more
	c.SetWriteDeadline(time.Time{})
	written := make(chan error)
	go func() {
		_, err := c.Write(big[n:])
		written <- err
	}()
	got := make([]byte, len(big))
	if _, err := io.ReadFull(peer, got); err != nil || !bytes.Equal(got, big) {
		t.Fatalf("what the peer has read is not what was written (%v)", err)
	}
	if err := <-written; err != nil {
		t.Fatal(err)
	}
}

// Descriptors stand for one connection after the other; nobody hears of another's.
func TestManyConnections(t *testing.T) {
	w := newWorld(t)
	for range 300 {
		peer, c := w.dial()
		w.rest(c)
		w.write(peer, "hello")
		w.took(w.ready, c)
		b := make([]byte, 10)
		if n, err := c.ReadNow(b); string(b[:n]) != "hello" {
			t.Fatalf("got %q, %v", b[:n], err)
		}
		go c.Close()
		peer.Close()
	}
}
