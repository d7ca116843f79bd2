package test

import (
	"flag"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/testkit"
)

var historiesFlag = flag.Int("histories", 60, "how many random histories TestDifferential compares")

// historyLength is the number of commands of a history, which begins with empty databases.
const historyLength = 150

// TestDifferential sends the same random commands to our server and to a real redis-server, one
// history in protocol 2, the next in protocol 3, and compares the replies, and at the end of each
// history the digests of all data. A difference is cut down to the commands that it needs.
func TestDifferential(t *testing.T) {
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	redis, ours := testkit.Redis(t), testkit.Elastickv(t, t.TempDir())
	asked := testkit.Dial(t, redis.Addr, 3)
	g := newGrammar(t, asked, func(name, group string) int {
		if changed72[name] != "" && redisVersion(t, redis.Addr) != "7.2" {
			return 0
		}
		return differentialWeight(name, group)
	})
	d := &differential{t: t, order: outputOrder(t, asked)}
	for p := range d.pairs {
		d.pairs[p] = [2]*testkit.Client{testkit.Dial(t, redis.Addr, p+2), testkit.Dial(t, ours.Addr, p+2)}
	}
	found := make(map[string]bool)
	for i := range *historiesFlag {
		h := d.history(g, rnd)
		protocol := 2 + i%2
		at, want, got := d.replay(protocol, h)
		if at < 0 {
			continue
		}
		name := h[at].name
		if found[name] {
			continue // one of each kind is enough to read
		}
		found[name] = true
		h, want, got = d.shorten(protocol, h[:at+1], want, got)
		t.Errorf("in protocol %d after\n%sredis-server answers\n%s\nand ours\n%s", protocol, h, want, got)
	}
}

// apart are the commands that TestDifferential leaves out, and why. A name stands for its
// subcommands, too.
var apart = map[string]string{
	"acl": "speaks of users, not of data", "auth": "ends the session's rights", "bgrewriteaof": "says how the server saves", "bgsave": "as bgrewriteaof",
	"client": "speaks of the connection", "cluster": "no cluster here", "command": "TestCommandTable", "config": "the servers have different settings", "debug": "reaches into the server",
	"failover": "no replicas here", "hello": "changes the protocol", "info": "speaks of the server", "lastsave": "a time", "latency": "speaks of the server", "lolwut": "a picture with a version",
	"memory": "each server has its own", "migrate": "needs a third server", "module": "no modules here", "monitor": "an endless reply", "psync": "no replicas here", "quit": "ends the session",
	"randomkey": "random", "readonly": "no cluster here", "readwrite": "no cluster here", "asking": "no cluster here", "replconf": "no replicas here", "replicaof": "no replicas here",
	"role": "no replicas here", "save": "as bgrewriteaof", "shutdown": "ends the server", "slaveof": "no replicas here", "slowlog": "times", "sync": "no replicas here", "time": "a time", "wait": "no replicas here", "waitaof": "no replicas here",
	"restore-asking": "no cluster here", "reset": "ends the session's protocol", "pfselftest": "takes a second", "pfdebug": "an internal command",
	"blpop": "waits: internal/server, test/blocking_test.go", "brpop": "as blpop", "blmove": "as blpop", "brpoplpush": "as blpop", "blmpop": "as blpop", "bzpopmin": "as blpop", "bzpopmax": "as blpop", "bzmpop": "as blpop",
	"subscribe": "its messages come between replies: test/scripts/pubsub", "psubscribe": "as subscribe", "ssubscribe": "as subscribe", "unsubscribe": "as subscribe", "punsubscribe": "as subscribe", "sunsubscribe": "as subscribe",
	"spop": "random", "srandmember": "random", "hrandfield": "random", "zrandmember": "random",
	"eval": "internal/script", "evalsha": "internal/script", "eval_ro": "internal/script", "evalsha_ro": "internal/script", "script": "internal/script", "function": "internal/script", "fcall": "internal/script", "fcall_ro": "internal/script",
	"dump": "payloads may differ: test/dump_test.go", "restore": "as dump", "object": "encodings follow other sizes: OBJECT FREQ and IDLETIME are times",
	"xinfo": "idle times: test/scripts/stream", "xpending": "as xinfo", "sort": "weighs the order of sets: internal/pqsort", "sort_ro": "as sort", "swapdb": "of all connections",
}

