package encryption

import (
	"errors"
	"fmt"
)

// Errors of the set of keys.
var (
	// ErrKeyIDReserved says that a key was added under id 0, which means "no key".
	ErrKeyIDReserved = errors.New("encryption: key id 0 is reserved; number keys from 1")

	// ErrKeySize says that a key is not of KeySize bytes.
	ErrKeySize = errors.New("encryption: wrong key size")

	// ErrKeyDiffers says that an id that has a key was given another one. Whatever
	// was sealed under the first could not be opened any more.
	ErrKeyDiffers = errors.New("encryption: the key id has another key already; give each key an id of its own")
)

// ErrIntegrity says that sealed bytes, or what they are bound to, are not what was
// sealed, or that this cannot be told. Nothing of them may be used.
var ErrIntegrity = errors.New("encryption: integrity check failed")

// UnknownKeyError says that a cipher does not have a key. From Open it also matches
// ErrIntegrity: a damaged key id looks like that of a key that was removed, and
// the caller must not use the bytes in either case.
type UnknownKeyError struct{ KeyID uint32 }

// Error implements error.
func (e *UnknownKeyError) Error() string {
	return fmt.Sprintf("encryption: no key with id %d; provide it again if it was removed", e.KeyID)
}
