package store_test

import (
	"errors"
	"io"
	"reflect"
	"testing"

	"github.com/elastickv/elastickv/encryption"
	"github.com/elastickv/elastickv/store"
)

// The names of encryption at rest, each with exactly the type that callers rely on.
var (
	_ func(cipher *encryption.Cipher, nf store.NonceFactory, activeKeyID store.ActiveStorageKeyID) store.PebbleStoreOption = store.WithEncryption

	_ func(active store.StorageEnvelopeActive) store.PebbleStoreOption     = store.WithStorageEnvelopeGate
	_ func(registered store.StorageRegistered) store.PebbleStoreOption     = store.WithStorageRegistrationGate
	_ func(s store.MVCCStore) (encryption.WriterRegistryStore, error)      = store.WriterRegistryFor
	_ func(nodeID, localEpoch uint16) *store.CounterNonceFactory           = store.NewCounterNonceFactory
	_ func(*store.CounterNonceFactory) ([encryption.NonceSize]byte, error) = (*store.CounterNonceFactory).Next
	_ store.NonceFactory                                                   = (*store.CounterNonceFactory)(nil)
	_ func(r io.Reader, cipher *encryption.Cipher) (io.Reader, error)      = store.OpenSnapshot
	_ func(r io.Reader) (store.SnapshotInfo, error)                        = store.VerifySnapshot
	_ *error                                                               = &store.ErrEncryptedReadIntegrity
	_ *error                                                               = &store.ErrEncryptedValueReservedState
	_ *error                                                               = &store.ErrUnsupportedStoreForWriterRegistry
	_ *error                                                               = &store.ErrWriterNotRegistered
	_ func() (uint32, bool)                                                = store.ActiveStorageKeyID(nil)
	_ func() bool                                                          = store.StorageEnvelopeActive(nil)
	_ func() bool                                                          = store.StorageRegistered(nil)
	_ store.NonceFactory                                                   = nonceFactory(nil)
	_ nonceFactory                                                         = store.NonceFactory(nil)
)

// nonceFactory has the methods of NonceFactory and no other.
type nonceFactory interface {
	Next() ([encryption.NonceSize]byte, error)
}

func TestEncryptionNames(t *testing.T) {
	factory := reflect.TypeFor[store.CounterNonceFactory]()
	for _, field := range reflect.VisibleFields(factory) {
		if field.IsExported() {
			t.Errorf("CounterNonceFactory shows its field %s", field.Name)
		}
	}
	for _, f := range []reflect.Type{
		reflect.TypeFor[store.ActiveStorageKeyID](), reflect.TypeFor[store.StorageEnvelopeActive](), reflect.TypeFor[store.StorageRegistered](),
	} {
		if f.Kind() != reflect.Func {
			t.Errorf("%v is a %v, want a function", f, f.Kind())
		}
	}
	if encryption.NonceSize != 12 {
		t.Errorf("a nonce has %d bytes, want 12", encryption.NonceSize)
	}
	if _, err := store.WriterRegistryFor(store.NewMVCCStore()); !errors.Is(err, store.ErrUnsupportedStoreForWriterRegistry) {
		t.Errorf("the registry of a memory store: %v", err)
	}
	for _, option := range []store.PebbleStoreOption{
		store.WithEncryption(nil, nil, nil), store.WithStorageEnvelopeGate(nil), store.WithStorageRegistrationGate(nil),
	} {
		if option == nil {
			t.Error("an option with nothing to set is nil")
		}
	}
}
