package txn_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// group is nodes that keep one log, as Log describes it, without what makes it so: who leads, what of
// a leader's proposals is committed and when everybody hears of it is drawn. It lives in a bubble.
type group struct {
	t     testing.TB
	rules groupRules
	nodes []*node
	ends  context.Context
	stop  context.CancelFunc
	work  sync.WaitGroup

	mu    sync.Mutex
	draw  *rand.Rand
	term  uint64
	lead  *node   // of the term, whoever believes what
	log   []entry // what is committed
	moved chan struct{}
}

// groupRules are what Log promises, and a test breaks.
type groupRules struct {
	anyPlace   bool // a proposal gets into the log although one before it did not
	earlyLead  bool // who leads need not have applied what was before
	early      bool // done is called before the entry is committed
	noUnknown  bool // what may be committed yet is said not to be
	noQuestion bool // Barrier asks nobody
	noCatchUp  bool // Barrier does not wait until this node has what it heard of
}

// entry is a proposal, and who made it.
type entry struct {
	commits []store.Commit
	by      *node
	life    int
	done    func(error)
}

// node is one of the machines.
type node struct {
	g      *group
	engine store.Engine
	db     atomic.Pointer[txn.Local]
	skew   time.Duration

	// The rest is under g.mu.
	life    int // restarts
	applied int // entries of the log
	term    uint64
	leading bool // as the node believes
	changed chan struct{}
	next    uint64  // number of the next proposal of the term
	tail    []entry // proposed and not committed
}

func newGroup(t testing.TB, seed uint64, n int, rules groupRules) *group {
	g := &group{t: t, rules: rules, draw: rand.New(rand.NewPCG(seed, 1)), moved: make(chan struct{})}
	g.ends, g.stop = context.WithCancel(context.Background())
	for i := range n {
		nd := &node{g: g, engine: store.NewMVCCStore().(store.Engine), changed: make(chan struct{}),
			skew: time.Duration(i) * time.Hour * time.Duration(1-2*(i%2))}
		g.nodes = append(g.nodes, nd)
		nd.open()
		g.work.Go(nd.apply)
	}
	g.work.Go(g.commit)
	return g
}

// close has all nodes apply what is committed, and ends them.
func (g *group) close() {
	g.notice()
	for _, n := range g.nodes {
		if err := g.until(g.ends, func() bool { return n.applied == len(g.log) && len(n.tail) == 0 }); err != nil {
			g.t.Error(err)
		}
		if err := n.db.Load().Close(); err != nil {
			g.t.Error(err)
		}
	}
	g.stop()
	g.work.Wait()
}

func (n *node) open() {
	clock := hlc.New(func() time.Time { return time.Now().Add(n.skew) })
	n.db.Store(txn.NewReplicated(n.engine, clock, n, txn.Options{RunBytes: 4 << 10, Now: time.Now}))
}

// pause lets some time pass.
func (g *group) pause(most time.Duration) bool {
	g.mu.Lock()
	d := time.Duration(g.draw.Int64N(int64(most)))
	g.mu.Unlock()
	time.Sleep(d)
	return g.ends.Err() == nil
}

func (g *group) chance(percent int) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.draw.IntN(100) < percent
}

// move wakes those who wait for the group to change.
func (g *group) moveLocked() {
	close(g.moved)
	g.moved = make(chan struct{})
}

// until returns when ok does, asked under the lock, or ctx has ended.
func (g *group) until(ctx context.Context, ok func() bool) error {
	for {
		g.mu.Lock()
		fine, moved := ok(), g.moved
		g.mu.Unlock()
		if fine {
			return nil
		}
		select {
		case <-moved:
		case <-ctx.Done():
			return ctx.Err()
		case <-g.ends.Done():
			return g.ends.Err()
		}
	}
}

// commit commits what the leader of the present term has proposed.
func (g *group) commit() {
	for g.pause(4 * time.Millisecond) {
		g.mu.Lock()
		if l := g.lead; l != nil && len(l.tail) > 0 {
			n := 1 + g.draw.IntN(len(l.tail))
			g.log = append(g.log, l.tail[:n]...)
			l.tail = l.tail[n:]
			g.moveLocked()
		}
		g.mu.Unlock()
	}
}

// apply applies what is committed to the engine of a node, and tells who has proposed it.
func (n *node) apply() {
	for n.g.pause(3 * time.Millisecond) {
		if n.g.until(n.g.ends, func() bool { return n.applied < len(n.g.log) }) != nil {
			return
		}
		n.g.mu.Lock()
		e := n.g.log[n.applied]
		n.g.mu.Unlock()
		if err := n.engine.ApplyCommitsRaftAt(context.Background(), e.commits, uint64(n.applied+1)); err != nil {
			n.g.t.Error(err)
		}
		n.g.mu.Lock()
		n.applied++
		mine := e.by == n && e.life == n.life
		n.g.moveLocked()
		n.g.mu.Unlock()
		if mine {
			e.done(nil)
		}
	}
}

