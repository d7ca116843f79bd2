package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/elastickv/elastickv/store"
)

// raw is Pebble by itself: one row for each key, in bytewise order.
type raw struct{}

// name implements contestant.
func (raw) name() string { return "pebble" }

// open implements contestant.
func (raw) open(_ context.Context, a *arena, dir string) (opened, error) {
	o, err := a.engineOptions()
	if err != nil {
		return nil, err
	}
	db, err := pebble.Open(dir, o)
	if err != nil {
		return nil, err
	}
	return &openedRaw{db}, nil
}

// rawTableSize is about how many bytes of rows go into one table of the fixture, as in
// ours, which a restore has made.
const rawTableSize = 64 << 20

// fill implements contestant. Pebble takes the tables into its last level.
func (r raw) fill(ctx context.Context, a *arena, dir string, _ int) error {
	return using(ctx, a, r, dir, func(db opened) error {
		o, err := a.engineOptions()
		if err != nil {
			return err
		}
		engine := db.(*openedRaw).DB
		options := o.MakeWriterOptions(len(o.Levels)-1, engine.TableFormat())
		var paths []string
		numbers := sortedNumbers(a.keys)
		for perTable := rawTableSize / (keySize + valueSize); len(numbers) > 0; {
			n := min(perTable, len(numbers))
			path := filepath.Join(dir, fmt.Sprintf("fixture-%d", len(paths)))
			if err := firstError(ctx.Err(), writeTable(path, options, numbers[:n])); err != nil {
				return err
			}
			paths, numbers = append(paths, path), numbers[n:]
		}
		return engine.Ingest(ctx, paths)
	})
}

func writeTable(path string, options sstable.WriterOptions, numbers []int) error {
	f, err := vfs.Default.Create(path, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	w := sstable.NewWriter(objstorageprovider.NewFileWritable(f), options)
	var key []byte
	for _, i := range numbers {
		key = appendKey(key[:0], i)
		if err := w.Set(key, value(i)); err != nil {
			return errors.Join(err, w.Close())
		}
	}
	return w.Close()
}

// openedRaw is an engine in use.
type openedRaw struct{ *pebble.DB }

// get implements opened.
func (r *openedRaw) get(_ context.Context, key []byte) ([]byte, error) {
	v, closer, err := r.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	v = bytes.Clone(v)
	return v, closer.Close()
}

// pair is a row of a scan.
type pair struct{ key, value []byte }

// scan implements opened.
func (r *openedRaw) scan(_ context.Context, start []byte) (int, error) {
	rows, err := r.rows(start)
	return len(rows), err
}

func (r *openedRaw) rows(start []byte) ([]pair, error) {
	iter, err := r.NewIter(&pebble.IterOptions{LowerBound: start})
	if err != nil {
		return nil, err
	}
	rows := make([]pair, 0, scanRows)
	for ok := iter.First(); ok && len(rows) < scanRows; ok = iter.Next() {
		v, err := iter.ValueAndErr()
		if err != nil {
			return nil, errors.Join(err, iter.Close())
		}
		rows = append(rows, pair{bytes.Clone(iter.Key()), bytes.Clone(v)})
	}
	return rows, iter.Close() // with the error that has ended the rows, if one has
}

// walk implements opened.
func (r *openedRaw) walk(ctx context.Context) error {
	iter, err := r.NewIterWithContext(ctx, nil)
	if err != nil {
		return err
	}
	for ok := iter.First(); ok; ok = iter.Next() {
		if _, err := iter.ValueAndErr(); err != nil {
			return errors.Join(err, iter.Close())
		}
	}
	return iter.Close()
}

// put implements opened.
func (r *openedRaw) put(_ context.Context, key, value []byte, _ uint64) error {
	return r.Set(key, value, pebble.Sync)
}

// apply implements opened.
func (r *openedRaw) apply(_ context.Context, puts []*store.KVPairMutation, _ uint64) error {
	b := r.NewBatch()
	for _, m := range puts {
		if err := b.Set(m.Key, m.Value, nil); err != nil {
			return errors.Join(err, b.Close())
		}
	}
	return errors.Join(b.Commit(pebble.NoSync), b.Close())
}
