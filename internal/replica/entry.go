package replica

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/elastickv/elastickv/store"
)

// The data of an entry: the commits of one run of the sequencer, in order, without what they were
// checked against. Integers are big endian, lengths are varints (encoding/binary's Uvarint).
//
//	| format (1) | commit … |
//	| commitTS (8) | spans (varint) | span … | mutations (varint) | mutation … |       commit
//	| flags (1) | start | [end] |                                                     span; flags 1: there is an end
//	| op (1) | key | [expireAt (8) | value] |                                         mutation; op 0 puts, 1 deletes
//
// Keys, values and bounds are | length (varint) | bytes |. An entry without data changes nothing.
const (
	entryFormat = 1 // part of the format; never change

	entryPut    = 0 // part of the format; never change
	entryDelete = 1 // part of the format; never change

	entrySpanEnd = 1 // part of the format; never change
)

var errEntry = errors.New("replica: an entry of the log is malformed, or of a later release")

// AppendEntry appends the data of an entry that makes the commits.
func AppendEntry(dst []byte, commits []store.Commit) []byte {
	dst = append(dst, entryFormat)
	for i := range commits {
		c := &commits[i]
		dst = binary.BigEndian.AppendUint64(dst, c.TS)
		dst = binary.AppendUvarint(dst, uint64(len(c.Deleted)))
		for _, span := range c.Deleted {
			flags := byte(0)
			if span.End != nil {
				flags = entrySpanEnd
			}
			dst = appendBytes(append(dst, flags), span.Start)
			if span.End != nil {
				dst = appendBytes(dst, span.End)
			}
		}
		dst = binary.AppendUvarint(dst, uint64(len(c.Mutations)))
		for _, m := range c.Mutations {
			if m.Op == store.OpTypeDelete {
				dst = appendBytes(append(dst, entryDelete), m.Key)
				continue
			}
			dst = appendBytes(append(dst, entryPut), m.Key)
			dst = appendBytes(binary.BigEndian.AppendUint64(dst, m.ExpireAt), m.Value)
		}
	}
	return dst
}

func appendBytes(dst, b []byte) []byte {
	return append(binary.AppendUvarint(dst, uint64(len(b))), b...)
}

// ParseEntry decodes what AppendEntry has made. The commits alias data.
func ParseEntry(data []byte) ([]store.Commit, error) {
	r := entryReader{rest: data}
	if len(data) == 0 {
		return nil, nil
	}
	if r.byte() != entryFormat {
		return nil, fmt.Errorf("%w: format %d", errEntry, data[0])
	}
	var commits []store.Commit
	for len(r.rest) > 0 && !r.bad {
		commits = append(commits, r.commit())
	}
	if r.bad {
		return nil, errEntry
	}
	return commits, nil
}

// entryReader reads from rest; once bad it yields zeros.
type entryReader struct {
	rest []byte
	bad  bool
}

func (r *entryReader) commit() (c store.Commit) {
	c.TS = r.uint64()
	// Whatever a count says, there is no more than a byte for each.
	for n := r.count(); n > 0 && !r.bad; n-- {
		var span store.Span
		flags := r.byte()
		span.Start = r.bytes()
		if flags&^entrySpanEnd != 0 {
			r.fail()
		}
		if flags&entrySpanEnd != 0 {
			span.End = r.bytes()
		}
		c.Deleted = append(c.Deleted, span)
	}
	for n := r.count(); n > 0 && !r.bad; n-- {
		c.Mutations = append(c.Mutations, r.mutation())
	}
	return c
}

func (r *entryReader) mutation() *store.KVPairMutation {
	m := &store.KVPairMutation{Op: store.OpTypePut}
	switch r.byte() {
	case entryPut:
		m.Key = r.bytes()
		m.ExpireAt = r.uint64()
		m.Value = r.bytes()
	case entryDelete:
		m.Op, m.Key = store.OpTypeDelete, r.bytes()
	default:
		r.fail()
	}
	return m
}

func (r *entryReader) fail() { r.bad, r.rest = true, nil }

// take returns the next n bytes.
func (r *entryReader) take(n uint64) []byte {
	if n > uint64(len(r.rest)) {
		r.fail()
		return nil
	}
	b := r.rest[:n:n]
	r.rest = r.rest[n:]
	return b
}

func (r *entryReader) byte() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *entryReader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *entryReader) varint() uint64 {
	v, n := binary.Uvarint(r.rest)
	if n <= 0 {
		r.fail()
		return 0
	}
	r.rest = r.rest[n:]
	return v
}

// count returns how many things follow.
func (r *entryReader) count() uint64 {
	n := r.varint()
	if n > uint64(len(r.rest)) {
		r.fail()
	}
	return n
}

// bytes returns bytes behind their length, never nil.
func (r *entryReader) bytes() []byte { return r.take(r.varint()) }
