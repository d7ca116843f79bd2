package host

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/elastickv/elastickv/internal/replica"
	"github.com/elastickv/elastickv/internal/replica/raftlog"
	"github.com/elastickv/elastickv/internal/replica/transport"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// Proposals of a leader are committed in order, and everybody gets the same.
func TestGroup(t *testing.T) {
	c := newCluster(t, 3)
	lead := c.leader()
	var dones []<-chan error
	for i := range 300 {
		dones = append(dones, lead.propose(fmt.Sprint("key ", i%50), fmt.Sprint(i)))
	}
	for i, done := range dones {
		if err := <-done; err != nil {
			t.Fatalf("proposal %d: %v", i, err)
		}
	}
	if got := lead.get("key 7"); got != "257" {
		t.Errorf("got %q", got)
	}
	for _, n := range c.others(lead) {
		if _, leading, _ := n.group.Lead(); leading {
			t.Errorf("node %d leads, too", n.id)
		}
		must(t, n.group.Barrier(deadline(t)))
		if got := n.get("key 7"); got != "257" {
			t.Errorf("node %d reads %q", n.id, got)
		}
		if node, err := n.group.Leader(); err != nil || node != lead.id {
			t.Errorf("node %d takes %d for the leader, %v", n.id, node, err)
		}
	}
	c.equal()
	st, err := lead.group.Status(deadline(t))
	must(t, err)
	if len(st.Members) != 3 || !st.Leading || st.Removed || st.Proposed < 300 || st.Members[2].Addr != "node-3" || !st.Members[2].Known || !st.Members[2].Voter {
		t.Errorf("status %+v", st)
	}
	if n, took := lead.host.LogWrites(); n == 0 || took == 0 {
		t.Errorf("the log was written %d times in %v", n, took)
	}
}

// A proposal that cannot be at its place is in no log.
func TestProposeRefused(t *testing.T) {
	c := newCluster(t, 3)
	lead := c.leader()
	follower := c.others(lead)[0]
	term, _, _ := lead.group.Lead()
	commits := []store.Commit{{TS: 1, Mutations: []*store.KVPairMutation{{Op: store.OpTypePut, Key: []byte("k"), Value: []byte("v")}}}}
	large := []store.Commit{{TS: 1, Mutations: []*store.KVPairMutation{{Op: store.OpTypePut, Key: []byte("k"), Value: make([]byte, 65<<20)}}}}
	for name, p := range map[string]struct {
		n            *node
		term, number uint64
		commits      []store.Commit
		want         error
	}{
		"a follower":              {follower, term, 0, commits, replica.ErrNotLeader},
		"another term":            {lead, term - 1, 0, commits, replica.ErrNotLeader},
		"behind one that is lost": {lead, term, 5, commits, replica.ErrNotNext},
		"too large":               {lead, term, 0, large, ErrTooLarge},
	} {
		done := newOutcome()
		p.n.group.Propose(p.term, p.number, p.commits, done.tell)
		if err := done.await(deadline(t)); !errors.Is(err, txn.ErrNotCommitted) || !errors.Is(err, p.want) {
			t.Errorf("%s: %v", name, err)
		}
	}
	must(t, lead.put("k", "w")) // the number is still to be had
	if f := lead.group.Figures(); f.Refused != 3 {
		t.Errorf("figures %+v", f)
	}
}

// When the leader ends, another one leads, with everything that was acknowledged.
func TestLeaderStops(t *testing.T) {
	for name, end := range map[string]func(*node){"in good order": (*node).stop, "by a loss of power": (*node).crash} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t, 3)
			for round := range 3 {
				c.write(fmt.Sprint("before ", round), "x")
				lead := c.leader()
				_, _, changed := lead.group.Lead()
				end(lead)
				<-changed // to "no"
				c.write(fmt.Sprint("without ", round), "y")
				lead.start()
				c.equal()
			}
			for round := range 3 {
				for _, n := range c.up() {
					if n.get(fmt.Sprint("before ", round)) != "x" || n.get(fmt.Sprint("without ", round)) != "y" {
						t.Errorf("node %d lacks what was written in round %d", n.id, round)
					}
				}
			}
		})
	}
}

// All lose power at once.
func TestAllCrash(t *testing.T) {
	c := newCluster(t, 3)
	for i := range 20 {
		c.write(fmt.Sprint("key ", i), "x")
	}
	for _, n := range c.up() {
		n.crash()
	}
	for _, n := range c.nodes {
		n.start()
	}
	c.equal()
	for i := range 20 {
		if got := c.leader().get(fmt.Sprint("key ", i)); got != "x" {
			t.Errorf("key %d is %q", i, got)
		}
	}
}