// changed72 are those that are left out if the real server is of 7.0, and what 7.2 has changed.
var changed72 = map[string]string{
	"zrank": "has an argument more", "zrevrank": "as zrank", "xsetid": "looks at the highest ID that was deleted",
	"xgroup|createconsumer": "finds those that XCLAIM and XREADGROUP make without giving them anything",
}

func differentialWeight(name, group string) int {
	container, _, _ := strings.Cut(name, "|")
	if why := apart[name] + apart[container]; why != "" || strings.HasSuffix(name, "|help") {
		return 0 // the help of subcommands is in words of our own
	}
	switch {
	case name == "flushall" || name == "flushdb":
		return 1
	case name == "multi" || name == "exec" || name == "discard" || name == "watch" || name == "unwatch" || name == "select":
		return 4
	case name == "del" || name == "unlink":
		return 6
	case group == "stream" || group == "sorted-set":
		return 14
	}
	return 10
}

// outputOrder returns the commands whose replies Redis says to come in any order.
func outputOrder(t *testing.T, c *testkit.Client) map[string]bool {
	t.Helper()
	free := make(map[string]bool)
	for _, row := range c.MustDo(t, "COMMAND").Elems {
		for _, tip := range row.Elems[7].Elems {
			if tip.Str == "nondeterministic_output_order" {
				free[row.Elems[0].Str] = true
			}
		}
	}
	return free
}

// differential is two connections to each of a pair of servers: to the real one first.
type differential struct {
	t     *testing.T
	order map[string]bool
	pairs [2][2]*testkit.Client // by protocol: 2, 3
}

type step struct {
	name  string
	words []string // that are sent
	shown []string // that they stand for, where a script calls them
}

type steps []step

func (h steps) String() string {
	var b strings.Builder
	for _, s := range h {
		b.WriteString("  " + quoted(s.words) + "\n")
	}
	return b.String()
}

// history returns random commands. A few are called by a script.
func (d *differential) history(g *grammar, rnd *rand.Rand) steps {
	var h steps
	for range historyLength {
		words, name := g.command(rnd)
		for makesLongString(words) {
			words, name = g.command(rnd)
		}
		s := step{name: name, words: words, shown: words}
		if rnd.IntN(10) == 0 && !slices.Contains([]string{"multi", "exec", "discard", "watch", "unwatch"}, name) {
			s.words = append([]string{"EVAL", inScript, "0"}, words...)
		}
		h = append(h, s)
	}
	return append(h, step{name: "discard", words: []string{"DISCARD"}}, step{name: "digest", words: []string{"DEBUG", "DIGEST"}})
}

// Between these lengths Redis makes strings and we do not: docs/COMPATIBILITY.md has it under its limits.
const oursLongest, redisLongest = 256<<20 - 1, 512 << 20

// makesLongString reports whether a command may make a string that is too long for us, and only for us.
func makesLongString(words []string) bool {
	long := func(offset string, width uint64) bool { // a field of bits at an offset, which #n counts in fields
		n, err := strconv.ParseUint(strings.TrimPrefix(offset, "#"), 10, 40)
		if strings.HasPrefix(offset, "#") {
			n *= width
		}
		bytes := (n + width + 7) / 8
		return err == nil && bytes > oursLongest && bytes <= redisLongest
	}
	switch name := strings.ToLower(words[0]); {
	case name == "setbit" && len(words) == 4:
		return long(words[2], 1)
	case name == "setrange" && len(words) == 4:
		at, err := strconv.ParseUint(words[2], 10, 32)
		return err == nil && words[3] != "" && long(strconv.FormatUint(8*at, 10), 8*uint64(len(words[3])))
	case name == "bitfield":
		for i := 2; i+2 < len(words); i++ {
			switch strings.ToUpper(words[i]) {
			case "SET", "INCRBY":
				if width, err := strconv.ParseUint(words[i+1][min(1, len(words[i+1])):], 10, 7); err == nil && long(words[i+2], width) {
					return true
				}
			}
		}
	}
	return false
}

func TestMakesLongString(t *testing.T) {
	for line, want := range map[string]bool{
		"SETBIT k 2147483639 1": false, "SETBIT k 2147483640 1": true, "setbit k 4294967295 1": true, "SETBIT k 4294967296 1": false, "SETBIT k 3000000000": false,
		"GETBIT k 3000000000": false, "SETRANGE k 268435454 x": false, "SETRANGE k 268435455 x": true, "SETRANGE k 268435453 xyz": true, "SETRANGE k 536870911 x": true,
		"SETRANGE k 536870911 xx": false, "BITFIELD k GET u8 3000000000": false, "BITFIELD k GET u8 0 SET u8 3000000000 1": true, "BITFIELD k SET u8 0 3000000000": false,
		"BITFIELD k INCRBY i16 #134217726 1": false, "BITFIELD k INCRBY i16 #134217728 1": true, "BITFIELD k INCRBY i16 x 1": false, "BITFIELD k SET": false,
	} {
		if got := makesLongString(strings.Fields(line)); got != want {
			t.Errorf("%s: got %t, want %t", line, got, want)
		}
	}
}

