package relay

import "errors"

var (
	// ErrUnsent says that the other side has not got the message, and will not.
	ErrUnsent = errors.New("relay: the message was not sent")

	// ErrLost says that the other side may have got the message, and that there will be no answer, or not all of it.
	ErrLost = errors.New("relay: the answer is lost")

	// ErrTooLong says that a message is longer than what may be sent.
	ErrTooLong = errors.New("relay: the message is too long")

	errProtocol = errors.New("relay: the other side does not keep to the protocol")
	errClosed   = errors.New("relay: closed")
)
