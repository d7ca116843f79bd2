package server_test

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elastickv/elastickv/internal/testkit"
)

// A client that does not come on with its handshake is cut off, and holds up nobody meanwhile.
func TestTLSSlowHandshake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := testkit.NewAuthority(t, "test authority") // of the time in here
		b := newSecureBubble(t, ca.Valid(t, "server"))
		defer b.end()
		silent, half := b.connect(), b.connect()
		go half.Write([]byte{22, 3, 1, 2, 0, 1}) // the head of a record that never comes
		other := tls.Client(b.connect(), ca.Trusting())
		began := time.Now()
		if _, err := io.WriteString(other, "PING\r\n"); err != nil {
			t.Fatal(err)
		}
		reply := make([]byte, 7)
		if _, err := io.ReadFull(other, reply); err != nil || string(reply) != "+PONG\r\n" || time.Since(began) != 0 {
			t.Errorf("got %q, %v after %v", reply, err, time.Since(began))
		}
		for _, conn := range []net.Conn{silent, half} {
			if _, err := io.Copy(io.Discard, conn); err != nil || time.Since(began) != 10*time.Second {
				t.Errorf("the end came after %v: %v", time.Since(began), err)
			}
		}
		if _, err := io.WriteString(other, "PING\r\n"); err != nil {
			t.Error(err)
		}
		if _, err := io.ReadFull(other, reply); err != nil {
			t.Error(err)
		}
	})
}

// Whoever does not speak TLS, or nonsense, is told so at once, in a log that is quiet about it.
func TestTLSHostileClients(t *testing.T) {
	s := startTLS(t)
	steady := s.dial(t)
	for name, sent := range map[string]string{
		"plain":     "PING\r\n",
		"http":      "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
		"garbage":   strings.Repeat("\x16\x03\x01\xff\xff", 20000),
		"alerts":    strings.Repeat("\x15\x03\x01\x00\x02\x01\x00", 1000),
		"no record": strings.Repeat("\x00", 100),
	} {
		w := dial(t, s.addr)
		_, _ = io.WriteString(w.Conn, sent) // which may fail half way
		_, err := io.Copy(io.Discard, w.r)
		if ne := net.Error(nil); errors.As(err, &ne) && ne.Timeout() {
			t.Errorf("%s: the connection was not closed", name)
		}
	}
	steady.ask("PING", "+PONG\r\n")
	eventually(t, "the failures are counted", func() bool { return s.srv.Activity().Handshakes == 5 })
	for line := range strings.Lines(s.log.String()) {
		if strings.Contains(line, "agree on TLS") && !strings.Contains(line, "level=DEBUG") {
			t.Errorf("too loud: %s", line)
		}
	}
}

// Over TLS a client may read late, too: nothing is lost, and nothing is broken afterwards.
func TestTLSSlowReaderGetsEverything(t *testing.T) {
	s := startTLS(t)
	for _, version := range []uint16{tls.VersionTLS12, tls.VersionTLS13} {
		cfg := s.ca.Trusting(s.client)
		cfg.MaxVersion = version
		w := dialTLS(t, s.addr, cfg)
		value := strings.Repeat("v", 10_000)
		w.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10000\r\n" + value + "\r\n")
		w.expect("+OK\r\n")
		const n = 3000 // 30 MB of replies, more than the sockets hold
		w.send(strings.Repeat("GET k\r\n", n))
		other := s.dial(t)
		eventually(t, "replies wait", func() bool { return figure(other, "addr="+w.LocalAddr().String(), "omem") > 0 })
		for range n {
			w.expect("$10000\r\n" + value + "\r\n")
		}
		w.ask("PING", "+PONG\r\n")
	}
}

// figure is a field of the line of CLIENT LIST that has some words in it.
func figure(w *wire, words, name string) int {
	w.t.Helper()
	w.send("CLIENT LIST\r\n")
	for line := range strings.Lines(w.bulk()) {
		if strings.Contains(line, words) {
			_, rest, _ := strings.Cut(line, " "+name+"=")
			var n int
			if _, err := fmt.Sscanf(rest, "%d", &n); err != nil {
				w.t.Fatalf("no %s in %s", name, line)
			}
			return n
		}
	}
	return -1
}

