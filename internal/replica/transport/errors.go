package transport

import (
	"errors"
	"fmt"
)

// Errors of sending.
var (
	// ErrClosed says that the transport has been closed.
	ErrClosed = errors.New("transport: closed")

	// ErrUnknownNode says that SetPeer has not named the node, or RemovePeer has removed it.
	ErrUnknownNode = errors.New("transport: no address of the node is known")

	// ErrNotSendable says that a message is none for another node.
	ErrNotSendable = errors.New("transport: the message is none for another node")
)

// refusal is what one node tells another before it ends the connection: the other has broken the
// rules.
type refusal string

func (r refusal) Error() string { return string(r) }

func refusef(format string, args ...any) error { return refusal(fmt.Sprintf(format, args...)) }

// refusedError is a refusal that came from the other node.
type refusedError struct {
	by   NodeID
	text string
}

func (e *refusedError) Error() string { return fmt.Sprintf("node %d refuses: %q", e.by, e.text) }
