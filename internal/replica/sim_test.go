package replica

import (
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/elastickv/elastickv/internal/replica/raftlog"
)

// A simulation is a whole group in one goroutine: replicas with the real log on disks that forget
// what was not synced, data that is on the disk now and then, and a network that loses,
// doubles, delays and reorders. A seed decides what happens next. What is checked all the time:
//
//   - an entry that was applied anywhere is the same everywhere (and so is who leads a term);
//   - an entry was evaluated on what is before it: each counts one up from the entry before it,
//     at a higher timestamp;
//   - what was acknowledged is applied by whoever answers a read that was asked for later.
//
// And at the end, when everything is up and nothing gets lost any more, all replicas are the same,
// with everything that was acknowledged.
type sim struct {
	t        testing.TB
	rng      *rand.Rand
	scripted bool // nothing is left to chance
	rules    simRules
	nodes    []*simNode
	net      []simMessage
	cut      map[[2]uint64]bool
	applied  map[uint64]simEntry      // by index: what the first replica that came there has applied
	leaders  map[uint64]uint64        // by term
	failedAt map[uint64]uint64        // index to term, of entries that were said not to be committed
	seen     map[uint64]uint64        // index to term, of entries that a read has seen
	held     map[uint64]time.Duration // nothing reaches a node before this moment
	hunt     bool                     // for what a lease could do wrong, see harmLease
	trap     func() bool              // called in every step until it says that it is over
	spared   *simNode                 // no harm is done to this one, and the members stay, see harmMemory
	forgot   bool                     // a node has learnt that it lost something
	idle     bool                     // nobody proposes
	now      time.Duration            // what no node knows
	acked    uint64                   // the highest index of an acknowledged entry
	shown    uint64                   // the highest index that a read has seen applied
	acks     int
	reads    int
	nextID   uint64
	counts   map[string]int
	failed   error
}

// simRules are the rules that keep a group safe. A test breaks one to see that the simulation notices.
type simRules struct {
	noSync       bool // promises are not on the disk when others hear of them
	earlyAnswers bool // others hear of promises before they are written
	dropAppend   bool // now and then a message for the log is not written
	noBarrier    bool // the log is cut off although the data is not on the disk
	noIntent     bool // nothing notes that a snapshot is being installed
	noReport     bool // raft does not hear how the sending of a snapshot ended
	oldHeader    bool // a snapshot says of which moment the data was when raft asked for it, and not when it was made
	noRaise      bool // the commit index at the start is what the log has, which need not be synced
	noPlace      bool // an entry goes wherever the log ends
	noWait       bool // a leader evaluates before it has applied what was before its term
	ownTime      bool // a leader goes on from its own last timestamp, and not from that of the data
	failUnknown  bool // when a lead ends, what was proposed counts as not committed
	localApply   bool // what is applied depends on where
	noChange     bool // raft does not hear of changes of members that were applied
	noIndex      bool // a read does not ask whether this is still the leader
	readAhead    bool // a read sees what was evaluated and is not committed yet
	reuseID      bool // a replica with an empty disk comes back under its old id
	longLease    bool // a lease lasts longer than it takes until others vote
	lateLease    bool // a lease begins when a heartbeat is answered, and not when it is sent
	keepLease    bool // who offers the lead to another keeps the lease
	forgetLease  bool // a voter that was started anew votes for whoever asks
	aheadLease   bool // who answers by a lease does not wait for what others may have applied
	noClock      bool // a lease that was good once counts until something happens
	noMemory     bool // who hears of more than its log has goes on
	noTerm       bool // who hears that what its log has is of another term goes on
	reopen       bool // who has heard of more than its log has starts again
}

type simEntry struct {
	term uint64
	data string
}

const simGroup raftlog.GroupID = 1

var simCounter = []byte("counter")

func newSim(t testing.TB, seed uint64, rules simRules) *sim {
	s := &sim{t: t, rng: rand.New(rand.NewPCG(seed, 0)), rules: rules, cut: map[[2]uint64]bool{},
		held: map[uint64]time.Duration{}, hunt: seed%2 == 1,
		applied: map[uint64]simEntry{}, leaders: map[uint64]uint64{},
		failedAt: map[uint64]uint64{}, seen: map[uint64]uint64{}, counts: map[string]int{}}
	first := map[uint64]Node{1: {}, 2: {}, 3: {}}
	for range 3 {
		n := s.newNode()
		must(t, n.machine.Create(first, 10))
		n.sync(t)
		must(t, n.log.Create(simGroup, raftlog.Mark{Index: 10, Term: 5}, hard(5, 0, 10)))
		s.start(n)
	}
	return s
}

