package server_test

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/internal/testkit"
)

func TestMaxClients(t *testing.T) {
	addr := start(t, nil, "maxclients", "2").addr
	first, second := dial(t, addr), dial(t, addr)
	first.ask("PING", "+PONG\r\n")
	second.ask("PING", "+PONG\r\n")
	third := dial(t, addr)
	third.expect("-ERR max number of clients reached\r\n")
	third.expectClosed()

	// A place that is given up can be taken.
	second.Close()
	eventually(t, "there is room for another client", func() bool {
		w := dial(t, addr)
		w.send("PING\r\n")
		b := make([]byte, 1)
		_, err := w.r.Read(b)
		return err == nil && b[0] == '+'
	})
	first.ask("CONFIG SET maxclients 10", "+OK\r\n")
	dial(t, addr).ask("PING", "+PONG\r\n")
}

// Thousands of connections are open at once, and each is served.
func TestManyConnections(t *testing.T) {
	const n = 3000
	addr := start(t, nil).addr
	open := make([]*wire, n)
	for i := range open {
		open[i] = dial(t, addr)
		open[i].send("INCR n\r\n")
	}
	for i, w := range open {
		if line, err := w.r.ReadString('\n'); err != nil || line[0] != ':' {
			t.Fatalf("connection %d: %q, %v", i, line, err)
		}
	}
	open[0].ask("GET n", fmt.Sprintf("$4\r\n%d\r\n", n))
}

func TestIdleClientIsClosed(t *testing.T) {
	addr := start(t, nil, "timeout", "1").addr
	w := dial(t, addr)
	w.ask("PING", "+PONG\r\n")
	w.expectClosed()
}

// A client may send a long pipeline before it reads the first reply.
func TestSlowReaderGetsEverything(t *testing.T) {
	w := dial(t, start(t, nil).addr)
	value := strings.Repeat("v", 10_000)
	w.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$10000\r\n" + value + "\r\n")
	w.expect("+OK\r\n")
	const n = 5000 // 50 MB of replies, more than the sockets hold
	w.send(strings.Repeat("GET k\r\n", n))
	for range n {
		w.expect("$10000\r\n" + value + "\r\n")
	}
}

// Large values are not copied into replies: whatever becomes of their keys before the client reads, it gets what they were.
func TestLargeRepliesStayAsTheyWere(t *testing.T) {
	w := dial(t, start(t, nil).addr)
	var calls, want strings.Builder
	for i := range 20 {
		before, after := strings.Repeat(string(rune('a'+i)), 300_000+i), strings.Repeat(string(rune('A'+i)), 300_000-i)
		fmt.Fprintf(&calls, "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\nGET k\r\n", len(before), before)
		fmt.Fprintf(&want, "+OK\r\n$%d\r\n%s\r\n", len(before), before)
		fmt.Fprintf(&calls, "MULTI\r\nGET k\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s\r\nGET k\r\nEXEC\r\n", len(after), after)
		fmt.Fprintf(&want, "+OK\r\n+QUEUED\r\n+QUEUED\r\n+QUEUED\r\n*3\r\n$%d\r\n%s\r\n+OK\r\n$%d\r\n%s\r\n", len(before), before, len(after), after)
		calls.WriteString("SETRANGE k 1 x\r\nAPPEND k y\r\n")
		fmt.Fprintf(&want, ":%d\r\n:%d\r\n", len(after), len(after)+1)
	}
	sent := make(chan error, 1)
	go func() {
		_, err := w.Write([]byte(calls.String()))
		sent <- err
	}()
	w.expect(want.String())
	if err := <-sent; err != nil {
		t.Fatal(err)
	}
}

// What a MULTI answers is limited as a whole, and so is what a script does. What had been written stays.
func TestRepliesAreLimited(t *testing.T) {
	addr := startChanged(t, func(s *server.Server) { server.LimitReplies(s, 10_000) })
	c := testkit.Dial(t, addr, 2)
	c.MustDo(t, "SETRANGE", "k", "2999", "v")
	c.MustDo(t, "MULTI")
	for range 100 {
		c.MustDo(t, "GET", "k")
		c.MustDo(t, "INCR", "n")
	}
	v := c.MustDo(t, "EXEC")
	if len(v.Elems) != 200 {
		t.Fatalf("%d replies, want 200", len(v.Elems))
	}
	values, refused := 0, 0
	for i, e := range v.Elems {
		switch {
		case i%2 == 0 && len(e.Str) == 3000:
			values++
		case i%2 == 0 && strings.HasPrefix(e.Str, "ERR reply exceeds maximum allowed size"):
			refused++
		case i%2 == 1 && e.Int != int64(i/2+1) && e.Kind != resp.KindError:
			t.Errorf("reply %d is %.100s", i, e)
		}
	}
	if values != 3 || refused != 97 {
		t.Errorf("%d values and %d errors, want 3 and 97", values, refused)
	}
	for _, script := range []string{
		"local t = {} for i = 1, 4 do t[i] = redis.call('get', KEYS[1]) end return t",
		"return redis.call('mget', KEYS[1], KEYS[1], KEYS[1], KEYS[1])",
	} {
		if v, err := c.Do("EVAL", script, "1", "k"); err != nil || !strings.HasPrefix(v.Str, "ERR reply exceeds maximum allowed size") {
			t.Errorf("%s: %.100s, %v", script, v, err)
		}
	}
	if v := c.MustDo(t, "GET", "k"); len(v.Str) != 3000 { // nothing is left of what was too much
		t.Errorf("got %.100s", v)
	}
}

