package test

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

var (
	roundsFlag = flag.Int("rounds", 0, "how often TestKillUnderLoad kills the server; 0: 4, or 2 with -short")
	seedFlag   = flag.Uint64("seed", 0, "seed of the random tests; 0: a new one")
)

// TestKillUnderLoad kills the server with SIGKILL while clients write, starts it again on
// the same folder and accounts for every write: what was acknowledged is there, what
// was not even sent is not, and a transaction is there as a whole or not at all.
func TestKillUnderLoad(t *testing.T) {
	rounds := 4
	if testing.Short() {
		rounds = 2
	}
	if *roundsFlag > 0 {
		rounds = *roundsFlag
	}
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))

	dir := t.TempDir()
	s := testkit.Elastickv(t, dir)
	var accounts []*account
	for i, kind := range accountKinds {
		for j := range 2 {
			accounts = append(accounts, &account{kind: kind, key: fmt.Sprintf("account:%d:%d", i, j)})
		}
	}
	for round := range rounds {
		// Early in the engine's life and late in a run alike.
		quota := int64(1 + rnd.IntN(40)*rnd.IntN(40))
		loadAndKill(t, s, accounts, quota)
		s = testkit.Elastickv(t, dir)
		c := testkit.Dial(t, s.Addr, 2)
		for _, a := range accounts {
			if err := a.settle(c); err != nil {
				t.Errorf("round %d, killed after %d replies: %s: %v", round, quota, a.key, err)
			}
		}
		if t.Failed() {
			t.Fatalf("the server's output:\n%s", s.Log())
		}
	}
}

// loadAndKill has a client write to every account until quota replies have come, and
// returns once the server is gone and every client has noticed.
func loadAndKill(t *testing.T, s *testkit.Server, accounts []*account, quota int64) {
	t.Helper()
	var left atomic.Int64
	left.Store(quota)
	enough := make(chan struct{})
	replied := func() {
		if left.Add(-1) == 0 {
			close(enough)
		}
	}
	var wg sync.WaitGroup
	for _, a := range accounts {
		c, err := testkit.Connect(s.Addr, 2)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		wg.Go(func() {
			if err := a.work(c, replied); err != nil {
				t.Errorf("%s: %v", a.key, err)
			}
		})
	}
	clientsDone := make(chan struct{})
	go func() {
		wg.Wait()
		close(clientsDone)
	}()
	select {
	case <-enough:
	case <-clientsDone: // only after a failure
	}
	s.Kill()
	<-clientsDone
}

// account is a key that one client counts up: its count must lie between the writes that
// were acknowledged and those that were sent.
type account struct {
	kind        accountKind
	key         string
	acked, sent int64
}

// accountKind is a way of counting.
type accountKind struct {
	batch int // writes in one pipeline
	// write is the commands that raise the count to n, of which the last one's reply
	// acknowledges it.
	write func(key string, n int64) [][]string
	// count reads the count and checks that the value is one that these writes make.
	count func(c *testkit.Client, key string) (int64, error)
}

var accountKinds = []accountKind{
	{1, func(key string, n int64) [][]string { return [][]string{{"SET", key, strconv.FormatInt(n, 10)}} }, countString},
	{4, func(key string, n int64) [][]string { return [][]string{{"SET", key, large(n)}} }, countLarge},
	{1, func(key string, n int64) [][]string { return [][]string{{"INCR", key}} }, countString},
	{16, func(key string, n int64) [][]string { return [][]string{{"INCR", key}} }, countString},
	{4, func(key string, n int64) [][]string {
		return [][]string{{"RPUSH", key, strconv.FormatInt(n, 10)}}
	}, countList},
	{4, func(key string, n int64) [][]string {
		return [][]string{{"HSET", key, "f" + strconv.FormatInt(n, 10), "v"}}
	}, countBy("HLEN")},
	{1, func(key string, n int64) [][]string {
		return [][]string{{"ZADD", key, strconv.FormatInt(n, 10), "m" + strconv.FormatInt(n, 10)}}
	}, countBy("ZCARD")},
	{1, func(key string, n int64) [][]string {
		v := strconv.FormatInt(n, 10)
		return [][]string{{"MULTI"}, {"INCR", key}, {"RPUSH", key + ":log", v}, {"SADD", key + ":set", v}, {"EXEC"}}
	}, countTransaction},
}

