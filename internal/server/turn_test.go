package server_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/store"
)

// plain hides what connections are made of, so that each gets a goroutine.
type plain struct{ net.Listener }

func (p plain) Accept() (net.Conn, error) {
	conn, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return struct{ net.Conn }{conn}, nil
}

// Connections that a loop watches are answered as those with a goroutine are, byte for byte, however
// pipelines are cut.
func TestTurnsAnswerAsGoroutinesDo(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	servers := []*running{start(t, nil), startOn(t, func(ln net.Listener) net.Listener { return plain{ln} })}
	var wires []*wire
	for _, s := range servers {
		wires = append(wires, dial(t, s.addr), dial(t, s.addr))
	}
	long := strings.Repeat("0123456789", 20_000)
	choices := []func() string{
		func() string { return fmt.Sprintf("SET k%d v%d", rnd.IntN(5), rnd.IntN(100)) },
		func() string { return fmt.Sprintf("GET k%d", rnd.IntN(5)) },
		func() string { return fmt.Sprintf("INCR n%d", rnd.IntN(3)) },
		func() string { return fmt.Sprintf("RPUSH l%d a b c", rnd.IntN(3)) },
		func() string { return fmt.Sprintf("LRANGE l%d 0 5", rnd.IntN(3)) },
		func() string { return fmt.Sprintf("BLPOP l%d 0.01", rnd.IntN(3)) },
		func() string { return "BLPOP nothing 0.001" },
		func() string { return "XREAD BLOCK 1 STREAMS nostream $" },
		func() string { return "MULTI" },
		func() string { return "EXEC" },
		func() string { return "DISCARD" },
		func() string { return "WATCH k1" },
		func() string { return "PING" },
		func() string { return "nonsense" },
		func() string { return "EVAL \"return redis.call('incr', KEYS[1])\" 1 n1" },
		func() string { return "EVAL_RO \"return redis.call('get', KEYS[1])\" 1 n1" },
		func() string { return "CLIENT REPLY SKIP" },
		func() string { return fmt.Sprintf("SELECT %d", rnd.IntN(2)) },
		func() string { return "SUBSCRIBE ch" },
		func() string { return "PUBLISH ch hello" },
		func() string { return "UNSUBSCRIBE ch" },
		func() string { return "RESET" },
		func() string { return fmt.Sprintf("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n%s", len(long), long) },
		func() string { return "GET big" },
		func() string { return "DBSIZE" },
		func() string { return "SCARD k1" },
	}
	for round := range 60 {
		var pipeline bytes.Buffer
		for range 1 + rnd.IntN(30) {
			pipeline.WriteString(choices[rnd.IntN(len(choices))]() + "\r\n")
		}
		pipeline.WriteString("RESET\r\nFLUSHALL\r\nECHO end" + fmt.Sprint(round) + "\r\n")
		end := fmt.Appendf(nil, "$%d\r\nend%d\r\n", len(fmt.Sprint(round))+3, round)
		sent := pipeline.Bytes()
		cut := rnd.IntN(len(sent))
		var replies [2][]byte
		for i := range servers {
			w := wires[2*i]
			go func() { // a server that answers while it is spoken to is to be heard
				_, _ = w.Conn.Write(sent[:cut])
				_, _ = w.Conn.Write(sent[cut:])
			}()
			_ = w.SetReadDeadline(time.Now().Add(replyWait))
			for !bytes.HasSuffix(replies[i], end) {
				b, err := w.r.ReadByte()
				if err != nil {
					t.Fatalf("round %d: %v after %.200q, of %.2000q", round, err, replies[i], sent)
				}
				replies[i] = append(replies[i], b)
			}
		}
		if !bytes.Equal(replies[0], replies[1]) {
			t.Fatalf("round %d: %.5000q\nis answered by a loop with\n%.5000q\nand by a goroutine with\n%.5000q", round, sent, replies[0], replies[1])
		}
	}
}

