package replica

import (
	"errors"
	"reflect"
	"slices"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/raft/v3/raftpb"

	"github.com/elastickv/elastickv/internal/replica/raftlog"
	"github.com/elastickv/elastickv/store"
)

// newReplica returns replica 1 of a group with these voters, and its log.
func newReplica(t *testing.T, voters ...uint64) (*Replica, *Machine, *raftlog.Log) {
	t.Helper()
	log, err := raftlog.Open("log", raftlog.Options{FS: vfs.NewMem()})
	must(t, err)
	t.Cleanup(func() { must(t, log.Close()) })
	m, err := OpenMachine(store.NewMVCCStore().(store.Engine))
	must(t, err)
	nodes := map[uint64]Node{}
	for _, id := range voters {
		nodes[id] = Node{}
	}
	must(t, m.Create(nodes, 10))
	must(t, log.Create(1, raftlog.Mark{Index: 10, Term: 5}, hard(5, 0, 10)))
	g, err := log.Open(1, 10)
	must(t, err)
	r, err := New(Config{ID: 1, Log: g, Machine: m, Logger: quiet{}})
	must(t, err)
	return r, m, log
}

// work does all the work of a replica without peers.
func work(t *testing.T, r *Replica, m *Machine, log *raftlog.Log) (reads []Read) {
	t.Helper()
	g, err := log.Open(1, m.Applied())
	must(t, err)
	for {
		w := r.Ready()
		reads = append(reads, w.Reads...)
		if len(w.Append)+len(w.Apply) == 0 {
			return reads
		}
		each, err := (&Appender{log}).Write([]Append{{g, w.Append}})
		must(t, err)
		answers := each[0]
		for _, apply := range w.Apply {
			done, err := m.Do(apply)
			must(t, err)
			for _, c := range done.Changes {
				r.Changed(c)
			}
			answers = append(answers, done.Answers...)
		}
		for _, a := range answers {
			r.Step(a)
		}
	}
}

// A proposal goes to its place or nowhere.
func TestPropose(t *testing.T) {
	r, m, log := newReplica(t, 1)
	if _, err := r.Propose(r.Next(), nil); !errors.Is(err, ErrNotLeader) {
		t.Errorf("a follower: %v", err)
	}
	r.Campaign()
	work(t, r, m, log)
	if role := r.Role(); !role.Leading || role.Term != 6 || r.Next() != (Place{6, 0}) || r.Last() != 11 {
		t.Fatalf("%+v, next %v, last %d", role, r.Next(), r.Last())
	}
	propose := func(at Place, want uint64, wantErr error) {
		t.Helper()
		if got, err := r.Propose(at, AppendEntry(nil, []store.Commit{put(at.Number+1, "k", "v")})); got != want || !errors.Is(err, wantErr) || (err == nil) != (wantErr == nil) {
			t.Errorf("%v: got %d, %v, want %d, %v", at, got, err, want, wantErr)
		}
	}
	propose(Place{6, 0}, 12, nil)
	propose(Place{6, 2}, 0, ErrNotNext)
	// The entry of a change takes an index and no number.
	learner := &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{{Type: pb.ConfChangeAddLearnerNode.Enum(), NodeId: new(uint64(2))}}}
	if index, err := r.ChangeMembers(learner); index != 13 || err != nil {
		t.Errorf("a change of members: %d, %v", index, err)
	}
	propose(Place{6, 2}, 0, ErrNotNext)
	propose(Place{6, 1}, 14, nil)
	propose(Place{6, 1}, 0, ErrNotNext)
	propose(Place{5, 2}, 0, ErrNotLeader)
	work(t, r, m, log)
	if m.Applied() != 14 || len(m.Members().Conf.GetLearners()) != 1 {
		t.Errorf("applied %d, members %v", m.Applied(), m.Members())
	}
	r.ReadIndex([]byte("read"))
	if reads := work(t, r, m, log); len(reads) != 1 || string(reads[0].ID) != "read" || reads[0].Index != 14 {
		t.Errorf("got %+v", reads)
	}
}

