package test

import (
	"flag"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/testkit"
)

var nemesisTimeFlag = flag.Duration("nemesis.time", 15*time.Second, "for how long TestNemesis does harm")

// Nodes are killed, stopped and replaced, their network is cut, held up and slow, their disks are full and slow, their clocks are
// stepped, and all that at once, while clients write and read. Every history of a key is linearizable, all transactions together
// are strictly serializable, but for those of READONLY clients, which are a little late and never go back; what was
// acknowledged is there in the end, and all nodes have the same rows.
func TestNemesis(t *testing.T) {
	if testing.Short() {
		t.Skip("clusters start slowly under the race detector, and others do there what this one does")
	}
	seed := *seedFlag
	if seed == 0 {
		seed = uint64(time.Now().UnixNano())
	}
	t.Logf("-seed %d", seed)
	n := &nemesis{t: t, rng: rand.New(rand.NewPCG(seed, 0)), clocks: map[*peer]time.Duration{}, slow: map[*peer]time.Duration{}, counts: map[string]int{}, passed: map[*peer]int{}}
	n.c, n.net = startInNetwork(t, 3, n.limitDisk, func(p *peer) { p.inHarm = true })
	load := newNemesisLoad(n.c, seed)
	end := load.start()
	defer end()
	for began := time.Now(); time.Since(began) < *nemesisTimeFlag; {
		n.round(load)
	}
	end()
	load.finish(t)
	t.Logf("%d calls and %d transactions were answered, %d of them of what was near; %d went by way of a node that did not lead; %v", load.calls, load.txs, load.near,
		n.forwarded, n.counts)
	if n.forwarded == 0 {
		t.Error("no client has written through a node that did not lead")
	}
	if err := load.registers.check(clusterPatience); err != nil {
		t.Error(err)
	}
	if err := checkAppends(load.appends); err != nil {
		t.Error(err)
	}
	if t.Failed() {
		t.Log(n.c.describe())
	}
	n.c.equal()
}

// nemesis does harm to a cluster.
type nemesis struct {
	t   *testing.T
	c   *cluster
	net *network
	rng *rand.Rand

	disk    string // a folder of the last node's own disk, "" if it has none
	ballast string // the file that fills it, "" if none does
	paused  []*peer
	down    []*peer
	clocks  map[*peer]time.Duration // how far those are ahead that are not right
	slow    map[*peer]time.Duration // how long a sync takes longer
	leaving *leaving                // who is being replaced; nil: nobody
	counts  map[string]int

	passed    map[*peer]int // calls that each node had passed on when it was last asked
	forwarded int           // in all
}

// round does one or two kinds of harm, and makes up for it. Then things go on.
func (n *nemesis) round(load *nemesisLoad) {
	harms := n.harms(n.c.leader())
	names := slices.Sorted(maps.Keys(harms))
	for range 1 + n.rng.IntN(3)/2 {
		name := names[n.rng.IntN(len(names))]
		n.counts[name]++
		n.t.Logf("%v: %s", time.Since(load.began).Round(time.Millisecond), name)
		harms[name]()
	}
	time.Sleep(300*time.Millisecond + time.Duration(n.rng.IntN(2500))*time.Millisecond) // for as long as that lasts
	n.heal()
	n.t.Logf("%v: healed", time.Since(load.began).Round(time.Millisecond))
	if n.rng.IntN(8) == 0 {
		n.counts["restart in turn"]++
		n.restartInTurn()
	}
	before := load.answered.Load()
	n.c.await("progress", func() bool { return load.answered.Load() > before+100 })
	n.countForwarded()
}

// countForwarded counts what nodes have had the leader do since it was called last, or since they were started.
func (n *nemesis) countForwarded() {
	for _, p := range n.c.nodes {
		conn, err := testkit.Connect(p.Addr, 2)
		if err != nil {
			continue // it is being replaced
		}
		if info, err := conn.Do("INFO", "stats"); err == nil {
			_, value, _ := strings.Cut(info.Str, "\r\nforwarded_calls:")
			value, _, _ = strings.Cut(value, "\r\n")
			if now, err := strconv.Atoi(value); err == nil {
				since := now
				if now >= n.passed[p] {
					since -= n.passed[p]
				}
				n.forwarded += since
				n.passed[p] = now
			}
		}
		_ = conn.Close()
	}
}

// harms are what can be done, by name.
func (n *nemesis) harms(lead *peer) map[string]func() {
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
		"slow the network": func() {
			for _, p := range n.c.nodes {
				n.net.set(linkState{delay: 50 * time.Millisecond}, n.around(p, true, true)...)
			}
		},
		"slow one disk":   func() { n.slowDisk(n.any()) },
		"slow all disks":  func() { n.slowDisk(n.c.nodes...) },
		"step one clock":  func() { n.stepClock(n.any()) },
		"step all clocks": func() { n.stepClock(n.c.nodes...) },
		"replace one":     func() { n.replace(n.any()) },
		"hand the lead over": func() {
			if to := n.any(); to != lead && !slices.Contains(n.paused, lead) { // who is stopped never answers
				_ = n.transfer(lead, to) // other harm may be done already
			}
		},
	}
	if n.disk != "" {
		harms["fill a disk"] = func() {
			if n.ballast == "" {
				n.ballast = fillDisk(n.t, n.disk)
			}
		}
	}
	return harms
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

// heal ends all harm, but for that of clocks. Who had no disk left may have ended, and is started anew in any case.
func (n *nemesis) heal() {
	n.net.heal()
	for _, p := range n.paused {
		_ = p.Resume() // it may have been killed
	}
	n.emptyDisk()
	n.speedUp()
	slices.SortFunc(n.down, func(a, b *peer) int { return a.id - b.id })
	for _, p := range slices.Compact(n.down) {
		if n.leaving == nil || n.leaving.peer != p {
			p.Server = p.Restart(n.t)
		}
	}
	n.paused, n.down = nil, nil
	n.finishReplacing()
}
