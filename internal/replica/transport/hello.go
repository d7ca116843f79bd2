package transport

import (
	"encoding/binary"
	"encoding/hex"
)

// NodeID names a node of a cluster; 0 is none.
type NodeID uint64

// ClusterID names a cluster, so that nodes of two never talk.
type ClusterID [16]byte

// String returns it in hexadecimal.
func (c ClusterID) String() string { return hex.EncodeToString(c[:]) }

// protocolVersion is that of everything behind it in hello and welcome, and of the frames that follow. A
// node refuses any other.
const protocolVersion = 1

// magic begins every hello. It is part of the format; never change.
const magic = "EKVPEER\n"

// purpose says what a connection is for. The numbers are part of the format; never change.
type purpose byte

const (
	forControl  purpose = 1 // what is short and urgent: heartbeats, votes, read indexes, answers
	forBulk     purpose = 2 // entries
	forSnapshot purpose = 3 // one snapshot
	forClients  purpose = 4 // what clients of one node ask of another; its form is theirs who use it
)

func (p purpose) String() string {
	return map[purpose]string{forControl: "control", forBulk: "bulk", forSnapshot: "snapshot", forClients: "clients"}[p]
}

// hello is what who dials says first:
//
//	| "EKVPEER\n" (8) | version (4) | cluster (16) | own node (8) | node dialled (8) | purpose (1) |
type hello struct {
	cluster ClusterID
	node    NodeID
	dialled NodeID
	purpose purpose
}

const helloSize = 8 + 4 + 16 + 8 + 8 + 1

func appendHello(dst []byte, h hello) []byte {
	at := len(dst)
	dst = append(beginFrame(dst, kindHello), magic...)
	dst = binary.BigEndian.AppendUint32(dst, protocolVersion)
	dst = append(dst, h.cluster[:]...)
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.node))
	dst = binary.BigEndian.AppendUint64(dst, uint64(h.dialled))
	return endFrame(append(dst, byte(h.purpose)), at)
}

func parseHello(b []byte) (h hello, err error) {
	if len(b) < 12 || string(b[:8]) != magic {
		return h, refusef("this is a node of elastickv, and what you say is no hello of another")
	}
	if err := checkVersion(binary.BigEndian.Uint32(b[8:])); err != nil {
		return h, err
	}
	if len(b) != helloSize {
		return h, refusef("a hello of %d bytes; it has %d", len(b), helloSize)
	}
	h.cluster = ClusterID(b[12:28])
	h.node = NodeID(binary.BigEndian.Uint64(b[28:]))
	h.dialled = NodeID(binary.BigEndian.Uint64(b[36:]))
	h.purpose = purpose(b[44])
	if h.purpose < forControl || h.purpose > forClients {
		return h, refusef("a connection for purpose %d, which there is not", h.purpose)
	}
	return h, nil
}

func checkVersion(v uint32) error {
	if v != protocolVersion {
		return refusef("you speak version %d between nodes, and this node version %d only", v, protocolVersion)
	}
	return nil
}

// welcome is the answer: | version (4) | cluster (16) | node (8) |
type welcome struct {
	cluster ClusterID
	node    NodeID
}

const welcomeSize = 4 + 16 + 8

func appendWelcome(dst []byte, w welcome) []byte {
	at := len(dst)
	dst = binary.BigEndian.AppendUint32(beginFrame(dst, kindWelcome), protocolVersion)
	dst = append(dst, w.cluster[:]...)
	return endFrame(binary.BigEndian.AppendUint64(dst, uint64(w.node)), at)
}

func parseWelcome(b []byte) (w welcome, err error) {
	if len(b) < 4 {
		return w, refusef("a welcome of %d bytes; it has %d", len(b), welcomeSize)
	}
	if err := checkVersion(binary.BigEndian.Uint32(b)); err != nil {
		return w, err
	}
	if len(b) != welcomeSize {
		return w, refusef("a welcome of %d bytes; it has %d", len(b), welcomeSize)
	}
	return welcome{ClusterID(b[4:20]), NodeID(binary.BigEndian.Uint64(b[20:]))}, nil
}