func hard(term, vote, commit uint64) *pb.HardState {
	return &pb.HardState{Term: new(term), Vote: new(vote), Commit: new(commit)}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// simTick is how long a tick is. In a step of a simulation a thirtieth of it passes, so that much can happen in one.
const simTick = 30 * time.Millisecond

// clock returns what the clock of a node shows. Its speed is anything from 0.85 to 1.2.
func (s *sim) clock(n *simNode) time.Duration {
	return time.Second + time.Duration(float64(s.now)*n.speed)
}

// pass lets time pass, and ticks the nodes whose time has come. Who was stopped has missed ticks.
func (s *sim) pass(d time.Duration) {
	s.now += d
	for _, n := range s.nodes {
		if n.up && s.now >= n.stops && s.clock(n) >= n.ticked+simTick {
			n.ticked += (s.clock(n) - n.ticked).Truncate(simTick)
			n.r.Tick()
			s.settle(n)
		}
	}
}

func (s *sim) fail(format string, args ...any) {
	if s.failed == nil {
		s.failed = fmt.Errorf(format, args...)
	}
}

// chance returns a number below n, 0 for what seldom happens. In a script nothing seldom does.
func (s *sim) chance(n int) int {
	if s.scripted {
		return n - 1
	}
	return s.rng.IntN(n)
}

func (s *sim) node(id uint64) *simNode { return s.nodes[id-1] }

// step lets something happen.
func (s *sim) step() {
	s.pass(simTick / 30)
	if s.hunt { // by a group that is quick, so that another leads before a lease has ended
		if s.trap != nil && s.trap() {
			s.trap = nil
		}
		for range 8 {
			if n := s.nodes[s.chance(len(s.nodes))]; n.up && s.now >= n.stops {
				s.append(n)
				if n.up {
					s.apply(n)
				}
			}
			if len(s.net) > 0 {
				s.deliver(s.chance(len(s.net)), false)
			}
		}
		for _, n := range s.nodes {
			if n.up && s.now >= n.stops && n.role.Leading {
				s.propose(n)
				s.read(n)
			}
		}
	}
	n := s.nodes[s.chance(len(s.nodes))]
	if n.up && s.now < n.stops {
		return
	}
	switch k := s.chance(1000); {
	case n.gone:
	case !n.up:
		if s.chance(20) == 0 {
			s.start(n)
		}
	case k < 300 && len(s.net) > 0:
		s.deliver(s.chance(len(s.net)), s.chance(20) == 0)
	case k < 320 && len(s.net) > 0: // twice
		msg := s.net[s.chance(len(s.net))]
		if msg.image == nil {
			s.net = append(s.net, simMessage{m: proto.Clone(msg.m).(*pb.Message)})
		}
	case k < 650:
		s.append(n)
	case k < 800:
		s.apply(n)
	case k < 890:
		s.propose(n)
	case k < 940:
		s.read(n)
	case k < 955:
		s.truncate(n, uint64(s.chance(8)))
	case k < 965 && !s.rules.noBarrier:
		n.sync(s.t)
	case k < 970:
		if n != s.spared && (!s.hunt || s.chance(5) == 0) {
			s.crash(n)
		}
	case s.spared != nil && k < 992:
	case k < 975:
		s.change(n)
	case k < 980 && s.hunt: // an election takes hundreds of steps
		switch s.chance(6) {
		case 0, 1:
			s.harmLease()
		case 2:
			s.peace()
		case 3:
			s.harmMemory()
		}
	case k < 980:
		if voters := n.machine.Members().Conf.GetVoters(); len(voters) > 0 {
			n.r.Transfer(voters[s.chance(len(voters))])
			s.settle(n)
		}
	case k < 990 && !s.hunt:
		for _, other := range s.nodes {
			cut := s.chance(4) == 0
			s.cut[[2]uint64{n.id, other.id}], s.cut[[2]uint64{other.id, n.id}] = cut, cut && s.chance(4) > 0
		}
	case k < 991 && k >= 990:
		s.counts["stop"]++
		n.stops = s.now + time.Duration(s.chance(25))*simTick
	case k < 993 && k >= 991 && s.rules.reuseID:
		s.crash(n)
		n.fs, n.disk, n.forgets = vfs.NewCrashableMem(), nil, true
		s.openLog(n)
		s.openData(n)
		must(s.t, n.log.Create(simGroup, raftlog.Mark{}, hard(0, 0, 0)))
	}
}

// run lets steps happen, then peace, and looks at the end.
func (s *sim) run(steps int) error {
	defer func() {
		for _, n := range s.nodes {
			_ = n.log.Close()
		}
	}()
	for i := 0; i < steps || s.spared != nil && i < 2*steps; i++ {
		if s.step(); s.failed != nil {
			return s.failed
		}
	}
	s.peace()
	for round := range 3000 {
		s.pass(simTick)
		for _, n := range s.nodes {
			n.stops = 0
			if !n.up && !n.gone {
				s.start(n)
			}
			if s.failed != nil {
				return s.failed
			}
			for n.up && len(n.appends)+len(n.applies) > 0 {
				s.append(n)
				if n.up {
					s.apply(n)
				}
			}
			if n.up && round%10 == 0 {
				s.propose(n)
				s.read(n)
			}
		}
		for i := len(s.net); i > 0 && len(s.net) > 0; i-- {
			s.deliver(0, false)
		}
		if s.failed != nil {
			return s.failed
		}
		if round > 200 && s.agree() {
			return nil
		}
	}
	return errors.New("the group comes to no end: " + s.describe())
}

func (s *sim) describe() (text string) {
	for _, n := range s.nodes {
		text += fmt.Sprintf("node %d: applied %d, %+v, members %v, at %d, %d proposed, next %v and %v, image %08x; ", n.id, n.machine.Applied(), n.role, n.machine.Members(),
			n.engine.LastCommitTS(), len(n.proposed), n.next, n.r.Next(), crc32.ChecksumIEEE(n.image(s.t)))
	}
	return text
}
