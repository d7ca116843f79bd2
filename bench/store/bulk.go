package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/elastickv/elastickv/store"
)

// deletion deletes every key of a store at ts.
type deletion func(ctx context.Context, db *openedOurs, keys int, ts uint64) (sample, error)

// deletePrefixJob deletes every key: by one call, and by one call for each, which are
// not synced and so are as fast as single deletions can be.
func deletePrefixJob() job {
	const name, oneByOne = "DeletePrefix", "one-by-one"
	return job{
		name: name,
		rows: []row{{name: name, kind: ratio, base: oneByOne, target: 100}},
		enter: func(ctx context.Context, a *arena) ([]turn, error) {
			full, err := a.filled(ctx, ours{}, 1)
			return []turn{
				deletionTurn(a, full, ours{}.name(), deletePrefix),
				deletionTurn(a, full, oneByOne, deleteOneByOne),
			}, err
		},
	}
}

func deletePrefix(ctx context.Context, db *openedOurs, keys int, ts uint64) (sample, error) {
	s, err := counted(ctx, 1, 1, func(*worker) error {
		return db.DeletePrefixAt(ctx, []byte(keyPrefix), nil, ts)
	})
	s.ops = keys
	return s, err
}

func deleteOneByOne(ctx context.Context, db *openedOurs, keys int, ts uint64) (sample, error) {
	m, n := []*store.KVPairMutation{{Op: store.OpTypeDelete}}, 0
	return counted(ctx, keys, 1, func(*worker) error {
		m[0].Key = appendKey(m[0].Key[:0], n)
		n++
		return db.ApplyMutationsRaft(context.Background(), m, nil, ts-1, ts)
	})
}

func deletionTurn(a *arena, full, by string, del deletion) turn {
	return turn{by, func(ctx context.Context) (samples []sample, err error) {
		err = a.inFullCopy(ctx, full, func(db *openedOurs) error {
			ts := db.ts + 1
			s, err := del(ctx, db, a.keys, ts)
			if err != nil {
				return err
			}
			samples = []sample{s}
			return wantKeys(ctx, db, ts, 0)
		})
		return samples, err
	}}
}

// inFullCopy calls fn with a copy of a store of ours, all of whose blocks are in memory.
func (a *arena) inFullCopy(ctx context.Context, full string, fn func(db *openedOurs) error) error {
	return a.inCopy(full, func(dir string) error {
		return using(ctx, a, ours{versionCacheOff}, dir, func(db opened) error {
			if err := db.walk(ctx); err != nil {
				return err
			}
			return fn(db.(*openedOurs))
		})
	})
}

// wantKeys fails if another number of keys is visible at ts.
func wantKeys(ctx context.Context, db *openedOurs, ts uint64, want int) error {
	n := 0
	err := db.WalkAt(ctx, store.Span{}, store.Ascending, ts, func([]byte, store.VersionedValue) bool {
		n++
		return true
	})
	if err == nil && n != want {
		err = fmt.Errorf("%w: %d keys are visible, want %d", errWrongAnswer, n, want)
	}
	return err
}

// compactJob drops the older of two versions of each key while one goroutine reads.
// It reads for a while before, for the comparison.
func compactJob() job {
	const name, reads, before = "Compact", "CompactReads", "before"
	take := func(ctx context.Context, a *arena, db *openedOurs) ([]sample, error) {
		get := getOne(db, a.keys)
		quiet, err := timed(ctx, a.turnTime(), 1, get)
		if err != nil {
			return nil, err
		}
		compaction, busy, err := compactWhile(ctx, db, get)
		if err != nil {
			return nil, err
		}
		compaction.ops = a.keys // the versions that had to go
		quiet.name, quiet.by = reads, before
		busy.name = reads
		busy.cpu, busy.counted = 0, false // the compaction's is in it
		return []sample{quiet, busy, compaction}, wantKeys(ctx, db, db.ts, a.keys)
	}
	return job{
		name: name,
		rows: []row{
			{name: name, kind: rate, target: 1_000_000},
			{name: reads, kind: ratio, base: before, target: 0.7},
		},
		enter: func(ctx context.Context, a *arena) ([]turn, error) {
			full, err := a.filled(ctx, ours{versionCacheOff}, 2)
			return []turn{{ours{}.name(), func(ctx context.Context) (samples []sample, err error) {
				err = a.inFullCopy(ctx, full, func(db *openedOurs) error {
					samples, err = take(ctx, a, db)
					return err
				})
				return samples, err
			}}}, err
		},
	}
}

// compactWhile compacts db to its newest timestamp and repeats get until that is done.
func compactWhile(ctx context.Context, db *openedOurs, get work) (compaction, gets sample, err error) {
	reading, done := context.WithCancel(ctx)
	defer done()
	var compactErr error
	var reader sync.WaitGroup
	reader.Go(func() { gets, err = until(reading, 1, get) })
	began := time.Now()
	compactErr = db.Compact(ctx, db.ts)
	compaction = sample{elapsed: time.Since(began)}
	done()
	reader.Wait()
	return compaction, gets, firstError(compactErr, err)
}