// A leader that cannot reach a majority takes no more than it has room for.
func TestProposeBusy(t *testing.T) {
	r, m, log := newReplica(t, 1, 2)
	r.Campaign()
	work(t, r, m, log)
	for _, kind := range []pb.MessageType{pb.MsgPreVoteResp, pb.MsgVoteResp} {
		r.Step(&pb.Message{Type: kind.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(uint64(6))})
		work(t, r, m, log)
	}
	data := make([]byte, 8<<20)
	for n := uint64(0); ; n++ {
		_, err := r.Propose(Place{6, n}, data)
		if errors.Is(err, ErrBusy) {
			break
		}
		if must(t, err); n > 20 {
			t.Fatal("there is always room")
		}
	}
	if m.Applied() != 10 {
		t.Errorf("applied %d without a majority", m.Applied())
	}
}

// A change of members that is applied late, when raft goes by a snapshot of later, does not
// take those members back.
func TestChangedBehindSnapshot(t *testing.T) {
	r, _, _ := newReplica(t, 1, 2, 3)
	learner := func(index, id uint64) Change {
		return Change{index, &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{{Type: pb.ConfChangeAddLearnerNode.Enum(), NodeId: new(id)}}}}
	}
	r.Step(&pb.Message{Type: pb.MsgSnap.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(uint64(7)), Snapshot: &pb.Snapshot{
		Metadata: &pb.SnapshotMetadata{Index: new(uint64(20)), Term: new(uint64(7)), ConfState: &pb.ConfState{Voters: []uint64{1, 2, 4}}}}})
	if r.Last() != 20 {
		t.Fatalf("the snapshot was not taken: last %d", r.Last())
	}
	r.Changed(learner(15, 8))
	r.Changed(learner(21, 9))
	if got := r.rn.Status().Config.Learners; len(got) != 1 || got[9] != (struct{}{}) {
		t.Errorf("learners %v", got)
	}
}

// beat is a heartbeat of replica 2, which says of which term the entry is that is committed.
func beat(term, commit, of uint64) *pb.Message {
	return &pb.Message{Type: pb.MsgHeartbeat.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(term), Commit: new(commit), LogTerm: new(of)}
}

// entries are for replica 1, from one that leads the term of the last: they stand behind an entry, and are of these terms.
func entries(index, term uint64, terms ...uint64) *pb.Message {
	m := &pb.Message{Type: pb.MsgApp.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(terms[len(terms)-1]), Index: new(index), LogTerm: new(term)}
	for i, term := range terms {
		m.Entries = append(m.Entries, &pb.Entry{Index: new(index + 1 + uint64(i)), Term: new(term)})
	}
	return m
}

// Who learns that its log lacks what was on its disk, or has something else there, says nothing any more, nor of what it was about to say,
// whatever happens to it.
func TestLost(t *testing.T) {
	for name, m := range map[string]*pb.Message{"too short": beat(7, 13, 7), "too short, without a term": beat(7, 13, 0), "of another term": beat(7, 12, 7), "of a term before": beat(7, 11, 5)} {
		t.Run(name, func(t *testing.T) { testLost(t, m) })
	}
}

func testLost(t *testing.T, told *pb.Message) {
	vote := &pb.Message{Type: pb.MsgVote.Enum(), From: new(uint64(3)), To: new(uint64(1)), Term: new(uint64(9)), Index: new(uint64(20)), LogTerm: new(uint64(8))}
	r, m, log := newReplica(t, 1, 2, 3)
	r.muteTicks = 0
	r.Step(entries(10, 5, 6, 6))
	work(t, r, m, log)
	for _, m := range []*pb.Message{
		beat(5, 13, 5), beat(5, 12, 5), // of a leader that is none any more
		beat(7, 12, 6), beat(7, 12, 0), beat(7, 10, 5), beat(7, 9, 3), // of one that knows no better
	} {
		if r.Step(m); r.lost != nil {
			t.Fatalf("%v: %v", m, r.lost)
		}
	}
	r.Step(told)
	for name, event := range map[string]func(){
		"nothing":      func() {},
		"a vote":       func() { r.Step(vote) },
		"a heartbeat":  func() { r.Step(beat(9, 10, 5)) },
		"time":         func() { r.Tick() },
		"a campaign":   func() { r.Campaign() },
		"a read":       func() { r.ReadIndex([]byte("read")) },
		"a proposal":   func() { _, _ = r.Propose(r.Next(), nil) },
		"no one there": func() { r.Unreachable(2) },
	} {
		for range 3 * electionTicks {
			event()
		}
		w := r.Ready()
		if !errors.Is(w.Lost, raftlog.ErrForgotten) {
			t.Errorf("%s: %v", name, w.Lost)
		}
		if w.Lost = nil; !reflect.DeepEqual(w, Work{}) {
			t.Errorf("%s: it goes on with %+v", name, w)
		}
	}
}

