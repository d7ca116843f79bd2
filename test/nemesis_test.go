package test

import (
	"bytes"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

var nemesisTimeFlag = flag.Duration("nemesis.time", 0, "for how long TestNemesis does harm; 0: not at all")

// Nodes are killed and stopped, their network is cut, held up and slow, their disk is full, and all that at once, while clients
// write and read. Every history of a key is linearizable, all transactions together are strictly serializable, what was
// acknowledged is there in the end, and all nodes have the same rows.
func TestNemesis(t *testing.T) {
	took := *nemesisTimeFlag
	if took <= 0 {
		t.Skip("part of make nightly: -nemesis.time 30m")
	}
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", seed)
	n := &nemesis{t: t, rng: rand.New(rand.NewPCG(seed, 0)), counts: map[string]int{}}
	n.c, n.net = startInNetwork(t, 3, n.limitDisk)
	load := newNemesisLoad(n.c, seed)
	end := load.start()
	defer end()
	for began := time.Now(); time.Since(began) < took; {
		n.round(load)
	}
	end()
	load.finish(t)
	t.Logf("%d calls and %d transactions were answered; %v", load.calls, load.txs, n.counts)
	if err := load.registers.check(clusterPatience); err != nil {
		t.Error(err)
	}
	if err := checkAppends(load.appends); err != nil {
		t.Error(err)
	}
	n.c.equal()
}

// nemesis does harm to a cluster.
type nemesis struct {
	t      *testing.T
	c      *cluster
	net    *network
	rng    *rand.Rand
	disk   string // a folder of the last node's own disk, "" if it has none
	paused []*peer
	down   []*peer
	counts map[string]int
}

// diskBytes is how large the disk of the last node is. The engine reserves most of that for itself.
const diskBytes = 512 << 20

// limitDisk puts the data of the last node onto a small disk, if this machine lets us.
func (n *nemesis) limitDisk(p *peer) {
	if p.id != 3 {
		return
	}
	dir, err := mountDisk(n.t, diskBytes)
	if err != nil {
		n.t.Logf("no disk becomes full in this run: %v", err)
		return
	}
	n.disk, p.dir = dir, filepath.Join(dir, "data")
}

// mountDisk returns a folder that is a disk of its own, until t ends.
func mountDisk(t testing.TB, bytes int) (dir string, err error) {
	dir = t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", fmt.Sprint("size=", bytes), "tmpfs", dir).CombinedOutput(); err != nil {
		return "", fmt.Errorf("mount: %w: %s", err, out)
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount %s: %v: %s", dir, err, out)
		}
	})
	return dir, nil
}

