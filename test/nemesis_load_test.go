package test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

// nemesisLoad are clients, and what they have seen.
type nemesisLoad struct {
	addrs    []string
	seed     uint64
	began    time.Time
	answered atomic.Int64

	mu         sync.Mutex
	registers  registerHistory
	appends    []*appendTx
	calls, txs int
	near       int // of the transactions
	epochs     int // keys of so many have been used
}

// Clients, and how many keys they use at a time, and for how long: histories that are too long nobody can check.
const (
	nemesisCallers = 6
	nemesisReaders = 3 // by READONLY
	nemesisKeys    = 8
	nemesisEpoch   = 2 * time.Second
)

func newNemesisLoad(c *cluster, seed uint64) *nemesisLoad {
	l := &nemesisLoad{seed: seed, began: time.Now(), registers: registerHistory{}}
	for _, p := range c.nodes {
		l.addrs = append(l.addrs, p.Addr)
	}
	return l
}

// start has clients work until the function that it returns is called, which waits for their end.
func (l *nemesisLoad) start() (end func()) {
	stop := make(chan struct{})
	var all sync.WaitGroup
	for i := range nemesisCallers {
		all.Go(func() { l.work(i, stop, l.call) })
		all.Go(func() { l.work(nemesisCallers+i, stop, l.transact) })
	}
	for i := range nemesisReaders {
		all.Go(func() { l.work(2*nemesisCallers+i, stop, l.lookNear) })
	}
	return sync.OnceFunc(func() { close(stop); all.Wait() })
}

func (l *nemesisLoad) work(id int, stop <-chan struct{}, act func(*nemesisClient)) {
	c := &nemesisClient{id: id, rng: rand.New(rand.NewPCG(l.seed, uint64(id+1))), addrs: l.addrs, conns: make([]*testkit.Client, len(l.addrs)),
		lead: id % len(l.addrs)}
	defer c.close()
	for {
		select {
		case <-stop:
			return
		case <-time.After(time.Duration(c.rng.IntN(int(6 * time.Millisecond)))): // no faster than can be checked
			act(c)
		}
	}
}

// key returns a name of this epoch, or sometimes the one before.
func (l *nemesisLoad) key(c *nemesisClient, kind string) string {
	epoch := int(time.Since(l.began) / nemesisEpoch)
	l.mu.Lock()
	l.epochs = max(l.epochs, epoch+1)
	l.mu.Unlock()
	if epoch > 0 && c.rng.IntN(8) == 0 {
		epoch--
	}
	return nemesisKey(kind, epoch, c.rng.IntN(nemesisKeys))
}

func nemesisKey(kind string, epoch, i int) string { return fmt.Sprintf("%s:%d:%d", kind, epoch, i) }