// A replica says of which term an entry is, or that it does not know, while the log is about to be written over.
func TestTerm(t *testing.T) {
	r, m, log := newReplica(t, 1, 2, 3)
	terms := func(step string, want ...uint64) {
		t.Helper()
		var got []uint64
		for index := uint64(9); index <= r.Last(); index++ {
			got = append(got, r.term(index))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: from entry 9 on %d, and it is %d", step, got, want)
		}
	}
	terms("at the start", 0, 5)
	r.Step(entries(10, 5, 6, 6, 6))
	terms("not written yet", 0, 0, 6, 6, 6)
	work(t, r, m, log)
	terms("written", 0, 5, 6, 6, 6)
	r.Step(entries(10, 5, 7, 7, 8))
	terms("not written over yet", 0, 0, 0, 0, 8)
	r.Step(entries(11, 7, 9))
	terms("shorter", 0, 0, 0, 9)
	work(t, r, m, log)
	terms("written over", 0, 5, 7, 9)
	r.Step(entries(12, 9, 9, 9))
	terms("longer", 0, 5, 7, 9, 9, 9)
	work(t, r, m, log)

	g, err := log.Open(1, 10)
	must(t, err)
	r, err = New(Config{ID: 1, Log: g, Machine: m, Logger: quiet{}})
	must(t, err)
	terms("started anew", 0, 5, 7, 9, 9, 9)
	r.Step(&pb.Message{Type: pb.MsgSnap.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(uint64(9)),
		Snapshot: &pb.Snapshot{Metadata: &pb.SnapshotMetadata{Index: new(uint64(16)), Term: new(uint64(9)), ConfState: &pb.ConfState{Voters: []uint64{1, 2, 3}}}}})
	terms("a snapshot", 0, 0, 0, 0, 0, 0, 0, 9)
}

// A heartbeat says of which term the entry is that it commits, by the log of the leader as raft has it.
func TestHeartbeatHasTerm(t *testing.T) {
	r, m, log := newReplica(t, 1, 2)
	r.Step(entries(10, 5, 6, 6))
	work(t, r, m, log)
	r.Campaign()
	work(t, r, m, log)
	answer := func(typ pb.MessageType, index uint64) {
		t.Helper()
		r.Step(&pb.Message{Type: typ.Enum(), From: new(uint64(2)), To: new(uint64(1)), Term: new(uint64(7)), Index: new(index)})
	}
	answer(pb.MsgPreVoteResp, 0)
	work(t, r, m, log)
	answer(pb.MsgVoteResp, 0)
	work(t, r, m, log)
	for _, want := range []struct{ match, commit, term uint64 }{{0, 0, 0}, {11, 10, 5}, {12, 10, 5}, {13, 13, 7}} {
		if want.match > 0 {
			answer(pb.MsgAppResp, want.match)
		}
		r.Ready()
		for range heartbeatTicks {
			r.Tick()
		}
		beats := slices.DeleteFunc(r.Ready().Send, func(m *pb.Message) bool { return m.GetType() != pb.MsgHeartbeat })
		if len(beats) != 1 || beats[0].GetCommit() != want.commit || beats[0].GetLogTerm() != want.term {
			t.Errorf("with %d entries there: %v, and it is entry %d of term %d", want.match, beats, want.commit, want.term)
		}
	}
}
