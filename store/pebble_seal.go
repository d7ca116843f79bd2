package store

import (
	"fmt"
	"slices"

	"github.com/elastickv/elastickv/encryption"
)

// sealing says whether and how rows are sealed. It does not change once the store is open.
//
// A sealed row is a clear header, which says that what follows is sealed, and an envelope
// (package encryption) that holds the value:
//
//	| header | envelope version (1) | flags (1) | key id (4) | nonce (12) | ciphertext … | tag (16) |
//
// The envelope is bound to the row's header and to its full physical key, so that it opens
// nowhere else, at no other timestamp, and with no other expiry. A tombstone is sealed
// like an empty value. The additional data is
//
//	| envelope version (1) | flags (1) | key id (4) | header | physical key … |
//
// and can be read in one way only, because the header tells its own length.
type sealing struct {
	cipher      *encryption.Cipher // nil if nothing is sealed or opened
	nonces      NonceFactory
	activeKeyID ActiveStorageKeyID
	active      StorageEnvelopeActive // nil says yes
	registered  StorageRegistered     // nil says yes
	floor       SealFloor             // nil says 0 and 0
	snapshots   bool                  // snapshots are sealed too
}

// readFloor returns the id that no row is sealed below which a reader finds that begins now.
func (s *sealing) readFloor() uint32 {
	if s.floor == nil {
		return 0
	}
	_, read := s.floor()
	return read
}

// keyID returns the id of the key that the rows of a write on path are sealed under, or 0
// if they are written clear.
func (s *sealing) keyID(path writePath) (uint32, error) {
	if s.cipher == nil {
		return 0, nil
	}
	id, ok := s.activeKeyID()
	switch {
	case !ok, s.active != nil && !s.active():
		return 0, nil
	case id == 0:
		return 0, fmt.Errorf("store: seal: %w", encryption.ErrKeyIDReserved)
	case path != raftPath && s.registered != nil && !s.registered():
		return 0, ErrWriterNotRegistered
	}
	return id, nil
}

// overhead returns how many bytes a row may take more than a clear one.
func (s *sealing) overhead() int {
	if s.cipher == nil {
		return 0
	}
	return encryption.EnvelopeOverhead
}

// appendSealed appends the sealed row of v under key to dst.
func (e *rowEncoder) appendSealed(dst, key []byte, v VersionedValue) ([]byte, error) {
	nonce, err := e.seal.nonces.Next()
	if err != nil {
		return dst, fmt.Errorf("store: no nonce to seal with: %w", err)
	}
	n := len(dst)
	dst = appendValueHeader(dst, v, valueStateSealed)
	e.bound = appendBinding(e.bound[:0], e.keyID, dst[n:], key)
	dst = encryption.AppendEnvelopeHeader(dst, e.keyID)
	dst = append(dst, nonce[:]...)
	dst, err = e.seal.cipher.Seal(dst, e.keyID, (*[encryption.NonceSize]byte)(dst[len(dst)-len(nonce):]), v.Value, e.bound)
	if err != nil {
		return dst, fmt.Errorf("store: seal: %w", err)
	}
	return dst, nil
}

// appendBinding appends the additional data of a row's envelope.
func appendBinding(dst []byte, keyID uint32, header, key []byte) []byte {
	dst = slices.Grow(dst, encryption.EnvelopeHeaderSize+len(header)+len(key))
	dst = encryption.AppendEnvelopeHeader(dst, keyID)
	return append(append(dst, header...), key...)
}

// sealedVersion is version for a row that is marked as sealed. Whatever is wrong with it is a
// failed integrity check.
func (d *rowDecoder) sealedVersion(key, row []byte) (VersionedValue, error) {
	v, n, err := parseValueHeader(row)
	if err != nil {
		return VersionedValue{}, integrityError(key, fmt.Errorf("%w: %w", encryption.ErrIntegrity, err))
	}
	value, err := d.open(key, row[:n], row[n:])
	if err != nil {
		return VersionedValue{}, integrityError(key, err)
	}
	if !v.Tombstone {
		v.Value = value
	}
	return v, nil
}

// open returns the value in envelope, which stands behind header in the row of key. It is not
// nil, and valid until the next call.
func (d *rowDecoder) open(key, header, envelope []byte) ([]byte, error) {
	e, err := encryption.ParseEnvelope(envelope)
	if err != nil {
		return nil, err
	}
	if e.KeyID < d.floor {
		return nil, fmt.Errorf("%w: sealed under key %d, and every row is under %d or later", encryption.ErrIntegrity, e.KeyID, d.floor)
	}
	d.bound = appendBinding(d.bound[:0], e.KeyID, header, key)
	opened, err := d.seal.cipher.Open(d.opened[:0], e.KeyID, e.Nonce, e.Sealed, d.bound)
	if err != nil {
		return nil, err
	}
	if opened == nil {
		opened = []byte{}
	}
	d.opened = opened
	return opened[:len(opened):len(opened)], nil
}

// sealedHeaders are the flags that a sealed row may begin with.
var sealedHeaders = []byte{
	valueStateSealed,
	valueStateSealed | valueFlagTombstone,
	valueStateSealed | valueFlagExpiry,
}

// unmarked reports whether row, which says that it is clear, was sealed when it was
// written: whether it opens once its flags are put right. No clear value does,
// by chance or by intent, as nobody could make the envelope without the key.
func (d *rowDecoder) unmarked(key, row []byte) bool {
	if len(row) == 0 || row[0]&valueStateMask != valueStateClear {
		return false
	}
	for _, flags := range sealedHeaders {
		n := valueHeaderSizeOf(flags)
		if len(row) < n+encryption.EnvelopeOverhead {
			continue
		}
		e, err := encryption.ParseEnvelope(row[n:])
		if err != nil || !d.seal.cipher.HasKey(e.KeyID) {
			continue
		}
		d.mended = append(append(d.mended[:0], flags), row[1:n]...)
		if _, err := d.open(key, d.mended, row[n:]); err == nil {
			return true
		}
	}
	return false
}

// integrityError says which row failed, and why.
func integrityError(key []byte, cause error) error {
	const keyMost = 64 // bytes of a key that are shown
	if userKey, ts, err := parseVersionKey(key); err == nil {
		return fmt.Errorf("%w: key %.*q at timestamp %d: %w", ErrEncryptedReadIntegrity, keyMost, userKey, ts, cause)
	}
	return fmt.Errorf("%w: row %.*q: %w", ErrEncryptedReadIntegrity, keyMost, key, cause)
}
