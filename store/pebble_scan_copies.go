package store

const (
	copiesLeast = 8       // rows of the first block
	copiesMost  = 256     // rows of any
	bytesLeast  = 1 << 10 // bytes of the first block
	bytesMost   = 32 << 10
	listedFirst = 128 // rows that there is room for in the list at first
)

// rowCopies makes copies of rows for a caller who gets many at once. They stand in a few
// blocks of memory, which stay as long as one row of theirs is held; each slice ends
// where its row does, so that appending to one leaves the others alone.
type rowCopies struct {
	limit int       // rows that the caller wants at most
	list  []*KVPair // the copies
	pairs []KVPair  // unused
	bytes []byte    // up to its length used
	begun int       // rows that blocks have been made for
	used  int       // bytes of all rows
}

// add puts a copy of a row into the list.
func (c *rowCopies) add(key, value []byte) {
	if len(c.pairs) == 0 {
		c.growPairs()
	}
	n := len(key) + len(value)
	if cap(c.bytes)-len(c.bytes) < n || cap(c.bytes) == 0 {
		c.growBytes(n)
	}
	begin := len(c.bytes)
	middle, end := begin+len(key), begin+n
	b := c.bytes[:end]
	copy(b[begin:], key)
	copy(b[middle:], value)
	c.bytes = b
	c.used += n
	p := &c.pairs[0]
	c.pairs = c.pairs[1:]
	p.Key, p.Value = b[begin:middle:middle], b[middle:end:end]
	c.list = append(c.list, p)
}

// growPairs makes a block for as many rows as there have been, if that many are wanted.
func (c *rowCopies) growPairs() {
	if c.begun == 0 {
		c.list = make([]*KVPair, 0, min(c.limit, listedFirst))
	}
	n := min(max(copiesLeast, c.begun), copiesMost, c.limit-c.begun)
	c.pairs = make([]KVPair, n)
	c.begun += n
}

// growBytes makes a block for a row of n bytes and for more, if more are wanted. A long row
// has a block of its own.
func (c *rowCopies) growBytes(n int) {
	size := n
	if n <= bytesLeast {
		size = min(max(bytesLeast, 2*cap(c.bytes)), bytesMost)
		rows := len(c.list)
		if left := c.limit - rows - 1; rows > 0 && left < bytesMost { // which limits the product, too
			size = min(size, n+left*(c.used/rows+1))
		}
	}
	c.bytes = make([]byte, 0, max(size, n, 1))
}
