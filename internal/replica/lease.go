package replica

import (
	"encoding/binary"
	"slices"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/quorum"
	pb "go.etcd.io/raft/v3/raftpb"
)

// lease proves to a leader, without a question, that nobody else leads.
//
// Each heartbeat says when it was sent, by the clock of the leader, and its answer says it again. A voter that has answered one
// votes for nobody until electionTicks ticks of its own have passed since it arrived (see mute), and one that was started anew
// for as long from then on, since it does not remember. So from the moment on at which the newest heartbeat was sent that a
// majority has answered, nobody else can come to lead for as long as the fastest clock takes for that. A lease is half of it: a
// tick that came late and those under way count against the voter, and what is left allows clocks whose speeds differ by two fifths.
//
// Raft lets a voter be overruled by who has been offered the lead, whenever that message arrives. So a term in which the
// lead was offered to anybody has no lease any more.
type lease struct {
	now    func() time.Duration // nil: there are no leases
	length time.Duration

	term    uint64                   // of what follows
	heard   map[uint64]time.Duration // when the newest heartbeat was sent that each replica has answered
	offered bool                     // the lead, to another replica
	end     time.Duration            // 0: there is none
}

// leaseTicks is how long a lease is.
const leaseTicks = electionTicks / 2

func (l *lease) init(c Config) { l.now, l.length = c.Now, leaseTicks*c.Tick }

// stampBytes is how long the moment is that stands behind the context of a heartbeat. It is part of the format: a leader reads
// only what it has written itself, but the others give it back as they got it.
const stampBytes = 8

// stamp puts the moment into a heartbeat, and leaves its context to who has it too.
func (l *lease) stamp(m *pb.Message) *pb.Message {
	if l.now != nil {
		m.Context = binary.BigEndian.AppendUint64(slices.Clip(m.GetContext()), uint64(l.now()))
	}
	return m
}

// unstamp takes the moment out of the answer to a heartbeat, for raft. It is of this term if the answer is.
func (l *lease) unstamp(m *pb.Message) (sent time.Duration, ok bool) {
	n := len(m.GetContext()) - stampBytes
	if l.now == nil || n < 0 {
		return 0, false
	}
	sent = time.Duration(binary.BigEndian.Uint64(m.Context[n:]))
	m.Context = m.Context[:n:n]
	return sent, true
}

// heartbeatAnswered takes note of an answer.
func (r *Replica) heartbeatAnswered(m *pb.Message) {
	sent, ok := r.lease.unstamp(m)
	role := r.Role()
	if !ok || !role.Leading || m.GetTerm() != role.Term {
		return
	}
	r.lease.of(role.Term)
	if sent > r.lease.heard[m.GetFrom()] && sent <= r.lease.now() {
		r.lease.heard[m.GetFrom()] = sent
	}
}

// of forgets what is of another term.
func (l *lease) of(term uint64) {
	if l.term != term {
		l.term, l.offered, l.end = term, false, 0
		l.heard = map[uint64]time.Duration{}
	}
}

// renew finds the end of the lease, after something that may have changed it.
func (r *Replica) renew() {
	l := &r.lease
	if l.now == nil {
		return
	}
	st := r.rn.Status()
	l.of(st.GetTerm())
	l.end = 0
	if st.RaftState != raft.StateLeader || l.offered {
		return
	}
	if st.LeadTransferee != 0 {
		l.offered = true
		return
	}
	l.heard[r.id] = l.now()
	if at := st.Config.Voters.CommittedIndex(heardOf(l.heard)); at > 0 {
		l.end = time.Duration(at) + l.length
	}
}

// heardOf has raft find the moment that a majority has reached, of both sets of voters while there are two.
type heardOf map[uint64]time.Duration

// AckedIndex implements quorum.AckedIndexer.
func (h heardOf) AckedIndex(voter uint64) (quorum.Index, bool) {
	at, ok := h[voter]
	return quorum.Index(at), ok
}

// LeaseEnd returns until when, by Config.Now, nobody else can lead; 0 if that is not known. The answer may be used
// until the work is sent that the next event leads to.
func (r *Replica) LeaseEnd() time.Duration { return r.lease.end }

// transferVote is the context of a vote that is asked for by who was offered the lead. It is raft's, and part of its protocol.
const transferVote = "CampaignTransfer"

// mute reports whether a message is to be left unheard: who has answered a heartbeat, in this process or maybe in the one
// before, votes for nobody until nobody relies on it. Raft does as much only while it knows a leader, and a message that comes late, of a
// higher term in which nobody was elected, has it forget that.
func (r *Replica) mute(m *pb.Message) bool {
	switch m.GetType() {
	case pb.MsgHeartbeat:
		if m.GetTerm() >= r.rn.BasicStatus().GetTerm() {
			r.muteTicks = electionTicks
		}
	case pb.MsgVote, pb.MsgPreVote:
		return r.muteTicks > 0 && string(m.GetContext()) != transferVote
	}
	return false
}
