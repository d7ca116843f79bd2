package replica

import (
	"errors"
	"slices"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/replica/raftlog"
)

// harmMemory has a disk forget the end of a log that was on it, votes and data included, and all that tells of it. What was forgotten
// is acknowledged, and nobody else but the leader has it, which the node hears of first; then the leader is cut off. So whoever has forgotten
// must not vote: it would elect one without what was acknowledged. There is no help if two forget, or if the leader is not heard of.
func (s *sim) harmMemory() {
	leader, voters := s.leads()
	if len(voters) != 2 || s.forgot {
		return
	}
	if s.chance(2) == 0 {
		s.forget(leader, voters[0], voters[1])
		return
	}
	// One leads first, alone, and what it writes then is back in the place of what it forgets.
	s.peace()
	s.cutOff(leader, voters[0])
	s.cutOff(leader, voters[1])
	s.spared = leader
	end := s.now + 60*simTick
	s.trap = func() bool {
		next, voters := s.leads()
		if i := slices.Index(voters, leader); len(voters) == 2 && i >= 0 && next.r.Last() < leader.r.Last() {
			s.counts["end that is written over"]++
			s.forget(next, leader, voters[1-i])
			return false
		}
		if s.now > end {
			s.peace()
		}
		return s.now > end
	}
}

// cutOff cuts two nodes off from each other.
func (s *sim) cutOff(a, b *simNode) {
	s.cut[[2]uint64{a.id, b.id}], s.cut[[2]uint64{b.id, a.id}] = true, true
}

// forget has one forget what the leader tells it from now on, of which the other does not hear.
func (s *sim) forget(leader, one, other *simNode) {
	s.peace()
	s.cutOff(leader, other)
	s.cutOff(one, other)
	role, from := leader.role, leader.r.Last()
	older, disk := one.fs.CrashClone(vfs.CrashCloneCfg{}), one.disk
	end := s.now + 20*simTick // the leader may have ceased to lead
	s.spared = leader
	forgetting, alone := false, false
	s.trap = func() bool {
		switch members := leader.machine.Members().Conf; {
		case !forgetting && (leader.role != role || s.now > end):
			s.peace()
			return true
		case !forgetting:
			told := leader.r.Followers()[one.id].Match >= s.acked && s.acked > from && leader.machine.Applied() >= s.acked
			if forgetting = told && one.up && len(members.GetVotersOutgoing()) == 0; forgetting {
				s.counts["lost end of a log"]++
				s.crash(one)
				_ = one.log.Close()
				one.fs, one.disk, one.forgets = older, disk, true
				s.openLog(one)
				s.openData(one)
				s.start(one)
			}
			return false
		case s.forgot && !alone: // long enough for an election
			alone, end = true, s.now+40*simTick
			s.cutOff(leader, one)
			delete(s.cut, [2]uint64{one.id, other.id})
			delete(s.cut, [2]uint64{other.id, one.id})
			return false
		case alone:
			if s.now > end {
				s.peace()
			}
			return s.now > end
		}
		s.deliverFirst(func(m *pb.Message) bool {
			return m.GetType() == pb.MsgHeartbeat && m.GetFrom() == leader.id && m.GetTo() == one.id
		})
		return false
	}
}

// lost ends a node that has learnt that it lost something. Its log is not opened any more.
func (s *sim) lost(n *simNode, err error) {
	s.forgot = true
	s.counts["end of who forgot"]++
	if !n.forgets || !errors.Is(err, raftlog.ErrForgotten) {
		s.fail("node %d ends with %w", n.id, err)
	}
	if s.rules.reopen {
		s.crash(n)
		return
	}
	n.up, n.gone = false, true
	must(s.t, n.log.Condemn())
	if _, err := raftlog.Open("log", raftlog.Options{FS: n.fs.CrashClone(vfs.CrashCloneCfg{})}); !errors.Is(err, raftlog.ErrForgotten) {
		s.fail("the log of node %d is opened again: %w", n.id, err)
	}
}