func TestClientThatDoesNotReadIsCutOff(t *testing.T) {
	r := start(t, nil, "client-output-buffer-limit", "normal 4mb 0 0")
	other := dial(t, r.addr)
	value := strings.Repeat("v", 100_000)
	other.send("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n" + value + "\r\n")
	other.expect("+OK\r\n")

	w := dial(t, r.addr)
	go func() {
		for range 100_000 {
			if _, err := w.Conn.Write([]byte("GET k\r\n")); err != nil {
				return // as it should be
			}
		}
	}()
	eventually(t, "the client is cut off", func() bool {
		other.send("INFO stats\r\n")
		return strings.Contains(other.bulk(), "client_output_buffer_limit_disconnections:1\r\n")
	})
	other.ask("GET nosuch", "$-1\r\n")
	if !strings.Contains(r.log.String(), "does not read") {
		t.Errorf("the log does not tell:\n%s", r.log)
	}
}

// bulk reads a bulk string.
func (w *wire) bulk() string {
	w.t.Helper()
	head, err := w.r.ReadString('\n')
	var n int
	if _, err2 := fmt.Sscanf(head, "$%d", &n); err != nil || err2 != nil {
		w.t.Fatalf("got %q (%v), want a bulk string", head, err)
	}
	var b bytes.Buffer
	for b.Len() < n+2 {
		c, err := w.r.ReadByte()
		if err != nil {
			w.t.Fatal(err)
		}
		b.WriteByte(c)
	}
	return b.String()[:n]
}

func TestTransactionOverTheLimitEndsTheConnection(t *testing.T) {
	addr := start(t, nil, "client-query-buffer-limit", "1mb").addr
	w := dial(t, addr)
	w.ask("MULTI", "+OK\r\n")
	arg := strings.Repeat("v", 600_000)
	set := "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$600000\r\n" + arg + "\r\n"
	w.send(set)
	w.expect("+QUEUED\r\n")
	w.send(set)
	w.expectClosed()
	dial(t, addr).ask("EXISTS k", ":0\r\n")
}

func TestUnauthenticated(t *testing.T) {
	addr := start(t, nil, "requirepass", "secret").addr
	w := dial(t, addr)
	const no = "-NOAUTH Authentication required.\r\n"
	w.ask("GET k", no)
	w.ask("PING", no)
	w.ask("NOSUCH", "-ERR unknown command 'NOSUCH', with args beginning with: \r\n")
	w.ask("MULTI", no)
	w.ask("EXEC", "-EXECABORT Transaction discarded because of: NOAUTH Authentication required.\r\n")
	w.ask("HELLO 3", "-NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol version at the same time\r\n")
	w.ask("AUTH wrong", "-WRONGPASS invalid username-password pair or user is disabled.\r\n")
	w.ask("AUTH nobody secret", "-WRONGPASS invalid username-password pair or user is disabled.\r\n")
	w.ask("GET k", no)
	// Everything in one packet: what follows AUTH is judged after it.
	long := strings.Repeat("x", 20_000)
	w.send("AUTH secret\r\n*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$20000\r\n" + long + "\r\n")
	w.expect("+OK\r\n+OK\r\n")
	w.ask("RESET", "+RESET\r\n")
	w.ask("GET k", no)
	w.ask("AUTH default secret", "+OK\r\n")
	w.ask("STRLEN k", ":20000\r\n")

	for name, bad := range map[string]struct{ send, want string }{
		"length": {"*2\r\n$3\r\nGET\r\n$20000\r\n", "-ERR Protocol error: unauthenticated bulk length\r\n"},
		"count":  {"*11\r\n", "-ERR Protocol error: unauthenticated multibulk length\r\n"},
	} {
		w := dial(t, addr)
		w.send(bad.send)
		w.expect(bad.want)
		w.expectClosed()
		_ = name
	}

	w = dial(t, addr)
	w.send("HELLO 2 AUTH default secret SETNAME me\r\nCLIENT GETNAME\r\n")
	eventually(t, "the name is there", func() bool {
		line, err := w.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		return line == "me\r\n"
	})
}

