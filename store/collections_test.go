package store_test

import (
	"bytes"
	"encoding/binary"
	"flag"
	"testing"

	"github.com/elastickv/elastickv/store"
	"github.com/elastickv/elastickv/store/storetest"
)

func TestMemoryCollections(t *testing.T) { storetest.RunCollections(t, openMemory) }

func TestPebbleCollections(t *testing.T) {
	limitChecks(t)
	storetest.RunCollections(t, openPebble)
}

func TestPebbleEagerGapsCollections(t *testing.T) {
	limitChecks(t)
	storetest.RunCollections(t, openPebbleEager)
}

func TestPebbleSealedCollections(t *testing.T) {
	limitChecks(t)
	storetest.RunCollections(t, openPebbleSealed)
}

func TestPebbleMixedCollections(t *testing.T) {
	limitChecks(t)
	storetest.RunCollections(t, openPebbleMixed)
}

// Tables that hold a few rows each make thousands of deltas slow.
func TestPebbleTinyTablesCollections(t *testing.T) {
	checks := flag.Lookup("rapid.checks")
	if checks.Value.String() == checks.DefValue {
		defer func() { _ = checks.Value.Set(checks.DefValue) }()
		if err := checks.Value.Set("5"); err != nil {
			t.Fatal(err)
		}
	}
	storetest.RunCollections(t, openPebbleTiny)
}

// The tag of deltas lies inside the tag of metas. A meta's key is a delta's, too,
// if the length of its user key begins with the bytes "d|". No such key is short
// enough to be written.
func TestNoMetaLooksLikeADelta(t *testing.T) {
	for name, kind := range map[string]struct {
		meta, delta string
		metaKey     func(userKey []byte) []byte
		isDelta     func(key []byte) bool
	}{
		"hash": {store.HashMetaPrefix, store.HashMetaDeltaPrefix, store.HashMetaKey, store.IsHashMetaDeltaKey},
		"set":  {store.SetMetaPrefix, store.SetMetaDeltaPrefix, store.SetMetaKey, store.IsSetMetaDeltaKey},
		"zset": {store.ZSetMetaPrefix, store.ZSetMetaDeltaPrefix, store.ZSetMetaKey, store.IsZSetMetaDeltaKey},
	} {
		const keySizeMost = 1 << 20
		infix, ok := bytes.CutPrefix([]byte(kind.delta), []byte(kind.meta))
		if !ok || len(infix) != 2 {
			t.Fatalf("%s: the tag of deltas is %q, that of metas %q", name, kind.delta, kind.meta)
		}
		if least := binary.BigEndian.Uint32(append(infix, 0, 0)); least <= keySizeMost {
			t.Errorf("%s: the meta of a user key of %d bytes has a delta's prefix", name, least)
		}
		longest := kind.metaKey(bytes.Repeat([]byte{'d'}, keySizeMost-len(kind.meta)-4))
		if err := store.CheckSize(longest, nil); err != nil || kind.isDelta(longest) {
			t.Errorf("%s: the meta of the longest user key is refused (%v) or taken for a delta", name, err)
		}
		if err := store.CheckSize(append(longest, 'd'), nil); err == nil {
			t.Errorf("%s: a key of more than %d bytes is accepted", name, keySizeMost)
		}
	}
}