// A leader without a majority acknowledges nothing, answers no reads, and hears the truth when it is back.
func TestPartition(t *testing.T) {
	c := newCluster(t, 3)
	c.write("k", "before")
	old := c.leader()
	others := c.others(old)
	c.net.isolate(old, others)
	lost := old.propose("lost", "x")
	c.leader(others...)
	for range 5 {
		must(t, c.leader(others...).put("k", "after"))
	}
	c.await("that the old leader knows it", func() bool { _, leading, _ := old.group.Lead(); return !leading })
	short, cancel := context.WithCancel(t.Context())
	read := make(chan error, 1)
	go func() { read <- old.group.Barrier(short) }()
	if err := <-lost; !errors.Is(err, txn.ErrUnknown) {
		t.Errorf("the proposal that had no majority: %v", err)
	}
	cancel()
	if err := <-read; !errors.Is(err, context.Canceled) {
		t.Errorf("a read without a majority: %v", err)
	}
	waiting := make(chan error, 1)
	go func() { waiting <- old.group.Barrier(deadline(t)) }()
	c.net.heal()
	must(t, <-waiting)
	if got := old.get("k"); got != "after" {
		t.Errorf("a read after a barrier: %q", got)
	}
	c.equal()
	if got := old.get("lost"); got != "" {
		t.Errorf("what was taken back is %q", got)
	}
}

// A proposal whose place another leader has filled is known not to be committed, if that is heard of in time.
func TestReplaced(t *testing.T) {
	g := &Group{}
	g.mu.waits = map[uint64]wait{}
	fates := map[uint64]error{}
	for index := uint64(11); index <= 16; index++ {
		g.await(index, wait{term: 6, change: index == 14, done: func(err error) { fates[index] = err }})
	}
	g.settle(10, 6, false)
	g.settle(11, 6, false)
	g.settle(12, 7, false)
	g.settle(14, 6, false)
	g.overtaken(15)
	g.abandon(func(w wait) bool { return w.term == 6 })
	for index, want := range map[uint64]error{11: nil, 12: txn.ErrNotCommitted, 13: txn.ErrUnknown, 14: ErrRefused, 15: txn.ErrUnknown, 16: txn.ErrUnknown} {
		if got, ok := fates[index]; !ok || !errors.Is(got, want) {
			t.Errorf("entry %d: %v, %v", index, got, ok)
		}
	}
}

// A new node gets an image, becomes a voter, and another can go. No id comes twice.
func TestMembers(t *testing.T) {
	c := newCluster(t, 3, func(o *Options) { o.LogEntries = 40 })
	for i := range 200 {
		c.write(fmt.Sprint("key ", i), fmt.Sprint(i))
	}
	lead := c.leader()
	c.await("that the log is cut off", func() bool { return lead.group.Figures().First > 100 })
	id, err := lead.group.Add(deadline(t), 4, "node-4")
	must(t, err)
	if id != 4 {
		t.Fatalf("the new replica is %d", id)
	}
	if _, err := lead.group.Add(deadline(t), 4, "node-4"); !errors.Is(err, ErrMember) {
		t.Errorf("a member is added: %v", err)
	}
	fourth := c.join(4, id, c.addrs())
	fourth.start()
	c.awaitVoter(id)
	c.equal()

	gone := c.others(lead)[0]
	must(t, lead.group.Remove(deadline(t), gone.replica))
	if err := lead.group.Remove(deadline(t), lead.replica); !errors.Is(err, ErrLeader) {
		t.Errorf("the leader is removed: %v", err)
	}
	if err := lead.group.Remove(deadline(t), 99); !errors.Is(err, ErrNoMember) {
		t.Errorf("nobody is removed: %v", err)
	}
	c.await("that the removed one knows it", func() bool {
		return errors.Is(gone.group.Barrier(deadline(t)), ErrRemoved)
	})
	st, err := gone.group.Status(deadline(t))
	must(t, err)
	if !st.Removed {
		t.Errorf("status of the removed one: %+v", st)
	}
	gone.stop()

	// Its disk is wiped: nothing starts there under the old id, and a new one is needed.
	wiped := c.node(gone.id, gone.replica)
	if err := wiped.tryStart(); !errors.Is(err, raftlog.ErrNoGroup) {
		t.Fatalf("a wiped disk: %v", err)
	}
	id, err = lead.group.Add(deadline(t), gone.id, gone.addr)
	must(t, err)
	if id != 5 {
		t.Fatalf("the replica of the wiped disk is %d", id)
	}
	back := c.join(gone.id, id, c.addrs())
	back.start()
	c.awaitVoter(id)
	c.write("after", "all")
	c.equal()
	for i := range 200 {
		if got := back.get(fmt.Sprint("key ", i)); got != fmt.Sprint(i) {
			t.Fatalf("key %d of the wiped disk is %q", i, got)
		}
	}
}