// Who came in before there was a password stays in.
func TestPasswordSetLater(t *testing.T) {
	addr := start(t, nil).addr
	w := dial(t, addr)
	w.ask("CONFIG SET requirepass s3cret", "+OK\r\n")
	w.ask("GET k", "$-1\r\n")
	v := dial(t, addr)
	v.ask("GET k", "-NOAUTH Authentication required.\r\n")
	v.ask("AUTH s3cret", "+OK\r\n")
	v.ask("GET k", "$-1\r\n")
}

func TestClientsThatKillOthers(t *testing.T) {
	addr := start(t, nil).addr
	a, b := dial(t, addr), dial(t, addr)
	b.ask("PING", "+PONG\r\n")
	a.ask("CLIENT KILL "+b.LocalAddr().String(), "+OK\r\n")
	b.expectClosed()
	a.ask("CLIENT KILL ADDR "+a.LocalAddr().String()+" SKIPME yes", ":0\r\n")
	a.ask("CLIENT KILL ADDR "+a.LocalAddr().String()+" SKIPME no", ":1\r\n")
	a.expectClosed()
}

func TestPauseHoldsWritesBack(t *testing.T) {
	addr := start(t, nil).addr
	a, b := dial(t, addr), dial(t, addr)
	a.ask("CLIENT PAUSE 1000000 WRITE", "+OK\r\n")
	b.send("GET k\r\nSET k 1\r\nGET k\r\n")
	b.expect("$-1\r\n") // what was answered before the pause applies is not held back
	a.ask("GET k", "$-1\r\n")
	a.ask("MULTI", "+OK\r\n")
	a.ask("GET k", "+QUEUED\r\n")
	a.ask("EXEC", "*1\r\n$-1\r\n")
	a.ask("CLIENT UNPAUSE", "+OK\r\n")
	b.expect("+OK\r\n$1\r\n1\r\n")
}

// manyCalls is as many as a client may queue, or name, in these tests.
const manyCalls = 1_000_000 / (testkit.RaceFactor * testkit.RaceFactor)

// TestLongTransaction queues a great many commands: each is carried out, and others are served meanwhile and afterwards.
func TestLongTransaction(t *testing.T) {
	addr := start(t, nil).addr
	c, other := testkit.Dial(t, addr, 2), testkit.Dial(t, addr, 2)
	c.MustDo(t, "MULTI")
	const together = 1000
	for range manyCalls / together {
		for range together {
			if err := c.Send("INCR", "n"); err != nil {
				t.Fatal(err)
			}
		}
		for range together {
			if v, err := c.Receive(); err != nil || v.Str != "QUEUED" {
				t.Fatalf("got %s (%v)", v, err)
			}
		}
	}
	if v := other.MustDo(t, "PING"); v.Str != "PONG" {
		t.Errorf("another client got %s", v)
	}
	v, err := c.Do("EXEC")
	if err != nil || len(v.Elems) != manyCalls || v.Elems[manyCalls-1].Int != manyCalls {
		t.Errorf("EXEC: %d replies (%v), want %d", len(v.Elems), err, manyCalls)
	}
	if v := other.MustDo(t, "GET", "n"); v.Str != strconv.Itoa(manyCalls) {
		t.Errorf("n is %s, want %d", v, manyCalls)
	}
}

// TestManyChannels subscribes to as many channels as a command can name, and leaves them all at once.
func TestManyChannels(t *testing.T) {
	addr := start(t, nil, "client-output-buffer-limit", "pubsub 0 0 0").addr
	c, other := testkit.Dial(t, addr, 2), testkit.Dial(t, addr, 2)
	args := make([]string, manyCalls+1)
	args[0] = "SUBSCRIBE"
	for i := range manyCalls {
		args[1+i] = strconv.Itoa(i)
	}
	confirmed := func(call []string, last int64) {
		t.Helper()
		if err := c.Send(call...); err != nil {
			t.Fatal(err)
		}
		for i := range manyCalls {
			v, err := c.Receive()
			if err != nil || len(v.Elems) != 3 {
				t.Fatalf("confirmation %d is %s (%v)", i, v, err)
			}
			if i == manyCalls-1 && v.Elems[2].Int != last {
				t.Errorf("%d channels are left, want %d", v.Elems[2].Int, last)
			}
		}
	}
	confirmed(args, manyCalls)
	if v := other.MustDo(t, "PUBLISH", "7", "x"); v.Int != 1 {
		t.Errorf("PUBLISH reaches %s, want 1", v)
	}
	if v, err := c.Receive(); err != nil || len(v.Elems) != 3 || v.Elems[2].Str != "x" {
		t.Errorf("heard %s (%v)", v, err)
	}
	confirmed([]string{"UNSUBSCRIBE"}, 0)
	if v := other.MustDo(t, "PUBSUB", "CHANNELS"); len(v.Elems) != 0 {
		t.Errorf("%d channels are left", len(v.Elems))
	}
}
