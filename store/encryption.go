package store

import (
	"encoding/binary"
	"errors"
	"math"
	"sync/atomic"

	"github.com/elastickv/elastickv/encryption"
)

// Errors of encryption at rest.
var (
	// ErrEncryptedReadIntegrity says that a stored row is not what was sealed: its
	// bytes, its header, or the place it is in; or that its key is missing, so that
	// nobody can tell. encryption.ErrIntegrity is in the chain too. The read has no
	// result: such a row is never returned, zeroed or passed over.
	ErrEncryptedReadIntegrity = errors.New("store: a sealed row is not what was written and is not returned; check the disk and the keys, or restore a backup")

	// ErrWriterNotRegistered says that a direct write was to be sealed before this
	// process is registered as a writer under the active key. Nothing was
	// written and no nonce used. Try again when it is registered.
	ErrWriterNotRegistered = errors.New("store: values are to be sealed and this writer is not registered under the active key yet; try again")

	// ErrUnsupportedStoreForWriterRegistry says that WriterRegistryFor was given a
	// store that is not one of NewPebbleStore: it has no place for the registry.
	ErrUnsupportedStoreForWriterRegistry = errors.New("store: a writer registry needs a store made by NewPebbleStore")

	// errKeyTooOld says that the rows of a write are clear, or sealed under a key that is to go.
	// Mostly the key has changed since they were encoded, and they can be encoded again.
	errKeyTooOld = errors.New("store: rows are to be sealed under a newer key than the active one; activate that")

	errNoncesExhausted = errors.New("store: the nonces of this epoch are used up; start again in the next epoch, or under another key")
)

// ActiveStorageKeyID returns the id of the key that new values are sealed under; false
// if there is none yet, and values are then written clear. Like the gates below it is
// asked once for each write that has a row, by many goroutines at once and under locks of
// the store, so none of them may call the store.
type ActiveStorageKeyID func() (uint32, bool)

// StorageEnvelopeActive reports whether values that could be sealed are to be sealed.
// While it says no, they are written clear: so keys can be given to every replica
// before any of them writes what another one could not read.
type StorageEnvelopeActive func() bool

// StorageRegistered reports whether this process is registered as a writer under the active
// key. While it is not, it must not make nonces.
type StorageRegistered func() bool

// SealFloor tells which keys are on their way out, clear rows counting as sealed under 0. No row
// takes effect any more that is sealed under a key below written; none is left, or was left when
// a reader began that asked then, below read. Neither falls, and read is at most written.
type SealFloor func() (written, read uint32)

// NonceFactory makes the nonces of sealed rows. It never returns a nonce again that was used
// under the same key, by this process, an earlier one or another machine: two rows
// under one nonce give away each other's values. Next is called once for each
// row that is sealed, by many goroutines at once and under locks of the store, so it must
// not call the store. When it fails, the whole write fails and nothing is written.
type NonceFactory interface {
	// Next returns a nonce that was not used before.
	Next() ([encryption.NonceSize]byte, error)
}

// CounterNonceFactory counts nonces in memory, from 0 on:
//
//	| node id (2) | epoch (2) | counter (8) |      all big endian
//
// It is for tests, and for whoever sees to it that no node id and epoch are used twice
// under one key, not even after a restart.
type CounterNonceFactory struct {
	nodeID, epoch uint16
	next          atomic.Uint64
}

var _ NonceFactory = (*CounterNonceFactory)(nil)

// NewCounterNonceFactory returns a factory that begins at 0.
func NewCounterNonceFactory(nodeID, localEpoch uint16) *CounterNonceFactory {
	return &CounterNonceFactory{nodeID: nodeID, epoch: localEpoch}
}

// Next implements NonceFactory. It fails for good when the counter is used up.
func (f *CounterNonceFactory) Next() (nonce [encryption.NonceSize]byte, err error) {
	n := f.next.Load()
	for n != math.MaxUint64 && !f.next.CompareAndSwap(n, n+1) {
		n = f.next.Load()
	}
	if n == math.MaxUint64 {
		return nonce, errNoncesExhausted
	}
	binary.BigEndian.PutUint16(nonce[0:], f.nodeID)
	binary.BigEndian.PutUint16(nonce[2:], f.epoch)
	binary.BigEndian.PutUint64(nonce[4:], n)
	return nonce, nil
}

// WithEncryption lets the store seal what it writes, and read what is sealed. Each write asks
// activeKeyID under which key its rows are sealed; as long as that has none they are
// written clear. Reads do not ask: they open whatever is sealed, under the key that
// it names, and return what is clear.
//
// If any argument is nil the option changes nothing.
func WithEncryption(cipher *encryption.Cipher, nf NonceFactory, activeKeyID ActiveStorageKeyID) PebbleStoreOption {
	return func(s *pebbleStore) {
		if cipher != nil && nf != nil && activeKeyID != nil {
			s.seal.cipher, s.seal.nonces, s.seal.activeKeyID = cipher, nf, activeKeyID
		}
	}
}

// WithStorageEnvelopeGate makes each write that could be sealed ask whether it is to be; if
// not, it is written clear. Without this option it is sealed. nil changes nothing.
func WithStorageEnvelopeGate(active StorageEnvelopeActive) PebbleStoreOption {
	return func(s *pebbleStore) {
		if active != nil {
			s.seal.active = active
		}
	}
}

// WithStorageRegistrationGate makes each direct write that is to be sealed ask whether this
// process is registered; if not, the write fails with ErrWriterNotRegistered, and so does a
// compaction that has a row to write. The writes of the Raft path and Restore do not ask: a
// replica must do what its log says, which may come before its own registration. nil
// changes nothing.
func WithStorageRegistrationGate(registered StorageRegistered) PebbleStoreOption {
	return func(s *pebbleStore) {
		if registered != nil {
			s.seal.registered = registered
		}
	}
}

// WithSealFloor makes each write ask, when it takes effect, whether its rows are still sealed as
// they may be; if not, they are encoded again. It makes each reader ask which rows there can be:
// one that is clear or under an older key was planted, and fails the read with
// ErrEncryptedReadIntegrity. It takes effect together with WithEncryption. nil changes nothing.
func WithSealFloor(floor SealFloor) PebbleStoreOption {
	return func(s *pebbleStore) {
		if floor != nil {
			s.seal.floor = floor
		}
	}
}