// replay runs a history on both servers and returns the first step whose replies differ, or -1.
func (d *differential) replay(protocol int, h steps) (at int, want, got string) {
	d.t.Helper()
	pair := d.pairs[protocol-2]
	var replies [2][]resp.Value
	for i, c := range pair {
		reset := [][]string{{"DISCARD"}, {"UNWATCH"}, {"FLUSHALL"}, {"SELECT", "0"}}
		for _, words := range reset {
			d.send(c, words)
		}
		for _, s := range h {
			d.send(c, s.words)
		}
		for n := range len(reset) + len(h) {
			v, err := c.Receive()
			if err != nil {
				d.t.Fatalf("server %d, reply %d: %v; after\n%s", i, n, err, h[:max(0, min(len(h), n-len(reset)+1))])
			}
			if n >= len(reset) {
				replies[i] = append(replies[i], v)
			}
		}
	}
	queued := []step{} // in MULTI
	for i, s := range h {
		a, b := as72(replies[0][i]), replies[1][i]
		if s.name == "exec" && a.Kind == resp.KindArray && b.Kind == resp.KindArray && len(a.Elems) == len(queued) && len(b.Elems) == len(queued) {
			for j, q := range queued {
				if want, got := d.shape(q, a.Elems[j]), d.shape(q, b.Elems[j]); !alike(q, want, got, a.Elems[j], b.Elems[j]) {
					return i, want, got
				}
			}
		} else if want, got := d.shape(s, a), d.shape(s, b); !alike(s, want, got, a, b) {
			return i, want, got
		}
		switch {
		case a.Str == "QUEUED":
			queued = append(queued, s)
		case s.name == "exec" || s.name == "discard":
			queued = queued[:0]
		}
	}
	return -1, "", ""
}

func (d *differential) send(c *testkit.Client, words []string) {
	d.t.Helper()
	if err := c.Send(words...); err != nil {
		d.t.Fatal(err)
	}
}

// alike compares two replies. What is left of a lifetime is compared roughly, and an error whose words 7.2 has changed by its beginning.
func alike(s step, want, got string, a, b resp.Value) bool {
	if want == got {
		return true
	}
	switch s.name {
	case "xread", "xreadgroup":
		const unbalanced = "ERR Unbalanced "
		return a.Kind == resp.KindError && b.Kind == resp.KindError && strings.HasPrefix(a.Str, unbalanced) && strings.HasPrefix(b.Str, unbalanced)
	case "ttl", "pttl", "expiretime", "pexpiretime":
		const slack = 120_000 // ms, so that no machine is too slow
		return a.Kind == resp.KindInt && b.Kind == resp.KindInt && a.Int > 0 && b.Int > 0 && max(a.Int-b.Int, b.Int-a.Int) < slack
	}
	return false
}

// shape renders a reply so that what has no order is in one.
func (d *differential) shape(s step, v resp.Value) string {
	if strings.HasSuffix(s.name, "scan") && len(v.Elems) == 2 {
		return canonical(v.Elems[1])
	}
	if s.name == "hgetall" && v.Kind == resp.KindArray {
		return canonical(resp.Value{Kind: resp.KindMap, Elems: v.Elems})
	}
	if v.Kind == resp.KindSet || v.Kind == resp.KindMap || d.order[s.name] {
		return canonical(v)
	}
	return v.String()
}

// shorten leaves out steps as long as the last one's replies still differ.
func (d *differential) shorten(protocol int, h steps, want, got string) (steps, string, string) {
	for size := len(h) / 2; size >= 1; size /= 2 {
		for from := 0; from+size < len(h); {
			tried := append(slices.Clone(h[:from]), h[from+size:]...)
			at, w, g := d.replay(protocol, tried)
			if at >= 0 && tried[at].name == h[len(h)-1].name {
				h, want, got = tried[:at+1], w, g
				continue
			}
			from += size
		}
	}
	return h, want, got
}
