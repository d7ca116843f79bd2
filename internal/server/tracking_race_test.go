package server_test

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/resp"
)

// cacher is a client that keeps what it has read until it is told to forget it.
type cacher struct {
	net.Conn
	r     *bufio.Reader
	rnd   *rand.Rand
	cache map[string]string
}

// raceKeys is how many keys there are: few, so that everybody meets.
const raceKeys = 5

func (c *cacher) key() string { return fmt.Sprintf("k%d", c.rnd.IntN(raceKeys)) }

// next returns the next reply. What it is told before that it does.
func (c *cacher) next() (resp.Value, error) {
	for {
		v, err := resp.ReadReply(c.r)
		if err != nil || v.Kind != resp.KindPush {
			return v, err
		}
		if len(v.Elems) != 2 || v.Elems[0].Str != "invalidate" {
			return v, fmt.Errorf("unexpected push %s", v)
		}
		if v.Elems[1].IsNull() {
			clear(c.cache)
		}
		for _, k := range v.Elems[1].Elems {
			delete(c.cache, k.Str)
		}
	}
}

func (c *cacher) keep(key string, v resp.Value) {
	c.cache[key] = v.Str
	if v.IsNull() {
		c.cache[key] = "(nil)"
	}
}

// read sends something that reads, and keeps what comes.
func (c *cacher) read() error {
	a, b := c.key(), c.key()
	shape := c.rnd.IntN(5)
	send := map[int]string{
		0: "GET " + a + "\r\n",
		1: "MGET " + a + " " + b + "\r\n",
		2: "GET " + a + "\r\nINCR mine\r\nGET " + b + "\r\n",
		3: "MULTI\r\nGET " + a + "\r\nGET " + b + "\r\nEXEC\r\n",
		4: "INCR " + a + "\r\nGET " + a + "\r\n",
	}[shape]
	if _, err := c.Write([]byte(send)); err != nil {
		return err
	}
	for range strings.Count(send, "\r\n") - 1 {
		v, err := c.next()
		if err != nil {
			return err
		}
		if shape == 2 && v.Kind == resp.KindBulk || shape == 2 && v.IsNull() {
			c.keep(a, v)
		}
	}
	v, err := c.next()
	if err != nil {
		return err
	}
	switch shape {
	case 0, 4:
		c.keep(a, v)
	case 2:
		c.keep(b, v)
	default:
		c.keep(a, v.Elems[0])
		c.keep(b, v.Elems[1])
	}
	return nil
}

// However reads and writes interleave, nobody keeps a value that has changed: when all is quiet, what
// clients have kept is what the server has.
func TestCachesStayTrue(t *testing.T) {
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d (how clients interleave it cannot decide)", seed)
	for _, mode := range []string{"", " NOLOOP", " BCAST", " OPTOUT"} {
		t.Run("CLIENT TRACKING on"+mode, func(t *testing.T) {
			addr := start(t, nil, "tracking-table-max-keys", "3").addr // so that some are given up
			cachers := make([]*cacher, 4)
			for i := range cachers {
				w := dial(t, addr)
				w.hello()
				w.ask("CLIENT TRACKING on"+mode, "+OK\r\n")
				cachers[i] = &cacher{w.Conn, w.r, rand.New(rand.NewPCG(seed, uint64(i))), make(map[string]string)}
			}
			var all, writers sync.WaitGroup
			for i := range 2 {
				w, rnd := dial(t, addr), rand.New(rand.NewPCG(seed, uint64(100+i)))
				writers.Go(func() { raceWrites(t, w, rnd) })
			}
			for _, c := range cachers {
				all.Go(func() {
					for range 400 {
						if err := c.read(); err != nil {
							t.Errorf("read: %v", err)
							return
						}
					}
				})
			}
			all.Wait()
			writers.Wait()
			truth := dial(t, addr)
			eventually(t, "no key is about to expire", func() bool {
				for i := range raceKeys {
					truth.send(fmt.Sprintf("PTTL k%d\r\n", i)) // who asks for an expired key sees to it that it goes
					if v, err := resp.ReadReply(truth.r); err != nil || v.Int >= 0 {
						return false
					}
				}
				return true
			})
			for i, c := range cachers {
				if _, err := c.Write([]byte("PING\r\n")); err != nil {
					t.Fatal(err)
				}
				if _, err := c.next(); err != nil { // and with it all that it was told before
					t.Fatal(err)
				}
				for k, v := range c.cache {
					truth.send("GET " + k + "\r\n")
					want, err := resp.ReadReply(truth.r)
					if err != nil {
						t.Fatal(err)
					}
					if got := want.Str; got != v && !(want.IsNull() && v == "(nil)") {
						t.Errorf("client %d has kept %s for %s, the server has %s", i, v, k, got)
					}
				}
			}
		})
	}
}

// raceWrites changes keys in every way.
func raceWrites(t *testing.T, w *wire, rnd *rand.Rand) {
	for range 300 {
		k := fmt.Sprintf("k%d", rnd.IntN(raceKeys))
		line := []string{"INCR " + k, "DEL " + k, "SET " + k + " 7 PX 1", "SET " + k + " 8", "FLUSHDB"}[min(rnd.IntN(40)/9, 4)]
		if _, err := w.Write([]byte(line + "\r\n")); err != nil {
			t.Errorf("write: %v", err)
			return
		}
		if _, err := resp.ReadReply(w.r); err != nil {
			t.Errorf("write: %v", err)
			return
		}
	}
}
