package test

import (
	"bufio"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

// TestBlockingLikeRedis has many connections block, push and move at random, on a real
// redis-server and on ours, and wants the same connections to wait and to be
// served with the same after each step.
func TestBlockingLikeRedis(t *testing.T) {
	redis, ours := testkit.Redis(t).Addr, testkit.Memory(t)
	seed := uint64(time.Now().UnixNano())
	const histories, steps = 8, 150
	for h := range histories {
		seed := seed + uint64(h)
		rnd := rand.New(rand.NewPCG(seed, 0))
		a, b := newCrowd(t, redis), newCrowd(t, ours)
		var history []string
		for range steps {
			i := rnd.IntN(crowdSize)
			if a.conns[i].waits {
				i = crowdSize - 1 // who never blocks
			}
			calls := randomCalls(rnd, i == crowdSize-1)
			history = append(history, fmt.Sprintf("%d: %s", i, strings.Join(calls, " ; ")))
			want, got := a.step(t, i, calls), b.step(t, i, calls)
			if want != got {
				t.Fatalf("seed %d, after\n%s\nredis:\n%s\nours:\n%s", seed, strings.Join(history, "\n"), want, got)
			}
		}
		a.leave()
		b.leave()
	}
}

const crowdSize = 9 // connections; the last never blocks

// crowd is many connections to one server.
type crowd struct {
	conns []*member
	watch *testkit.Client
}

// member is a connection whose replies are read as they come.
type member struct {
	net.Conn
	id      string
	waits   bool
	replies chan string
}

func newCrowd(t *testing.T, addr string) *crowd {
	t.Helper()
	c := &crowd{watch: testkit.Dial(t, addr, 2)}
	c.watch.MustDo(t, "FLUSHALL")
	for range crowdSize {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		m := &member{Conn: conn, replies: make(chan string, 100)}
		go m.receive()
		m.send(t, "CLIENT ID")
		m.id = strings.TrimPrefix(<-m.replies, "(integer) ")
		c.conns = append(c.conns, m)
	}
	return c
}

func (m *member) send(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(m.Conn, line+"\r\n"); err != nil {
		t.Fatal(err)
	}
}

func (m *member) receive() {
	r := bufio.NewReader(m.Conn)
	for {
		v, err := resp.ReadReply(r)
		if err != nil {
			close(m.replies)
			return
		}
		m.replies <- v.String()
	}
}

func (c *crowd) leave() {
	for _, m := range c.conns {
		m.Close()
	}
}

// step has connection i send calls, and returns who got which reply and who waits then.
func (c *crowd) step(t *testing.T, i int, calls []string) string {
	t.Helper()
	for _, call := range calls {
		c.conns[i].send(t, call)
	}
	var out []string
	for range calls {
		out = append(out, c.settle(t, i))
	}
	for j, m := range c.conns {
		if m.waits && j != i {
			out = append(out, c.settle(t, j))
		}
	}
	return strings.Join(out, "\n")
}

// settle waits until a connection has got its reply or is shown as blocked.
func (c *crowd) settle(t *testing.T, i int) string {
	t.Helper()
	m := c.conns[i]
	for end := time.Now().Add(waitMost); time.Now().Before(end); {
		select {
		case r := <-m.replies:
			m.waits = false
			return fmt.Sprintf("%d gets %s", i, r)
		default:
		}
		if strings.Contains(c.watch.MustDo(t, "CLIENT", "LIST", "ID", m.id).Str, " flags=b ") {
			m.waits = true
			return fmt.Sprintf("%d waits", i)
		}
	}
	t.Fatalf("connection %d neither waits nor gets a reply", i)
	return ""
}

// randomCalls returns a call that may block, or calls that do not. Keys l… are lists only
// and z… sorted sets, so that those who wait for several meet no other type; m and n may
// become anything. Neither a transaction nor a blocked move gives elements to several
// keys that one connection waits for: Redis 7.0 takes from the key that was ready first
// then, 7.2 and we from the one that is named first.
func randomCalls(rnd *rand.Rand, never bool) []string {
	pick := func(from ...string) string { return from[rnd.IntN(len(from))] }
	some := func(from ...string) string {
		n := 1 + rnd.IntN(len(from))
		rnd.Shuffle(n, func(i, j int) { from[i], from[j] = from[j], from[i] })
		return strings.Join(from[:n], " ")
	}
	side := func() string { return pick("LEFT", "RIGHT") }
	list := func() string { return pick("l1", "l2", "l3", "m", "n") }
	e := func() string { return fmt.Sprint(rnd.IntN(1000)) }
	push := func(key string) string {
		return pick("LPUSH ", "RPUSH ") + key + " " + strings.Repeat(e()+" ", 1+rnd.IntN(3))
	}
	if !never && rnd.IntN(3) > 0 {
		keys := some("l1", "l2", "l3")
		return []string{pick(
			pick("BLPOP ", "BRPOP ")+keys+" 0",
			fmt.Sprintf("BLMPOP 0 %d %s %s COUNT %d", strings.Count(keys, " ")+1, keys, side(), 1+rnd.IntN(3)),
			"BLPOP "+pick("m", "n")+" 0",
			fmt.Sprintf("BLMOVE %s %s %s %s 0", list(), pick("m", "n"), side(), side()),
			"BRPOPLPUSH "+list()+" "+pick("m", "n")+" 0",
			pick("BZPOPMIN ", "BZPOPMAX ")+some("z1", "z2")+" 0",
			"BZPOPMIN "+pick("m", "n")+" 0",
			"BZMPOP 0 1 "+pick("z1", "m")+" "+pick("MIN", "MAX")+" COUNT 2",
		)}
	}
	switch rnd.IntN(12) {
	case 0:
		key := list()
		return []string{"MULTI", push(key), push(key), pick("LLEN ", "DEL ", "LPOP ") + key, "EXEC"}
	case 1:
		return []string{"RENAME " + pick("l1", "other") + " " + pick("l2", "l3")}
	case 2:
		return []string{"RPUSH other a b", "COPY other " + pick("l1", "l2") + " REPLACE"}
	case 3:
		return []string{"SET " + pick("m", "n") + " v"}
	case 4:
		return []string{"DEL " + pick("m", "n", "l1", "z1")}
	case 5, 6:
		return []string{fmt.Sprintf("ZADD %s %d a %d b", pick("z1", "z2", "m"), rnd.IntN(5), rnd.IntN(5))}
	case 7:
		return []string{"LMOVE " + list() + " " + list() + " " + side() + " " + side()}
	case 8:
		return []string{pick("LPOP ", "RPOP ") + list(), "ZPOPMIN " + pick("z1", "m")}
	}
	return []string{push(list())}
}
