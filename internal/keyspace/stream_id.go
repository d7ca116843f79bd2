package keyspace

import (
	"cmp"
	"math"
	"strconv"
)

// StreamID names an entry of a stream: a moment in Unix milliseconds and a number
// within it. The zero ID comes before all entries.
type StreamID struct{ Ms, Seq uint64 }

// MaxStreamID is the last ID there is.
var MaxStreamID = StreamID{math.MaxUint64, math.MaxUint64}

// Compare returns -1, 0 or 1 as id comes before, is, or comes after other.
func (id StreamID) Compare(other StreamID) int {
	if c := cmp.Compare(id.Ms, other.Ms); c != 0 {
		return c
	}
	return cmp.Compare(id.Seq, other.Seq)
}

// IsZero reports whether id is the zero ID.
func (id StreamID) IsZero() bool { return id == StreamID{} }

// Next returns the ID after id; of the last one there is none.
func (id StreamID) Next() (next StreamID, ok bool) {
	switch {
	case id == MaxStreamID:
		return StreamID{}, false
	case id.Seq == math.MaxUint64:
		return StreamID{Ms: id.Ms + 1}, true
	}
	return StreamID{id.Ms, id.Seq + 1}, true
}

// Prev returns the ID before id; of the zero ID there is none.
func (id StreamID) Prev() (prev StreamID, ok bool) {
	switch {
	case id.IsZero():
		return MaxStreamID, false
	case id.Seq == 0:
		return StreamID{id.Ms - 1, math.MaxUint64}, true
	}
	return StreamID{id.Ms, id.Seq - 1}, true
}

// Append appends id to dst as clients read it: 1526919030474-55.
func (id StreamID) Append(dst []byte) []byte {
	dst = append(strconv.AppendUint(dst, id.Ms, 10), '-')
	return strconv.AppendUint(dst, id.Seq, 10)
}

// String returns id as clients read it.
func (id StreamID) String() string { return string(id.Append(nil)) }
