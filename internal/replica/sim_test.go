package replica

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/elastickv/elastickv/internal/replica/raftlog"
	"github.com/elastickv/elastickv/store"
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
}

type simEntry struct {
	term uint64
	data string
}

type simMessage struct {
	m     *pb.Message
	image []byte // of MsgSnap
}

type simNode struct {
	id      uint64
	fs      *vfs.MemFS
	log     *raftlog.Log
	group   *raftlog.Group
	engine  *simEngine
	machine *Machine
	r       *Replica
	appends []*pb.Message
	applies []*pb.Message
	images  map[uint64][]byte // snapshots that have arrived, by index
	disk    []byte            // the data that is on the disk
	up      bool

	speed  float64       // of its clock
	ticked time.Duration // when it ticked last, by that
	stops  time.Duration // it does nothing before this moment

	// As a leader:
	role     Role
	lease    time.Duration // as it was when something happened last
	from     uint64        // the entry that its term begins with
	counter  uint64        // the newest that was evaluated
	ts       uint64
	mine     uint64 // the newest timestamp that it has made
	next     Place
	proposed map[uint64]uint64 // index to term, of those that wait for an answer
	waiting  map[string]uint64 // reads to what was acknowledged when they began
	ready    map[string]uint64 // reads to the index that they wait for
}

// simEngine is the data in memory. It can crash in the middle of a restore.
type simEngine struct {
	store.Engine
	crash func(when string)
}

func (e *simEngine) Restore(r io.Reader) error {
	e.crash("before")
	err := e.Engine.Restore(r)
	e.crash("after")
	return err
}

// simCrash is what a crash in the middle of something panics with.
type simCrash struct{}

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

// newNode returns a machine with an empty disk.
func (s *sim) newNode() *simNode {
	s.nextID++
	n := &simNode{id: s.nextID, fs: vfs.NewCrashableMem(), images: map[uint64][]byte{},
		speed: 0.85 + 0.35*s.rng.Float64()}
	s.nodes = append(s.nodes, n)
	s.openLog(n)
	s.openData(n)
	return n
}

func (s *sim) openLog(n *simNode) {
	var err error
	n.log, err = raftlog.Open("log", raftlog.Options{FS: n.fs, Logger: slog.New(slog.DiscardHandler), TailBytes: 500})
	must(s.t, err)
}

func (s *sim) openData(n *simNode) {
	n.engine = &simEngine{Engine: store.NewMVCCStore().(store.Engine), crash: func(string) {}}
	if n.disk != nil {
		must(s.t, n.engine.Engine.Restore(bytes.NewReader(n.disk)))
	}
	var err error
	n.machine, err = OpenMachine(n.engine)
	must(s.t, err)
}

func (n *simNode) image(t testing.TB) []byte {
	image, err := n.machine.Snapshot()
	must(t, err)
	var b bytes.Buffer
	_, err = image.WriteTo(&b)
	must(t, errors.Join(err, image.Close()))
	return b.Bytes()
}

// sync puts the data on the disk.
func (n *simNode) sync(t testing.TB) { n.disk = n.image(t) }

// start brings a node up as it finds itself.
func (s *sim) start(n *simNode) {
	var err error
	if n.group, err = n.log.Open(simGroup, n.machine.Applied()); err != nil {
		s.fail("node %d does not start: %w", n.id, err)
		return
	}
	c := Config{ID: n.id, Log: n.group, Machine: n.machine, Logger: quiet{}, Now: func() time.Duration { return s.clock(n) }, Tick: simTick}
	from := raft.Storage(storage{n.group, n.machine})
	if s.rules.noRaise {
		from = lowCommit{from}
	}
	n.r, err = open(c, from)
	must(s.t, err)
	if s.rules.forgetLease {
		n.r.muteTicks = 0
	}
	if s.rules.longLease {
		n.r.lease.length = 2 * electionTicks * simTick
	}
	n.ticked, n.stops = s.clock(n), 0
	n.up, n.role = true, Role{}
	n.appends, n.applies, n.images = nil, nil, map[uint64][]byte{}
	n.proposed, n.waiting, n.ready = map[uint64]uint64{}, map[string]uint64{}, map[string]uint64{}
	s.settle(n)
}

