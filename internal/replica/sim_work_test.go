package replica

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/elastickv/elastickv/internal/replica/raftlog"
)

type simMessage struct {
	m     *pb.Message
	image []byte // of MsgSnap
}

// settle hands the work of a node out.
func (s *sim) settle(n *simNode) {
	w := n.r.Ready()
	if w.Lost != nil {
		s.lost(n, w.Lost)
		return
	}
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
	s.net = slices.Delete(s.net, i, i+1)
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
		if from.up && s.chance(2) == 0 {
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
	if to.r.forgot(m) != nil {
		switch longer := m.GetCommit() > to.r.Last(); {
		case longer && s.rules.noMemory:
			s.forgot, m.Commit, m.LogTerm = true, new(to.r.Last()), nil
		case !longer && s.rules.noTerm:
			s.forgot, m.LogTerm = true, nil
		}
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
	most := 1 + s.chance(len(n.appends))
	count := 0
	for count < most && !HasSnapshot(n.appends[count]) {
		count++
	}
	work := n.appends[:count]
	n.appends = n.appends[count:]
	if s.rules.dropAppend && len(work) > 1 && s.chance(20) == 0 {
		work = work[1:]
	}
	var answers []*pb.Message
	var err error
	if s.rules.earlyAnswers {
		for _, m := range work {
			s.answer(n, m.GetResponses())
			m.Responses = nil
		}
		if s.chance(10) == 0 {
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
	switch s.chance(6) {
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

// truncate cuts off the beginning of a node's log, but for the last entries that are applied.
func (s *sim) truncate(n *simNode, keep uint64) {
	a := Appender{n.log}
	upTo := n.machine.Applied()
	upTo -= min(upTo, keep)
	if !s.rules.noBarrier {
		n.sync(s.t)
	}
	at, err := a.truncate(n.group, upTo)
	must(s.t, err)
	if at.Index > 0 {
		s.counts["truncate"]++
	}
}
