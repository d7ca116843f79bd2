package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/replica/raftlog"
	"github.com/elastickv/elastickv/store"
)

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
	if s.chance(20) == 0 { // this one gets lost on its way, and those behind it rely on it
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
		victim := voters[s.chance(len(voters))]
		if i := slices.IndexFunc(voters, func(id uint64) bool { return s.node(id).gone }); i >= 0 {
			victim = voters[i] // there is nobody to spare besides
		}
		cc.Changes = append(cc.Changes, single(pb.ConfChangeAddNode, learners[0]), single(pb.ConfChangeRemoveNode, victim))
	default:
		return
	}
	s.counts["change of members"]++
	if _, err := n.r.ChangeMembers(cc); err != nil && !errors.Is(err, ErrNotLeader) && !errors.Is(err, ErrBusy) {
		s.fail("node %d: change of members: %w", n.id, err)
	}
	s.settle(n)
}
