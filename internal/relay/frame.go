package relay

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"time"
)

// A connection carries frames, in both directions, each of them
//
//	| length of the body (4) | kind (1) | stream (8) | body … |
//
// in big endian. That they are whole and come from who they should is the connection's business.
const frameStart = 4 + 1 + 8

// kind says what a frame is. The numbers are part of the format; never change.
type kind byte

const (
	kindOpen  kind = 1 // of who asks: a new stream begins; no body
	kindPart  kind = 2 // of a message, and more of it follows
	kindLast  kind = 3 // the end of a message
	kindEnd   kind = 4 // no more comes on the stream; from who serves: | messages that were received on it (8) |
	kindNudge kind = 5 // of who asks, about the message that waits for its answer: | which (1) |
	kindPing  kind = 6 // of who asks; no stream, no body
	kindPong  kind = 7 // the answer; likewise
)

// partMost is the length of a body at most, so that no stream keeps the others waiting. It is part of the format.
const partMost = 64 << 10

func appendFrame(dst []byte, k kind, stream uint64, body []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, uint32(len(body)))
	dst = binary.BigEndian.AppendUint64(append(dst, byte(k)), stream)
	return append(dst, body...)
}

// frame is one that has been read; its body is valid until the next.
type frame struct {
	kind   kind
	stream uint64
	body   []byte
}

// frames reads them from a connection, on which something has to arrive now and then.
type frames struct {
	conn net.Conn
	o    *Options
	in   *bufio.Reader
	body []byte
}

func newFrames(conn net.Conn, o *Options) *frames {
	f := &frames{conn: conn, o: o, body: make([]byte, partMost)}
	f.in = bufio.NewReaderSize(readerFunc(f.read), partMost)
	return f
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func (f *frames) read(p []byte) (int, error) {
	if err := f.conn.SetReadDeadline(f.o.Now().Add(f.o.Timeout)); err != nil {
		return 0, err
	}
	return f.conn.Read(p)
}

func (f *frames) next() (frame, error) {
	var start [frameStart]byte
	if _, err := io.ReadFull(f.in, start[:]); err != nil {
		return frame{}, err
	}
	n, k := binary.BigEndian.Uint32(start[:]), kind(start[4])
	if n > partMost {
		return frame{}, fmt.Errorf("%w: a frame of %d bytes", errProtocol, n)
	}
	if _, err := io.ReadFull(f.in, f.body[:n]); err != nil {
		return frame{}, err
	}
	return frame{k, binary.BigEndian.Uint64(start[5:]), f.body[:n]}, nil
}

// Options are those of either side.
type Options struct {
	Now func() time.Time
	// Timeout is how long the other side may be silent, or take nothing; 3 s by default. Both sides have the same.
	Timeout time.Duration
	// Most is the length of a message, in bytes; 1 MiB by default.
	Most int
	// Streams is how many there may be at a time, of those that are served; 65536 by default.
	Streams int
}

func (o *Options) withDefaults() {
	if o.Now == nil {
		panic("relay: there is no clock")
	}
	if o.Timeout == 0 {
		o.Timeout = 3 * time.Second
	}
	if o.Most == 0 {
		o.Most = 1 << 20
	}
	if o.Streams == 0 {
		o.Streams = 1 << 16
	}
}

// pingEvery is how often who asks says that it is there, and has the other side say so.
func (o *Options) pingEvery() time.Duration { return o.Timeout / 3 }
