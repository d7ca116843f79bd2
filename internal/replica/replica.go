package replica

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"github.com/elastickv/elastickv/internal/replica/raftlog"
)

// Timing, in ticks. A tick is what the host says it is.
const (
	heartbeatTicks = 2
	electionTicks  = 10 // up to twice as many, by chance
)

// Config says who a replica is.
type Config struct {
	ID      uint64 // in its group, for ever; never used for another replica
	Log     *raftlog.Group
	Machine *Machine
	Logger  raft.Logger
	// Now is a clock that never stands still and is never set; only its differences count. Tick is how long a tick is, by it.
	// Without a clock a leader has no lease.
	Now  func() time.Duration
	Tick time.Duration
}

// Replica is a member of a group, as a state machine: events go in, and Ready says what there is
// to do. It is used by one goroutine.
type Replica struct {
	id   uint64
	rn   *raft.RawNode
	log  *raftlog.Group
	last uint64       // index of the last entry of the log, durable or not
	end  raftlog.Mark // from this entry on, up to last, all are of its term
	next Place        // of the next proposal, while its term is that of the group
	// The index of the last snapshot that raft has taken in; the data may not have it yet.
	restored  uint64
	work      Work  // gathered since Ready was called
	lost      error // why it takes part no more
	lease     lease
	muteTicks int // for so many ticks more it votes for nobody
}

// New returns the replica that the log and the data say it was.
func New(c Config) (*Replica, error) { return open(c, storage{c.Log, c.Machine}) }

func open(c Config, from raft.Storage) (*Replica, error) {
	rn, err := raft.NewRawNode(&raft.Config{
		ID: c.ID, Storage: from, Applied: c.Machine.Applied(), Logger: c.Logger,
		HeartbeatTick: heartbeatTicks, ElectionTick: electionTicks,
		AsyncStorageWrites: true,
		// A leader that has lost its majority knows it; a replica that comes back disturbs nobody.
		CheckQuorum: true, PreVote: true, StepDownOnRemoval: true,
		// Only the leader knows what its entries rely on.
		DisableProposalForwarding: true,
		ReadOnlyOption:            raft.ReadOnlySafe,
		MaxSizePerMsg:             1 << 20,
		MaxInflightMsgs:           256, MaxInflightBytes: 32 << 20,
		MaxCommittedSizePerReady:  4 << 20,
		MaxUncommittedEntriesSize: 64 << 20,
	})
	if err != nil {
		return nil, fmt.Errorf("replica: %w", err)
	}
	last, err := c.Log.LastIndex()
	if err != nil {
		return nil, fmt.Errorf("replica: %w", err)
	}
	term, err := c.Log.Term(last)
	if err != nil {
		return nil, fmt.Errorf("replica: %w", err)
	}
	r := &Replica{id: c.ID, rn: rn, log: c.Log, last: last, end: raftlog.Mark{Index: last, Term: term}}
	r.lease.init(c)
	if c.Log.HardState().GetTerm() > 0 { // it has taken part before
		r.muteTicks = electionTicks
	}
	r.gather()
	return r, nil
}

// storage is what raft reads.
type storage struct {
	*raftlog.Group
	m *Machine
}

// InitialState implements raft.Storage.
func (s storage) InitialState() (*pb.HardState, *pb.ConfState, error) {
	return s.HardState(), s.m.Members().Conf, nil
}

// Snapshot implements raft.Storage: it is the header of an image that is made when it is sent.
func (s storage) Snapshot() (*pb.Snapshot, error) {
	meta, err := s.m.Metadata(s.Group)
	if err != nil {
		return nil, raft.ErrSnapshotTemporarilyUnavailable
	}
	return &pb.Snapshot{Metadata: meta}, nil
}

// ErrNotLeader says that a proposal was made to a replica that does not lead, or no longer does. The
// entry is in no log.
var ErrNotLeader = errors.New("replica: this replica does not lead its group")

// ErrNotNext says that a proposal relies on one that is not in the log. Neither is this one; what
// was evaluated behind it has to be evaluated again.
var ErrNotNext = errors.New("replica: the proposal before this one is not in the log")

// ErrBusy says that too much is waiting to be committed. The entry is in no log.
var ErrBusy = errors.New("replica: too much is waiting for a majority")

// Place says what a proposal relies on: that the replica leads in Term, and that the Number proposals
// that were made before it in this term are in the log. The index would not do: raft and
// changes of members put entries between.
type Place struct{ Term, Number uint64 }

