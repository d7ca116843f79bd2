package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/objstorage/objstorageprovider"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/elastickv/elastickv/store"
)

// raw is Pebble by itself: one row for each key, in bytewise order.
type raw struct{}

// name implements contestant.
func (raw) name() string { return "pebble" }

// rawOptions returns the options of our store's engine, as the engine has recorded them
// in its folder. These are not recorded and are set here, to what our store uses:
//   - the bits per key of the filters, whose record is the kind alone;
//   - the file system, and that nothing is logged.
//
// Others differ on purpose, because they are what our versions need and a user of the
// engine alone would do without: the order of keys, and block properties if there are any.
func rawOptions(ctx context.Context, a *arena) (*pebble.Options, error) {
	if a.recorded == "" {
		err := a.inFresh(func(dir string) (err error) {
			if err = using(ctx, a, ours{}, dir, func(opened) error { return nil }); err == nil {
				a.recorded, err = recordedOptions(dir)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	o := &pebble.Options{}
	err := o.Parse(a.recorded, &pebble.ParseHooks{
		NewComparer:     func(string) (*pebble.Comparer, error) { return pebble.DefaultComparer, nil },
		NewFilterPolicy: rawFilter,
	})
	if err != nil {
		return nil, fmt.Errorf("options of our store's engine: %w", err)
	}
	o.Comparer = pebble.DefaultComparer
	o.FS = vfs.Default
	o.Logger = silent{}
	o.EnsureDefaults()
	return o, nil
}

func rawFilter(name string) (pebble.FilterPolicy, error) {
	const bitsPerKey = 10
	if p := bloom.FilterPolicy(bitsPerKey); p.Name() == name {
		return p, nil
	}
	return nil, fmt.Errorf("filter policy %q of our store is unknown here", name)
}

// recordedOptions returns what the engine has recorded of its options in dir.
func recordedOptions(dir string) (string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "OPTIONS-*"))
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", fmt.Errorf("the engine has left no OPTIONS file in the store's folder")
	}
	text, err := os.ReadFile(found[len(found)-1])
	return string(text), err
}

// silent drops what the engine has to say, but for the last words.
type silent struct{}

// Infof implements pebble.Logger.
func (silent) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (silent) Errorf(string, ...any) {}

// Fatalf implements pebble.Logger.
func (silent) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

// open implements contestant.
func (raw) open(ctx context.Context, a *arena, dir string) (opened, error) {
	o, err := rawOptions(ctx, a)
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
		o, err := rawOptions(ctx, a)
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
