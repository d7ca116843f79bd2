package store

import (
	"context"
	"fmt"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// The engine takes what memtables have out of its cache of blocks. A small cache must still be one after many writes.
func TestMemtablesLeaveRoomForBlocks(t *testing.T) {
	const cacheSize = 4 << 20
	s := openTest(t, "db", WithFS(vfs.NewMem()), WithCacheSize(cacheSize), WithVersionCacheSize(-1))
	ctx := context.Background()
	key := func(i int) []byte { return fmt.Appendf(nil, "key-%04d", i) }
	const keys, valueSize = 2000, 8 << 10
	for i := range keys {
		value := make([]byte, valueSize)
		for j := range value {
			value[j] = byte(i*7919 + j*j*31)
		}
		must(t, s.ApplyMutationsRaftAt(ctx, []*KVPairMutation{{Op: OpTypePut, Key: key(i), Value: value}}, nil, uint64(i), uint64(i+1), uint64(i+1)))
	}
	for i := range keys {
		_, err := s.GetAt(ctx, key(i), keys)
		must(t, err)
	}
	if st := s.Stats(); st.BlockCache.Bytes < cacheSize/4 {
		t.Errorf("blocks take %d bytes of a cache of %d; memtables have %d", st.BlockCache.Bytes, cacheSize, st.MemTables.Bytes)
	}
}
