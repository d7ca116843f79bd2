package node

import (
	"encoding/binary"
	"errors"
	"sync"
	"time"

	"github.com/elastickv/elastickv/internal/replica/transport"
)

// Contact is where clients reach a node.
type Contact struct {
	Host          string // empty: nobody knows
	Port, TLSPort uint16 // 0: there are none of that kind
}

// Heard is what another node has said of itself.
type Heard struct {
	Contact
	Applied uint64    // entries up to here are in its data
	At      time.Time // when it was said
}

// A note is what a node says of itself, several times a second, to all others:
//
//	| format (1) | applied (8) | port (2) | TLS port (2) | host … |
//
// in big endian. A later release may say more under another format, which is not heard.
const (
	noteFormat = 1 // part of the format; never change
	noteStart  = 1 + 8 + 2 + 2
	hostMost   = 255
)

var errNote = errors.New("node: a note that is none")

func appendNote(dst []byte, h Heard) []byte {
	dst = binary.BigEndian.AppendUint64(append(dst, noteFormat), h.Applied)
	dst = binary.BigEndian.AppendUint16(dst, h.Port)
	dst = binary.BigEndian.AppendUint16(dst, h.TLSPort)
	return append(dst, h.Host[:min(len(h.Host), hostMost)]...)
}

func parseNote(b []byte) (h Heard, err error) {
	if len(b) < noteStart || b[0] != noteFormat || len(b) > noteStart+hostMost {
		return h, errNote
	}
	h.Applied = binary.BigEndian.Uint64(b[1:])
	h.Port, h.TLSPort = binary.BigEndian.Uint16(b[9:]), binary.BigEndian.Uint16(b[11:])
	for _, c := range b[noteStart:] {
		if c <= ' ' || c >= 0x7f || c == ',' || c == '@' { // it stands in lines for clients
			return h, errNote
		}
	}
	h.Host = string(b[noteStart:])
	return h, nil
}

// notes are the last ones of all nodes.
type notes struct {
	now func() time.Time

	mu struct { // a leaf
		sync.Mutex
		of map[transport.NodeID]Heard
	}
}

// notesMost bounds how many are kept.
const notesMost = 1024

// hear takes a note in. One that is none changes nothing.
func (n *notes) hear(from transport.NodeID, note []byte) {
	h, err := parseNote(note)
	if err != nil {
		return
	}
	h.At = n.now()
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.mu.of) >= notesMost {
		clear(n.mu.of)
	}
	if n.mu.of == nil {
		n.mu.of = map[transport.NodeID]Heard{}
	}
	n.mu.of[from] = h
}

func (n *notes) get(of transport.NodeID) Heard {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.mu.of[of]
}
