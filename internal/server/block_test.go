package server_test

import (
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// blocked waits until so many clients wait.
func (w *wire) blocked(n int) {
	w.t.Helper()
	eventually(w.t, fmt.Sprintf("%d clients wait", n), func() bool {
		w.send("INFO clients\r\n")
		return strings.Contains(w.bulk(), fmt.Sprintf("\r\nblocked_clients:%d\r\n", n))
	})
}

// clientID asks for the number of the connection.
func (w *wire) clientID() string {
	w.t.Helper()
	w.send("CLIENT ID\r\n")
	line, err := w.r.ReadString('\n')
	if err != nil {
		w.t.Fatal(err)
	}
	return strings.Trim(line, ":\r\n")
}

// Whoever has waited longest is served first, however many elements come at once.
func TestServedInOrder(t *testing.T) {
	const n = 100
	addr := start(t, nil).addr
	other := dial(t, addr)
	waiting := make([]*wire, n)
	for i := range waiting {
		waiting[i] = dial(t, addr)
		call := []string{"BLPOP other%d k 0", "BRPOP k other%d 0", "BLMPOP 0 2 k other%d LEFT", "BLMOVE k to%d LEFT LEFT 0"}[i%4]
		waiting[i].send(fmt.Sprintf(call, i) + "\r\n")
		other.blocked(i + 1)
	}
	expect := func(i, element int) {
		e := fmt.Sprintf("$%d\r\n%d\r\n", len(strconv.Itoa(element)), element)
		waiting[i].expect([]string{"*2\r\n$1\r\nk\r\n" + e, "*2\r\n$1\r\nk\r\n" + e, "*2\r\n$1\r\nk\r\n*1\r\n" + e, e}[i%4])
	}
	other.ask("RPUSH k 0", ":1\r\n")
	expect(0, 0)
	other.send("MULTI\r\nRPUSH k 1\r\nRPUSH k 2\r\nEXEC\r\n")
	other.expect("+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n:2\r\n")
	// The second of these is a BRPOP, but there is one element at a time for each after it.
	waiting[1].expect("*2\r\n$1\r\nk\r\n$1\r\n2\r\n")
	waiting[2].expect("*2\r\n$1\r\nk\r\n*1\r\n$1\r\n1\r\n")
	for i := 3; i < n; i++ {
		other.send(fmt.Sprintf("RPUSH k %d\r\n", i))
		other.expect(":1\r\n")
	}
	for i := 3; i < n; i++ {
		expect(i, i)
	}
	other.blocked(0)
	other.ask("EXISTS k", ":0\r\n")
}

// An element that is moved from list to list passes all who wait, before anything else
// happens.
func TestChainOfMoves(t *testing.T) {
	const n = 50
	addr := start(t, nil).addr
	other := dial(t, addr)
	links := make([]*wire, n)
	for i := range links {
		links[i] = dial(t, addr)
		// In an order that is not that of the chain.
		from := (i * 7) % n
		links[i].send(fmt.Sprintf("BLMOVE l%d l%d LEFT RIGHT 0\r\n", from, from+1))
	}
	other.blocked(n)
	other.send(fmt.Sprintf("RPUSH l0 e\r\nLLEN l%d\r\nEXISTS l0 l1 l25\r\n", n))
	other.expect(":1\r\n:1\r\n:0\r\n")
	for _, w := range links {
		w.expect("$1\r\ne\r\n")
	}
}

// A client that is known to be gone takes nothing.
func TestWhoHasGoneTakesNothing(t *testing.T) {
	addr := start(t, nil).addr
	other := dial(t, addr)
	for name, leave := range map[string]func(w *wire, id string){
		"hangs up": func(w *wire, _ string) { w.Close() },
		"is killed": func(_ *wire, id string) {
			other.ask("CLIENT KILL ID "+id, ":1\r\n")
		},
		"sends garbage and hangs up": func(w *wire, _ string) {
			w.send("*1\r\n$x\r\nPING\r\n")
			w.Close()
		},
		"hangs up within a command": func(w *wire, _ string) {
			w.send("RPUSH other v\r\n*2\r\n$3\r\nGET\r\n$100000\r\nxx")
			w.Close()
		},
	} {
		w := dial(t, addr)
		id := w.clientID()
		w.send("BLPOP k 0\r\n")
		other.blocked(1)
		leave(w, id)
		if name != "is killed" { // whoever killed it knows
			other.blocked(0)
		}
		other.send("RPUSH k v\r\nLLEN k\r\nDEL k\r\nEXISTS other\r\n")
		other.expect(":1\r\n:1\r\n:1\r\n:0\r\n")
		if t.Failed() {
			t.Fatalf("after a client that %s", name)
		}
	}
	other.send("INFO clients\r\n")
	if info := other.bulk(); !strings.Contains(info, "\r\ntotal_blocking_keys:0\r\n") {
		t.Errorf("somebody is still waited for:\n%s", info)
	}
}

func TestClientUnblock(t *testing.T) {
	addr := start(t, nil).addr
	w, other := dial(t, addr), dial(t, addr)
	id := w.clientID()
	other.ask("CLIENT UNBLOCK "+id, ":0\r\n")
	for _, tc := range []struct{ call, how, want string }{
		{"BLPOP k 0", "", "*-1\r\n"},
		{"BLMOVE k l LEFT LEFT 0", " TIMEOUT", "*-1\r\n"},
		{"BZMPOP 0 1 k MIN", " error", "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"},
		{"WAIT 3 0", " timeout", ":0\r\n"},
		{"WAITAOF 1 3 0", "", "*2\r\n:1\r\n:0\r\n"},
		{"WAIT 3 0", " ERROR", "-UNBLOCKED client unblocked via CLIENT UNBLOCK\r\n"},
	} {
		w.send(tc.call + "\r\nPING\r\n")
		other.blocked(1)
		other.ask("CLIENT UNBLOCK "+id+tc.how, ":1\r\n")
		other.ask("CLIENT UNBLOCK "+id+tc.how, ":0\r\n")
		w.expect(tc.want + "+PONG\r\n")
	}
	other.ask("RPUSH k v", ":1\r\n")
	other.ask("LLEN k", ":1\r\n")
	other.send("INFO errorstats\r\n")
	if info := other.bulk(); !strings.Contains(info, "errorstat_UNBLOCKED:count=2\r\n") {
		t.Errorf("want two errors UNBLOCKED in\n%s", info)
	}
}

// What is sent behind a call that waits is kept up to a limit.
func TestTooMuchBehindAWait(t *testing.T) {
	addr := start(t, nil, "client-query-buffer-limit", "1mb").addr
	w, other := dial(t, addr), dial(t, addr)
	set := "*3\r\n$3\r\nSET\r\n$1\r\nk\r\n$100000\r\n" + strings.Repeat("v", 100_000) + "\r\n"
	w.send("BLPOP l 0\r\n" + strings.Repeat(set, 8))
	other.blocked(1)
	other.ask("RPUSH l v", ":1\r\n")
	w.expect("*2\r\n$1\r\nl\r\n$1\r\nv\r\n" + strings.Repeat("+OK\r\n", 8))

	w.send("BLPOP l 0\r\n")
	other.blocked(1)
	_, _ = io.WriteString(w.Conn, strings.Repeat(set, 30))
	w.expectClosed()
	other.blocked(0)
}

// A wait ends once: with the element, or when its time is over.
func TestServedOrTimedOut(t *testing.T) {
	addr := start(t, nil).addr
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	w, other := dial(t, addr), dial(t, addr)
	id := w.clientID()
	served := 0
	const rounds = 400
	for range rounds {
		timeout := 1 + rnd.IntN(3)
		w.send(fmt.Sprintf("BLPOP k 0.00%d\r\n", timeout))
		for range rnd.IntN(40 * timeout) { // about as long as the other waits
			other.ask("PING", "+PONG\r\n")
		}
		if rnd.IntN(4) == 0 {
			other.send("CLIENT UNBLOCK " + id + "\r\n")
			if line, err := other.r.ReadString('\n'); err != nil || line[0] != ':' {
				t.Fatalf("CLIENT UNBLOCK: %q, %v", line, err)
			}
		}
		other.send("RPUSH k v\r\n")
		other.expect(":1\r\n")
		line, err := w.r.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		if line == "*-1\r\n" {
			other.ask("LPOP k", "$1\r\nv\r\n")
			continue
		}
		w.expect("$1\r\nk\r\n$1\r\nv\r\n")
		other.ask("LPOP k", "$-1\r\n")
		served++
	}
	t.Logf("%d of %d rounds were served", served, rounds)
}

// Many push, many wait, in all the ways there are: every element comes out exactly once.
func TestEveryElementOnce(t *testing.T) {
	const producers, consumers, each = 6, 10, 150
	addr := start(t, nil).addr
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	var got sync.Map // element: true
	var total atomic.Int64
	stop := make(chan struct{})
	var all sync.WaitGroup
	for i := range consumers {
		rnd := rand.New(rand.NewPCG(seed, uint64(i)))
		w := dial(t, addr)
		all.Go(func() { consume(w, rnd, stop, &got, &total) })
	}
	for i := range producers {
		rnd := rand.New(rand.NewPCG(seed, uint64(1000+i)))
		w := dial(t, addr)
		all.Go(func() { produce(w, rnd, fmt.Sprintf("p%d", i), each) })
	}
	eventually(t, "every element has come out", func() bool { return total.Load() >= producers*each })
	close(stop)
	all.Wait()
	if n := total.Load(); n != producers*each {
		t.Errorf("%d elements came out, want %d", n, producers*each)
	}
	other := dial(t, addr)
	other.ask("EXISTS a b c z", ":0\r\n")
	other.blocked(0)
}

// produce adds n elements to lists and a sorted set, alone and several at a time.
func produce(w *wire, rnd *rand.Rand, name string, n int) {
	for i := 0; i < n; {
		list := string("abc"[rnd.IntN(3)])
		element := func() string { i++; return fmt.Sprintf("%s-%d", name, i) }
		var call string
		replies := 1
		switch kind := rnd.IntN(6); {
		case kind == 0:
			call = fmt.Sprintf("ZADD z %d %s\r\n", rnd.IntN(5), element())
		case kind == 1 && i+1 < n:
			call = fmt.Sprintf("MULTI\r\nLPUSH %s %s\r\nRPUSH b %s\r\nEXEC\r\n", list, element(), element())
			replies = 6 // lines
		case kind == 2 && i+2 < n:
			call = fmt.Sprintf("RPUSH %s %s %s %s\r\n", list, element(), element(), element())
		default:
			call = fmt.Sprintf("LPUSH %s %s\r\n", list, element())
		}
		w.send(call)
		for range replies {
			if line, err := w.r.ReadString('\n'); err != nil || line[0] == '-' {
				w.t.Errorf("%q: %q, %v", call, line, err)
				return
			}
		}
	}
}

// consume takes elements until it is told to stop, and then until there are none.
func consume(w *wire, rnd *rand.Rand, stop <-chan struct{}, got *sync.Map, total *atomic.Int64) {
	calls := []string{
		"BLPOP a b c 0.05", "BRPOP c b a 0.02", "BLMPOP 0.03 3 b c a LEFT COUNT 3", "BZPOPMIN z 0.01", "BZMPOP 0.02 1 z MAX COUNT 2",
		"BLMOVE a b LEFT RIGHT 0.01", "BRPOPLPUSH b c 0.01",
	}
	for {
		select {
		case <-stop:
			return
		default:
		}
		i := rnd.IntN(len(calls))
		w.send(calls[i] + "\r\n")
		elements, err := w.words()
		if err != nil {
			w.t.Errorf("%s: %v", calls[i], err)
			return
		}
		if i >= 5 {
			continue // the element has moved, and is still there
		}
		for _, e := range elements {
			if !strings.HasPrefix(e, "p") {
				continue // the key, a score
			}
			if _, twice := got.LoadOrStore(e, true); twice {
				w.t.Errorf("%s came out twice", e)
			}
			total.Add(1)
		}
	}
}

// words reads a reply and returns the strings in it.
func (w *wire) words() ([]string, error) {
	line, err := w.r.ReadString('\n')
	if err != nil {
		return nil, err
	}
	n, err := strconv.Atoi(strings.TrimRight(line[1:], "\r\n"))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%q", line)
	case line[0] == '$' && n >= 0:
		b := make([]byte, n+2)
		if _, err := io.ReadFull(w.r, b); err != nil {
			return nil, err
		}
		return []string{string(b[:n])}, nil
	case line[0] == '*':
		var all []string
		for range n {
			more, err := w.words()
			if err != nil {
				return nil, err
			}
			all = append(all, more...)
		}
		return all, nil
	}
	return nil, nil
}

// Who may not make a call any more takes nothing when its turn comes.
func TestPermissionIsLostWhileWaiting(t *testing.T) {
	addr := start(t, nil).addr
	w, other := dial(t, addr), dial(t, addr)
	other.ask("ACL SETUSER worker on nopass +@all allkeys", "+OK\r\n")
	w.ask("AUTH worker x", "+OK\r\n")
	w.send("BLPOP k 0\r\n")
	other.blocked(1)
	other.ask("ACL SETUSER worker resetkeys ~mine", "+OK\r\n")
	other.ask("RPUSH k v", ":1\r\n")
	w.expect("-NOPERM No permissions to access a key\r\n")
	other.ask("LLEN k", ":1\r\n")
	other.send("INFO commandstats\r\n")
	if info := other.bulk(); !strings.Contains(info, "cmdstat_blpop:calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0") {
		t.Errorf("the call is not counted as rejected:\n%s", info)
	}
	other.ask("DEL k", ":1\r\n")
	w.send("BLPOP mine 0\r\n")
	other.blocked(1)
	other.ask("ACL DELUSER worker", ":1\r\n")
	w.expectClosed()
	other.ask("RPUSH mine v", ":1\r\n")
	other.ask("LLEN mine", ":1\r\n")
}
