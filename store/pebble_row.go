package store

import (
	"fmt"

	"github.com/cockroachdb/pebble/v2"

	"github.com/elastickv/elastickv/encryption"
)

// What the engine holds for a version is made by a rowEncoder and read by a
// rowDecoder, and by nothing else. Both are given the full physical key, since what
// stands under a key may be bound to it.

// rowEncoder encodes the rows of one write, all of them clear or all of them sealed under
// one key. Its zero value is not for use.
type rowEncoder struct {
	seal    *sealing
	path    writePath
	decided bool   // the following are set
	keyID   uint32 // rows are sealed under it, or clear if it is 0
	refused error  // why no row may be written
	bound   []byte // a buffer
}

// newRowEncoder returns an encoder for a write on path. If no row may be written, append
// says so.
func (s *pebbleStore) newRowEncoder(path writePath) rowEncoder {
	return rowEncoder{seal: &s.seal, path: path}
}

// decide settles how rows are encoded when there is a first one: a write without rows needs
// no leave, and asks for none.
func (e *rowEncoder) decide() {
	if !e.decided {
		e.keyID, e.refused = e.seal.keyID(e.path)
		e.decided = true
	}
}

// current fails if the rows are sealed as none may be that takes effect now. The caller holds
// the apply lock and writes the rows under it: so once the floor was raised, and the lock
// held, no row below it takes effect.
func (e *rowEncoder) current() error {
	if e.seal == nil || e.seal.floor == nil || e.seal.cipher == nil || !e.decided {
		return nil
	}
	if written, _ := e.seal.floor(); e.keyID < written {
		return fmt.Errorf("%w (%d and %d)", errKeyTooOld, written, e.keyID)
	}
	return nil
}

// size returns the number of bytes that append will add for v.
func (e *rowEncoder) size(v VersionedValue) int {
	e.decide()
	n := valueHeaderSize(v) + len(v.Value)
	if e.keyID != 0 {
		n += encryption.EnvelopeOverhead
	}
	return n
}

// append appends the row of v, which stands under the physical key key, to dst. If it fails,
// nothing of the write may reach the engine.
func (e *rowEncoder) append(dst, key []byte, v VersionedValue) ([]byte, error) {
	e.decide()
	if e.refused != nil {
		return dst, e.refused
	}
	if e.keyID != 0 {
		return e.appendSealed(dst, key, v)
	}
	return append(appendValueHeader(dst, v, valueStateClear), v.Value...), nil
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

// rowDecoder decodes rows, one at a time. Each reader has its own, and has it before its view of
// the engine: rows that were sealed again later are in that view as they were.
type rowDecoder struct {
	seal                  *sealing
	floor                 uint32 // no row is clear, if it is above 0, or sealed under a lower key
	bound, opened, mended []byte // buffers
}

// newRowDecoder returns a decoder of what the store holds.
func (s *pebbleStore) newRowDecoder() rowDecoder {
	return rowDecoder{seal: &s.seal, floor: s.seal.readFloor()}
}

// version decodes the row that stands under the physical key key. The result's Value is valid
// as long as row is and until the next call, and is not nil unless the version is a
// tombstone; TS is left to the caller.
func (d *rowDecoder) version(key, row []byte) (VersionedValue, error) {
	switch {
	case d.seal.cipher == nil:
		return parseValue(row)
	case valueSealed(row):
		return d.sealedVersion(key, row)
	case d.floor == 0 && d.seal.cipher.Empty(): // nothing was ever sealed
		return parseValue(row)
	case d.unmarked(key, row):
		return VersionedValue{}, integrityError(key, fmt.Errorf("%w: sealed, and marked as clear", encryption.ErrIntegrity))
	}
	v, err := parseValue(row)
	if err == nil && d.floor > 0 {
		return VersionedValue{}, integrityError(key, fmt.Errorf("%w: clear, and every row was sealed", encryption.ErrIntegrity))
	}
	return v, err
}

// header decodes what a row says of itself, without opening what is sealed, which
// leaves Value nil and proves nothing. It is enough to keep a row, and not enough to give one up.
func (d *rowDecoder) header(row []byte) (VersionedValue, error) {
	if !valueSealed(row) {
		return parseValue(row)
	}
	v, _, err := parseValueHeader(row)
	return v, err
}

// own returns v, which is the last version that d has decoded, with a value that is the caller's.
// One that was opened is not copied but given away, unless it lies in a buffer much larger.
func (d *rowDecoder) own(v VersionedValue) VersionedValue {
	n := len(v.Value)
	if n == 0 || len(d.opened) != n || &d.opened[0] != &v.Value[0] || cap(d.opened) > n+n/4+16 {
		return v.clone()
	}
	d.opened = nil
	return v
}

// held returns how many bytes the buffers of d take.
func (d *rowDecoder) held() int { return cap(d.bound) + cap(d.opened) + cap(d.mended) }
