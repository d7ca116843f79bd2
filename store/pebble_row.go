package store

import "github.com/cockroachdb/pebble/v2"

// What the engine holds for a version is made by a rowEncoder and read by a
// rowDecoder, and by nothing else. Both are given the full physical key, since what
// stands under a key may be bound to it.

// rowEncoder encodes the rows of one write. Its zero value is not for use: newRowEncoder
// decides for the whole write how they are encoded.
type rowEncoder struct{}

// newRowEncoder returns an encoder for a write on path. If no row may be written, append
// says so: a write without rows needs no leave.
func (s *pebbleStore) newRowEncoder(writePath) rowEncoder { return rowEncoder{} }

// size returns the number of bytes that append will add for v.
func (e *rowEncoder) size(v VersionedValue) int {
	return valueHeaderSize(v) + len(v.Value)
}

// append appends the row of v, which stands under the physical key key, to dst. If it fails,
// nothing of the write may reach the engine.
func (e *rowEncoder) append(dst, _ []byte, v VersionedValue) ([]byte, error) {
	return append(appendValueHeader(dst, v), v.Value...), nil
}

// put adds the row of m, whose size has been checked, to b. If it fails, b is of no
// use any more.
func (e *rowEncoder) put(b *pebble.Batch, m *KVPairMutation, commitTS uint64) error {
	v := VersionedValue{Tombstone: true}
	if m.Op == OpTypePut {
		v = VersionedValue{Value: m.Value, ExpireAt: m.ExpireAt}
	}
	op := b.SetDeferred(len(m.Key)+keyOverheadSize, e.size(v))
	key := appendVersionKey(op.Key[:0], m.Key, commitTS)
	if _, err := e.append(op.Value[:0], key, v); err != nil {
		return err
	}
	return op.Finish()
}

// rowDecoder decodes rows, one at a time. Each reader has its own.
type rowDecoder struct{}

// newRowDecoder returns a decoder of what the store holds.
func (s *pebbleStore) newRowDecoder() rowDecoder { return rowDecoder{} }

// version decodes the row that stands under the physical key key. The result's Value is valid
// as long as row is and until the next call, and is not nil unless the version is a
// tombstone; TS is left to the caller.
func (d *rowDecoder) version(_, row []byte) (VersionedValue, error) {
	return parseValue(row)
}

// header decodes what a row says of itself, without its Value and without a
// proof. It is enough to keep a row, and not enough to give one up.
func (d *rowDecoder) header(row []byte) (VersionedValue, error) {
	v, err := parseValue(row)
	v.Value = nil
	return v, err
}
