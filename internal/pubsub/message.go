package pubsub

import "github.com/elastickv/elastickv/internal/resp"

// Kind is what a subscription is to.
type Kind int

// The kinds of subscriptions.
const (
	Channel Kind = iota
	Pattern      // every channel whose name matches
	Shard        // channels of a name space of their own, which patterns do not reach
	Kinds        // how many there are
)

// words begin a message to a subscription.
var words = [Kinds]string{"message", "pmessage", "smessage"}

// Message is what one subscription delivers. It belongs to the publisher: a receiver keeps
// nothing of it but what Encoded returns.
type Message struct {
	Kind    Kind
	Pattern string // that the channel matches; of other kinds no part of the message
	Channel []byte
	Payload []byte

	wire [2][]byte // encoded for protocols 2 and 3, as far as anybody has asked
}

// Encoded returns the message in protocol 2 or 3. Nobody changes these bytes, so all receivers
// can share them.
func (m *Message) Encoded(proto int) []byte {
	b := &m.wire[proto-2]
	if *b == nil {
		*b = m.encode(proto)
	}
	return *b
}

func (m *Message) encode(proto int) []byte {
	var w resp.Writer
	w.SetProto(proto)
	n := 3
	if m.Kind == Pattern {
		n = 4
	}
	w.Push(n)
	w.BulkString(words[m.Kind])
	if m.Kind == Pattern {
		w.BulkString(m.Pattern)
	}
	w.Bulk(m.Channel)
	w.Bulk(m.Payload)
	return w.Bytes()
}
