package command

import (
	"hash/fnv"
	"strconv"
	"sync"
)

// cursorsKept is how many positions of scans are remembered.
const cursorsKept = 1 << 16

// Cursors gives the positions of scans the form that Redis' clients expect, an
// integer of 64 bits. A scan goes through names in order, and its position is a
// name, so the integer is
//
//	| first 3 bytes of the name | hash of the name (40 bits) |
//
// and the name itself is remembered here. If it has been forgotten, because of
// very many scans at once or a restart, the scan goes on from the first three
// bytes: elements may come twice, as SCAN allows, but none is left out.
type Cursors struct {
	mu    sync.Mutex
	names map[uint64][]byte
	ring  [cursorsKept]uint64 // cursors in names, the oldest at next
	next  int
}

// NewCursors returns an empty memory of positions.
func NewCursors() *Cursors { return &Cursors{names: make(map[uint64][]byte)} }

// at returns the cursor for a scan that goes on at name. It is never 0, which
// stands for the beginning and the end.
func (c *Cursors) at(name []byte) uint64 {
	h := fnv.New64a()
	h.Write(name)
	n := h.Sum64() & (1<<40 - 1)
	for i := range min(3, len(name)) {
		n |= uint64(name[i]) << (56 - 8*i)
	}
	n = max(n, 1)
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.names[n]; !ok {
		delete(c.names, c.ring[c.next])
		c.ring[c.next] = n
		c.next = (c.next + 1) % cursorsKept
	}
	c.names[n] = append([]byte(nil), name...)
	return n
}

// name returns where the scan of a cursor goes on; nil for the beginning.
func (c *Cursors) name(cursor uint64) []byte {
	if cursor == 0 {
		return nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if name, ok := c.names[cursor]; ok {
		return name
	}
	start := []byte{byte(cursor >> 56), byte(cursor >> 48), byte(cursor >> 40)}
	for len(start) > 0 && start[len(start)-1] == 0 {
		start = start[:len(start)-1]
	}
	return start
}

// parseCursor reads a cursor as clients send it back, and whatever else C's strtoul
// takes: nothing at all is 0, and a sign may stand in front.
func parseCursor(b []byte) (uint64, error) {
	if len(b) == 0 {
		return 0, nil
	}
	negative := b[0] == '-'
	if negative || b[0] == '+' {
		b = b[1:]
	}
	n, err := strconv.ParseUint(string(b), 10, 64)
	if err != nil {
		return 0, ErrInvalidCursor
	}
	if negative {
		n = -n
	}
	return n, nil
}
