package store_test

import (
	"bytes"
	"context"
	"flag"
	"strconv"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/elastickv/elastickv/encryption"
	"github.com/elastickv/elastickv/store"
	"github.com/elastickv/elastickv/store/storetest"
)

func TestMetamorphic(t *testing.T) {
	if !askedFor("steps") {
		setRapid(t, "steps", "60")
	}
	setRapid(t, "checks", longChecks())
	var writes atomic.Uint32
	halfSealed := sealedOptions(t, func() bool { return writes.Add(1)%3 > 0 })
	memory := storetest.Configuration{
		Name: "memory",
		Open: func() (store.Engine, error) { return store.NewMVCCStore().(store.Engine), nil },
	}
	storetest.RunMetamorphic(t, []storetest.Configuration{
		memory,
		pebbleConfiguration("pebble"),
		pebbleConfiguration("pebble, tiny tables", store.WithTinyTables(), store.WithVersionCacheSize(-1)),
		pebbleConfiguration("pebble, small cache", store.WithTinyTables(), store.WithVersionCacheSize(512<<10)),
		pebbleConfiguration("pebble, eager gaps", store.WithEagerGaps()),
		pebbleConfiguration("pebble, eager pages", store.WithEagerPages(), store.WithEagerGaps()),
		pebbleConfiguration("pebble, eager ranges and pages", store.WithEagerPages(), store.WithEagerRanges(), store.WithTinyTables()),
		pebbleConfiguration("pebble, eager ranges", store.WithEagerRanges(), store.WithVersionCacheSize(512<<10)),
		pebbleConfiguration("pebble, nosync", store.WithFSMSyncMode(store.FSMNoSync),
			store.WithEagerGaps(), store.WithEagerRanges(), store.WithTinyTables()),
		pebbleConfiguration("pebble, half sealed", append(halfSealed, store.WithEagerRanges(), store.WithTinyTables())...),
		rotatingConfiguration(),
	})
}

// rotatingConfiguration seals under one key after the other, and has all rows sealed again under
// each.
func rotatingConfiguration() storetest.Configuration {
	cipher := encryption.NewCipher()
	var key atomic.Uint32
	c := pebbleConfiguration("pebble, rotating", store.WithEagerRanges(), store.WithTinyTables(), store.WithVersionCacheSize(-1),
		store.WithEncryption(cipher, store.NewCounterNonceFactory(1, 1), func() (uint32, bool) { return key.Load(), key.Load() > 0 }),
		store.WithSealFloor(func() (uint32, uint32) { return key.Load(), 0 }))
	c.Stir["rotate"] = func(e store.Engine) error {
		next := key.Load() + 1
		if err := cipher.AddKey(next, bytes.Repeat([]byte{byte(next)}, encryption.KeySize)); err != nil {
			return err
		}
		key.Store(next)
		return e.(store.Resealer).Reseal(context.Background(), store.ResealOptions{Below: next})
	}
	return c
}

func pebbleConfiguration(name string, opts ...store.PebbleStoreOption) storetest.Configuration {
	opts = append(opts, store.WithCacheSize(1<<20))
	return storetest.Configuration{
		Name: name,
		Open: func() (store.Engine, error) {
			s, err := store.NewPebbleStore("db", append(opts[:len(opts):len(opts)], store.WithFS(vfs.NewMem()))...)
			if err != nil {
				return nil, err
			}
			return s.(store.Engine), nil
		},
		Reopen: func(e store.Engine) (store.Engine, error) { return store.Reopen(e, opts[:len(opts):len(opts)]...) },
		Stir: map[string]func(store.Engine) error{
			"flush":          store.Flush,
			"compact engine": store.CompactEngine,
		},
	}
}

// longChecks is how many histories to run: each takes as long as many of a model's.
func longChecks() string {
	asked, err := strconv.Atoi(flag.Lookup("rapid.checks").Value.String())
	switch {
	case err == nil && askedFor("checks"):
		return strconv.Itoa(max(1, asked/10))
	case store.RaceEnabled:
		return "4"
	}
	return "25"
}
