package store_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/elastickv/elastickv/store"
)

// bulkDeltas writes n deltas of +1 of the hash h, perCommit in each commit.
func bulkDeltas(tb testing.TB, c *store.Committer, n, perCommit int) {
	tb.Helper()
	one := store.MarshalHashMetaDelta(store.HashMetaDelta{LenDelta: 1})
	for ; n > 0; n -= perCommit {
		_, err := c.Update(tb.Context(), func(uint64) (store.Change, error) {
			return store.Change{Mutations: func(ts uint64) (mutations []*store.KVPairMutation) {
				for seq := range min(n, perCommit) {
					key := store.HashMetaDeltaKey([]byte("h"), ts, uint32(seq))
					mutations = append(mutations, &store.KVPairMutation{Key: key, Value: one})
				}
				return mutations
			}}, nil
		})
		if err != nil {
			tb.Fatal(err)
		}
	}
}

// Any number of deltas gets folded, in transactions of a bounded size, each of
// which goes on where the one before has ended.
func TestFoldManyDeltas(t *testing.T) {
	n := 100_000
	if testing.Short() {
		n = 10_000
	}
	s := &scanCounter{Engine: openPebble(t)}
	c := store.NewCommitter(s, clockAt(0))
	bulkDeltas(t, c, n, 1000)
	written := s.LastCommitTS()
	if _, err := store.HashLenAt(t.Context(), s, []byte("h"), written); !errors.Is(err, store.ErrDeltaScanTruncated) {
		t.Errorf("before the fold: %v", err)
	}
	s.rows = 0
	done, err := c.Fold(t.Context(), store.CollectionHash, []byte("h"))
	if err != nil || done.Deltas != n || s.rows != n {
		t.Errorf("the fold of %d deltas looks at %d rows: %+v, %v", n, s.rows, done, err)
	}
	wantLen(t, s, "h", int64(n))
	for ts := written + 1; ts <= s.LastCommitTS(); ts++ {
		got, err := store.HashLenAt(t.Context(), s, []byte("h"), ts)
		if !errors.Is(err, store.ErrDeltaScanTruncated) && (err != nil || got != int64(n)) {
			t.Fatalf("at %d, during the fold: %d, %v", ts, got, err)
		}
	}
}

func BenchmarkFold(b *testing.B) {
	s, err := store.NewPebbleStore(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	c := store.NewCommitter(s, clockAt(0))
	bulkDeltas(b, c, b.N, 5000)
	b.ResetTimer()
	if done, err := c.Fold(b.Context(), store.CollectionHash, []byte("h")); err != nil || done.Deltas != b.N {
		b.Fatal(done, err)
	}
	b.StopTimer()
	n, err := store.HashLenAt(b.Context(), s, []byte("h"), math.MaxUint64)
	if err != nil || n != int64(b.N) {
		b.Fatal(n, err)
	}
}

// scanCounter counts the rows that scans have returned.
type scanCounter struct {
	store.Engine
	rows int
}

func (s *scanCounter) ScanAt(ctx context.Context, start, end []byte, limit int, ts uint64) ([]*store.KVPair, error) {
	rows, err := s.Engine.ScanAt(ctx, start, end, limit, ts)
	s.rows += len(rows)
	return rows, err
}
