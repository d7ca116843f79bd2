package server_test

import (
	"fmt"
	"strings"
	"testing"
)

// The figures of CLIENT LIST, of the one who asks and of others in all kinds of states.
func TestClientListFigures(t *testing.T) {
	addr := start(t, nil).addr
	w := dial(t, addr)
	w.send("*2\r\n$6\r\nCLIENT\r\n$4\r\nINFO\r\n")
	line := w.bulk()
	for _, want := range []string{" qbuf=26 qbuf-free=16358 argv-mem=0 multi-mem=0 ", " obl=0 oll=0 omem=0 tot-mem=", " flags=N ", " multi=-1 qbuf="} {
		if !strings.Contains(line, want) {
			t.Errorf("no %q in %s", want, line)
		}
	}
	named := func(name string) *wire {
		v := dial(t, addr)
		v.ask("CLIENT SETNAME "+name, "+OK\r\n")
		return v
	}
	is := func(name, field string, ok func(int) bool) {
		t.Helper()
		eventually(t, name+" has its "+field, func() bool { return ok(figure(w, "name="+name+" ", field)) })
	}
	idle := figure(w, "name= ", "tot-mem")

	half := named("half") // a command that has not arrived whole
	const size = 3_000_000
	half.send(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$%d\r\n%s", 2*size, strings.Repeat("v", size)))
	is("half", "qbuf", func(n int) bool { return n == size+30 })
	is("half", "tot-mem", func(n int) bool { return n > size })
	half.send(strings.Repeat("v", size) + "\r\n")
	half.expect("+OK\r\n")
	half.ask("PING", "+PONG\r\n")
	is("half", "qbuf", func(n int) bool { return n == 0 })
	is("half", "tot-mem", func(n int) bool { return n < 200_000 })

	queued := named("queued")
	queued.ask("MULTI", "+OK\r\n")
	queued.ask("SET k "+strings.Repeat("v", 10_000), "+QUEUED\r\n")
	is("queued", "multi-mem", func(n int) bool { return n > 10_000 && n < 11_000 })
	queued.ask("DISCARD", "+OK\r\n")
	is("queued", "multi-mem", func(n int) bool { return n == 0 })

	waits := named("waits")
	waits.send("BLPOP " + strings.Repeat("k", 5000) + " 0\r\n")
	is("waits", "argv-mem", func(n int) bool { return n == 5000+len("BLPOP0") })

	listens := named("listens")
	is("listens", "tot-mem", func(n int) bool { return n <= idle+1000 })
	listens.send("SUBSCRIBE" + strings.Repeat(" c", 100) + " d\r\n")
	is("listens", "sub", func(n int) bool { return n == 2 })

	stuck := named("stuck") // the store holds one value, and the sockets not much more
	stuck.send(strings.Repeat("GET k\r\n", 4))
	is("stuck", "omem", func(n int) bool { return n > 1_000_000 })
	is("stuck", "oll", func(n int) bool { return n > 0 })
	is("stuck", "tot-mem", func(n int) bool { return n > 1_000_000 })
	w.send("CLIENT LIST\r\n")
	for line := range strings.Lines(w.bulk()) {
		if strings.Contains(line, "name=stuck") && !strings.Contains(line, " events=rw ") {
			t.Errorf("got %s", line)
		}
	}
}

// The largest clients go first, until the rest are within the limit; who has asked for it stays.
func TestMaxMemoryClients(t *testing.T) {
	r := start(t, nil)
	w := dial(t, r.addr)
	w.ask("CLIENT NO-EVICT ON", "+OK\r\n")
	half := func(name string, size int) *wire {
		v := dial(t, r.addr)
		v.ask("CLIENT SETNAME "+name, "+OK\r\n")
		v.send(fmt.Sprintf("*2\r\n$3\r\nGET\r\n$%d\r\n%s", 2*size, strings.Repeat("v", size)))
		eventually(t, name+" has sent it", func() bool { return figure(w, "name="+name+" ", "qbuf") > size })
		return v
	}
	small, large, protected := half("small", 100_000), half("large", 4_000_000), half("protected", 100_000)
	protected.send("x")
	_ = small
	w.ask("CONFIG SET maxmemory-clients 3mb", "+OK\r\n")
	if figure(w, "name=large ", "age") >= 0 && !gone(w, "large") {
		t.Error("the largest was not closed at once")
	}
	if gone(w, "small") {
		t.Error("more were closed than was necessary")
	}
	large.expectClosed()
	w.send("INFO stats\r\n")
	if info := w.bulk(); !strings.Contains(info, "\r\nevicted_clients:1\r\n") {
		t.Errorf("in the figures it looks otherwise:\n%s", info)
	}

	// Whoever grows over the limit is noticed without anybody asking.
	grows := dial(t, r.addr)
	go func() {
		_, _ = fmt.Fprintf(grows.Conn, "*2\r\n$3\r\nGET\r\n$%d\r\n%s", 8_000_000, strings.Repeat("v", 4_000_000))
	}()
	grows.expectClosed()
	if gone(w, "small") {
		t.Error("a small one was closed")
	}

	for set, want := range map[string]string{"0": "0", "7%": "7%", "2gb": "2147483648"} {
		w.ask("CONFIG SET maxmemory-clients "+set, "+OK\r\n")
		if got := w.setting("maxmemory-clients"); got != want {
			t.Errorf("%s is shown as %s", set, got)
		}
	}
	w.ask("CONFIG SET maxmemory-clients 101%", "-ERR CONFIG SET failed (possibly related to argument 'maxmemory-clients') - percentage argument must be less or equal to 100\r\n")
	w.ask("CONFIG SET maxmemory-clients x", "-ERR CONFIG SET failed (possibly related to argument 'maxmemory-clients') - argument must be a memory or percent value\r\n")
}

// gone reports whether a client is closed, or being closed.
func gone(w *wire, name string) bool {
	w.send("CLIENT LIST\r\n")
	for line := range strings.Lines(w.bulk()) {
		if strings.Contains(line, "name="+name+" ") {
			_, rest, _ := strings.Cut(line, " flags=")
			flags, _, _ := strings.Cut(rest, " ")
			return strings.Contains(flags, "A")
		}
	}
	return true
}

// A client that is protected is closed when it gives that up.
func TestNoEvict(t *testing.T) {
	r := start(t, nil)
	w := dial(t, r.addr)
	w.ask("CLIENT NO-EVICT ON", "+OK\r\n")
	v := dial(t, r.addr)
	v.ask("CLIENT NO-EVICT ON", "+OK\r\n")
	w.ask("CONFIG SET maxmemory-clients 1", "+OK\r\n") // 128 kB, in effect
	v.send("MULTI\r\n" + strings.Repeat("SET k "+strings.Repeat("v", 60_000)+"\r\n", 5))
	v.expect("+OK\r\n" + strings.Repeat("+QUEUED\r\n", 5))
	v.ask("DISCARD", "+OK\r\n")
	v.ask("CLIENT NO-EVICT ON", "+OK\r\n")
	v.send("*3\r\n$6\r\nCLIENT\r\n$8\r\nNO-EVICT\r\n$3\r\nOFF\r\n*2\r\n$3\r\nGET\r\n$1000000\r\n" + strings.Repeat("v", 300_000))
	_, _ = v.r.ReadString('\n')
	v.expectClosed()
	w.ask("PING", "+PONG\r\n")
}
