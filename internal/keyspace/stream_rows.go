package keyspace

import (
	"encoding/binary"
	"fmt"

	"github.com/elastickv/elastickv/store"
)

func errStreamRow(what string, b []byte) error {
	return fmt.Errorf("keyspace: %s of a stream's row of %d bytes is not valid", what, len(b))
}

// encodeStreamFields encodes an entry: the names and values of its fields by turns,
// each behind its length as an unsigned varint.
//
//	| length | name | length | value | length | name | length | value | …
func encodeStreamFields(fields [][]byte) []byte {
	n := 0
	for _, f := range fields {
		n += len(f) + 2 // most lengths take a byte or two
	}
	b := make([]byte, 0, n)
	for _, f := range fields {
		b = append(binary.AppendUvarint(b, uint64(len(f))), f...)
	}
	return b
}

// parseStreamFields appends the names and values of an entry to dst. They alias b.
func parseStreamFields(dst [][]byte, b []byte) ([][]byte, error) {
	whole, had := b, len(dst)
	for len(b) > 0 {
		n, width := binary.Uvarint(b)
		if width <= 0 || n > uint64(len(b)-width) {
			return nil, errStreamRow("value", whole)
		}
		end := width + int(n)
		dst = append(dst, b[width:end:end])
		b = b[end:]
	}
	if n := len(dst) - had; n == 0 || n%2 != 0 {
		return nil, errStreamRow("value", whole)
	}
	return dst, nil
}

// streamTally is what the server keeps of a stream beside the meta of package store.
//
//	| removed 8 | shift 8 | max deleted 16 | first 16 | first node 16 | first live 8 | tail start 8 | nodes 8 |
type streamTally struct {
	// removed is how many entries have gone, in whatever way. With the length it is the
	// ordinal of the next entry: how many were added before it.
	removed int64
	// shift is what XSETID has made of the number of entries added: that is
	// the ordinal of the next entry plus shift.
	shift      int64
	maxDeleted StreamID // the highest ID that XDEL has taken away
	first      StreamID // the first entry; zero if there is none
	firstNode  StreamID // the first node; zero if there is none
	firstLive  int64    // entries of the first node; 0 if it is the last too, for it is the length then
	tailStart  int64    // ordinal of the entry that the last node began with
	nodes      int64    // 0 if and only if the stream is empty
}

const streamTallySize = 5*8 + 3*store.StreamIDBytes // part of the format; never change

func (t streamTally) encode() []byte {
	b := make([]byte, 0, streamTallySize)
	b = binary.BigEndian.AppendUint64(b, uint64(t.removed))
	b = binary.BigEndian.AppendUint64(b, uint64(t.shift))
	b = appendStreamID(appendStreamID(appendStreamID(b, t.maxDeleted), t.first), t.firstNode)
	b = binary.BigEndian.AppendUint64(b, uint64(t.firstLive))
	b = binary.BigEndian.AppendUint64(b, uint64(t.tailStart))
	return binary.BigEndian.AppendUint64(b, uint64(t.nodes))
}

func parseStreamTally(b []byte) (t streamTally, err error) {
	if len(b) != streamTallySize {
		return t, errStreamRow("tally", b)
	}
	n := numbersOf(b)
	t = streamTally{
		removed: int64(n[0]), shift: int64(n[1]), maxDeleted: StreamID{n[2], n[3]}, first: StreamID{n[4], n[5]},
		firstNode: StreamID{n[6], n[7]}, firstLive: int64(n[8]), tailStart: int64(n[9]), nodes: int64(n[10]),
	}
	if t.removed < 0 || t.firstLive < 0 || t.tailStart < 0 || t.nodes < 0 {
		return t, errStreamRow("tally", b)
	}
	return t, nil
}

// numbersOf reads as many numbers of 8 bytes as b holds.
func numbersOf(b []byte) []uint64 {
	n := make([]uint64, len(b)/8)
	for i := range n {
		n[i] = binary.BigEndian.Uint64(b[8*i:])
	}
	return n
}

// Values of the rows of nodes, groups, consumers and pending entries.
//
//	node       | start 8 | holes 8 |
//	group      | last ID 16 | entries read 8 | pending 8 | consumers 8 |
//	consumer   | seen 8 | pending 8 | active 8 |           without active, if that is seen
//	pending    | delivered 8 | deliveries 8 | consumer … |     without the consumer, if that is in the name
const (
	streamNodeSize     = 2 * 8                     // part of the format; never change
	streamGroupSize    = store.StreamIDBytes + 3*8 // part of the format; never change
	streamConsumerSize = 2 * 8                     // part of the format; never change
	streamPendingSize  = 2 * 8                     // part of the format; never change
)

func encodePair(a, b int64) []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(make([]byte, 0, 16), uint64(a)), uint64(b))
}

// parsePair reads two numbers of which the second is not below 0.
func parsePair(what string, b []byte) (first, second int64, err error) {
	if len(b) != 16 {
		return 0, 0, errStreamRow(what, b)
	}
	n := numbersOf(b)
	if int64(n[1]) < 0 {
		return 0, 0, errStreamRow(what, b)
	}
	return int64(n[0]), int64(n[1]), nil
}

func (c *Consumer) encode() []byte {
	b := encodePair(c.Seen, c.Pending)
	if c.Active != c.Seen {
		b = binary.BigEndian.AppendUint64(b, uint64(c.Active))
	}
	return b
}

func (c *Consumer) parse(b []byte) error {
	rest := b[min(len(b), streamConsumerSize):]
	seen, pending, err := parsePair("consumer", b[:len(b)-len(rest)])
	if err != nil {
		return err
	}
	c.Seen, c.Pending, c.Active = seen, pending, seen
	switch len(rest) {
	case 0:
		return nil
	case 8:
		c.Active = int64(binary.BigEndian.Uint64(rest))
		if c.Active != c.Seen {
			return nil
		}
	}
	return errStreamRow("consumer", b)
}

func (g *Group) encode() []byte {
	b := appendStreamID(make([]byte, 0, streamGroupSize), g.LastID)
	for _, n := range []int64{g.EntriesRead, g.pending, g.consumers} {
		b = binary.BigEndian.AppendUint64(b, uint64(n))
	}
	return b
}

func (g *Group) parse(b []byte) error {
	if len(b) != streamGroupSize {
		return errStreamRow("group", b)
	}
	n := numbersOf(b)
	g.LastID, g.EntriesRead, g.pending, g.consumers = StreamID{n[0], n[1]}, int64(n[2]), int64(n[3]), int64(n[4])
	if g.pending < 0 || g.consumers < 0 {
		return errStreamRow("group", b)
	}
	return nil
}
