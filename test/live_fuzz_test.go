package test

import (
	"crypto/tls"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

var liveTimeFlag = flag.Duration("live.time", 10*time.Second, "for how long TestLiveFuzz sends what no client would")

// liveClients is how many connections TestLiveFuzz has at work, besides those that it has left hanging.
const liveClients = 12

// liveSettings are low limits, so that what a server may take at worst is little.
const liveSettings = `requirepass owner
memory-limit 128mb
proto-max-bulk-len 4mb
client-query-buffer-limit 16mb
client-output-buffer-limit normal 8mb 0 0
client-output-buffer-limit pubsub 8mb 2mb 10
lua-memory-limit 16mb
busy-reply-threshold 100
slowlog-log-slower-than 100000
slowlog-max-len 1000
retention 1
retention-interval 1
notify-keyspace-events KEA
`

// liveResident is the memory that the process may take with liveSettings, and everybody at their limits: memory-limit, four
// times what scripts may hold, and for each client a query, replies that it
// does not read, and its command in progress. A collection of garbage lets all but the first double.
const liveResident = (128 + 2*(24+4*16+(liveClients+liveHanging)*(16+8+4))) << 20

// TestLiveFuzz has a real server talk to clients that send random bytes: commands with any arguments,
// frames that were cut, changed and lengthened, halves of commands, scripts, pipelines of thousands whose
// replies nobody reads, transactions and subscriptions that are left open. The server goes on: it
// reports no fault, a client of everyday finds its data as it wrote it and waits for no reply long,
// memory stays within what the limits allow, connections are given up with their clients, and what
// the users of those clients may not touch is as it was, after a kill as well.
//
// -seed chooses what is sent, -live.time for how long.
func TestLiveFuzz(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", seed)
	f := startLive(t, seed)
	dog := startWatchdog(t, f.s, liveResident, "AUTH", "owner")
	f.run(dog)
	dog.end(t)
	f.settled()
	f.untouched("when the clients have gone")
	if t.Failed() {
		return
	}
	f.s = f.s.Restart(t)
	f.untouched("after a kill")
	dog.s = f.s
	dog.intact(t)
}

// liveFuzz is a server with its fuzzing clients.
type liveFuzz struct {
	t       *testing.T
	seed    uint64
	s       *testkit.Server
	owner   *testkit.Client
	tlsAddr string
	tls     *tls.Config
	metrics string
	all     *grammar // every command
	data    *grammar // those that neither wait nor change what the connection is
	digests string   // of what the clients may not touch
	sockets int      // before there were any clients
	routine float64  // goroutines then

	left struct {
		sync.Mutex
		conns []net.Conn // hang, the oldest first
	}
}

func startLive(t *testing.T, seed uint64) *liveFuzz {
	t.Helper()
	config := filepath.Join(t.TempDir(), "live.conf")
	if err := os.WriteFile(config, []byte(liveSettings+"enable-debug-command local\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ca := testkit.NewAuthority(t, "live")
	cert := ca.Valid(t, "server")
	f := &liveFuzz{t: t, seed: seed, tlsAddr: testkit.FreeAddr(t), tls: ca.Trusting(), metrics: testkit.FreeAddr(t)}
	f.s = testkit.Elastickv(t, t.TempDir(), "--config", config, "--metrics-listen", f.metrics, "--tls-listen", f.tlsAddr,
		"--tls-cert-file", cert.CertFile, "--tls-key-file", cert.KeyFile, "--tls-auth-clients", "no")
	f.connectOwner()
	f.owner.MustDo(t, append([]string{"ACL", "SETUSER"}, liveUser...)...)
	f.fill()
	asked := testkit.Dial(t, f.s.Addr, 2)
	asked.MustDo(t, "AUTH", "owner")
	asked.MustDo(t, "HELLO", "3")
	f.all = newGrammar(t, asked, func(name, group string) int { return 1 + 3*min(differentialWeight(name, group), 1) })
	f.data = newGrammar(t, asked, func(name, group string) int {
		if group == "transactions" || group == "connection" || group == "server" {
			return 0
		}
		return differentialWeight(name, group)
	})
	asked.Close()
	for f.routine = f.goroutines(); f.figure("connected_clients") > 1; {
		f.routine = f.goroutines()
	}
	f.sockets = f.s.Sockets(t)
	return f
}

// liveUser is whom the fuzzing clients are: they may do anything to keys of their own, and nothing that ends,
// empties, changes or stops the server, or opens connections from it.
var liveUser = []string{
	"fuzz", "on", ">fuzz", "+@all", "&*", "~?", "~??", "~nosuch", "~fuzz:*",
	"-flushall", "-flushdb", "-swapdb", "-shutdown", "-debug", "-config|set", "-config|rewrite", "-migrate", "-client|kill", "-client|pause",
	"-acl|setuser", "-acl|deluser", "-acl|load", "-acl|save",
}

func (f *liveFuzz) connectOwner() {
	f.t.Helper()
	f.owner = testkit.Dial(f.t, f.s.Addr, 2)
	f.owner.MustDo(f.t, "AUTH", "owner")
}

// livePrefix begins the names of the keys that the clients may not touch.
const livePrefix = "owned:"

// fill makes keys of every type in two databases.
func (f *liveFuzz) fill() {
	f.t.Helper()
	for _, db := range []string{"3", "0"} {
		calls := [][]string{{"SELECT", db}}
		for i := range 100 {
			n := strconv.Itoa(i)
			calls = append(calls, [][]string{
				{"SET", livePrefix + "string:" + n, strings.Repeat(n, 100*i)}, {"RPUSH", livePrefix + "list", n}, {"SADD", livePrefix + "set", n},
				{"HSET", livePrefix + "hash", n, n}, {"ZADD", livePrefix + "zset", n, n}, {"XADD", livePrefix + "stream", n + "-1", "f", n},
				{"PFADD", livePrefix + "hll", n}, {"SET", livePrefix + "expires:" + n, n, "EX", "1000000"},
			}...)
		}
		calls = append(calls, []string{"XGROUP", "CREATE", livePrefix + "stream", "g", "0"})
		for _, args := range calls {
			if err := f.owner.Send(args...); err != nil {
				f.t.Fatal(err)
			}
		}
		for _, args := range calls {
			if v, err := f.owner.Receive(); err != nil || v.Kind == resp.KindError {
				f.t.Fatalf("%.100q: %s, %v", args, v, err)
			}
		}
	}
	f.digests = f.digest()
}

// digest stands for all that is owned.
func (f *liveFuzz) digest() string {
	f.t.Helper()
	var all []string
	for _, db := range []string{"3", "0"} {
		f.owner.MustDo(f.t, "SELECT", db)
		args := []string{"DEBUG", "DIGEST-VALUE"}
		for _, kind := range []string{"list", "set", "hash", "zset", "stream", "hll"} {
			args = append(args, livePrefix+kind)
		}
		for i := range 100 {
			args = append(args, fmt.Sprintf("%sstring:%d", livePrefix, i), fmt.Sprintf("%sexpires:%d", livePrefix, i))
		}
		all = append(all, f.owner.MustDo(f.t, args...).String())
	}
	return strings.Join(all, "\n")
}

// untouched fails the test if what is owned is not as it was.
func (f *liveFuzz) untouched(when string) {
	f.t.Helper()
	f.owner.Close()
	f.connectOwner()
	if f.digest() != f.digests {
		f.t.Errorf("%s, keys that nobody may touch are not as they were", when)
	}
}

// run has clients at work until the time is over or something is wrong.
func (f *liveFuzz) run(dog *watchdog) {
	f.t.Helper()
	end := time.Now().Add(*liveTimeFlag)
	var failed sync.Once
	over := make(chan struct{})
	var clients sync.WaitGroup
	for i := range liveClients {
		clients.Go(func() {
			rnd := rand.New(rand.NewPCG(f.seed, uint64(i)))
			for n := 0; time.Now().Before(end); n++ {
				select {
				case <-over:
					return
				default:
				}
				c := &liveClient{f: f, rnd: rnd, name: fmt.Sprintf("client %d, life %d", i, n)}
				err := c.live()
				if err == nil {
					err = dog.failed()
				}
				if f.s.Gone() {
					err = fmt.Errorf("the server has ended; its output:\n%s", f.s.Log())
				}
				if err != nil {
					failed.Do(func() { close(over) })
					f.t.Errorf("-seed %d, %s: %v; it has sent last:\n%s", f.seed, c.name, err, c.sent())
					return
				}
			}
		})
	}
	stopKilling := make(chan struct{})
	var killer sync.WaitGroup
	killer.Go(func() { f.killScripts(stopKilling) })
	clients.Wait()
	f.left.Lock()
	for _, conn := range f.left.conns {
		conn.Close()
	}
	f.left.Unlock()
	f.scriptsEnd()
	close(stopKilling)
	killer.Wait()
}

// scriptsEnd returns when no script of the clients has held others up for a while: the last ones are still being killed.
func (f *liveFuzz) scriptsEnd() {
	c, err := testkit.Connect(f.s.Addr, 2)
	if err != nil {
		return // whoever kills them says so
	}
	defer c.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(time.Minute)
	for quiet := 0; quiet < 25 && time.Now().Before(end); quiet++ {
		if _, err := c.Do("AUTH", "owner"); err != nil {
			return
		}
		if v, err := c.Do("GET", "nothing"); err != nil {
			return
		} else if busy(v) {
			quiet = -1
		}
		<-tick.C
	}
}

// killScripts ends the endless scripts, those that only read among them.
func (f *liveFuzz) killScripts(stop <-chan struct{}) {
	c, err := testkit.Connect(f.s.Addr, 2)
	if err != nil {
		f.t.Error(err)
		return
	}
	defer c.Close()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		for _, args := range [][]string{{"AUTH", "owner"}, {"SCRIPT", "KILL"}, {"FUNCTION", "KILL"}} {
			if _, err := c.Do(args...); err != nil {
				if !f.s.Gone() {
					f.t.Errorf("%s: %v", args, err)
				}
				return
			}
		}
		select {
		case <-stop:
			return
		case <-tick.C:
		}
	}
}

// liveHanging is how many connections are left as they are, with whatever they wait for.
const liveHanging = 20

// leave keeps a connection open, and closes the one that has hung longest.
func (f *liveFuzz) leave(conn net.Conn) {
	f.left.Lock()
	defer f.left.Unlock()
	f.left.conns = append(f.left.conns, conn)
	if len(f.left.conns) > liveHanging {
		f.left.conns[0].Close()
		f.left.conns = f.left.conns[1:]
	}
}

// settled returns when the server has given up all connections of the clients, and what belonged to
// them.
func (f *liveFuzz) settled() {
	f.t.Helper()
	if f.s.Gone() {
		return
	}
	f.owner.Close()
	f.connectOwner()
	for end := time.Now().Add(time.Minute); ; {
		clients := f.figure("connected_clients")
		sockets, routine := f.s.Sockets(f.t), f.goroutines()
		// The engine starts and ends a few of its own, and a request of metrics takes two.
		if clients == 1 && sockets <= f.sockets && routine <= f.routine+10 && f.figure("blocked_clients") == 0 &&
			f.figure("pubsub_channels") == 0 && f.figure("tracking_clients") == 0 && f.figure("watching_clients") == 0 {
			return
		}
		if time.Now().After(end) {
			f.t.Errorf("without clients there are %d of them, %d sockets (%d before), %v goroutines (%v before);\n%s", clients, sockets, f.sockets,
				routine, f.routine, f.owner.MustDo(f.t, "INFO", "clients", "stats").Str)
			return
		}
	}
}

// figure returns a number of INFO.
func (f *liveFuzz) figure(name string) int {
	f.t.Helper()
	for line := range strings.Lines(f.owner.MustDo(f.t, "INFO").Str) {
		if text, ok := strings.CutPrefix(strings.TrimSpace(line), name+":"); ok {
			n, err := strconv.Atoi(text)
			if err != nil {
				f.t.Fatal(err)
			}
			return n
		}
	}
	f.t.Fatalf("INFO has no %s", name)
	return 0
}

var goroutinesLine = regexp.MustCompile(`(?m)^go_goroutines (\S+)$`)

func (f *liveFuzz) goroutines() float64 {
	f.t.Helper()
	m := goroutinesLine.FindStringSubmatch(fetch(f.t, f.metrics, "/metrics", 200))
	if m == nil {
		f.t.Fatal("metrics have no go_goroutines")
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		f.t.Fatal(err)
	}
	return n
}
