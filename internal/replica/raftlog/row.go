package raftlog

import (
	"encoding/binary"
	"fmt"

	pb "go.etcd.io/raft/v3/raftpb"
)

// GroupID names a Raft group.
type GroupID uint32

// Mark is a place in a log.
type Mark struct{ Index, Term uint64 }

// The rows of the log. Integers are big endian; a key begins with the group (4).
//
//	| group (4) | 'h' |               | term (8) | vote (8) | commit (8) |     what raft must not forget
//	| group (4) | 't' |               | index (8) | term (8) |                 entries up to here are cut off
//	| group (4) | 'i' |               | index (8) | term (8) |                 a snapshot is being installed
//	| group (4) | 'e' | index (8) |   | term (8) | type (1) | data … |         an entry; seal.go has that of a sealed one
//
// The rows of the format and of the writes (promised.go) are those of no group: their keys are longer than one of a group, and
// shorter than an entry's.
const (
	rowEntry     = 'e' // part of the format; never change
	rowHard      = 'h' // part of the format; never change
	rowIntent    = 'i' // part of the format; never change
	rowTruncated = 't' // part of the format; never change

	// Formats of a folder. One that has sealed entries is not opened by a release that does not know them.
	formatClear  = 1 // part of the format; never change
	formatSealed = 2 // part of the format; never change
)

var formatKey = []byte("\x00\x00\x00\x00format") // part of the format; never change

func appendKey(dst []byte, g GroupID, kind byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(g)), kind)
}

func appendEntryKey(dst []byte, g GroupID, index uint64) []byte {
	return binary.BigEndian.AppendUint64(appendKey(dst, g, rowEntry), index)
}

func appendEntry(dst []byte, e *pb.Entry) []byte {
	dst = binary.BigEndian.AppendUint64(dst, e.GetTerm())
	return append(append(dst, byte(e.GetType())), e.GetData()...)
}

// parseEntry decodes the row of an entry. The entry's data is a copy.
func parseEntry(index uint64, row []byte) (*pb.Entry, error) {
	if len(row) < 9 {
		return nil, fmt.Errorf("%w: entry %d in %d bytes", ErrDamaged, index, len(row))
	}
	kind := pb.EntryType(row[8])
	if _, ok := pb.EntryType_name[int32(kind)]; !ok {
		return nil, fmt.Errorf("%w: entry %d of type %d", ErrDamaged, index, row[8])
	}
	e := &pb.Entry{Index: new(index), Term: new(binary.BigEndian.Uint64(row)), Type: kind.Enum()}
	if len(row) > 9 {
		e.Data = append([]byte(nil), row[9:]...)
	}
	return e, nil
}

func appendHard(dst []byte, h *pb.HardState) []byte {
	dst = binary.BigEndian.AppendUint64(dst, h.GetTerm())
	dst = binary.BigEndian.AppendUint64(dst, h.GetVote())
	return binary.BigEndian.AppendUint64(dst, h.GetCommit())
}

func parseHard(row []byte) (*pb.HardState, error) {
	if len(row) != 24 {
		return nil, fmt.Errorf("%w: hard state in %d bytes", ErrDamaged, len(row))
	}
	return hardState(binary.BigEndian.Uint64(row), binary.BigEndian.Uint64(row[8:]), binary.BigEndian.Uint64(row[16:])), nil
}

func hardState(term, vote, commit uint64) *pb.HardState {
	return &pb.HardState{Term: new(term), Vote: new(vote), Commit: new(commit)}
}

func appendMark(dst []byte, m Mark) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(dst, m.Index), m.Term)
}

func parseMark(row []byte) (Mark, error) {
	if len(row) != 16 {
		return Mark{}, fmt.Errorf("%w: mark in %d bytes", ErrDamaged, len(row))
	}
	return Mark{binary.BigEndian.Uint64(row), binary.BigEndian.Uint64(row[8:])}, nil
}