// Whoever waits in one way or another does not hold up the others of the loop.
func TestLoopIsNotHeldUp(t *testing.T) {
	addr := start(t, nil).addr
	w := dial(t, addr)
	waiting := dial(t, addr)
	waiting.send("BLPOP nothing 0\r\n")
	deaf := dial(t, addr) // asks for much and does not read
	w.send(fmt.Sprintf("*3\r\n$3\r\nSET\r\n$3\r\nbig\r\n$%d\r\n%s\r\n", 1<<20, strings.Repeat("x", 1<<20)))
	w.expect("+OK\r\n")
	deaf.send(strings.Repeat("GET big\r\n", 50))
	half := dial(t, addr)
	half.send("*2\r\n$3\r\nGET\r\n$4\r\nhal")
	for i := range 100 {
		w.ask(fmt.Sprintf("SET k %d", i), "+OK\r\n")
		w.ask("GET k", fmt.Sprintf("$%d\r\n%d\r\n", len(fmt.Sprint(i)), i))
	}
	half.send("f\r\n")
	half.expect("$-1\r\n")
	w.ask("RPUSH nothing x", ":1\r\n")
	waiting.expect("*2\r\n$7\r\nnothing\r\n$1\r\nx\r\n")
}

// While the writes of a loop wait for a disk that is slow, others are answered, and what they write comes next.
func TestSlowSyncDoesNotHoldUpTheLoop(t *testing.T) {
	e := newGated(t)
	addr := start(t, e).addr
	defer e.open()
	var writers []*wire
	for i := range 4 {
		w := dial(t, addr)
		w.send(fmt.Sprintf("SET k%d %d\r\n", i, i))
		writers = append(writers, w)
		if i == 0 {
			<-e.waiting
		}
	}
	for range 2 {
		r := dial(t, addr)
		r.ask("PING", "+PONG\r\n")
		r.ask("GET other", "$-1\r\n")
	}
	e.open()
	for i, w := range writers {
		w.expect("+OK\r\n")
		w.ask(fmt.Sprintf("GET k%d", i), fmt.Sprintf("$1\r\n%d\r\n", i))
		w.ask(fmt.Sprintf("SET k%d again", i), "+OK\r\n")
	}
}

// coldEngine reads one row as from a slow disk: its time is counted, and later the read waits until it is let go.
type coldEngine struct {
	store.Engine
	took  atomic.Int64
	waits atomic.Bool
	begun chan struct{}
	letGo chan struct{}
}

func (e *coldEngine) VersionAt(ctx context.Context, key []byte, ts uint64) (store.VersionedValue, bool, error) {
	if bytes.Contains(key, []byte("cold")) {
		e.took.Add(int64(10 * time.Millisecond))
		if e.waits.Load() {
			e.begun <- struct{}{}
			<-e.letGo
		}
	}
	return e.Engine.VersionAt(ctx, key, ts)
}

func (e *coldEngine) ReadWaits() time.Duration { return time.Duration(e.took.Load()) }

// Once a read has waited for the disk, others that do the same hold up nobody.
func TestColdReadsDoNotHoldUpTheLoop(t *testing.T) {
	e := &coldEngine{Engine: store.NewMVCCStore().(store.Engine), begun: make(chan struct{}, 100), letGo: make(chan struct{})}
	epoch := time.Now() // and it stays that
	addr := serveAt(t, e, func() time.Time { return epoch }, server.NewConfig(), anyPort(t)).addr
	var slow []*wire
	for range 8 {
		slow = append(slow, dial(t, addr))
	}
	w := dial(t, addr)
	slow[0].ask("GET cold", "$-1\r\n")
	e.waits.Store(true)
	for _, s := range slow {
		s.send("GET cold\r\n")
		<-e.begun
	}
	w.ask("PING", "+PONG\r\n")
	close(e.letGo)
	for _, s := range slow {
		s.expect("$-1\r\n")
	}
}

// meetingEngine notices when two reads are under way at once.
type meetingEngine struct {
	store.Engine
	under atomic.Int64
	met   atomic.Bool
}

func (e *meetingEngine) VersionAt(ctx context.Context, key []byte, ts uint64) (store.VersionedValue, bool, error) {
	if bytes.Contains(key, []byte("none")) { // only readers ask for that
		if e.under.Add(1) > 1 {
			e.met.Store(true)
		}
		runtime.Gosched()
		defer e.under.Add(-1)
	}
	return e.Engine.VersionAt(ctx, key, ts)
}