func TestTLSClientThatDoesNotReadIsCutOff(t *testing.T) {
	s := startTLS(t, "client-output-buffer-limit", "normal 4mb 0 0")
	other := s.dial(t)
	value := strings.Repeat("v", 100_000)
	other.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n" + value + "\r\n")
	other.expect("+OK\r\n")
	w := s.dial(t)
	var sending sync.WaitGroup
	sending.Go(func() {
		for range 100_000 {
			if _, err := io.WriteString(w.Conn, "GET k\r\n"); err != nil {
				return // as it should be
			}
		}
	})
	eventually(t, "the client is cut off", func() bool { return s.srv.Activity().OverLimit == 1 })
	w.Close()
	sending.Wait()
	other.ask("GET nosuch", "$-1\r\n")
}

// Messages reach a subscriber that reads late in their order, and CLIENT KILL and a shutdown end
// connections whose clients do not read.
func TestTLSPushesAndEnds(t *testing.T) {
	s := startTLS(t, "shutdown-timeout", "1")
	sub, pub := s.dial(t), s.dial(t)
	sub.ask("SUBSCRIBE c", "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n")
	const n = 400
	message := func(i int) string { return fmt.Sprintf("%06d", i) + strings.Repeat("m", 50_000) }
	for i := range n { // 20 MB
		m := message(i)
		pub.send(fmt.Sprintf("*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$%d\r\n%s\r\n", len(m), m))
		pub.expect(":1\r\n")
	}
	for i := range n {
		m := message(i)
		sub.expect(fmt.Sprintf("*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$%d\r\n%s\r\n", len(m), m))
	}
	sub.ask("PING", "*2\r\n$4\r\npong\r\n$0\r\n\r\n")

	stuck := func() *wire {
		w := s.dial(t)
		w.send("CLIENT SETNAME stuck\r\nSUBSCRIBE c\r\n")
		w.expect("+OK\r\n*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n")
		for figure(pub, "name=stuck", "omem") < 1<<20 {
			m := message(0)
			pub.send(fmt.Sprintf("*3\r\n$7\r\nPUBLISH\r\n$1\r\nc\r\n$%d\r\n%s\r\n", len(m), m))
			if _, err := pub.r.ReadString('\n'); err != nil {
				t.Fatal(err)
			}
		}
		return w
	}
	sub.Close()
	stuck()
	pub.ask("CLIENT KILL TYPE pubsub", ":1\r\n")
	eventually(t, "it is gone", func() bool { return figure(pub, "name=stuck", "age") < 0 })
	stuck()
	s.stop()
	if err := s.end(t); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	pub.expectClosed()
}

// Who is over maxclients is cut off before the handshake.
func TestTLSMaxClients(t *testing.T) {
	s := startTLS(t, "maxclients", "1")
	first := s.dial(t)
	first.ask("PING", "+PONG\r\n")
	if err := agree(s.addr, s.ca.Trusting(s.client)); err == nil {
		t.Error("a second client was let in")
	}
	first.ask("PING", "+PONG\r\n")
}

// halves is a connection that, once it is asked to, sends the first half of what is written and
// keeps the rest for later.
type halves struct {
	net.Conn
	hold bool
	rest []byte
}

func (h *halves) Write(b []byte) (int, error) {
	if !h.hold {
		return h.Conn.Write(b)
	}
	h.rest = append(h.rest, b[len(b)/2:]...)
	_, err := h.Conn.Write(b[:len(b)/2])
	return len(b), err
}

// A command that waits is woken by a read deadline, also in the middle of a record of TLS: what has
// come of it is not lost.
func TestTLSBlocking(t *testing.T) {
	s := startTLS(t)
	other := s.dial(t)
	raw, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	under := &halves{Conn: raw}
	w := wireOn(t, tls.Client(under, s.ca.Trusting(s.client)))
	_ = w.SetDeadline(time.Now().Add(replyWait))
	for n := range 20 {
		w.send("BLPOP k 0\r\n")
		eventually(t, "it waits", func() bool { return s.srv.Activity().Blocked == 1 })
		under.hold = true
		w.send("PING\r\n")
		other.ask(fmt.Sprintf("RPUSH k v%02d", n), ":1\r\n")
		w.expect(fmt.Sprintf("*2\r\n$1\r\nk\r\n$3\r\nv%02d\r\n", n))
		under.hold = false
		if _, err := raw.Write(under.rest); err != nil {
			t.Fatal(err)
		}
		under.rest = nil
		w.expect("+PONG\r\n")
		w.ask("BLPOP k 0.01", "*-1\r\n")
	}
}

// An idle client is closed, and told that nothing was cut off.
func TestTLSIdleClientIsClosed(t *testing.T) {
	s := startTLS(t, "timeout", "1")
	w := s.dial(t)
	w.ask("PING", "+PONG\r\n")
	if _, err := w.r.ReadByte(); err != io.EOF {
		t.Errorf("the end: %v", err)
	}
}
