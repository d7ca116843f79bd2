package replica

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/elastickv/elastickv/store"
)

// machines are a machine over each kind of store.
func machines(t *testing.T) map[string]*Machine {
	p, err := store.NewPebbleStore("data", store.WithFS(vfs.NewMem()), store.WithFSMSyncMode(store.FSMNoSync))
	must(t, err)
	t.Cleanup(func() { must(t, p.Close()) })
	out := map[string]*Machine{}
	for name, s := range map[string]store.MVCCStore{"memory": store.NewMVCCStore(), "folder": p} {
		out[name], err = OpenMachine(s.(store.Engine))
		must(t, err)
	}
	return out
}

func normal(index uint64, commits ...store.Commit) *pb.Entry {
	e := &pb.Entry{Index: new(index), Term: new(uint64(5)), Type: pb.EntryNormal.Enum()}
	if len(commits) > 0 {
		e.Data = AppendEntry(nil, commits)
	}
	return e
}

func put(ts uint64, key, value string) store.Commit {
	return store.Commit{TS: ts, Mutations: []*store.KVPairMutation{{Op: store.OpTypePut, Key: []byte(key), Value: []byte(value)}}}
}

func change(t *testing.T, index uint64, changes ...*pb.ConfChangeSingle) *pb.Entry {
	data, err := proto.Marshal(&pb.ConfChangeV2{Changes: changes})
	must(t, err)
	return &pb.Entry{Index: new(index), Term: new(uint64(5)), Type: pb.EntryConfChangeV2.Enum(), Data: data}
}

// A log makes the same of every kind of store, however it is cut into pieces, and whatever of it comes twice.
func TestApply(t *testing.T) {
	learner := &pb.ConfChangeSingle{Type: pb.ConfChangeAddLearnerNode.Enum(), NodeId: new(uint64(4))}
	both := []*pb.ConfChangeSingle{
		{Type: pb.ConfChangeAddNode.Enum(), NodeId: new(uint64(4))}, {Type: pb.ConfChangeRemoveNode.Enum(), NodeId: new(uint64(1))}}
	log := []*pb.Entry{
		normal(11), normal(12, put(100, "a", "1"), put(101, "b", "2")), change(t, 13, learner), normal(14, put(102, "a", "3")),
		normal(15, store.Commit{TS: 103, Deleted: []store.Span{store.PrefixSpan([]byte("b"))}}), change(t, 16, both...), change(t, 17),
		change(t, 18), // refused: nothing is to be left
		normal(19, put(104, "c", strings.Repeat("x", 3<<20))), normal(20, put(105, "d", strings.Repeat("x", 3<<20))), normal(21),
	}
	var want string
	for name, m := range machines(t) {
		must(t, m.Create(map[uint64]Node{1: {}, 2: {}, 3: {}}, 10))
		for size := 1; m.Applied() < 21; size++ {
			from := max(0, int(m.Applied())-10-2) // two once more
			changes, err := m.Apply(log[from:min(from+2+size, len(log))])
			must(t, err)
			for _, c := range changes {
				if c.Change == nil || c.Index < 13 {
					t.Error("a change that is none")
				}
			}
		}
		if got := m.Members().Conf; len(got.GetVotersOutgoing()) > 0 || len(got.GetVoters()) != 3 || got.GetVoters()[2] != 4 {
			t.Errorf("%s: members %v", name, got)
		}
		if synced, err := m.Sync(); synced != 21 || err != nil {
			t.Errorf("%s: synced %d, %v", name, synced, err)
		}
		image, err := m.Snapshot()
		must(t, err)
		var b bytes.Buffer
		_, err = image.WriteTo(&b)
		must(t, errors.Join(err, image.Close()))
		if want == "" {
			want = contents(t, m)
		}
		if got := contents(t, m); got != want {
			t.Errorf("%s: got\n%swant\n%s", name, got, want)
		}
		for other, to := range machines(t) {
			must(t, to.Restore(bytes.NewReader(b.Bytes())))
			if to.Applied() != 21 || fmt.Sprint(to.Members()) != fmt.Sprint(m.Members()) || contents(t, to) != want {
				t.Errorf("%s restored into %s: applied %d, members %v", name, other, to.Applied(), to.Members())
			}
		}
	}
}

// contents are the rows as of every timestamp of the log.
func contents(t *testing.T, m *Machine) string {
	var b strings.Builder
	for ts := uint64(99); ts <= 105; ts++ {
		rows, err := m.engine.ScanAt(t.Context(), nil, nil, 100, ts)
		must(t, err)
		for _, r := range rows {
			fmt.Fprintf(&b, "%d: %q = %.20q, %d bytes\n", ts, r.Key, r.Value, len(r.Value))
		}
	}
	return b.String()
}

func TestApplyRefuses(t *testing.T) {
	for name, m := range machines(t) {
		must(t, m.Create(map[uint64]Node{1: {}}, 10))
		if err := m.Create(map[uint64]Node{1: {}}, 10); err == nil {
			t.Errorf("%s: created twice", name)
		}
		for what, e := range map[string]*pb.Entry{
			"data of another format": {Index: new(uint64(11)), Data: []byte("\x09")},
			"a change that is none":  {Index: new(uint64(11)), Type: pb.EntryConfChange.Enum(), Data: []byte("\xff")},
			"a timestamp of 0":       normal(11, put(0, "k", "v")),
		} {
			if _, err := m.Apply([]*pb.Entry{e}); err == nil || m.Applied() != 10 {
				t.Errorf("%s: %s: %v, applied %d", name, what, err, m.Applied())
			}
		}
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: a gap was applied", name)
				}
			}()
			_, _ = m.Apply([]*pb.Entry{normal(13)})
		}()
	}
}
