package resp

import "errors"

// ProtocolError says that the bytes of a peer are no commands. The text is what
// Redis answers, without the error code; the connection is to be closed after
// it has been sent, since nothing after the fault can be understood.
type ProtocolError string

// Error returns the text.
func (e ProtocolError) Error() string { return string(e) }

// What a Reader can find wrong, in the words of Redis.
const (
	errMultibulkLength = ProtocolError("Protocol error: invalid multibulk length")
	errMultibulkUnauth = ProtocolError("Protocol error: unauthenticated multibulk length")
	errMultibulkLine   = ProtocolError("Protocol error: too big mbulk count string")
	errBulkLength      = ProtocolError("Protocol error: invalid bulk length")
	errBulkUnauth      = ProtocolError("Protocol error: unauthenticated bulk length")
	errBulkLine        = ProtocolError("Protocol error: too big bulk count string")
	errInlineLine      = ProtocolError("Protocol error: too big inline request")
	errInlineQuotes    = ProtocolError("Protocol error: unbalanced quotes in request")
	errCommandSize     = ProtocolError("Protocol error: too big request") // Redis hangs up without a word
)

// errExpectedBulk names the byte that stands where an argument should begin.
func errExpectedBulk(got byte) ProtocolError {
	return ProtocolError("Protocol error: expected '$', got '" + string([]byte{got}) + "'")
}

// ErrReply is wrapped by every error of ParseReply and ReadReply that says that
// the bytes are no reply. Input that merely ends too early is
// io.ErrUnexpectedEOF instead.
var ErrReply = errors.New("malformed reply")

// ErrBacklog says that ReadAhead has read as much as it may.
var ErrBacklog = errors.New("resp: too much input that nobody takes")
