package encryption

import (
	"encoding/binary"
	"fmt"
)

// An envelope holds sealed bytes and what is needed to open them:
//
//	| version (1) | flags (1) | key id (4, big endian) | nonce (12) | ciphertext … | tag (16) |
//	|<-------------- header ----------------->|
//
// The version is 0x01, the flags are 0, a key id is above 0. The ciphertext, as long as
// the plaintext, and the tag are AES-256-GCM's. Its additional data begins with the header;
// behind that comes whatever the envelope is bound to, such as the key of the row that it lies in.
const (
	envelopeVersion = 0x01 // part of the format; never change
	envelopeFlags   = 0x00 // part of the format; never change

	// EnvelopeHeaderSize is how many bytes AppendEnvelopeHeader appends.
	EnvelopeHeaderSize = 1 + 1 + 4 // part of the format; never change

	// EnvelopeOverhead is how much longer an envelope is than what it holds.
	EnvelopeOverhead = EnvelopeHeaderSize + NonceSize + TagSize
)

// Envelope is a parsed envelope. Its slices alias what it was parsed from.
type Envelope struct {
	KeyID  uint32
	Nonce  *[NonceSize]byte
	Sealed []byte // ciphertext and tag
}

// AppendEnvelopeHeader appends the header of an envelope that is sealed under a key. The
// same bytes begin the envelope and its additional data.
func AppendEnvelopeHeader(dst []byte, keyID uint32) []byte {
	return binary.BigEndian.AppendUint32(append(dst, envelopeVersion, envelopeFlags), keyID)
}

// ParseEnvelope takes an envelope apart. It fails with ErrIntegrity, because what it does
// not understand is not to be trusted.
func ParseEnvelope(b []byte) (Envelope, error) {
	if len(b) < EnvelopeOverhead {
		return Envelope{}, fmt.Errorf("%w: envelope of %d bytes, at least %d", ErrIntegrity, len(b), EnvelopeOverhead)
	}
	if b[0] != envelopeVersion {
		return Envelope{}, fmt.Errorf("%w: envelope of version %d, known is %d", ErrIntegrity, b[0], envelopeVersion)
	}
	if b[1] != envelopeFlags {
		return Envelope{}, fmt.Errorf("%w: envelope with unknown flags %#02x", ErrIntegrity, b[1])
	}
	keyID := binary.BigEndian.Uint32(b[2:])
	if keyID == 0 {
		return Envelope{}, fmt.Errorf("%w: envelope without a key id", ErrIntegrity)
	}
	const head = EnvelopeHeaderSize + NonceSize
	return Envelope{
		KeyID:  keyID,
		Nonce:  (*[NonceSize]byte)(b[EnvelopeHeaderSize:]),
		Sealed: b[head:len(b):len(b)],
	}, nil
}
