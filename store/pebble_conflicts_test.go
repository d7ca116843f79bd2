package store_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/elastickv/elastickv/store"
)

// A check that only the bounds answer, one that only the engine can, and one after a
// restore, which replaces every row, agree with the memory store.
func TestConflictsByBounds(t *testing.T) {
	ctx := context.Background()
	put := func(key string) []*store.KVPairMutation {
		return []*store.KVPairMutation{{Op: store.OpTypePut, Key: []byte(key), Value: []byte("v")}}
	}
	for name, open := range map[string]func() store.MVCCStore{
		"memory": func() store.MVCCStore { return store.NewMVCCStore() },
		"pebble": func() store.MVCCStore { return openPebble(t) },
	} {
		t.Run(name, func(t *testing.T) {
			s := open()
			defer s.Close()
			for i, step := range []struct {
				key      string
				startTS  uint64
				conflict bool
			}{
				{"a", 0, false}, {"b", 0, false}, // b began before a was committed
				{"a", 0, true}, {"a", 1, false}, {"c", 2, false}, {"b", 1, true}, {"d", 0, false},
			} {
				err := s.ApplyMutations(ctx, put(step.key), nil, step.startTS, uint64(i+1))
				if got := errors.Is(err, store.ErrWriteConflict); got != step.conflict || err != nil && !got {
					t.Errorf("step %d: %+v: %v", i, step, err)
				}
			}
			image, err := s.Snapshot()
			if err != nil {
				t.Fatal(err)
			}
			defer image.Close()
			other := open()
			defer other.Close()
			if err := other.ApplyMutations(ctx, put("z"), nil, 0, 1); err != nil {
				t.Fatal(err)
			}
			if err := other.ApplyMutations(ctx, put("y"), nil, 0, 2); err != nil { // a check before the restore
				t.Fatal(err)
			}
			var stream bytes.Buffer
			if _, err := image.WriteTo(&stream); err != nil {
				t.Fatal(err)
			}
			if err := other.Restore(&stream); err != nil {
				t.Fatal(err)
			}
			if err := other.ApplyMutations(ctx, put("d"), nil, 3, 20); !errors.Is(err, store.ErrWriteConflict) {
				t.Errorf("after a restore: %v, want a conflict with the restored row", err)
			}
		})
	}
}