// Propose puts an entry into the log, at exactly this place, and returns its index. If the entry is
// committed, so is all that it was evaluated on, in that order, and nothing else.
func (r *Replica) Propose(at Place, data []byte) (index uint64, err error) {
	if !r.Role().Leading || r.Next().Term != at.Term {
		return 0, ErrNotLeader
	}
	if next := r.Next(); next != at {
		return 0, fmt.Errorf("%w: it is number %d of term %d, and %d is next", ErrNotNext, at.Number, at.Term, next.Number)
	}
	if err := r.rn.Propose(data); err != nil {
		if errors.Is(err, raft.ErrProposalDropped) {
			return 0, ErrBusy
		}
		return 0, fmt.Errorf("replica: %w", err)
	}
	r.next = Place{at.Term, at.Number + 1}
	r.gather()
	return r.last, nil
}

// Next returns the place of the next proposal, if this replica leads.
func (r *Replica) Next() Place {
	if term := r.rn.BasicStatus().GetTerm(); term != r.next.Term {
		return Place{Term: term}
	}
	return r.next
}

// Last returns the index of the last entry of the log, durable or not.
func (r *Replica) Last() uint64 { return r.last }

// ChangeMembers proposes a change of the members, and returns the index of its entry. One at a time is
// under way: the entry of another is empty.
func (r *Replica) ChangeMembers(change pb.ConfChangeI) (index uint64, err error) {
	if r.rn.BasicStatus().RaftState != raft.StateLeader {
		return 0, ErrNotLeader
	}
	if err := r.rn.ProposeConfChange(change); err != nil {
		if errors.Is(err, raft.ErrProposalDropped) {
			return 0, ErrBusy
		}
		return 0, fmt.Errorf("replica: %w", err)
	}
	r.gather()
	return r.last, nil
}

// Changed tells raft of a change of members that was applied. A snapshot that raft has taken in
// meanwhile has the members as of later, and raft goes by them already.
func (r *Replica) Changed(c Change) {
	if c.Index <= r.restored {
		return
	}
	r.rn.ApplyConfChange(c.Change)
	r.renew()
	r.gather()
}

// Tick says that a tick has passed.
func (r *Replica) Tick() {
	r.muteTicks = max(0, r.muteTicks-1)
	r.rn.Tick()
	r.renew()
	r.gather()
}

// Step takes a message in, and keeps it: of another replica, or the answer to work that is done. If it shows that this replica
// has forgotten something, nothing comes of it, nor of what is waiting to be done, nor of any later event, but Work.Lost.
func (r *Replica) Step(m *pb.Message) {
	if err := r.forgot(m); err != nil && r.lost == nil {
		r.lost, r.work = err, Work{}
	}
	if r.lost != nil || r.mute(m) {
		return
	}
	answer := m.GetType() == pb.MsgHeartbeatResp
	if answer {
		r.heartbeatAnswered(m)
	}
	// What raft refuses is a message that comes too late, or from somebody who is no member.
	_ = r.rn.Step(m)
	if answer || r.lease.end > 0 && !r.leases() {
		r.renew()
	}
	r.gather()
}

// forgot returns an error if a message shows that this replica had entries on its disk that its log has no more: a leader commits here
// only what it was told of in its own term, in which nobody else writes over it. What else is lost nobody knows, votes included, so that the
// replica must not go on.
func (r *Replica) forgot(m *pb.Message) error {
	if m.GetType() != pb.MsgHeartbeat || m.GetTerm() < r.rn.BasicStatus().GetTerm() {
		return nil
	}
	index, term := m.GetCommit(), m.GetLogTerm()
	if index > r.last {
		return fmt.Errorf("%w: replica %d, which leads, was told of entry %d, and the log ends at %d", raftlog.ErrForgotten, m.GetFrom(), index, r.last)
	}
	if ours := r.term(index); ours != term && ours > 0 && term > 0 {
		return fmt.Errorf("%w: replica %d, which leads, was told of entry %d of term %d, and the log has one of term %d there", raftlog.ErrForgotten, m.GetFrom(), index, term, ours)
	}
	return nil
}

// term returns the term of an entry up to last, durable or not; 0 if that is not known. The log may be about to be written over, but if it has the
// first entry of end, it has all before that too, as any log of Raft that has the same entry.
func (r *Replica) term(index uint64) uint64 {
	if index >= r.end.Index {
		return r.end.Term
	}
	if term, err := r.log.Term(r.end.Index); err != nil || term != r.end.Term {
		return 0
	}
	term, err := r.log.Term(index)
	if err != nil { // it was cut off, and is applied
		return 0
	}
	return term
}

// leases reports whether this replica may still have the lease that it has.
func (r *Replica) leases() bool {
	st := r.rn.BasicStatus()
	return st.RaftState == raft.StateLeader && st.GetTerm() == r.lease.term && st.LeadTransferee == 0
}

// Campaign has the replica try to become the leader now.
func (r *Replica) Campaign() {
	_ = r.rn.Campaign()
	r.gather()
}

// Transfer hands the lead to another voter.
func (r *Replica) Transfer(to uint64) {
	r.rn.TransferLeader(to)
	r.renew()
	r.gather()
}

