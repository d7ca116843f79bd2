package replica

import (
	"slices"
	"time"

	pb "go.etcd.io/raft/v3/raftpb"
)

// leads returns a leader with a lease, and the other voters that are up.
func (s *sim) leads() (leader *simNode, voters []*simNode) {
	for _, n := range s.nodes {
		if n.up && n.role.Leading && n.lease > s.clock(n) {
			leader = n
		}
	}
	if leader == nil {
		return nil, nil
	}
	for _, id := range leader.machine.Members().Conf.GetVoters() {
		if n := s.node(id); n != leader && n.up {
			voters = append(voters, n)
		}
	}
	return leader, voters
}

// harmLease does to a leader what a lease that is too long, or is kept too long, does not survive.
func (s *sim) harmLease() {
	leader, voters := s.leads()
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
	switch s.chance(4) {
	case 0: // nobody hears of it
		alone()
	case 1: // what the others have answered arrives when another leads
		s.held[leader.id] = s.now + time.Duration(10+s.chance(8))*simTick
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

// peace ends what harmLease or harmMemory has begun, and every cut.
func (s *sim) peace() {
	clear(s.cut)
	clear(s.held)
	s.trap, s.idle, s.spared = nil, false, nil
}
