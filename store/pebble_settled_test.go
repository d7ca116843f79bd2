package store

import (
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// TestReadsNeverGoBack reads keys of batches that are being applied, at timestamps above
// LastCommitTS. Once a reader has seen a batch, no later read of it may see less.
func TestReadsNeverGoBack(t *testing.T) {
	const keys, readers = 2000, 16
	batches := uint64(150)
	if testing.Short() {
		batches = 30
	}
	ctx := context.Background()
	m, err := NewPebbleStore("data", WithFS(vfs.NewMem()), WithFSMSyncMode(FSMNoSync))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	s := m.(*pebbleStore)
	names := make([][]byte, keys)
	for i := range names {
		names[i] = fmt.Appendf(nil, "key-%06d", i)
	}
	write := func(n uint64) error {
		mutations := make([]*KVPairMutation, keys)
		for i := range mutations {
			mutations[i] = &KVPairMutation{Op: OpTypePut, Key: names[i], Value: binary.BigEndian.AppendUint64(nil, n)}
		}
		return s.ApplyMutationsRaft(ctx, mutations, nil, n, n)
	}
	if err := write(1); err != nil {
		t.Fatal(err)
	}
	var done atomic.Bool
	var wg sync.WaitGroup
	for r := range readers {
		wg.Go(func() {
			var seen uint64
			for i := r; !done.Load(); i++ {
				// The last keys of a batch come into the cache last.
				key := names[keys-1-i%8]
				var n uint64
				if i%2 == 0 {
					v, err := s.GetAt(ctx, key, maxTS)
					if err != nil {
						t.Error(err)
						return
					}
					n = binary.BigEndian.Uint64(v)
				} else {
					ts, ok, err := s.LatestCommitTS(ctx, key)
					if err != nil || !ok {
						t.Errorf("no version of %s: %v", key, err)
						return
					}
					n = ts
				}
				if n < seen {
					t.Errorf("a read of %s sees batch %d after one that saw batch %d", key, n, seen)
					return
				}
				seen = n
			}
		})
	}
	for n := uint64(2); n <= batches && !t.Failed(); n++ {
		if err := write(n); err != nil {
			t.Error(err)
		}
	}
	done.Store(true)
	wg.Wait()
}