// lowCommit is a log that does not know what was committed.
type lowCommit struct{ raft.Storage }

// InitialState implements raft.Storage.
func (l lowCommit) InitialState() (*pb.HardState, *pb.ConfState, error) {
	h, conf, err := l.Storage.InitialState()
	first, _ := l.FirstIndex()
	return hard(h.GetTerm(), h.GetVote(), first-1), conf, err
}

// crash takes a node down. The disk keeps what was synced, and sometimes what was not.
func (s *sim) crash(n *simNode) {
	s.counts["crash"]++
	n.up = false
	if s.rng.IntN(3) == 0 && !s.rules.noSync {
		must(s.t, n.log.Write(nil)) // what was not synced got there all the same
	}
	old := n.log
	n.fs = n.fs.CrashClone(vfs.CrashCloneCfg{})
	_ = old.Close()
	// The data may have more than was synced, but never more than the log has on the disk.
	if s.rng.IntN(2) == 0 && !s.rules.noBarrier {
		n.sync(s.t)
	}
	s.openLog(n)
	s.openData(n)
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

// settle hands the work of a node out.
func (s *sim) settle(n *simNode) {
	w := n.r.Ready()
	n.appends = append(n.appends, w.Append...)
	n.applies = append(n.applies, w.Apply...)
	for _, m := range w.Send {
		s.send(n, m)
	}
	for _, read := range w.Reads {
		n.ready[string(read.ID)] = read.Index
	}
	role := n.r.Role()
	if role.Leading {
		if other, ok := s.leaders[role.Term]; ok && other != n.id {
			s.fail("term %d has two leaders, %d and %d", role.Term, other, n.id)
		}
		s.leaders[role.Term] = n.id
	}
	if role.Leading && (!n.role.Leading || n.role.Term != role.Term) {
		s.counts["lead"]++
		n.next, n.from = n.r.Next(), n.r.Last()
		n.counter, n.ts = 0, 0
	}
	n.lease = n.r.LeaseEnd()
	if l := &n.r.lease; s.rules.keepLease && role.Leading && role.Term == l.term {
		l.heard[n.id] = s.clock(n)
		n.lease = time.Duration(n.r.rn.Status().Config.Voters.CommittedIndex(heardOf(l.heard))) + l.length
	}
	if n.role != role { // whoever waits does not know
		if s.rules.failUnknown {
			for index, term := range n.proposed {
				s.tellFailed(index, term)
			}
		}
		clear(n.proposed)
		clear(n.waiting)
		clear(n.ready)
	}
	n.role = role
}

// tellFailed says that an entry never will be committed.
func (s *sim) tellFailed(index, term uint64) {
	s.failedAt[index] = max(s.failedAt[index], term)
	if e, ok := s.applied[index]; ok && e.term == term {
		s.fail("entry %d of term %d is committed, and who has proposed it was told that it is not", index, term)
	}
}

func (s *sim) node(id uint64) *simNode { return s.nodes[id-1] }

// send puts a message on its way. A snapshot is made now, of what the data has now.
func (s *sim) send(n *simNode, m *pb.Message) {
	msg := simMessage{m: proto.Clone(m).(*pb.Message)}
	if m.GetType() == pb.MsgSnap {
		s.counts["snapshot"]++
		meta, err := n.machine.Metadata(n.group)
		if err != nil {
			s.fail("node %d: term of the last entry that is applied: %w", n.id, err)
			return
		}
		if !s.rules.oldHeader {
			msg.m.Snapshot.Metadata = meta
		}
		msg.image = n.image(s.t)
	}
	s.net = append(s.net, msg)
}

// deliver takes a message from the network.
func (s *sim) deliver(i int, lost bool) {
	msg := s.net[i]
	s.net[i] = s.net[len(s.net)-1]
	s.net = s.net[:len(s.net)-1]
	from, to := s.node(msg.m.GetFrom()), s.node(msg.m.GetTo())
	if to.up && s.now < max(to.stops, s.held[to.id]) {
		s.net = append(s.net, msg) // it arrives when somebody is there
		return
	}
	if s.rules.oldHeader && msg.image != nil && from.up {
		msg.image = from.image(s.t)
	}
	lost = lost || !to.up || s.cut[[2]uint64{from.id, to.id}]
	if msg.image != nil && from.up && !s.rules.noReport {
		from.r.SnapshotSent(to.id, !lost)
		s.settle(from)
	}
	if lost {
		s.counts["lost"]++
		if from.up && s.rng.IntN(2) == 0 {
			from.r.Unreachable(to.id)
			s.settle(from)
		}
		return
	}
	if msg.image != nil {
		to.images[msg.m.GetSnapshot().GetMetadata().GetIndex()] = msg.image
	}
	m := proto.Clone(msg.m).(*pb.Message)
	if at := len(m.GetContext()) - stampBytes; s.rules.lateLease && m.GetType() == pb.MsgHeartbeatResp && at >= 0 {
		binary.BigEndian.PutUint64(m.Context[at:], uint64(s.clock(to)))
	}
	to.r.Step(m)
	s.settle(to)
}

// append does some of the Append work of a node.
func (s *sim) append(n *simNode) {
	if len(n.appends) == 0 {
		return
	}
	a := Appender{n.log}
	if HasSnapshot(n.appends[0]) {
		s.install(n, &a)
		return
	}
	most := 1 + s.rng.IntN(len(n.appends))
	count := 0
	for count < most && !HasSnapshot(n.appends[count]) {
		count++
	}
	work := n.appends[:count]
	n.appends = n.appends[count:]
	if s.rules.dropAppend && len(work) > 1 && s.rng.IntN(20) == 0 {
		work = work[1:]
	}
	var answers []*pb.Message
	var err error
	if s.rules.earlyAnswers {
		for _, m := range work {
			s.answer(n, m.GetResponses())
			m.Responses = nil
		}
		if s.rng.IntN(10) == 0 {
			s.crash(n)
			return
		}
	}
	if s.rules.noSync {
		var writes []raftlog.Write
		for _, m := range work {
			writes = append(writes, raftlog.Write{Group: n.group, Entries: m.GetEntries(), Hard: hardOf(m)})
			answers = append(answers, m.GetResponses()...)
		}
		err = n.log.WriteLater(writes)
	} else {
		var each [][]*pb.Message
		each, err = a.Write([]Append{{n.group, work}})
		answers = slices.Concat(each...)
	}
	must(s.t, err)
	s.answer(n, answers)
}

func (s *sim) answer(n *simNode, answers []*pb.Message) {
	for _, m := range answers {
		if m.GetTo() == n.id {
			n.r.Step(m)
			s.settle(n)
		} else {
			s.send(n, m)
		}
	}
}

// install installs a snapshot, and sometimes crashes in the middle.
func (s *sim) install(n *simNode, a *Appender) {
	for len(n.applies) > 0 {
		s.apply(n)
	}
	m := n.appends[0]
	n.appends = n.appends[1:]
	image := n.images[m.GetSnapshot().GetMetadata().GetIndex()]
	at := ""
	switch s.rng.IntN(6) {
	case 0:
		at = "before"
	case 1:
		at = "after"
	}
	n.engine.crash = func(when string) {
		if when == "after" {
			n.sync(s.t) // a restore is on the disk when it returns
		}
		if when == at {
			panic(simCrash{})
		}
	}
	defer func() {
		n.engine.crash = func(string) {}
		if p := recover(); p != nil {
			if _, ok := p.(simCrash); !ok {
				panic(p)
			}
			s.counts["crash in install"]++
			s.crash(n)
		}
	}()
	s.counts["install"]++
	var answers []*pb.Message
	var err error
	if s.rules.noIntent {
		meta := m.GetSnapshot().GetMetadata()
		must(s.t, n.machine.Restore(bytes.NewReader(image)))
		err = n.log.FinishInstall(n.group, raftlog.Mark{Index: meta.GetIndex(), Term: meta.GetTerm()}, hardOf(m))
		answers = m.GetResponses()
	} else {
		answers, err = a.Install(n.group, n.machine, m, bytes.NewReader(image))
	}
	if err != nil {
		s.fail("node %d: %w", n.id, err)
		return
	}
	s.answer(n, answers)
}

// apply does one message of the Apply work of a node.
func (s *sim) apply(n *simNode) {
	if len(n.applies) == 0 {
		return
	}
	m := n.applies[0]
	n.applies = n.applies[1:]
	if s.rules.localApply {
		for _, e := range m.GetEntries() {
			if commits, err := ParseEntry(e.GetData()); err == nil && len(commits) == 1 && e.GetIndex()%2 == 0 {
				commits[0].Mutations[0].ExpireAt = math.MaxUint64 - n.id
				e.Data = AppendEntry(nil, commits)
			}
		}
	}
	done, err := n.machine.Do(m)
	if err != nil {
		s.fail("node %d: %w", n.id, err)
		return
	}
	for _, e := range m.GetEntries() {
		s.check(n, e)
	}
	for _, c := range done.Changes {
		if s.rules.noChange {
			break
		}
		n.r.Changed(c)
		s.settle(n)
	}
	s.answer(n, done.Answers)
	s.answerReads(n)
}

// check compares an applied entry with what others have applied, and with what is before it.
func (s *sim) check(n *simNode, e *pb.Entry) {
	index := e.GetIndex()
	got := simEntry{e.GetTerm(), string(e.GetData())}
	was, ok := s.applied[index]
	if ok && was != got {
		s.fail("node %d applies entry %d of term %d, and another has applied one of term %d", n.id, index, got.term, was.term)
	}
	if !ok {
		s.applied[index] = got
		s.checkOrder(index, got)
		if term, ok := s.failedAt[index]; ok && term == got.term {
			s.tellFailed(index, term)
		}
		if term, ok := s.seen[index]; ok && term != got.term {
			s.fail("a read has seen entry %d of term %d, and one of term %d is committed", index, term, got.term)
		}
	}
	if term, ok := n.proposed[index]; ok {
		delete(n.proposed, index)
		if term == e.GetTerm() {
			s.acked = max(s.acked, index)
			s.acks++
		} else {
			s.tellFailed(index, term)
		}
	}
}

// checkOrder fails if an entry was not evaluated on the one before it.
func (s *sim) checkOrder(index uint64, e simEntry) {
	ts, counter := simContent(e.data)
	if ts == 0 {
		return
	}
	for i := index - 1; i > 10; i-- {
		if was, before := simContent(s.applied[i].data); was != 0 {
			if was >= ts || before+1 != counter {
				s.fail("entry %d counts to %d at %d, and the one before it to %d at %d", index, counter, ts, before, was)
			}
			return
		}
	}
	if counter != 1 {
		s.fail("entry %d counts to %d, and is the first", index, counter)
	}
}

// simContent returns what an entry of a client says; zeros for another one.
func simContent(data string) (ts, counter uint64) {
	commits, err := ParseEntry([]byte(data))
	if err != nil || len(commits) != 1 {
		return 0, 0
	}
	return commits[0].TS, binary.BigEndian.Uint64(commits[0].Mutations[0].Value)
}

// propose has a leader count one up, on what it has evaluated before.
func (s *sim) propose(n *simNode) {
	if s.idle || !n.role.Leading || n.machine.Applied() < n.from && !s.rules.noWait {
		return
	}
	if n.ts == 0 {
		n.counter, n.ts = n.count(s.t), n.engine.LastCommitTS()
		if s.rules.ownTime {
			n.ts = n.mine
		}
	}
	defer func() { n.mine = max(n.mine, n.ts) }()
	value := binary.BigEndian.AppendUint64(nil, n.counter+1)
	data := AppendEntry(nil, []store.Commit{{TS: n.ts + 1, Mutations: []*store.KVPairMutation{{Op: store.OpTypePut, Key: simCounter, Value: value}}}})
	at := n.next
	if s.rng.IntN(20) == 0 { // this one gets lost on its way, and those behind it rely on it
		s.counts["lost proposal"]++
		n.next.Number++
		n.counter++
		n.ts++
		return
	}
	if s.rules.noPlace {
		at = n.r.Next()
	}
	switch index, err := n.r.Propose(at, data); {
	case err == nil:
		n.proposed[index] = at.Term
		n.next.Number++
		n.counter++
		n.ts++
	case errors.Is(err, ErrNotNext), errors.Is(err, ErrBusy): // evaluate again, behind all that is in the log
		if len(n.proposed) == 0 && n.machine.Applied() == n.r.Last() {
			n.next = n.r.Next()
			n.counter, n.ts = n.count(s.t), n.engine.LastCommitTS()
		}
	case !errors.Is(err, ErrNotLeader):
		s.fail("node %d: propose: %w", n.id, err)
	}
	s.settle(n)
}

// count returns the counter that is applied.
func (n *simNode) count(t testing.TB) uint64 {
	v, ok, err := n.engine.VersionAt(t.Context(), simCounter, n.engine.LastCommitTS())
	must(t, err)
	if !ok {
		return 0
	}
	return binary.BigEndian.Uint64(v.Value)
}

// read begins a read at a node.
func (s *sim) read(n *simNode) {
	s.reads++
	id := fmt.Sprint("read ", s.reads)
	n.waiting[id] = max(s.acked, s.shown)
	switch {
	case s.rules.noIndex:
		if n.role.Leading {
			n.ready[id] = n.machine.Applied()
		}
	case s.rules.readAhead && n.role.Leading:
		if term, err := n.group.Term(n.r.Last()); err == nil {
			s.seen[n.r.Last()] = term
		}
	case n.role.Leading && n.machine.Applied() >= n.from && (s.clock(n) < n.lease || s.rules.noClock && n.lease > 0):
		s.counts["read by lease"]++
		n.ready[id] = n.r.Commit()
		if s.rules.aheadLease {
			n.ready[id] = n.machine.Applied()
		}
	default:
		n.r.ReadIndex([]byte(id))
		s.settle(n)
	}
	s.answerReads(n)
}

// answerReads ends the reads that have applied what they wait for.
func (s *sim) answerReads(n *simNode) {
	applied := n.machine.Applied()
	for id, index := range n.ready {
		if applied < index {
			continue
		}
		if acked, ok := n.waiting[id]; ok {
			s.counts["read"]++
			s.shown = max(s.shown, applied)
			if applied < acked {
				s.fail("node %d answers a read as of entry %d, and entry %d was acknowledged, or shown by another, before it", n.id, applied, acked)
			}
		}
		delete(n.ready, id)
		delete(n.waiting, id)
	}
}

// harmLease does to a leader what a lease that is too long, or is kept too long, does not survive.
func (s *sim) harmLease() {
	var leader *simNode
	for _, n := range s.nodes {
		if n.up && n.role.Leading && n.lease > s.clock(n) {
			leader = n
		}
	}
	if leader == nil {
		return
	}
	var voters []*simNode
	for _, id := range leader.machine.Members().Conf.GetVoters() {
		if n := s.node(id); n != leader && n.up {
			voters = append(voters, n)
		}
	}
	if len(voters) < 2 {
		return
	}
	s.counts["harm to a lease"]++
	s.peace()
	cut := func(from, to *simNode) { s.cut[[2]uint64{from.id, to.id}] = true }
	one, other := voters[0], voters[1]
	alone := func() {
		for _, n := range voters {
			cut(leader, n)
			cut(n, leader)
		}
	}
	switch s.rng.IntN(4) {
	case 0: // nobody hears of it
		alone()
	case 1: // what the others have answered arrives when another leads
		s.held[leader.id] = s.now + time.Duration(10+s.rng.IntN(8))*simTick
		begin := s.now + 3*simTick
		s.trap = func() bool {
			if s.now >= begin {
				for _, n := range voters {
					cut(leader, n)
				}
			}
			if s.now < s.held[leader.id] {
				return false
			}
			for s.deliverFirst(func(m *pb.Message) bool { return m.GetType() == pb.MsgHeartbeatResp && m.GetTo() == leader.id }) {
			}
			if leader.up {
				s.read(leader)
			}
			return true
		}
	case 2: // one does not hear of it, and another, which does, is started anew and asked for its vote
		s.idle = true // or else the log of the one would be too old
		quiet := s.now + 5*simTick
		s.trap = func() bool {
			if s.now < quiet {
				return false
			}
			cut(leader, one)
			asked := slices.ContainsFunc(s.net, func(m simMessage) bool { return m.m.GetType() == pb.MsgPreVote && m.m.GetTo() == other.id })
			if !asked || !other.up {
				return false
			}
			s.crash(other)
			s.start(other)
			alone()
			s.idle = false
			return true
		}
	case 3: // it has just offered the lead
		s.idle = true // so that there is nothing to wait for
		quiet := s.now + 3*simTick
		s.trap = func() bool {
			if s.now < quiet || !leader.up || s.now < max(one.stops, leader.stops) {
				return false
			}
			leader.r.Transfer(one.id)
			s.settle(leader)
			if s.deliverFirst(func(m *pb.Message) bool { return m.GetType() == pb.MsgTimeoutNow && m.GetFrom() == leader.id }) {
				alone()
			}
			s.idle = false
			return true
		}
	}
}

// peace ends what harmLease has begun, and every cut.
func (s *sim) peace() {
	clear(s.cut)
	clear(s.held)
	s.trap, s.idle = nil, false
}

// deliverFirst delivers the first message of some kind, and reports whether there was one that could be delivered.
func (s *sim) deliverFirst(which func(*pb.Message) bool) bool {
	i := slices.IndexFunc(s.net, func(m simMessage) bool { return which(m.m) })
	if i < 0 {
		return false
	}
	msg := s.net[i]
	s.deliver(i, false)
	return !slices.ContainsFunc(s.net, func(m simMessage) bool { return m.m == msg.m })
}

// truncate cuts off the beginning of a node's log.
func (s *sim) truncate(n *simNode) {
	a := Appender{n.log}
	upTo := n.machine.Applied()
	upTo -= min(upTo, uint64(s.rng.IntN(8)))
	if !s.rules.noBarrier {
		n.sync(s.t)
	}
	at, err := a.truncate(n.group, upTo)
	must(s.t, err)
	if at.Index > 0 {
		s.counts["truncate"]++
	}
}

// change proposes another set of members: a learner, a learner that becomes a voter in the place of
// another, or one less.
func (s *sim) change(n *simNode) {
	if !n.role.Leading {
		return
	}
	members := n.machine.Members().Conf
	if len(members.GetVotersOutgoing()) > 0 {
		return
	}
	single := func(kind pb.ConfChangeType, id uint64) *pb.ConfChangeSingle {
		return &pb.ConfChangeSingle{Type: kind.Enum(), NodeId: new(id)}
	}
	cc := &pb.ConfChangeV2{}
	switch learners := members.GetLearners(); {
	case len(learners) == 0 && len(s.nodes) < 8:
		fresh := s.newNode()
		must(s.t, fresh.log.Create(simGroup, raftlog.Mark{}, hard(0, 0, 0)))
		s.start(fresh)
		cc.Changes = append(cc.Changes, single(pb.ConfChangeAddLearnerNode, fresh.id))
	case len(learners) > 0:
		progress, ok := n.r.Followers()[learners[0]]
		if !ok || progress.Match+20 < n.r.Last() {
			return
		}
		voters := members.GetVoters()
		cc.Changes = append(cc.Changes, single(pb.ConfChangeAddNode, learners[0]),
			single(pb.ConfChangeRemoveNode, voters[s.rng.IntN(len(voters))]))
	default:
		return
	}
	s.counts["change of members"]++
	if _, err := n.r.ChangeMembers(cc); err != nil && !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrBusy) {
		s.fail("node %d: change of members: %w", n.id, err)
	}
	s.settle(n)
}

