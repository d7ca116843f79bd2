package keyspace

import "github.com/elastickv/elastickv/internal/txn"

// Memory is what transactions that come one after the other, on one goroutine, use again: most then allocate nothing
// of their own. A Space of it, and what it has opened, is void when the next one is opened. Names and values
// of rows, which the transaction and those behind it keep, are never written over.
type Memory struct {
	space  Space
	shared shared
	free   []byte // for names and values of rows: what is left of a piece

	hash spare[Hash]
	list spare[List]
	set  spare[Set]
	zset spare[ZSet]
}

const (
	memoryPiece = 32 << 10 // bytes
	// memoryShare is which part of a piece a row may take at most: it is kept as long as anything in it.
	memoryShare = 8
	// memoryChanges is how many changes there is room for, at most, between transactions.
	memoryChanges = 1 << 10
)

// Open returns the logical database db, from 0 to Databases-1, in tx.
func (m *Memory) Open(tx *txn.Tx, db int, env Env) *Space {
	changes, buf := m.shared.changes, m.space.buf
	clear(changes)
	if cap(changes) > memoryChanges || cap(buf) > memoryPiece {
		changes, buf = nil, nil
	}
	m.shared = newShared(env)
	m.shared.memory, m.shared.changes = m, changes[:0]
	m.space = Space{tx: tx, db: db, shared: &m.shared, buf: buf[:0]}
	m.hash.taken, m.list.taken, m.set.taken, m.zset.taken = false, false, false, false
	return &m.space
}

// spare is room for the first of its kind that a transaction opens.
type spare[T any] struct {
	taken bool
	one   T
}

// room returns where a T that a transaction opens is to stand, whatever is there: in the spare of the memory, if there
// is one that is free.
func room[T any](m *Memory, of func(*Memory) *spare[T]) *T {
	if m == nil || of(m).taken {
		return new(T)
	}
	s := of(m)
	s.taken = true
	return &s.one
}

// bytes returns an empty slice with room for n bytes, which nobody else has.
func (s *shared) bytes(n int) []byte {
	m := s.memory
	if m == nil || n > memoryPiece/memoryShare {
		return make([]byte, 0, n)
	}
	if n > len(m.free) {
		m.free = make([]byte, memoryPiece)
	}
	b := m.free[:0:n]
	m.free = m.free[n:]
	return b
}
