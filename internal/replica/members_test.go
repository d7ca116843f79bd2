package replica

import (
	"encoding/hex"
	"fmt"
	"reflect"
	"testing"

	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

var sampleNodes = map[uint64]Node{2: {ID: 9, Addr: "a:1"}, 1: {ID: 7, Addr: ""}}

// The bytes of the format.
func TestMembersBytes(t *testing.T) {
	m := Members{Conf: &pb.ConfState{Voters: []uint64{1, 2}, Learners: []uint64{4}}, Nodes: sampleNodes, Highest: 5}
	row, err := appendMembers(nil, m)
	must(t, err)
	const nodes = `02` + `0000000000000001` + `0000000000000007` + `00` + `0000000000000002` + `0000000000000009` + `03613a31`
	const want = `01` + `0000000000000005` + nodes + `0801` + `0802` + `1004`
	if got := hex.EncodeToString(row); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := hex.EncodeToString(AppendNodes(nil, sampleNodes)); got != nodes {
		t.Errorf("nodes: got  %s\nwant %s", got, nodes)
	}
	back, err := parseMembers(row)
	must(t, err)
	if !proto.Equal(back.Conf, m.Conf) || !reflect.DeepEqual(back.Nodes, m.Nodes) || back.Highest != 5 {
		t.Errorf("got back %v", back)
	}
	if got := back.String(); got != `voter 1 (node 7 at ""), voter 2 (node 9 at "a:1"), learner 4 (node 0 at "")` {
		t.Error(got)
	}
	for n := range len(row) - len(`080108021004`)/2 {
		if _, err := parseMembers(row[:n]); err == nil {
			t.Errorf("cut at %d it is one, too", n)
		}
	}
	if _, err := parseMembers(append([]byte{2}, row[1:]...)); err == nil {
		t.Error("a later format is taken")
	}
}

func FuzzParseNodes(f *testing.F) {
	f.Add(AppendNodes(nil, sampleNodes))
	f.Add([]byte("\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		nodes, err := parseNodes(b)
		if err != nil {
			return
		}
		if again := AppendNodes(nil, nodes); len(b) > 0 && len(again) > len(b) {
			t.Errorf("%x became the longer %x", b, again)
		}
		back, err := parseNodes(AppendNodes(nil, nodes))
		if err != nil || len(back) != len(nodes) || len(nodes) > 0 && !reflect.DeepEqual(back, nodes) {
			t.Errorf("%x: %v, %v", b, back, err)
		}
	})
}

// A change has the members where it says they are, and gives no id twice.
func TestChange(t *testing.T) {
	m := firstMembers(map[uint64]Node{1: {1, "a"}, 2: {2, "b"}, 3: {3, "c"}})
	single := func(kind pb.ConfChangeType, id uint64, context []byte) *pb.ConfChangeV2 {
		return &pb.ConfChangeV2{Changes: []*pb.ConfChangeSingle{{Type: kind.Enum(), NodeId: new(id)}}, Context: context}
	}
	at := func(id uint64, n Node) []byte { return AppendNodes(nil, map[uint64]Node{id: n}) }
	for i, step := range []struct {
		change *pb.ConfChangeV2
		want   string // the members then; as before if empty
	}{
		{single(pb.ConfChangeAddLearnerNode, 2, nil), `voter 1 (node 1 at "a"), learner 2 (node 2 at "b"), voter 3 (node 3 at "c")`},
		{single(pb.ConfChangeRemoveNode, 2, nil), `voter 1 (node 1 at "a"), voter 3 (node 3 at "c")`},
		{single(pb.ConfChangeAddLearnerNode, 2, at(2, Node{2, "b"})), ""}, // has been another's
		{single(pb.ConfChangeAddLearnerNode, 5, at(5, Node{2, "b"})), `voter 1 (node 1 at "a"), voter 3 (node 3 at "c"), learner 5 (node 2 at "b")`},
		{single(pb.ConfChangeAddNode, 4, nil), ""}, // may have been another's
		{single(pb.ConfChangeAddNode, 5, nil), `voter 1 (node 1 at "a"), voter 3 (node 3 at "c"), voter 5 (node 2 at "b")`},
		{single(pb.ConfChangeUpdateNode, 3, at(3, Node{3, "z"})), `voter 1 (node 1 at "a"), voter 3 (node 3 at "z"), voter 5 (node 2 at "b")`},
		{single(pb.ConfChangeUpdateNode, 3, []byte("x")), ""},                       // says nothing
		{single(pb.ConfChangeUpdateNode, 9, at(9, Node{9, "z"})), "the same again"}, // of nobody
	} {
		after, err := m.change(step.change, 11)
		got := after.String()
		if step.want == "the same again" {
			step.want = m.String()
		}
		if (err != nil) != (step.want == "") || err == nil && got != step.want {
			t.Errorf("change %d: got %s, %v, want %s", i, got, err, step.want)
		}
		if err == nil {
			m = after
		}
	}
	if m.Highest != 5 || m.Has(2) || !m.Has(5) || !m.Voter(5) || fmt.Sprint(m.Replicas()) != "[1 3 5]" {
		t.Errorf("%+v", m)
	}
}
