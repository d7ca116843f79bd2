package main

import (
	"context"
	"errors"
	"io"

	"github.com/elastickv/elastickv/store"
)

const (
	// versionsMost is how many versions a key has at most in a fixture.
	versionsMost = 10
	// fillRows is how many rows go into one batch of a fixture.
	fillRows = 10_000

	versionCacheOff     = -1 // bytes, as store.WithVersionCacheSize takes them
	versionCacheDefault = 0
)

// ours is package store. Its Raft path does not sync.
type ours struct{ versionCache int64 }

// name implements contestant.
func (ours) name() string { return "ours" }

func (o ours) openEngine(a *arena, dir string) (store.Engine, error) {
	s, err := store.NewPebbleStore(dir, store.WithCacheSize(a.cacheSize()),
		store.WithVersionCacheSize(o.versionCache), store.WithFSMSyncMode(store.FSMNoSync))
	if err != nil {
		return nil, err
	}
	return s.(store.Engine), nil
}

// open implements contestant.
func (o ours) open(_ context.Context, a *arena, dir string) (opened, error) {
	s, err := o.openEngine(a, dir)
	if err != nil {
		return nil, err
	}
	return &openedOurs{s, s.LastCommitTS()}, nil
}

// fill implements contestant. A snapshot that is restored leaves every row in tables of
// the last level and nothing else.
func (o ours) fill(ctx context.Context, a *arena, dir string, versions int) (err error) {
	s, err := o.openEngine(a, dir)
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, s.Close()) }()
	for v := range versions {
		for i := 0; i < a.keys; i += fillRows {
			if err := ctx.Err(); err != nil {
				return err
			}
			if err := stagePuts(ctx, s, span{i, min(i+fillRows, a.keys)}, uint64(v+1)*versionStep); err != nil {
				return err
			}
		}
	}
	image, err := s.Snapshot()
	if err != nil {
		return err
	}
	defer func() { err = firstError(err, image.Close()) }()
	r, w := io.Pipe()
	go func() {
		_, err := image.WriteTo(w)
		w.CloseWithError(err)
	}()
	defer r.Close()
	return s.Restore(r)
}

// span is the numbers of keys from one on up to another one.
type span struct{ from, to int }

// stagePuts writes the keys of numbers, in one batch that is not checked for conflicts.
func stagePuts(ctx context.Context, s store.Engine, numbers span, ts uint64) error {
	puts := make([]*store.KVPairMutation, 0, numbers.to-numbers.from)
	for i := numbers.from; i < numbers.to; i++ {
		puts = append(puts, &store.KVPairMutation{Op: store.OpTypePut, Key: appendKey(nil, i), Value: value(i)})
	}
	staged, err := s.Stage(ctx, []store.Commit{{TS: ts, Mutations: puts}})
	if err != nil {
		return err
	}
	return staged.Wait()
}

// openedOurs reads at the timestamp of the last commit before it was opened.
type openedOurs struct {
	store.Engine
	ts uint64
}

// get implements opened.
func (o *openedOurs) get(ctx context.Context, key []byte) ([]byte, error) {
	v, err := o.GetAt(ctx, key, o.ts)
	if errors.Is(err, store.ErrKeyNotFound) {
		return nil, nil
	}
	return v, err
}

// scan implements opened.
func (o *openedOurs) scan(ctx context.Context, start []byte) (int, error) {
	rows, err := o.ScanAt(ctx, start, nil, scanRows, o.ts)
	return len(rows), err
}

// walk implements opened.
func (o *openedOurs) walk(ctx context.Context) error {
	return o.WalkAt(ctx, store.Span{}, store.Ascending, o.ts, func([]byte, store.VersionedValue) bool { return true })
}

// put implements opened.
func (o *openedOurs) put(ctx context.Context, key, value []byte, ts uint64) error {
	return o.PutAt(ctx, key, value, ts, 0)
}

// apply implements opened. The check for conflicts looks at every key.
func (o *openedOurs) apply(ctx context.Context, puts []*store.KVPairMutation, ts uint64) error {
	return o.ApplyMutationsRaft(ctx, puts, nil, ts-1, ts)
}
