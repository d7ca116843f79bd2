package node

import (
	"encoding/binary"
	"errors"

	"github.com/elastickv/elastickv/internal/replica/transport"
)

// Message is something that a client has published at one node, for those who listen at others.
type Message struct {
	Shard            bool // to a shard channel
	Channel, Payload []byte
}

// A message travels as
//
//	| format (1) | 1: to a channel, 2: to a shard channel (1) | length of the channel (4) | channel | payload … |
const (
	messageFormat = 1 // part of the format; never change
	messageStart  = 1 + 1 + 4

	toChannel = 1 // part of the format; never change
	toShard   = 2
)

var errMessage = errors.New("node: a message that is none")

func appendMessage(dst []byte, m Message) []byte {
	to := byte(toChannel)
	if m.Shard {
		to = toShard
	}
	dst = binary.BigEndian.AppendUint32(append(dst, messageFormat, to), uint32(len(m.Channel)))
	return append(append(dst, m.Channel...), m.Payload...)
}

// parseMessage returns a message whose parts are those of b.
func parseMessage(b []byte) (m Message, err error) {
	if len(b) < messageStart || b[0] != messageFormat || b[1] != toChannel && b[1] != toShard {
		return m, errMessage
	}
	m.Shard = b[1] == toShard
	n, rest := binary.BigEndian.Uint32(b[2:]), b[messageStart:]
	if uint64(n) > uint64(len(rest)) {
		return m, errMessage
	}
	m.Channel, m.Payload = rest[:n:n], rest[n:]
	return m, nil
}

// Say passes a message on to all other nodes, in the order of the calls, and as far as they can be reached now: what gets lost is
// lost.
func (n *Node) Say(m Message) error { return n.group.Pass(appendMessage(nil, m)) }

// hear takes in what another node passes on.
func (n *Node) hear(from transport.NodeID, word []byte) {
	if m, err := parseMessage(word); err == nil && n.heard != nil && n.member(from) {
		n.heard(m)
	}
}
