package replica

import (
	"bytes"
	"encoding/binary"

	pb "go.etcd.io/raft/v3/raftpb"
)

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

// agree reports whether all members that are there have applied the same, and everything acknowledged.
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
		if n := s.node(id); !n.gone && (n.machine.Applied() != leader.machine.Applied() || !bytes.Equal(n.image(s.t), want)) {
			return false
		}
	}
	return true
}