// work writes until the connection ends.
func (a *account) work(c *testkit.Client, replied func()) error {
	for {
		var cmds [][]string
		for range a.kind.batch {
			a.sent++
			cmds = append(cmds, a.kind.write(a.key, a.sent)...)
		}
		each := len(cmds) / a.kind.batch
		for _, cmd := range cmds {
			if c.Send(cmd...) != nil {
				return nil
			}
		}
		for i := range cmds {
			v, err := c.Receive()
			if err != nil {
				return nil // the server has been killed; settle says whether all is well
			}
			if v.Kind == resp.KindError {
				return fmt.Errorf("%q: %s", cmds[i], v)
			}
			if (i+1)%each == 0 {
				a.acked++
				replied()
			}
		}
	}
}

// settle compares what the server has with the books, and goes on from there.
func (a *account) settle(c *testkit.Client) error {
	n, err := a.kind.count(c, a.key)
	if err != nil {
		return err
	}
	if n < a.acked || n > a.sent {
		return fmt.Errorf("count is %d, but %d writes were acknowledged and %d were sent", n, a.acked, a.sent)
	}
	a.acked, a.sent = n, n
	return nil
}

func countString(c *testkit.Client, key string) (int64, error) {
	v, err := c.Do("GET", key)
	if err != nil || v.IsNull() {
		return 0, err
	}
	return strconv.ParseInt(v.Str, 10, 64)
}

// large is a value of 0.5 to 64 KiB that says n.
func large(n int64) string {
	return strings.Repeat(fmt.Sprintf("%09d", n), 57<<(n%8))
}

func countLarge(c *testkit.Client, key string) (int64, error) {
	v, err := c.Do("GET", key)
	if err != nil || v.IsNull() {
		return 0, err
	}
	n, err := strconv.ParseInt(v.Str[:min(9, len(v.Str))], 10, 64)
	if err == nil && v.Str != large(n) {
		err = fmt.Errorf("a value of %d bytes that begins like number %d and is not it", len(v.Str), n)
	}
	return n, err
}

func countBy(command string) func(c *testkit.Client, key string) (int64, error) {
	return func(c *testkit.Client, key string) (int64, error) {
		v, err := c.Do(command, key)
		if err == nil && v.Kind != resp.KindInt {
			err = fmt.Errorf("%s: %s", command, v)
		}
		return v.Int, err
	}
}

// countList wants the elements 1, 2, 3 …
func countList(c *testkit.Client, key string) (int64, error) {
	v, err := c.Do("LRANGE", key, "0", "-1")
	if err != nil || v.Kind != resp.KindArray {
		return 0, fmt.Errorf("LRANGE: %s, %w", v, err)
	}
	for i, e := range v.Elems {
		if e.Str != strconv.Itoa(i+1) {
			return 0, fmt.Errorf("element %d is %s", i, e)
		}
	}
	return int64(len(v.Elems)), nil
}

// countTransaction wants the three keys that each transaction writes to agree.
func countTransaction(c *testkit.Client, key string) (int64, error) {
	n, err := countString(c, key)
	if err != nil {
		return 0, err
	}
	logged, err := countList(c, key+":log")
	if err != nil {
		return 0, err
	}
	members, err := countBy("SCARD")(c, key+":set")
	if err != nil {
		return 0, err
	}
	if n != logged || n != members {
		return 0, fmt.Errorf("half a transaction: counter %d, list %d, set %d", n, logged, members)
	}
	return n, nil
}