// call makes one call, of a key that is a string.
func (l *nemesisLoad) call(c *nemesisClient) {
	call := registerCall{key: l.key(c, "string")}
	switch k := c.rng.IntN(20); {
	case k < 9:
		call.command = "GET"
	case k < 12:
		call.command, call.arg = "SET", fmt.Sprint(1+c.rng.IntN(1000))
	case k < 16:
		call.command = "INCR"
	case k < 19:
		call.command, call.arg = "APPEND", fmt.Sprint(1+c.rng.IntN(9))
	default:
		call.command = "DEL"
	}
	called := time.Since(l.began)
	replies, err := c.do(call.command == "GET", call.args())
	returned := time.Since(l.began)
	var reply any
	switch {
	case err != nil:
	case replies[0].Kind != resp.KindError || strings.HasPrefix(replies[0].Str, "ERR value is not an integer") || strings.Contains(replies[0].Str, "would overflow"):
		reply = registerReply(replies[0])
		l.answered.Add(1)
	case refused(replies[0]):
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.registers.add(c.id, call, called, returned, reply)
	if reply != nil {
		l.calls++
	}
}

// refused reports whether a reply says that nothing was and will be done.
func refused(v resp.Value) bool {
	for _, code := range []string{"READONLY ", "TRYAGAIN ", "MOVED ", "EXECABORT ", "MASTERDOWN ", "CLUSTERDOWN "} {
		if strings.HasPrefix(v.Str, code) {
			return v.Kind == resp.KindError
		}
	}
	return false
}

// transact carries out one transaction, of lists.
func (l *nemesisLoad) transact(c *nemesisClient) {
	x := &appendTx{client: c.id}
	onlyReads := c.rng.IntN(3) == 0
	for range 1 + c.rng.IntN(4) {
		a := appendAct{list: l.key(c, "list")}
		if !onlyReads && c.rng.IntN(2) == 0 {
			c.added++
			a.added = fmt.Sprintf("%d.%d", c.id, c.added)
		}
		x.acts = append(x.acts, a)
	}
	onlyReads = !slices.ContainsFunc(x.acts, func(a appendAct) bool { return a.added != "" })
	if !onlyReads && c.rng.IntN(3) == 0 {
		// What is read stands first: that is when it is read.
		slices.SortStableFunc(x.acts, func(a, b appendAct) int { return min(len(a.added), 1) - min(len(b.added), 1) })
		x.watches = x.acts[0].added == ""
	}
	l.transaction(c, x, onlyReads)
}

// commands are those of a transaction. What it reads is read in it, or watched and read before.
func (x *appendTx) commands() (commands [][]string) {
	do := func(acts []appendAct) {
		for _, a := range acts {
			if a.added != "" {
				commands = append(commands, []string{"RPUSH", a.list, a.added})
			} else {
				commands = append(commands, []string{"LRANGE", a.list, "0", "-1"})
			}
		}
	}
	rest := x.acts
	if x.watches {
		reads := slices.IndexFunc(x.acts, func(a appendAct) bool { return a.added != "" })
		watch := []string{"WATCH"}
		for _, a := range x.acts[:reads] {
			watch = append(watch, a.list)
		}
		commands = append(commands, watch)
		do(x.acts[:reads])
		rest = x.acts[reads:]
	}
	commands = append(commands, []string{"MULTI"})
	do(rest)
	return append(commands, []string{"EXEC"})
}

func (l *nemesisLoad) transaction(c *nemesisClient, x *appendTx, onlyReads bool) {
	x.called = time.Since(l.began)
	replies, err := c.do(onlyReads, x.commands()...)
	x.returned, x.at = time.Since(l.began), c.at
	x.outcome = txUnknown
	switch {
	case err != nil:
	case x.watches && replies[len(replies)-1].IsNull():
		x.outcome, x.told = txRefused, "a watched list has changed"
	case x.take(replies):
		x.outcome = txDone
		if x.near == nil {
			l.answered.Add(1)
		}
	case refused(replies[len(replies)-1]):
		x.outcome, x.told = txRefused, replies[len(replies)-1].Str
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.appends = append(l.appends, x)
	if x.outcome == txDone {
		l.txs++
		if x.near != nil {
			l.near++
		}
	}
}

// nemesisStaleness is how old what READONLY clients read may be: what cluster-max-staleness is unless somebody says otherwise.
const nemesisStaleness = time.Second

// lookNear reads lists at one node, for a while, as it has them.
func (l *nemesisLoad) lookNear(c *nemesisClient) {
	if !c.near || c.rng.IntN(100) == 0 {
		c.close()
		c.conns = make([]*testkit.Client, len(c.addrs))
		c.near = true
		c.session++
		c.lead = c.rng.IntN(len(c.addrs))
	}
	x := &appendTx{client: c.id, near: &appendNear{session: fmt.Sprint(c.id, ".", c.session), age: nemesisStaleness}}
	for range 1 + c.rng.IntN(3) {
		x.acts = append(x.acts, appendAct{list: l.key(c, "list")})
	}
	if l.transaction(c, x, false); x.outcome != txDone {
		c.near = false // whoever comes next is another one
	}
}

// take reads the replies, and reports whether each act has one.
func (x *appendTx) take(replies []resp.Value) bool {
	exec := replies[len(replies)-1]
	if exec.Kind != resp.KindArray || len(exec.Elems) > len(x.acts) {
		return false
	}
	told := exec.Elems
	if x.watches {
		if replies[0].Kind == resp.KindError { // nothing was watched
			return false
		}
		told = slices.Concat(replies[1:1+len(x.acts)-len(told)], told)
	}
	if len(told) != len(x.acts) {
		return false
	}
	for i, v := range told {
		switch a := &x.acts[i]; {
		case a.added != "" && v.Kind == resp.KindInt:
			a.size = int(v.Int)
		case a.added == "" && v.Kind == resp.KindArray:
			a.read = []string{}
			for _, e := range v.Elems {
				a.read = append(a.read, e.Str)
			}
		default:
			return false
		}
	}
	return true
}

// finish reads everything at every node.
func (l *nemesisLoad) finish(t *testing.T) {
	for node, addr := range l.addrs {
		c := &nemesisClient{id: 2*nemesisCallers + nemesisReaders + node, rng: rand.New(rand.NewPCG(l.seed, 0)), addrs: []string{addr}, conns: make([]*testkit.Client, 1)}
		x := &appendTx{client: c.id}
		for epoch := range l.epochs {
			for i := range nemesisKeys {
				x.acts = append(x.acts, appendAct{list: nemesisKey("list", epoch, i)})
				get := registerCall{command: "GET", key: nemesisKey("string", epoch, i)}
				called := time.Since(l.began)
				replies, err := c.do(true, get.args())
				if err != nil || replies[0].Kind == resp.KindError {
					t.Fatalf("%v at %s: %v, %v", get, addr, replies, err)
				}
				l.registers.add(c.id, get, called, time.Since(l.began), registerReply(replies[0]))
			}
		}
		if l.transaction(c, x, true); x.outcome != txDone {
			t.Fatalf("the lists cannot be read at %s", addr)
		}
		c.close()
	}
}

// nemesisClient talks to any node when it reads. It writes through one, which need not lead, and goes to another at times, and when it
// is told an error.
type nemesisClient struct {
	id    int
	rng   *rand.Rand
	addrs []string
	conns []*testkit.Client
	lead  int
	at    string // the address that was asked last
	added int

	near    bool // it says READONLY first, and stays at one node
	session int  // which of its connections that is
}

// do sends commands and returns their replies; one, that refuses, if nobody is there. After an error nobody knows what became of them.
func (c *nemesisClient) do(reads bool, commands ...[]string) (replies []resp.Value, err error) {
	if !reads && !c.near && c.rng.IntN(50) == 0 {
		c.lead = c.rng.IntN(len(c.addrs))
	}
	at := c.lead
	if reads {
		at = c.rng.IntN(len(c.addrs))
	}
	c.at = c.addrs[at]
	if c.conns[at] == nil {
		if c.conns[at], err = testkit.Connect(c.addrs[at], 2); err != nil {
			c.conns[at] = nil
			c.lead = c.rng.IntN(len(c.addrs))
			return []resp.Value{{Kind: resp.KindError, Str: "TRYAGAIN nobody is there"}}, nil
		}
		if c.near {
			commands = append([][]string{{"READONLY"}}, commands...)
		}
	}
	conn := c.conns[at]
	defer func() {
		if err != nil {
			_ = conn.Close()
			c.conns[at] = nil
		}
		if !reads && (err != nil || replies[len(replies)-1].Kind == resp.KindError) {
			c.lead = c.rng.IntN(len(c.addrs))
		}
	}()
	for _, command := range commands {
		if err := conn.Send(command...); err != nil {
			return nil, err
		}
	}
	for range commands {
		v, err := conn.Receive()
		if err != nil {
			return nil, err
		}
		replies = append(replies, v)
	}
	return replies, nil
}

func (c *nemesisClient) close() {
	for _, conn := range c.conns {
		if conn != nil {
			_ = conn.Close()
		}
	}
}