// ReadIndex asks for an index: who has applied it sees everything that was acknowledged before the
// question. Ready answers under the same id, or never, if the lead changes meanwhile. An
// id is never used again.
func (r *Replica) ReadIndex(id []byte) {
	r.rn.ReadIndex(id)
	r.gather()
}

// Unreachable says that messages to another replica got lost.
func (r *Replica) Unreachable(id uint64) {
	r.rn.ReportUnreachable(id)
	r.gather()
}

// SnapshotSent says how the sending of a snapshot ended. It is told of every one, or that replica
// would never be sent anything again.
func (r *Replica) SnapshotSent(id uint64, ok bool) {
	status := raft.SnapshotFinish
	if !ok {
		status = raft.SnapshotFailure
	}
	r.rn.ReportSnapshot(id, status)
	r.gather()
}

// Role is what a replica is in its group.
type Role struct {
	Leader  uint64 // 0: not known
	Term    uint64
	Leading bool
}

// Role returns the present one.
func (r *Replica) Role() Role {
	st := r.rn.BasicStatus()
	return Role{Leader: st.Lead, Term: st.GetTerm(), Leading: st.RaftState == raft.StateLeader}
}

// Progress is how far another replica has come, as the leader sees it.
type Progress struct {
	Match   uint64 // it has the log up to here, on its disk
	Follows bool   // it gets entries as they come: neither is it asked what it has, nor waits it for a snapshot
	Voter   bool   // of any of the sets of voters
}

// Followers returns the progress of all replicas, if this one leads; itself is among them.
func (r *Replica) Followers() map[uint64]Progress {
	st := r.rn.Status()
	out := map[uint64]Progress{}
	for id, p := range st.Progress {
		_, in := st.Config.Voters[0][id]
		_, outgoing := st.Config.Voters[1][id]
		self := id == r.id
		out[id] = Progress{Match: p.Match, Follows: p.State == tracker.StateReplicate || self, Voter: in || outgoing}
	}
	return out
}

// Commit returns the index up to which entries are known to be committed.
func (r *Replica) Commit() uint64 { return r.rn.BasicStatus().GetCommit() }

// Read is the answer to ReadIndex.
type Read struct {
	ID    []byte
	Index uint64
}

// Work is what there is to do. Append and Apply are each done in order, one Work after the other, and none is
// left out; the two are independent of each other. Send may be lost.
type Work struct {
	Append []*pb.Message // for Appender
	Apply  []*pb.Message // for Applier
	Send   []*pb.Message // to other replicas
	Reads  []Read
	// Lost, if not nil, is the end: this replica has forgotten what it has promised. There is nothing else to do then but to have the log
	// opened no more (raftlog.Log.Condemn), and it stays so.
	Lost error
}

// Ready returns what there is to do since it was called last.
func (r *Replica) Ready() Work {
	w := r.work
	w.Lost = r.lost
	r.work = Work{}
	return w
}

// gather takes over what raft has to do. It is called at the end of every event, so that last is
// what the next one finds.
func (r *Replica) gather() {
	for r.lost == nil && r.rn.HasReady() {
		rd := r.rn.Ready()
		for _, m := range rd.Messages {
			switch m.GetTo() {
			case raft.LocalAppendThread:
				r.work.Append = append(r.work.Append, m)
				if s := m.GetSnapshot(); !raft.IsEmptySnap(s) {
					r.last = s.GetMetadata().GetIndex()
					r.restored = r.last
					r.end = raftlog.Mark{Index: r.last, Term: s.GetMetadata().GetTerm()}
				}
				for _, e := range m.GetEntries() {
					r.last = e.GetIndex()
					if e.GetTerm() != r.end.Term || r.last < r.end.Index {
						r.end = raftlog.Mark{Index: r.last, Term: e.GetTerm()}
					}
				}
			case raft.LocalApplyThread:
				r.work.Apply = append(r.work.Apply, m)
			default:
				r.work.Send = append(r.work.Send, r.sent(m))
			}
		}
		for _, s := range rd.ReadStates {
			r.work.Reads = append(r.work.Reads, Read{s.RequestCtx, s.Index})
		}
	}
}

// sent returns what goes to another replica in the place of a message of raft.
func (r *Replica) sent(m *pb.Message) *pb.Message {
	switch m.GetType() {
	case pb.MsgHeartbeat:
		// Raft keeps the message that it has made, and reads no term of an entry in a heartbeat: that is for forgot.
		return r.lease.stamp(&pb.Message{Type: m.Type, To: m.To, From: m.From, Term: m.Term, Commit: m.Commit, LogTerm: new(r.term(m.GetCommit())), Context: m.Context})
	case pb.MsgTimeoutNow:
		r.lease.of(m.GetTerm())
		r.lease.offered, r.lease.end = true, 0
	}
	return m
}
