package keys

import (
	"errors"
	"fmt"
)

// Errors of loading keys. Each says what to do next.
var (
	// ErrNoKEK says that the provider has no KEK to give: a file or variable is missing,
	// unreadable, or holds something else.
	ErrNoKEK = errors.New("keys: no key encryption key")

	// ErrKEKExposed says that others than its owner may use the file of a KEK.
	ErrKEKExposed = errors.New("keys: the file of the key encryption key is open to others than its owner; chmod 600 it, and if it may have been read, make a new one and rewrap")

	// ErrWrongKEK says that the keys were wrapped under another KEK.
	ErrWrongKEK = errors.New("keys: wrong key encryption key; give the one that keys.json was last wrapped under")

	// ErrDamaged says that keys.json is not what was written.
	ErrDamaged = errors.New("keys: keys.json is damaged or was changed; put back the newest copy of it")

	// ErrNewer says that a later release has written keys.json.
	ErrNewer = errors.New("keys: keys.json has a format newer than this program knows; use a newer release")

	// ErrStale says that the store was sealed under keys that keys.json does not know of,
	// because it was put back to an earlier state or is missing.
	ErrStale = errors.New("keys: the store is ahead of keys.json; put back the newest copy of keys.json, or restore the whole folder from one backup")

	// ErrChanged says that somebody else has written keys.json meanwhile.
	ErrChanged = errors.New("keys: keys.json was changed by another process; start again, and let one process use the folder")
)

// Errors of using keys.
var (
	// ErrNotBegun says that a nonce was asked for before this life was registered.
	ErrNotBegun = errors.New("keys: no nonces before this process is registered as a writer")

	// ErrProvided says that a ring has its KEK already.
	ErrProvided = errors.New("keys: values are sealed already, or an attempt at it has failed before and left keys.json; see elastickv keys status and the log. Another KEK is given by elastickv keys rewrap, and a failed attempt is taken up by a start with --encryption")

	// ErrNoncesUsedUp says that a key was used as often as it may be. Rotate.
	ErrNoncesUsedUp = errors.New("keys: the key has sealed as much as one may; rotate (elastickv keys rotate), and look in the log why that was not done by itself")

	// ErrEpochsUsedUp says that a node has no epoch left.
	ErrEpochsUsedUp = errors.New("keys: the epochs of this node are used up; it has to go on under another node id")

	// ErrUnknownKey says that there is no such key, or no longer.
	ErrUnknownKey = errors.New("keys: no such key; see elastickv keys status")
)

// InUseError says that a key cannot be retired.
type InUseError struct {
	ID  uint32
	Why string // and what to do
}

// Error implements error.
func (e *InUseError) Error() string { return fmt.Sprintf("keys: key %d is in use: %s", e.ID, e.Why) }