// What would leave no majority is refused.
func TestRemoveTooMany(t *testing.T) {
	c := newCluster(t, 3)
	lead := c.leader()
	dead, alive := c.others(lead)[0], c.others(lead)[1]
	dead.stop()
	c.await("that the dead one is missed", func() bool {
		st, err := lead.group.Status(deadline(t))
		must(t, err)
		return !st.Members[dead.replica-1].Active
	})
	if err := lead.group.Remove(deadline(t), alive.replica); !errors.Is(err, ErrMajority) {
		t.Errorf("one of two that are alive: %v", err)
	}
	must(t, lead.group.Remove(deadline(t), dead.replica))
	c.write("k", "two")
	must(t, lead.group.Remove(deadline(t), alive.replica))
	alive.stop()
	must(t, lead.put("k", "one"))
}

// A node that is reached elsewhere from now on.
func TestMove(t *testing.T) {
	c := newCluster(t, 3)
	lead := c.leader()
	n := c.others(lead)[0]
	n.stop()
	n.addr = fmt.Sprint("node-", n.id, "-elsewhere")
	n.start()
	must(t, lead.group.Move(deadline(t), n.replica, n.addr))
	if err := lead.group.Move(deadline(t), 99, "x"); !errors.Is(err, ErrNoMember) {
		t.Errorf("nobody moves: %v", err)
	}
	c.write("k", "v")
	c.equal()
}

// The lead goes where it is told to.
func TestTransfer(t *testing.T) {
	c := newCluster(t, 3)
	c.write("k", "v")
	lead := c.leader()
	next := c.others(lead)[1]
	must(t, lead.group.Transfer(deadline(t), next.replica))
	if got := c.leader(next); got != next {
		t.Fatal("nobody")
	}
	if err := lead.group.Transfer(deadline(t), lead.replica); !errors.Is(err, replica.ErrNotLeader) {
		t.Errorf("a follower transfers: %v", err)
	}
	if err := next.group.Transfer(deadline(t), 99); !errors.Is(err, ErrNoMember) {
		t.Errorf("to nobody: %v", err)
	}
	must(t, next.group.Transfer(deadline(t), next.replica))
	must(t, next.group.HandOver(deadline(t)))
	if now := c.leader(c.others(next)...); now == next {
		t.Error("the lead was not handed over")
	}
	must(t, next.group.HandOver(deadline(t))) // it has none
	c.write("k", "w")
	c.equal()
}

// A group of one leads at once, and becomes one of three.
func TestGrow(t *testing.T) {
	c := newCluster(t, 1)
	lead := c.leader()
	must(t, lead.put("k", "v"))
	must(t, lead.group.Barrier(deadline(t)))
	for id := transport.NodeID(2); id <= 3; id++ {
		rep, err := lead.group.Add(deadline(t), id, fmt.Sprint("node-", id))
		must(t, err)
		c.join(id, rep, c.addrs()).start()
		c.awaitVoter(rep)
	}
	c.equal()
	lead.crash()
	c.write("k", "without the first")
	lead.start()
	c.equal()
}

// A replica that was away for longer than the log goes back gets an image.
func TestFarBehind(t *testing.T) {
	c := newCluster(t, 3, func(o *Options) { o.LogEntries = 20 })
	lead := c.leader()
	away := c.others(lead)[0]
	away.crash()
	for i := range 150 {
		c.write(fmt.Sprint("key ", i), "x")
	}
	c.await("that the log is cut off", func() bool { return c.leader().group.Figures().First > 60 })
	away.start()
	c.equal()
	c.await("that its log begins behind an image", func() bool { return away.group.Figures().First > 60 })
}

// Whoever waits is told when the host closes.
func TestClose(t *testing.T) {
	c := newCluster(t, 3)
	lead := c.leader()
	others := c.others(lead)
	c.net.isolate(lead, others)
	g := lead.group
	pending := lead.propose("k", "v")
	read := make(chan error, 1)
	go func() { read <- g.Barrier(context.Background()) }()
	never := make(chan error, 1)
	go func() {
		never <- g.until(context.Background(), func(*worker) (bool, error) { return false, nil })
	}()
	c.await("the proposal", func() bool { return g.Figures().Proposed > 0 })
	lead.stop()
	if err := <-pending; !errors.Is(err, txn.ErrUnknown) {
		t.Errorf("a proposal: %v", err)
	}
	if err := <-read; !errors.Is(err, ErrClosed) {
		t.Errorf("a read: %v", err)
	}
	if err := <-never; !errors.Is(err, ErrClosed) {
		t.Errorf("a watch: %v", err)
	}
	done := newOutcome()
	g.Propose(1, 0, nil, done.tell)
	if err := done.await(deadline(t)); !errors.Is(err, txn.ErrNotCommitted) {
		t.Errorf("a proposal after the end: %v", err)
	}
	if err := g.Barrier(deadline(t)); !errors.Is(err, ErrClosed) {
		t.Errorf("a read after the end: %v", err)
	}
	if _, leading, _ := g.Lead(); leading {
		t.Error("it leads")
	}
}

func TestOptions(t *testing.T) {
	if _, err := Open(Options{Tick: -time.Second}); err == nil {
		t.Error("nothing is needed")
	}
}
