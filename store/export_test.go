package store

import (
	"context"
	"testing"

	"github.com/cockroachdb/pebble/v2"
)

// WithTinyTables makes the engine's tables and blocks so small that few rows fill
// several levels.
func WithTinyTables() PebbleStoreOption {
	return func(s *pebbleStore) {
		WithTinyBlobs()(s)
		s.logAhead = 300 // one or two writes
		s.logSize = 2000
		s.tune = func(o *pebble.Options) {
			o.MemTableSize = 32 << 10
			o.L0CompactionThreshold = 1
			o.LBaseMaxBytes = 8 << 10
			o.TargetFileSizes = [len(o.TargetFileSizes)]int64{1 << 10, 1 << 10, 1 << 10, 1 << 10, 1 << 10, 1 << 10, 1 << 10}
			for i := range o.Levels {
				o.Levels[i].BlockSize = 128
				o.Levels[i].IndexBlockSize = 128
			}
		}
	}
}

// WithTinyBlobs keeps values of a few bytes in blob files, and has those written anew at once.
func WithTinyBlobs() PebbleStoreOption {
	return func(s *pebbleStore) {
		p := &s.blobs.policy
		p.MinimumSize, p.MaxBlobReferenceDepth, p.TargetGarbageRatio, p.RewriteMinimumAge = 16, 2, 0.01, 0
	}
}

// WithEagerGaps makes every dead key a gap that walks remember and leave out.
func WithEagerGaps() PebbleStoreOption {
	return func(s *pebbleStore) { s.gaps.rowsLeast = 1 }
}

// WithEagerPages has every walk leave pages behind, few and small ones.
func WithEagerPages() PebbleStoreOption {
	return func(s *pebbleStore) { s.pages.tiny = true }
}

// WithEagerRanges deletes by range tombstones whatever is more than one row.
func WithEagerRanges() PebbleStoreOption {
	return func(s *pebbleStore) { s.tombstonesMost = 1 }
}

// restless is a Pebble store whose rows are on the move: after every few writes
// they go from the memtable into tables, and now and then down the levels.
type restless struct {
	*pebbleStore
	t      *testing.T
	writes int
}

// NewRestless wraps a Pebble store. It is for one goroutine.
func NewRestless(t *testing.T, e MVCCStore) Engine {
	return &restless{pebbleStore: e.(*pebbleStore), t: t}
}

func (r *restless) stir(err error) error {
	r.writes++
	if err != nil {
		return err
	}
	if r.writes%3 == 0 {
		must(r.t, r.db.Flush())
	}
	if r.writes%11 == 0 {
		must(r.t, r.db.Compact(context.Background(), []byte{namespaceMeta, keySentinel}, appendDataEnd(nil), false))
	}
	return nil
}

func (r *restless) PutAt(ctx context.Context, key []byte, value []byte, commitTS uint64, expireAt uint64) error {
	return r.stir(r.pebbleStore.PutAt(ctx, key, value, commitTS, expireAt))
}

func (r *restless) DeleteAt(ctx context.Context, key []byte, commitTS uint64) error {
	return r.stir(r.pebbleStore.DeleteAt(ctx, key, commitTS))
}

func (r *restless) ApplyMutations(ctx context.Context, mutations []*KVPairMutation, readKeys [][]byte, startTS, commitTS uint64) error {
	return r.stir(r.pebbleStore.ApplyMutations(ctx, mutations, readKeys, startTS, commitTS))
}

func (r *restless) DeletePrefixAt(ctx context.Context, prefix []byte, excludePrefix []byte, commitTS uint64) error {
	return r.stir(r.pebbleStore.DeletePrefixAt(ctx, prefix, excludePrefix, commitTS))
}

func (r *restless) Compact(ctx context.Context, minTS uint64) error {
	return r.stir(r.pebbleStore.Compact(ctx, minTS))
}

// Flush moves what e has in memtables into tables.
func Flush(e Engine) error { return e.(*pebbleStore).db.Flush() }

// CompactEngine moves every row of e down the engine's levels.
func CompactEngine(e Engine) error {
	return e.(*pebbleStore).db.Compact(context.Background(), []byte{namespaceMeta, keySentinel}, appendDataEnd(nil), false)
}

// Reopen closes e and opens its folder again.
func Reopen(e Engine, opts ...PebbleStoreOption) (Engine, error) {
	s := e.(*pebbleStore)
	if err := s.Close(); err != nil {
		return nil, err
	}
	again, err := NewPebbleStore(s.dir, append(opts, WithFS(s.fs))...)
	if err != nil {
		return nil, err
	}
	return again.(Engine), nil
}
