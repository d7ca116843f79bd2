package encryption

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
)

// Sizes of AES-256-GCM, in bytes.
const (
	KeySize   = 32
	NonceSize = 12
	TagSize   = 16
)

// Cipher seals and opens bytes under keys that it knows by their ids. Its zero value
// has no key. It is safe for concurrent use; keys may be added and removed
// while others seal and open, which never wait.
//
// A nonce must never be used twice under one key: two messages that share one give away
// each other's contents and let anyone forge more. The cipher cannot notice
// that; whoever hands it nonces answers for it.
type Cipher struct {
	mu   sync.Mutex                      // held while keys is replaced
	keys atomic.Pointer[map[uint32]*dek] // nil while empty; a map is not modified once it is here
}

// dek is a key ready for use.
type dek struct {
	aead   cipher.AEAD
	digest [sha256.Size]byte // of the key, to tell whether another one is the same
}

// NewCipher returns a cipher without keys.
func NewCipher() *Cipher { return new(Cipher) }

// AddKey makes key, of KeySize bytes, the key with the given id, which is above 0. The
// cipher keeps no reference to it. Adding a key again changes nothing.
func (c *Cipher) AddKey(id uint32, key []byte) error {
	if id == 0 {
		return ErrKeyIDReserved
	}
	if len(key) != KeySize {
		return fmt.Errorf("%w: key %d has %d bytes, not %d", ErrKeySize, id, len(key), KeySize)
	}
	aead, err := newAEAD(key)
	if err != nil {
		return fmt.Errorf("encryption: key %d: %w", id, err)
	}
	added := &dek{aead: aead, digest: sha256.Sum256(key)}
	c.mu.Lock()
	defer c.mu.Unlock()
	keys := c.load()
	if known := keys[id]; known != nil {
		if subtle.ConstantTimeCompare(known.digest[:], added.digest[:]) == 0 {
			return fmt.Errorf("%w: key %d", ErrKeyDiffers, id)
		}
		return nil
	}
	more := maps.Clone(keys)
	if more == nil {
		more = map[uint32]*dek{}
	}
	more[id] = added
	c.keys.Store(&more)
	return nil
}

func newAEAD(key []byte) (cipher.AEAD, error) {
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// RemoveKey forgets a key and reports whether it was there. Calls that are using it
// come to their end.
func (c *Cipher) RemoveKey(id uint32) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	keys := c.load()
	if keys[id] == nil {
		return false
	}
	fewer := maps.Clone(keys)
	delete(fewer, id)
	c.keys.Store(&fewer)
	return true
}

// Empty reports whether the cipher has no key at all.
func (c *Cipher) Empty() bool { return len(c.load()) == 0 }

// HasKey reports whether the cipher has the key with the given id.
func (c *Cipher) HasKey(id uint32) bool { return c.load()[id] != nil }

// KeyIDs returns the ids of all keys, the lowest first.
func (c *Cipher) KeyIDs() []uint32 { return slices.Sorted(maps.Keys(c.load())) }

func (c *Cipher) load() map[uint32]*dek {
	if keys := c.keys.Load(); keys != nil {
		return *keys
	}
	return nil
}

// Seal encrypts plaintext and appends the ciphertext, which is as long, and a tag of
// TagSize bytes to dst. additional is not encrypted, but bound to it: Open
// wants to see the same. nonce was never used before under this key, by anyone.
// It may lie in dst; plaintext and additional may not lie behind dst's length.
// It fails with an *UnknownKeyError, and then appends nothing.
func (c *Cipher) Seal(dst []byte, keyID uint32, nonce *[NonceSize]byte, plaintext, additional []byte) ([]byte, error) {
	k := c.load()[keyID]
	if k == nil {
		return dst, &UnknownKeyError{keyID}
	}
	return k.aead.Seal(dst, nonce[:], plaintext, additional), nil
}

// Open decrypts what Seal appended and appends the plaintext to dst. If anything is not
// as it was sealed it fails with ErrIntegrity and appends nothing; an *UnknownKeyError is
// in the chain if the key is missing.
func (c *Cipher) Open(dst []byte, keyID uint32, nonce *[NonceSize]byte, sealed, additional []byte) ([]byte, error) {
	k := c.load()[keyID]
	if k == nil {
		return dst, fmt.Errorf("%w: %w", ErrIntegrity, &UnknownKeyError{keyID})
	}
	opened, err := k.aead.Open(dst, nonce[:], sealed, additional)
	if err != nil {
		return dst, ErrIntegrity
	}
	return opened, nil
}
