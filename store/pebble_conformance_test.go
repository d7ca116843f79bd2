package store_test

import (
	"bytes"
	"flag"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/elastickv/elastickv/encryption"
	"github.com/elastickv/elastickv/store"
	"github.com/elastickv/elastickv/store/storetest"
)

func openPebbleWith(t *testing.T, opts ...store.PebbleStoreOption) store.Engine {
	t.Helper()
	s, err := store.NewPebbleStore("db", append(opts, store.WithFS(vfs.NewMem()))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return s.(store.Engine)
}

func openPebble(t *testing.T) store.Engine { return openPebbleWith(t) }

func openPebbleTiny(t *testing.T) store.Engine { return openPebbleWith(t, store.WithTinyTables()) }

func openPebbleRestless(t *testing.T) store.Engine {
	return store.NewRestless(t, openPebbleWith(t, store.WithTinyTables(), store.WithEagerRanges()))
}

func openPebbleEager(t *testing.T) store.Engine { return openPebbleWith(t, store.WithEagerGaps()) }

func TestPebble(t *testing.T) { storetest.Run(t, openPebble) }

func TestPebbleTinyTables(t *testing.T) { storetest.Run(t, openPebbleTiny) }

func TestPebbleModel(t *testing.T) {
	limitChecks(t)
	storetest.RunModel(t, openPebble)
}

// openPebbleCaching has room for a version or two in each part of its cache.
func openPebbleCaching(t *testing.T) store.Engine {
	return openPebbleWith(t, store.WithVersionCacheSize(64<<10*8))
}

func TestPebbleWithoutCache(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Engine { return openPebbleWith(t, store.WithVersionCacheSize(-1)) })
}

func TestPebbleSmallCacheModel(t *testing.T) {
	limitChecks(t)
	storetest.RunModel(t, openPebbleCaching)
}

func TestPebbleEagerGaps(t *testing.T) { storetest.Run(t, openPebbleEager) }

func TestPebbleEagerGapsModel(t *testing.T) {
	limitChecks(t)
	storetest.RunModel(t, openPebbleEager)
}

func openPebbleRanges(t *testing.T) store.Engine {
	return openPebbleWith(t, store.WithEagerRanges(), store.WithEagerGaps())
}

func TestPebbleEagerRanges(t *testing.T) { storetest.Run(t, openPebbleRanges) }

func TestPebbleEagerRangesModel(t *testing.T) {
	limitChecks(t)
	storetest.RunModel(t, openPebbleRanges)
}

func TestPebbleRestlessWithoutCacheModel(t *testing.T) {
	limitChecks(t)
	storetest.RunModel(t, func(t *testing.T) store.Engine {
		return store.NewRestless(t, openPebbleWith(t, store.WithTinyTables(), store.WithEagerRanges(), store.WithVersionCacheSize(-1)))
	})
}

func TestPebbleRestlessModel(t *testing.T) {
	limitChecks(t)
	storetest.RunModel(t, openPebbleRestless)
}

func openPebblePages(t *testing.T) store.Engine {
	return openPebbleWith(t, store.WithEagerPages(), store.WithEagerRanges())
}

func TestPebbleEagerPages(t *testing.T) { storetest.Run(t, openPebblePages) }

func TestPebbleEagerPagesModel(t *testing.T) {
	limitChecks(t)
	storetest.RunModel(t, openPebblePages)
}

// sealedOptions makes a store seal under keys 1 and 2 by turns, if active says so.
func sealedOptions(t *testing.T, active store.StorageEnvelopeActive) []store.PebbleStoreOption {
	t.Helper()
	cipher := encryption.NewCipher()
	for id := range uint32(2) {
		if err := cipher.AddKey(id+1, bytes.Repeat([]byte{byte(id)}, encryption.KeySize)); err != nil {
			t.Fatal(err)
		}
	}
	var writes atomic.Uint32
	turns := func() (uint32, bool) { return writes.Add(1)%2 + 1, true }
	return []store.PebbleStoreOption{
		store.WithEncryption(cipher, store.NewCounterNonceFactory(1, 1), turns),
		store.WithStorageEnvelopeGate(active),
	}
}

// openPebbleSealed keeps nothing in the cache, so that every read opens what it finds.
func openPebbleSealed(t *testing.T) store.Engine {
	return openPebbleWith(t, append(sealedOptions(t, nil), store.WithVersionCacheSize(-1))...)
}

// openPebbleMixed makes every third write clear, and deletes spans by range tombstones.
func openPebbleMixed(t *testing.T) store.Engine {
	var writes atomic.Uint32
	opts := sealedOptions(t, func() bool { return writes.Add(1)%3 > 0 })
	return openPebbleWith(t, append(opts, store.WithTinyTables(), store.WithEagerRanges(), store.WithVersionCacheSize(-1))...)
}

func openPebbleMixedRestless(t *testing.T) store.Engine {
	return store.NewRestless(t, openPebbleMixed(t))
}

func TestPebbleSealed(t *testing.T) { storetest.Run(t, openPebbleSealed) }

func TestPebbleMixed(t *testing.T) { storetest.Run(t, openPebbleMixed) }

func TestPebbleSealedModel(t *testing.T) {
	limitChecks(t)
	storetest.RunModel(t, openPebbleSealed)
}

func TestPebbleMixedModel(t *testing.T) {
	limitChecks(t)
	storetest.RunModel(t, openPebbleMixedRestless)
}

// limitChecks makes random tests shorter where they are slow: under the race
// detector the engine checks itself at every step. A number that was asked for stands.
func limitChecks(t *testing.T) {
	t.Helper()
	if store.RaceEnabled && !askedFor("checks") {
		setRapid(t, "checks", "10")
	}
}

// askedFor reports whether a number of random histories (checks), or a length of them
// (steps), was asked for.
func askedFor(name string) bool {
	f := flag.Lookup("rapid." + name)
	return f.Value.String() != f.DefValue
}

// setRapid sets how many random histories there are (checks) or how long they are (steps).
func setRapid(t *testing.T, name, value string) {
	t.Helper()
	f := flag.Lookup("rapid." + name)
	before := f.Value.String()
	if err := f.Value.Set(value); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Value.Set(before) })
}

// The raft path without fsync is the same store to whoever looks at it.
func TestPebbleNoSync(t *testing.T) {
	storetest.Run(t, func(t *testing.T) store.Engine {
		return openPebbleWith(t, store.WithFSMSyncMode(store.FSMNoSync))
	})
}
