package replica

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"go.etcd.io/raft/v3/confchange"
	pb "go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"
	"google.golang.org/protobuf/proto"
)

// Node is where a replica runs.
type Node struct {
	ID   uint64 // of the node
	Addr string // at which others reach it
}

// Members are the replicas of a group.
type Members struct {
	Conf  *pb.ConfState
	Nodes map[uint64]Node // by replica; of those whose change of members said it
	// Highest is the highest id that a replica of the group has had. A new one has a higher one: so none comes
	// back without what it has promised.
	Highest uint64
}

// Has reports whether a replica is one of them, as a voter or a learner.
func (m Members) Has(replica uint64) bool { return slices.Contains(replicasOf(m.Conf), replica) }

// Voter reports whether a replica is a voter.
func (m Members) Voter(replica uint64) bool {
	return slices.Contains(m.Conf.GetVoters(), replica) || slices.Contains(m.Conf.GetVotersOutgoing(), replica)
}

// Replicas returns the ids of all, in order.
func (m Members) Replicas() []uint64 { return replicasOf(m.Conf) }

// String tells of them in the words of a log.
func (m Members) String() string {
	var b strings.Builder
	for _, id := range m.Replicas() {
		kind := "learner"
		if m.Voter(id) {
			kind = "voter"
		}
		if b.Len() > 0 {
			b.WriteString(", ")
		}
		n := m.Nodes[id]
		fmt.Fprintf(&b, "%s %d (node %d at %q)", kind, id, n.ID, n.Addr)
	}
	return b.String()
}

func replicasOf(c *pb.ConfState) []uint64 {
	all := slices.Concat(c.GetVoters(), c.GetVotersOutgoing(), c.GetLearners(), c.GetLearnersNext())
	slices.Sort(all)
	return slices.Compact(all)
}

// firstMembers are those of a new group.
func firstMembers(voters map[uint64]Node) Members {
	ids := slices.Sorted(maps.Keys(voters))
	m := Members{Conf: &pb.ConfState{Voters: ids}, Nodes: maps.Clone(voters)}
	m.Highest = slices.Max(ids)
	return m
}

// change returns the members after a change, by raft's own rules and ours, or an error if they
// do not allow it. index is that of the entry. All replicas find the same.
func (m Members) change(c pb.ConfChangeI, index uint64) (Members, error) {
	cc := c.AsV2()
	conf, err := changeConf(m.Conf, cc, index)
	if err != nil {
		return m, err
	}
	said, err := parseNodes(cc.GetContext())
	if err != nil {
		return m, err
	}
	after := Members{Conf: conf, Nodes: map[uint64]Node{}, Highest: m.Highest}
	for _, id := range replicasOf(conf) {
		if !m.Has(id) && id <= m.Highest {
			return m, fmt.Errorf("replica: id %d may have been another replica's: %d is the highest of this group", id, m.Highest)
		}
		after.Highest = max(after.Highest, id)
		if n, ok := said[id]; ok {
			after.Nodes[id] = n
		} else if n, ok := m.Nodes[id]; ok {
			after.Nodes[id] = n
		}
	}
	return after, nil
}

func changeConf(members *pb.ConfState, cc *pb.ConfChangeV2, index uint64) (*pb.ConfState, error) {
	none := tracker.MakeProgressTracker(1, 0)
	config, progress, err := confchange.Restore(confchange.Changer{Tracker: none, LastIndex: index}, members)
	if err != nil {
		return nil, fmt.Errorf("replica: members %v: %w", members, err)
	}
	now := tracker.MakeProgressTracker(1, 0)
	now.Config, now.Progress = config, progress
	changer := confchange.Changer{Tracker: now, LastIndex: index}
	switch autoLeave, joint := cc.EnterJoint(); {
	case cc.LeaveJoint():
		now.Config, now.Progress, err = changer.LeaveJoint()
	case joint:
		now.Config, now.Progress, err = changer.EnterJoint(autoLeave, cc.Changes...)
	default:
		now.Config, now.Progress, err = changer.Simple(cc.Changes...)
	}
	if err != nil {
		return nil, fmt.Errorf("replica: change of members: %w", err)
	}
	return now.ConfState(), nil
}

// A row of members, and the context of a change of members. Integers are big endian, lengths are varints.
//
//	| format (1) | highest (8) | nodes … | ConfState of raft as protobuf |       the row
//	| nodes … |                                                              the context
//
// nodes are | count (varint) | and as often | replica (8) | node (8) | length (varint) | address |. A context
// without bytes says nothing of nodes.
const membersFormat = 1 // part of the format; never change

var errMembers = errors.New("replica: members are malformed, or of a later release")

func appendMembers(dst []byte, m Members) ([]byte, error) {
	dst = binary.BigEndian.AppendUint64(append(dst, membersFormat), m.Highest)
	return proto.MarshalOptions{Deterministic: true}.MarshalAppend(AppendNodes(dst, m.Nodes), m.Conf)
}

func parseMembers(b []byte) (Members, error) {
	r := entryReader{rest: b}
	if f := r.byte(); f != membersFormat {
		return Members{}, fmt.Errorf("%w: format %d", errMembers, f)
	}
	m := Members{Conf: &pb.ConfState{}, Highest: r.uint64(), Nodes: r.nodes()}
	if r.bad {
		return Members{}, errMembers
	}
	if err := proto.Unmarshal(r.rest, m.Conf); err != nil {
		return Members{}, fmt.Errorf("%w: %w", errMembers, err)
	}
	return m, nil
}

// AppendNodes appends the context of a change of members: where the replicas are that it is about.
func AppendNodes(dst []byte, nodes map[uint64]Node) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(nodes)))
	for _, id := range slices.Sorted(maps.Keys(nodes)) {
		dst = binary.BigEndian.AppendUint64(dst, id)
		dst = binary.BigEndian.AppendUint64(dst, nodes[id].ID)
		dst = appendBytes(dst, []byte(nodes[id].Addr))
	}
	return dst
}

func parseNodes(b []byte) (map[uint64]Node, error) {
	if len(b) == 0 {
		return nil, nil
	}
	r := entryReader{rest: b}
	nodes := r.nodes()
	if r.bad || len(r.rest) > 0 {
		return nil, errMembers
	}
	return nodes, nil
}

func (r *entryReader) nodes() map[uint64]Node {
	nodes := map[uint64]Node{}
	for n := r.count(); n > 0 && !r.bad; n-- {
		id := r.uint64()
		nodes[id] = Node{ID: r.uint64(), Addr: string(r.bytes())}
	}
	return nodes
}
