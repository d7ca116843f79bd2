package store

import (
	"context"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// noise returns n bytes that cannot be compressed.
func noise(n int) []byte {
	out := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(out)
	return out
}

// Memtables take their memory from the cache of blocks. After many writes there is still room in it.
func TestMemTablesLeaveRoomForBlocks(t *testing.T) {
	skipUnderRace(t)
	const cache, rows = 8 << 20, 6000
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithCacheSize(cache), WithVersionCacheSize(-1))
	ctx := context.Background()
	value := noise(4 << 10) // three times the cache in all
	key := func(i int) []byte { return fmt.Appendf(nil, "k%05d", i) }
	for i := range rows {
		must(t, s.ApplyMutations(ctx, []*KVPairMutation{{Key: key(i), Value: value}}, nil, 0, uint64(i+1)))
	}
	must(t, CompactEngine(s)) // from here on no table goes, and its blocks with it
	for i := range rows {
		_, err := s.GetAt(ctx, key(i), rows)
		must(t, err)
	}
	if st := s.Stats().BlockCache; st.Bytes < cache/4 {
		t.Errorf("of %d bytes for blocks %d are in use, although all rows have been read", cache, st.Bytes)
	}
}

func TestMemTableSize(t *testing.T) {
	for cache, want := range map[int64]uint64{1: 1 << 20, 8 << 20: 1 << 20, 64 << 20: 8 << 20, 512 << 20: 8 << 20, 1 << 40: 8 << 20} {
		if got := memTableSize(cache); got != want {
			t.Errorf("with a cache of %d bytes a memtable has %d, want %d", cache, got, want)
		}
	}
}
