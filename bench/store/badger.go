package main

import (
	"context"
	"errors"
	"math"

	"github.com/dgraph-io/badger/v4"
	"github.com/elastickv/elastickv/store"
)

// badgerDB is Badger, with timestamps of the caller's as our store has them, no version
// thrown away, and every write synced.
type badgerDB struct{}

// errNotMeasured says that a contestant does not take part in a work.
var errNotMeasured = errors.New("this contestant is not measured here")

// name implements contestant.
func (badgerDB) name() string { return "badger" }

func openBadger(a *arena, dir string, synced badgerSync) (*badger.DB, error) {
	return badger.OpenManaged(badger.DefaultOptions(dir).
		WithSyncWrites(bool(synced)).
		WithNumVersionsToKeep(math.MaxInt).
		WithDetectConflicts(false).
		WithBlockCacheSize(a.cacheSize()).
		WithMetricsEnabled(false).
		WithLogger(nil))
}

// badgerSync says whether Badger syncs every write.
type badgerSync bool

// open implements contestant.
func (badgerDB) open(_ context.Context, a *arena, dir string) (opened, error) {
	db, err := openBadger(a, dir, true)
	if err != nil {
		return nil, err
	}
	return &openedBadger{db, db.MaxVersion()}, nil
}

// fill implements contestant.
func (badgerDB) fill(ctx context.Context, a *arena, dir string, versions int) error {
	db, err := openBadger(a, dir, false)
	if err != nil {
		return err
	}
	w := db.NewManagedWriteBatch()
	defer w.Cancel()
	for v := range versions {
		for i := range a.keys {
			if i%fillRows == 0 && ctx.Err() != nil {
				return errors.Join(ctx.Err(), db.Close())
			}
			e := badger.NewEntry(appendKey(nil, i), value(i))
			if err := w.SetEntryAt(e, uint64(v+1)*versionStep); err != nil {
				return errors.Join(err, db.Close())
			}
		}
	}
	// Closing it puts the last rows into a table, which then can be merged with the others.
	if err := firstError(w.Flush(), db.Close()); err != nil {
		return err
	}
	if db, err = openBadger(a, dir, false); err != nil {
		return err
	}
	const workers = 2
	return errors.Join(db.Flatten(workers), db.Close())
}

// openedBadger reads at the highest timestamp that was there when it was opened.
type openedBadger struct {
	*badger.DB
	ts uint64
}

// get implements opened.
func (b *openedBadger) get(_ context.Context, key []byte) ([]byte, error) {
	txn := b.NewTransactionAt(b.ts, false)
	defer txn.Discard()
	item, err := txn.Get(key)
	if errors.Is(err, badger.ErrKeyNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return item.ValueCopy(nil)
}

// scan implements opened.
func (b *openedBadger) scan(_ context.Context, start []byte) (int, error) {
	rows, err := b.rows(start)
	return len(rows), err
}

func (b *openedBadger) rows(start []byte) ([]pair, error) {
	txn := b.NewTransactionAt(b.ts, false)
	defer txn.Discard()
	o := badger.DefaultIteratorOptions
	o.PrefetchSize = scanRows
	iter := txn.NewIterator(o)
	defer iter.Close()
	rows := make([]pair, 0, scanRows)
	for iter.Seek(start); iter.Valid() && len(rows) < scanRows; iter.Next() {
		v, err := iter.Item().ValueCopy(nil)
		if err != nil {
			return nil, err
		}
		rows = append(rows, pair{iter.Item().KeyCopy(nil), v})
	}
	return rows, nil
}

// walk implements opened.
func (b *openedBadger) walk(ctx context.Context) error {
	txn := b.NewTransactionAt(b.ts, false)
	defer txn.Discard()
	iter := txn.NewIterator(badger.DefaultIteratorOptions)
	defer iter.Close()
	for iter.Rewind(); iter.Valid(); iter.Next() {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := iter.Item().Value(func([]byte) error { return nil }); err != nil {
			return err
		}
	}
	return nil
}

// put implements opened.
func (b *openedBadger) put(_ context.Context, key, value []byte, ts uint64) error {
	txn := b.NewTransactionAt(ts, true)
	defer txn.Discard()
	if err := txn.Set(key, value); err != nil {
		return err
	}
	return txn.CommitAt(ts, nil)
}

// apply implements opened.
func (*openedBadger) apply(context.Context, []*store.KVPairMutation, uint64) error {
	return errNotMeasured
}