// fillDisk leaves nothing free on the disk that a folder is on, until the file that it returns is removed.
func fillDisk(t testing.TB, dir string) (file string) {
	t.Helper()
	f, err := os.Create(filepath.Join(dir, "ballast"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, piece := range []int{1 << 20, 4 << 10} {
		for total := 0; ; total += piece {
			if _, err := f.Write(bytes.Repeat([]byte{1}, piece)); err != nil {
				break
			}
			if total > diskBytes {
				t.Fatalf("%s has no end", dir)
			}
		}
	}
	return f.Name()
}

// round does one or two kinds of harm, and makes up for it. Then things go on.
func (n *nemesis) round(load *nemesisLoad) {
	lead := n.c.leader()
	harms := map[string]func(){
		"kill the leader":     func() { n.kill(lead) },
		"kill one":            func() { n.kill(n.any()) },
		"kill two":            func() { n.kill(n.some(2)...) },
		"kill all":            func() { n.kill(n.c.nodes...) },
		"stop the leader":     func() { n.pause(lead) },
		"stop two":            func() { n.pause(n.some(2)...) },
		"hold one":            func() { n.net.set(linkState{held: true}, n.around(n.any(), true, true)...) },
		"hold what one hears": func() { n.net.set(linkState{held: true}, n.around(n.any(), true, false)...) },
		"hold what one says":  func() { n.net.set(linkState{held: true}, n.around(n.any(), false, true)...) },
		"hold the leader":     func() { n.net.set(linkState{held: true}, n.around(lead, true, true)...) },
		"cut the leader off":  func() { n.net.set(linkState{cut: true}, n.around(lead, true, true)...) },
		"cut between two": func() {
			two := n.some(2)
			n.net.set(linkState{cut: true}, link{two[0].id, two[1].id}, link{two[1].id, two[0].id})
		},
		"slow down": func() {
			for _, p := range n.c.nodes {
				n.net.set(linkState{delay: 50 * time.Millisecond}, n.around(p, true, true)...)
			}
		},
		"hand the lead over": func() {
			to := n.any()
			if to == lead {
				return
			}
			// It need not succeed: other harm may be done already.
			_, _ = elastickv(n.t, "cluster", "transfer", "--dir", lead.dir, "--node", fmt.Sprint(to.id))
		},
	}
	ballast := ""
	if n.disk != "" {
		harms["fill a disk"] = func() { ballast = fillDisk(n.t, n.disk) }
	}
	names := slices.Sorted(maps.Keys(harms))
	for range 1 + n.rng.IntN(5)/4 {
		name := names[n.rng.IntN(len(names))]
		n.counts[name]++
		harms[name]()
	}
	time.Sleep(300*time.Millisecond + time.Duration(n.rng.IntN(2500))*time.Millisecond) // for as long as that lasts
	n.heal(ballast)
	before := load.answered.Load()
	n.c.await("progress", func() bool { return load.answered.Load() > before+100 })
}

func (n *nemesis) any() *peer { return n.some(1)[0] }

func (n *nemesis) some(count int) (chosen []*peer) {
	for _, i := range n.rng.Perm(len(n.c.nodes))[:count] {
		chosen = append(chosen, n.c.nodes[i])
	}
	return chosen
}

// around are the links to or from a node.
func (n *nemesis) around(p *peer, to, from bool) (all []link) {
	for _, other := range n.c.nodes {
		if other != p && to {
			all = append(all, link{other.id, p.id})
		}
		if other != p && from {
			all = append(all, link{p.id, other.id})
		}
	}
	return all
}

func (n *nemesis) kill(which ...*peer) {
	for _, p := range which {
		p.Kill()
		n.down = append(n.down, p)
	}
}

func (n *nemesis) pause(which ...*peer) {
	for _, p := range which {
		if err := p.Pause(); err == nil { // it may have been killed
			n.paused = append(n.paused, p)
		}
	}
}

// heal ends all harm. Who had no disk left may have ended, and is started anew in any case.
func (n *nemesis) heal(ballast string) {
	n.net.heal()
	for _, p := range n.paused {
		_ = p.Resume() // it may have been killed
	}
	if ballast != "" {
		if err := os.Remove(ballast); err != nil {
			n.t.Fatal(err)
		}
		n.down = append(n.down, n.c.nodes[2])
	}
	slices.SortFunc(n.down, func(a, b *peer) int { return a.id - b.id })
	for _, p := range slices.Compact(n.down) {
		p.Server = p.Restart(n.t)
	}
	n.paused, n.down = nil, nil
}

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
	epochs     int // keys of so many have been used
}

// Clients, and how many keys they use at a time, and for how long: histories that are too long nobody can check.
const (
	nemesisCallers = 6
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
	return sync.OnceFunc(func() { close(stop); all.Wait() })
}

func (l *nemesisLoad) work(id int, stop <-chan struct{}, act func(*nemesisClient)) {
	c := &nemesisClient{id: id, rng: rand.New(rand.NewPCG(l.seed, uint64(id+1))), addrs: l.addrs, conns: make([]*testkit.Client, len(l.addrs))}
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
	for _, code := range []string{"READONLY ", "TRYAGAIN ", "MOVED ", "EXECABORT "} {
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
	l.transaction(c, x, onlyReads)
}

func (l *nemesisLoad) transaction(c *nemesisClient, x *appendTx, onlyReads bool) {
	commands := [][]string{{"MULTI"}}
	for _, a := range x.acts {
		if a.added != "" {
			commands = append(commands, []string{"RPUSH", a.list, a.added})
		} else {
			commands = append(commands, []string{"LRANGE", a.list, "0", "-1"})
		}
	}
	x.called = time.Since(l.began)
	replies, err := c.do(onlyReads, append(commands, []string{"EXEC"})...)
	x.returned = time.Since(l.began)
	x.outcome = txUnknown
	switch {
	case err != nil:
	case x.take(replies[len(replies)-1]):
		x.outcome = txDone
		l.answered.Add(1)
	case refused(replies[len(replies)-1]):
		x.outcome, x.told = txRefused, replies[len(replies)-1].Str
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.appends = append(l.appends, x)
	if x.outcome == txDone {
		l.txs++
	}
}

// take reads the reply to EXEC, and reports whether that is what each command has to say.
func (x *appendTx) take(exec resp.Value) bool {
	if exec.Kind != resp.KindArray || len(exec.Elems) != len(x.acts) {
		return false
	}
	for i, v := range exec.Elems {
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
		c := &nemesisClient{id: 2*nemesisCallers + node, rng: rand.New(rand.NewPCG(l.seed, 0)), addrs: []string{addr}, conns: make([]*testkit.Client, 1)}
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

// nemesisClient talks to any node when it reads, and to the one that takes it when it writes.
type nemesisClient struct {
	id    int
	rng   *rand.Rand
	addrs []string
	conns []*testkit.Client
	lead  int
	added int
}

// do sends commands and returns their replies; one, that refuses, if nobody is there. After an error nobody knows what became of them.
func (c *nemesisClient) do(reads bool, commands ...[]string) (replies []resp.Value, err error) {
	at := c.lead
	if reads {
		at = c.rng.IntN(len(c.addrs))
	}
	if c.conns[at] == nil {
		if c.conns[at], err = testkit.Connect(c.addrs[at], 2); err != nil {
			c.conns[at] = nil
			c.lead = c.rng.IntN(len(c.addrs))
			return []resp.Value{{Kind: resp.KindError, Str: "TRYAGAIN nobody is there"}}, nil
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

// A disk becomes full under load. The node ends, in words; the others go on; with room again it starts, and has everything.
func TestClusterFullDisk(t *testing.T) {
	if testing.Short() {
		t.Skip("clusters start slowly under the race detector, and others do there what this one does")
	}
	n := &nemesis{t: t}
	c := startCluster(t, 3, n.limitDisk)
	if n.disk == "" {
		t.Skip("no disk can be made here that becomes full")
	}
	full := c.nodes[2]
	if lead := c.leader(); lead == full {
		mustRun(t, "cluster", "transfer", "--dir", lead.dir, "--node", "1")
	}
	ballast := fillDisk(t, n.disk)
	value := strings.Repeat("x", 1<<20)
	ended := make(chan error, 1)
	go func() { ended <- full.Ended() }()
	written := 0
	conn := testkit.Dial(t, c.leader().Addr, 2)
	// What the engine has reserved is used up first.
	for over := false; !over; {
		select {
		case err := <-ended:
			if err == nil {
				t.Error("the node ends as if nothing had happened")
			}
			over = true
		default:
			if written++; written > 1000 {
				t.Fatal("the disk is never full")
			}
			conn.MustDo(t, "SET", fmt.Sprint("k", written), value)
		}
	}
	if log := full.Log(); !strings.Contains(log, "no space left") {
		t.Errorf("the node does not say why it ends:\n%s", log)
	}
	conn.MustDo(t, "SET", "without it", "x")
	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	full.Server = full.Restart(t)
	there := testkit.Dial(t, full.Addr, 2)
	for i := 1; i <= written; i++ {
		if v := there.MustDo(t, "STRLEN", fmt.Sprint("k", i)); v.Int != int64(len(value)) {
			t.Errorf("write %d of %d has %d bytes", i, written, v.Int)
		}
	}
	t.Logf("the node ended after %d MB", written)
	c.equal()
}