// elect makes another node the leader. Of what the old one has proposed a part is committed; it may go
// on for a while in the belief that it leads.
func (g *group) elect(to *node) {
	g.mu.Lock()
	if old := g.lead; old != nil {
		n := g.draw.IntN(len(old.tail) + 1)
		g.log = append(g.log, old.tail[:n]...)
		old.tail = old.tail[n:]
	}
	g.term++
	g.lead = nil
	term, all := g.term, len(g.log)
	g.moveLocked()
	g.mu.Unlock()
	if !g.rules.earlyLead && to.g.until(g.ends, func() bool { return to.applied >= all || g.term != term }) != nil {
		return
	}
	g.mu.Lock()
	if g.term != term {
		g.mu.Unlock()
		return
	}
	resigns := to.resignLocked()
	g.lead = to
	to.term, to.leading, to.next = term, true, 0
	close(to.changed)
	to.changed = make(chan struct{})
	g.moveLocked()
	g.mu.Unlock()
	resigns()
}

// resignLocked ends the belief of a node that it leads; what it returns tells what has become of what it had proposed.
func (n *node) resignLocked() func() {
	if n.leading {
		n.leading = false
		close(n.changed)
		n.changed = make(chan struct{})
	}
	lost := n.tail
	n.tail = nil
	if n.g.lead == n {
		n.g.lead = nil // nobody commits what it has proposed any more
	}
	n.g.moveLocked()
	known := n.g.draw.IntN(2) == 0
	waits := n.applied < len(n.g.log) // some of what it has proposed may come yet, and is told of first
	return func() {
		if waits {
			all := 0
			n.g.mu.Lock()
			all = len(n.g.log)
			n.g.mu.Unlock()
			_ = n.g.until(n.g.ends, func() bool { return n.applied >= all })
		}
		for _, e := range lost {
			if err := fmt.Errorf("%w: resigned", txn.ErrUnknown); !known {
				e.done(err)
			} else {
				e.done(fmt.Errorf("%w: resigned", txn.ErrNotCommitted))
			}
		}
	}
}

// notice has nodes that only believe that they lead learn that it is not so.
func (g *group) notice() {
	for _, n := range g.nodes {
		g.mu.Lock()
		tell := func() {}
		if n.leading && n.term != g.term {
			tell = n.resignLocked()
		}
		g.mu.Unlock()
		tell()
	}
}

// restart ends a process: it hears no more of what it has proposed.
func (n *node) restart() {
	n.g.mu.Lock()
	if n.g.lead == n { // a part of it is committed
		k := n.g.draw.IntN(len(n.tail) + 1)
		n.g.log = append(n.g.log, n.tail[:k]...)
		n.tail = n.tail[k:]
		n.g.lead = nil
		n.g.term++
	}
	var open []entry
	for _, e := range n.g.log[n.applied:] {
		if e.by == n && e.life == n.life {
			open = append(open, e)
		}
	}
	open = append(open, n.tail...)
	n.tail = nil
	n.life++
	if n.leading {
		n.leading = false
		close(n.changed)
		n.changed = make(chan struct{})
	}
	n.g.moveLocked()
	n.g.mu.Unlock()
	for _, e := range open {
		if n.g.rules.noUnknown {
			e.done(fmt.Errorf("%w: restarted", txn.ErrNotCommitted))
		} else {
			e.done(fmt.Errorf("%w: restarted", txn.ErrUnknown))
		}
	}
	if err := n.db.Load().Close(); err != nil {
		n.g.t.Error(err)
	}
	n.open()
}

// Lead implements txn.Log.
func (n *node) Lead() (uint64, bool, <-chan struct{}) {
	n.g.mu.Lock()
	defer n.g.mu.Unlock()
	return n.term, n.leading, n.changed
}

// Propose implements txn.Log.
func (n *node) Propose(term, number uint64, commits []store.Commit, done func(error)) {
	n.g.mu.Lock()
	fits := n.leading && n.term == term && (n.next == number || n.g.rules.anyPlace) && n.g.draw.IntN(60) > 0
	if fits {
		if told := done; n.g.rules.early {
			go told(nil)
			done = func(error) {}
		}
		n.next++
		n.tail = append(n.tail, entry{commits, n, n.life, done})
	}
	n.g.mu.Unlock()
	if fits {
		return
	}
	// Calls come in the order of proposals: this one behind all that are under way.
	go func() {
		_ = n.g.until(n.g.ends, func() bool { return len(n.tail) == 0 && n.applied == len(n.g.log) })
		done(fmt.Errorf("%w: refused", txn.ErrNotCommitted))
	}()
}

// Barrier implements txn.Log.
func (n *node) Barrier(ctx context.Context) error {
	n.g.pause(time.Millisecond)
	all := 0
	if n.g.rules.noQuestion {
		return nil
	}
	if err := n.g.until(ctx, func() bool {
		all = len(n.g.log)
		return n.g.rules.noCatchUp || !n.leading || n.term == n.g.term
	}); err != nil {
		return err
	}
	if n.g.rules.noCatchUp {
		return nil
	}
	return n.g.until(ctx, func() bool { return n.applied >= all })
}
