package txn_test

import (
	"context"
	"encoding/binary"
	"testing"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// stillEngine is an engine in which nothing is and to which nothing happens, so
// that what is measured over it is the transaction layer alone.
type stillEngine struct {
	store.Engine
	last uint64
}

func (e *stillEngine) LastCommitTS() uint64 { return e.last }

func (e *stillEngine) MinRetainedTS() uint64 { return 0 }

func (e *stillEngine) VersionAt(context.Context, []byte, uint64) (store.VersionedValue, bool, error) {
	return store.VersionedValue{}, false, nil
}

func (e *stillEngine) WalkAt(context.Context, store.Span, store.Order, uint64, func([]byte, store.VersionedValue) bool) error {
	return nil
}

func (e *stillEngine) Stage(_ context.Context, commits []store.Commit) (store.Staged, error) {
	e.last = max(e.last, commits[len(commits)-1].TS)
	return stillStaged{}, nil
}

type stillStaged struct{}

func (stillStaged) Wait() error { return nil }

// BenchmarkUpdate runs transactions like those of single commands, 64 to a run.
func BenchmarkUpdate(b *testing.B) {
	for _, c := range []struct {
		name string
		puts int
		walk bool
	}{{"SET", 1, false}, {"HSET", 3, false}, {"MSET of 20", 20, false}, {"HSET and HGETALL", 3, true}} {
		b.Run(c.name, func(b *testing.B) { benchmarkUpdate(b, c.puts, c.walk) })
	}
}

func benchmarkUpdate(b *testing.B, puts int, walk bool) {
	const together = 64
	db := openLocal(b, &stillEngine{last: 1})
	var n uint64
	tx := func(tx *txn.Tx) error {
		tx.Savepoint()
		for range puts {
			n++
			key := binary.BigEndian.AppendUint64(nil, n)
			if _, _, err := tx.Get(key); err != nil {
				return err
			}
			if err := tx.Put(key, key, 0); err != nil {
				return err
			}
		}
		if !walk {
			return nil
		}
		return tx.Walk(store.PrefixSpan([]byte("a")), store.Ascending, func([]byte, txn.Row) bool { return true })
	}
	b.ReportAllocs()
	for b.Loop() {
		err := db.Sequence(b.Context(), func(seq *txn.Seq) {
			for range together {
				if err := seq.Do(tx); err != nil {
					b.Error(err)
				}
			}
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/together, "ns/tx")
}
