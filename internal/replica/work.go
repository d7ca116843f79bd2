package replica

import (
	"fmt"
	"io"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/replica/raftlog"
)

// Appender does the Append part of work: it makes promises durable, for any number of groups. Write and Install are
// called for one group by one goroutine at a time, Install and Truncate by who applies.
type Appender struct{ Log *raftlog.Log }

// Append is the Append work of one group.
type Append struct {
	Group    *raftlog.Group
	Messages []*pb.Message // in order; none has a snapshot
}

// Write writes the entries and states of many groups with one fsync, and returns the answers to
// deliver, in order, of each. Nothing of them may be delivered if it fails: the process has to end.
func (a *Appender) Write(work []Append) (answers [][]*pb.Message, err error) {
	var writes []raftlog.Write
	// Nobody hears of what has no answers, such as a commit index alone.
	write := a.Log.WriteLater
	answers = make([][]*pb.Message, len(work))
	for i, w := range work {
		for _, m := range w.Messages {
			writes = append(writes, raftlog.Write{Group: w.Group, Entries: m.GetEntries(), Hard: hardOf(m)})
			answers[i] = append(answers[i], m.GetResponses()...)
		}
		if len(answers[i]) > 0 {
			write = a.Log.Write
		}
	}
	if err := write(writes); err != nil {
		return nil, err
	}
	return answers, nil
}

// hardOf returns the state that a message wants to have written, or nil.
func hardOf(m *pb.Message) *pb.HardState {
	if m.Term == nil || m.Vote == nil || m.Commit == nil {
		return nil
	}
	return &pb.HardState{Term: m.Term, Vote: m.Vote, Commit: m.Commit}
}

// Install does the Append work that has a snapshot: image, which has arrived whole, takes the place of
// the data, and the log begins behind it. All Apply work from before is done. After a crash
// anywhere in between, raftlog.Log.Open finds out how far it was.
func (a *Appender) Install(g *raftlog.Group, machine *Machine, m *pb.Message, image io.Reader) (answers []*pb.Message, err error) {
	meta := m.GetSnapshot().GetMetadata()
	at := raftlog.Mark{Index: meta.GetIndex(), Term: meta.GetTerm()}
	if err := a.Log.BeginInstall(g, at); err != nil {
		return nil, err
	}
	if err := machine.Restore(image); err != nil {
		return nil, fmt.Errorf("replica: install a snapshot: %w", err)
	}
	if got := machine.Applied(); got != at.Index {
		return nil, fmt.Errorf("replica: a snapshot of entry %d has been announced as one of %d", got, at.Index)
	}
	hard := hardOf(m)
	if hard == nil {
		hard = g.HardState()
	}
	if err := a.Log.FinishInstall(g, at, hard); err != nil {
		return nil, err
	}
	if len(m.GetEntries()) > 0 {
		if err := a.Log.Write([]raftlog.Write{{Group: g, Entries: m.GetEntries()}}); err != nil {
			return nil, err
		}
	}
	return m.GetResponses(), nil
}

// HasSnapshot reports whether Install has to do a message, and not Write.
func HasSnapshot(m *pb.Message) bool { return !raft.IsEmptySnap(m.GetSnapshot()) }

// Applied is what has come of Apply work.
type Applied struct {
	Changes []Change // for Replica.Changed, before the answers
	Answers []*pb.Message
}

// Do does Apply work: messages that follow one another.
func (m *Machine) Do(work ...*pb.Message) (Applied, error) {
	var entries []*pb.Entry
	var answers []*pb.Message
	for _, w := range work {
		entries = append(entries, w.GetEntries()...)
		answers = append(answers, w.GetResponses()...)
	}
	changes, err := m.Apply(entries)
	return Applied{changes, answers}, err
}

// Truncate cuts off the beginning of the log of a group, up to and with an index, as far as that is on the
// disk as data. It syncs the data first. It returns where the log begins then.
func (a *Appender) Truncate(g *raftlog.Group, machine *Machine, upTo uint64) (raftlog.Mark, error) {
	durable, err := machine.Sync()
	if err != nil {
		return raftlog.Mark{}, err
	}
	return a.truncate(g, min(durable, upTo))
}

func (a *Appender) truncate(g *raftlog.Group, upTo uint64) (raftlog.Mark, error) {
	first, _ := g.FirstIndex()
	if upTo < first {
		return raftlog.Mark{}, nil
	}
	at := raftlog.Mark{Index: upTo}
	var err error
	if at.Term, err = g.Term(at.Index); err != nil {
		return raftlog.Mark{}, err
	}
	return at, a.Log.Truncate(map[*raftlog.Group]raftlog.Mark{g: at})
}