// step lets something happen.
func (s *sim) step() {
	s.pass(simTick / 30)
	if s.hunt { // by a group that is quick, so that another leads before a lease has ended
		if s.trap != nil && s.trap() {
			s.trap = nil
		}
		for range 8 {
			if n := s.nodes[s.rng.IntN(len(s.nodes))]; n.up && s.now >= n.stops {
				s.append(n)
				if n.up {
					s.apply(n)
				}
			}
			if len(s.net) > 0 {
				s.deliver(s.rng.IntN(len(s.net)), false)
			}
		}
		for _, n := range s.nodes {
			if n.up && s.now >= n.stops && n.role.Leading {
				s.propose(n)
				s.read(n)
			}
		}
	}
	n := s.nodes[s.rng.IntN(len(s.nodes))]
	if n.up && s.now < n.stops {
		return
	}
	switch k := s.rng.IntN(1000); {
	case !n.up:
		if s.rng.IntN(20) == 0 {
			s.start(n)
		}
	case k < 300 && len(s.net) > 0:
		s.deliver(s.rng.IntN(len(s.net)), s.rng.IntN(20) == 0)
	case k < 320 && len(s.net) > 0: // twice
		msg := s.net[s.rng.IntN(len(s.net))]
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
		s.truncate(n)
	case k < 965 && !s.rules.noBarrier:
		n.sync(s.t)
	case k < 970:
		if !s.hunt || s.rng.IntN(5) == 0 {
			s.crash(n)
		}
	case k < 975:
		s.change(n)
	case k < 980 && s.hunt: // an election takes hundreds of steps
		switch s.rng.IntN(6) {
		case 0, 1:
			s.harmLease()
		case 2:
			s.peace()
		}
	case k < 980:
		if voters := n.machine.Members().Conf.GetVoters(); len(voters) > 0 {
			n.r.Transfer(voters[s.rng.IntN(len(voters))])
			s.settle(n)
		}
	case k < 990 && !s.hunt:
		for _, other := range s.nodes {
			cut := s.rng.IntN(4) == 0
			s.cut[[2]uint64{n.id, other.id}], s.cut[[2]uint64{other.id, n.id}] = cut, cut && s.rng.IntN(4) > 0
		}
	case k < 991 && k >= 990:
		s.counts["stop"]++
		n.stops = s.now + time.Duration(s.rng.IntN(25))*simTick
	case k < 993 && k >= 991 && s.rules.reuseID:
		s.crash(n)
		n.fs, n.disk = vfs.NewCrashableMem(), nil
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
	for range steps {
		if s.step(); s.failed != nil {
			return s.failed
		}
	}
	s.peace()
	for round := range 3000 {
		s.pass(simTick)
		for _, n := range s.nodes {
			n.stops = 0
			if !n.up {
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

// agree reports whether all members have applied the same, and everything acknowledged.
func (s *sim) agree() bool {
	var leader *simNode
	for _, n := range s.nodes {
		if n.up && n.role.Leading {
			leader = n
		}
	}
	if leader == nil || len(leader.proposed) > 0 || leader.machine.Applied() < s.acked {
		return false
	}
	members := leader.machine.Members()
	if len(members.Conf.GetVotersOutgoing()) > 0 {
		return false
	}
	want := leader.image(s.t)
	for _, id := range members.Replicas() {
		if n := s.node(id); n.machine.Applied() != leader.machine.Applied() || !bytes.Equal(n.image(s.t), want) {
			return false
		}
	}
	return true
}

func (s *sim) describe() (text string) {
	for _, n := range s.nodes {
		text += fmt.Sprintf("node %d: applied %d, %+v, members %v, at %d, %d proposed, next %v and %v, image %08x; ", n.id, n.machine.Applied(), n.role, n.machine.Members(),
			n.engine.LastCommitTS(), len(n.proposed), n.next, n.r.Next(), crc32.ChecksumIEEE(n.image(s.t)))
	}
	return text
}

// quiet is a logger of raft that says nothing, and panics where raft finds itself broken.
type quiet struct{}

func (quiet) Debug(...any)              {}
func (quiet) Debugf(string, ...any)     {}
func (quiet) Error(...any)              {}
func (quiet) Errorf(string, ...any)     {}
func (quiet) Info(...any)               {}
func (quiet) Infof(string, ...any)      {}
func (quiet) Warning(...any)            {}
func (quiet) Warningf(string, ...any)   {}
func (quiet) Fatal(v ...any)            { panic(fmt.Sprint(v...)) }
func (quiet) Fatalf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }
func (quiet) Panic(v ...any)            { panic(fmt.Sprint(v...)) }
func (quiet) Panicf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }
