package keyspace

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// nameList is a list of names in two pieces of memory, whatever their number: the garbage collector looks into neither.
// A name that it has returned stays as it is.
type nameList struct {
	data []byte   // names, each behind its length as an unsigned varint
	at   []uint32 // where each one begins
	dead int      // bytes of data of names that are not in the list any more
}

// nameListMost is how many bytes the names may have, lest places be more than a number can be.
const nameListMost = 1 << 31

func (l *nameList) len() int { return len(l.at) }

// size is how many bytes the list takes, but for what is free at its end.
func (l *nameList) size() int { return len(l.data) + 4*len(l.at) }

func (l *nameList) add(name []byte) {
	l.at = append(l.at, uint32(len(l.data)))
	l.data = append(binary.AppendUvarint(l.data, uint64(len(name))), name...)
}

// name returns the i-th name, which is not to be modified.
func (l *nameList) name(i int) []byte {
	rest := l.data[l.at[i]:]
	n, w := binary.Uvarint(rest)
	end := w + int(n)
	return rest[w:end:end]
}

func (l *nameList) swap(i, j int) { l.at[i], l.at[j] = l.at[j], l.at[i] }

// cut takes the names from the n-th on off the list. Their memory is free when the list is copied.
func (l *nameList) cut(n int) {
	for i := n; i < len(l.at); i++ {
		name := len(l.name(i))
		l.dead += name + uvarintLen(uint64(name))
	}
	l.at = l.at[:n]
}

// uvarintLen is how many bytes n takes as an unsigned varint.
func uvarintLen(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }

// compact returns a copy of the list, without the memory of names that were cut off.
func (l *nameList) compact() (c nameList) {
	for i := range l.at {
		c.add(l.name(i))
	}
	return c
}

// clip gives back what is free at the end of the list.
func (l *nameList) clip() { l.data, l.at = slices.Clip(l.data), slices.Clip(l.at) }
