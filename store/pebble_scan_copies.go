package store

const (
	copiesLeast = 8       // rows of the first block
	copiesMost  = 256     // rows of any
	bytesLeast  = 1 << 10 // bytes of the first block
	bytesMost   = 32 << 10
)

// rowCopies makes copies of rows for a caller who gets many at once. They stand in a few
// blocks of memory, which stay as long as one row of theirs is held; each slice ends
// where its row does, so that appending to one leaves the others alone.
type rowCopies struct {
	pairs []KVPair // unused
	bytes []byte   // up to its length used
	rows  int      // of the last block
}

func (c *rowCopies) pair(key, value []byte) *KVPair {
	if len(c.pairs) == 0 {
		c.rows = min(max(copiesLeast, 2*c.rows), copiesMost)
		c.pairs = make([]KVPair, c.rows)
	}
	p := &c.pairs[0]
	c.pairs = c.pairs[1:]
	p.Key, p.Value = c.copy(key), c.copy(value)
	return p
}

// copy returns a copy of b, never nil. A long one has a block of its own.
func (c *rowCopies) copy(b []byte) []byte {
	if len(b) > bytesLeast {
		return cloneBytes(b)
	}
	if cap(c.bytes)-len(c.bytes) < len(b) || cap(c.bytes) == 0 {
		c.bytes = make([]byte, 0, min(max(bytesLeast, 2*cap(c.bytes)), bytesMost))
	}
	n := len(c.bytes)
	c.bytes = append(c.bytes, b...)
	return c.bytes[n:len(c.bytes):len(c.bytes)]
}
