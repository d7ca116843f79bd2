package keys

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/elastickv/elastickv/encryption"
)

// A wrapped DEK is the key under AES-256-GCM with the KEK:
//
//	| nonce (12), random | ciphertext (32) | tag (16) |
//
// Its additional data names the key, so that no DEK can pass for another one or be used for
// another purpose:
//
//	| "elastickv dek v1" | length of purpose (1) | purpose | key id (4, big endian) |
const (
	wrapLabel   = "elastickv dek v1" // part of the format; never change
	wrappedSize = encryption.NonceSize + encryption.KeySize + encryption.TagSize

	// PurposeStorage is the purpose of keys that seal the values of a store.
	PurposeStorage = "storage" // part of the format; never change
)

// dekName is what a wrap is bound to.
type dekName struct {
	id      uint32
	purpose string // at most 255 bytes
}

func (d dekName) appendBinding(dst []byte) []byte {
	dst = append(append(dst, wrapLabel...), byte(len(d.purpose)))
	return binary.BigEndian.AppendUint32(append(dst, d.purpose...), d.id)
}

func aeadOf(kek Secret) (cipher.AEAD, error) {
	block, err := aes.NewCipher(kek.bytes())
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// wrap wraps key under kek. It draws the nonce from chance.
func wrap(kek Secret, name dekName, key Secret, chance io.Reader) ([]byte, error) {
	aead, err := aeadOf(kek)
	if err != nil {
		return nil, err
	}
	out := make([]byte, encryption.NonceSize, wrappedSize)
	if _, err := io.ReadFull(chance, out); err != nil {
		return nil, fmt.Errorf("keys: draw a nonce: %w", err)
	}
	return aead.Seal(out, out, key.bytes(), name.appendBinding(nil)), nil
}

// unwrap returns the key in wrapped.
func unwrap(kek Secret, name dekName, wrapped []byte) (Secret, error) {
	if len(wrapped) != wrappedSize {
		return Secret{}, fmt.Errorf("%w: wrapped key %d has %d bytes, not %d", ErrDamaged, name.id, len(wrapped), wrappedSize)
	}
	aead, err := aeadOf(kek)
	if err != nil {
		return Secret{}, err
	}
	nonce, sealed := wrapped[:encryption.NonceSize], wrapped[encryption.NonceSize:]
	key, err := aead.Open(nil, nonce, sealed, name.appendBinding(nil))
	if err != nil {
		return Secret{}, fmt.Errorf("%w: key %d cannot be unwrapped", ErrDamaged, name.id)
	}
	defer clear(key)
	return NewSecret(key)
}

// What is derived from a KEK by HKDF-SHA-256, without salt, under these labels.
const (
	kekIDLabel = "elastickv kek id v1"     // part of the format; never change
	macLabel   = "elastickv keys.json mac" // part of the format; never change
	kekIDSize  = 8
)

// kekID names a KEK and tells nothing of it.
func kekID(kek Secret) (string, error) {
	id, err := hkdf.Key(sha256.New, kek.bytes(), nil, kekIDLabel, kekIDSize)
	return hex.EncodeToString(id), err
}

// macOf returns, in hexadecimal, the HMAC-SHA-256 of text under a key derived from kek.
func macOf(kek Secret, text []byte) (string, error) {
	key, err := hkdf.Key(sha256.New, kek.bytes(), nil, macLabel, sha256.Size)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(text)
	return hex.EncodeToString(mac.Sum(nil)), nil
}
