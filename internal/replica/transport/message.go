package transport

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/elastickv/elastickv/internal/replica/raftlog"
)

// Address names a replica.
type Address struct {
	Group   raftlog.GroupID
	Replica uint64
}

// addressing is what a message has before its protobuf.
const addressing = 4 + 8 + 8

// maxEntries is more than raft puts into a message. So no message takes much more memory than bytes.
const maxEntries = 1 << 18

// Numbers of fields of raftpb.Message.
const (
	fieldEntries   = 7
	fieldResponses = 14
)

// messageSize returns the size of the frame of a message, and an error if it must not be sent.
func messageSize(k kind, m *pb.Message) (int, error) {
	if err := checkMessage(k, m); err != nil {
		return 0, fmt.Errorf("%w: %w", ErrNotSendable, err)
	}
	n := addressing + proto.Size(m)
	if n > int(limits[k]) {
		return 0, fmt.Errorf("%w: %s of %d bytes; %d are the most", ErrNotSendable, m.GetType(), n, limits[k])
	}
	return frameStart + n, nil
}

// appendMessage appends the frame of a message whose messageSize was asked for. If it fails it returns dst as it is.
func appendMessage(dst []byte, k kind, group raftlog.GroupID, m *pb.Message) ([]byte, error) {
	f := binary.BigEndian.AppendUint32(beginFrame(dst, k), uint32(group))
	f = binary.BigEndian.AppendUint64(f, m.GetFrom())
	f = binary.BigEndian.AppendUint64(f, m.GetTo())
	f, err := proto.MarshalOptions{UseCachedSize: true}.MarshalAppend(f, m)
	if err != nil {
		return dst, fmt.Errorf("%w: %w", ErrNotSendable, err)
	}
	return endFrame(f, len(dst)), nil
}

// parseMessage returns what the body of a frame of kind k says. It keeps nothing of b.
func parseMessage(k kind, b []byte) (raftlog.GroupID, *pb.Message, error) {
	if len(b) < addressing {
		return 0, nil, refusef("a message of %d bytes; its addresses alone have %d", len(b), addressing)
	}
	group, from, to := raftlog.GroupID(binary.BigEndian.Uint32(b)), binary.BigEndian.Uint64(b[4:]), binary.BigEndian.Uint64(b[12:])
	if err := checkFields(b[addressing:]); err != nil {
		return 0, nil, err
	}
	m := &pb.Message{}
	if err := proto.Unmarshal(b[addressing:], m); err != nil {
		return 0, nil, refusef("a message that is none: %v", err)
	}
	if m.GetFrom() != from || m.GetTo() != to {
		return 0, nil, refusef("a message from replica %d to %d is addressed from %d to %d", m.GetFrom(), m.GetTo(), from, to)
	}
	return group, m, checkMessage(k, m)
}

// checkFields refuses what would become far more in memory than it is now.
func checkFields(b []byte) error {
	entries := 0
	for len(b) > 0 {
		field, _, n := protowire.ConsumeField(b)
		switch {
		case n < 0:
			return refusef("a message that is none: %v", protowire.ParseError(n))
		case field == fieldResponses:
			return refusef("a message that has others in it, which is for within a node")
		case field == fieldEntries:
			entries++
		}
		b = b[n:]
	}
	if entries > maxEntries {
		return refusef("a message of %d entries; %d are the most", entries, maxEntries)
	}
	return nil
}

// checkMessage refuses what no node says to another in a frame of kind k.
func checkMessage(k kind, m *pb.Message) error {
	t := m.GetType()
	_, known := pb.MessageType_name[int32(t)]
	switch {
	case !known:
		return refusef("a message of type %d, which there is not", int32(t))
	case raft.IsLocalMsg(t), len(m.GetResponses()) > 0:
		return refusef("%s, which is for within a node", t)
	case t == pb.MsgProp:
		return refusef("%s, which is for within a node: only the leader knows what its entries rely on", t)
	case t == pb.MsgSnap && k != kindSnapshot:
		return refusef("%s without its image", t)
	case t != pb.MsgSnap && k == kindSnapshot:
		return refusef("%s in place of a snapshot", t)
	case (t == pb.MsgSnap) == raft.IsEmptySnap(m.GetSnapshot()):
		return refusef("%s with a snapshot that it must not have, or without one that it must have", t)
	case badReplica(m.GetFrom()), badReplica(m.GetTo()):
		return refusef("%s from replica %d to %d, of which one is none", t, m.GetFrom(), m.GetTo())
	}
	return nil
}

func badReplica(id uint64) bool { return id == raft.None || raft.IsLocalMsgTarget(id) }

// purposeOf says on which connection a message travels.
func purposeOf(m *pb.Message) purpose {
	if m.GetType() == pb.MsgApp {
		return forBulk
	}
	return forControl
}