// Two processors answer those who only read, each of them in the order of its commands.
func TestRoundsOfReadsAreShared(t *testing.T) {
	if runtime.GOMAXPROCS(0) < 2 {
		t.Skip("there is one processor")
	}
	e := &meetingEngine{Engine: store.NewMVCCStore().(store.Engine)}
	addr := serveAt(t, e, time.Now, server.NewConfig(), anyPort(t)).addr
	var all sync.WaitGroup
	for i := range 48 {
		w := dial(t, addr)
		w.ask(fmt.Sprintf("SET own%d %05d", i, i), "+OK\r\n")
		all.Go(func() {
			ask, want := fmt.Sprintf("GET own%d\r\nGET none\r\nGET own%d\r\n", i, i), fmt.Sprintf("$5\r\n%05d\r\n$-1\r\n$5\r\n%05d\r\n", i, i)
			got := make([]byte, len(want))
			for n := 0; n < 200 || n < 20_000 && !e.met.Load(); n++ {
				_, err := io.WriteString(w.Conn, ask)
				if err == nil {
					_, err = io.ReadFull(w.Conn, got)
				}
				if err != nil || string(got) != want {
					t.Errorf("%q is answered by %q, want %q: %v", ask, got, want, err)
					return
				}
			}
		})
	}
	all.Wait()
	if !e.met.Load() {
		t.Error("no two reads were under way at once")
	}
}

// hookedEngine calls a function whenever a row is read.
type hookedEngine struct {
	store.Engine
	reads func(key []byte)
}

func (e *hookedEngine) VersionAt(ctx context.Context, key []byte, ts uint64) (store.VersionedValue, bool, error) {
	e.reads(key)
	return e.Engine.VersionAt(ctx, key, ts)
}

// Turns of one round are answered together, but nobody's reply waits for long for those behind.
func TestRepliesDoNotWaitForLong(t *testing.T) {
	var ahead atomic.Int64 // of the server's clock
	now := func() time.Time { return time.Now().Add(time.Duration(ahead.Load())) }
	holding, letGo, answered := make(chan struct{}), make(chan struct{}), make(chan struct{})
	e := &hookedEngine{Engine: store.NewMVCCStore().(store.Engine), reads: func(key []byte) {
		switch {
		case bytes.Contains(key, []byte("hold")):
			close(holding)
			<-letGo
		case bytes.Contains(key, []byte("slow")):
			ahead.Add(int64(time.Second))
		case bytes.Contains(key, []byte("last")):
			select {
			case <-answered:
			case <-time.After(replyWait / 2):
				t.Error("the first reply waits for the last")
			}
		}
	}}
	addr := serveAt(t, e, now, server.NewConfig(), anyPort(t)).addr
	var all []*wire
	for range 4 {
		w := dial(t, addr)
		w.ask("PING", "+PONG\r\n")
		all = append(all, w)
	}
	for i, key := range []string{"hold", "first", "slow", "last"} {
		if all[i].send("GET " + key + "\r\n"); key == "hold" {
			<-holding // the others find the loop busy, and so arrive for one round
		}
	}
	close(letGo)
	all[1].expect("$-1\r\n")
	close(answered)
	for _, w := range []*wire{all[0], all[2], all[3]} {
		w.expect("$-1\r\n")
	}
}

// Connections that come and go, and are cut off, leave nothing behind.
func TestTurnsOfManyConnections(t *testing.T) {
	addr := start(t, nil).addr
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			for n := range 30 {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					t.Error(err)
					return
				}
				_ = conn.SetDeadline(time.Now().Add(replyWait))
				fmt.Fprintf(conn, "CLIENT SETNAME c%d\r\nINCR n\r\nGET n\r\n", i)
				switch n % 3 {
				case 0:
					fmt.Fprintf(conn, "QUIT\r\n")
					if _, err := io.ReadAll(conn); err != nil {
						t.Error(err)
					}
				case 1:
					if _, err := io.ReadFull(conn, make([]byte, len("+OK\r\n:"))); err != nil {
						t.Error(err)
					}
				}
				conn.Close()
			}
		})
	}
	all.Wait()
	w := dial(t, addr)
	eventually(t, "only one client is left", func() bool {
		w.send("INFO clients\r\n")
		return strings.Contains(w.bulk(), "connected_clients:1\r\n")
	})
}
