// Package engine answers: how is the engine of our store set, for those who measure the engine alone beside it?
// It uses nothing of this module but package store, and opens no engine itself.
package engine

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/elastickv/elastickv/store"
)

// Options returns the options of our store's engine with a cache of cacheSize bytes, as the engine records them in a
// folder. For that a store is opened in dir, which does not exist before and afterwards. These are not recorded and are set here,
// to what our store uses:
//   - the bits per key of the filters, whose record is the kind alone;
//   - the file system, and that nothing is logged.
//
// Others differ on purpose, because they are what our versions need and a user of the
// engine alone would do without: the order of keys, and block properties if there are any; and its log, which our store has one of its own for.
func Options(dir string, cacheSize int64) (*pebble.Options, error) {
	recorded, err := record(dir, cacheSize)
	if err != nil {
		return nil, err
	}
	o := &pebble.Options{}
	err = o.Parse(recorded, &pebble.ParseHooks{
		NewComparer:     func(string) (*pebble.Comparer, error) { return pebble.DefaultComparer, nil },
		NewFilterPolicy: filter,
	})
	if err != nil {
		return nil, fmt.Errorf("options of our store's engine: %w", err)
	}
	o.Comparer = pebble.DefaultComparer
	o.DisableWAL, o.WALBytesPerSync = false, 512<<10
	o.FS = vfs.Default
	o.Logger = silent{}
	o.EnsureDefaults()
	return o, nil
}

// record returns what the engine of a store has recorded of its options.
func record(dir string, cacheSize int64) (_ string, err error) {
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	s, err := store.NewPebbleStore(dir, store.WithCacheSize(cacheSize))
	if err != nil {
		return "", err
	}
	if err := s.Close(); err != nil {
		return "", err
	}
	return recorded(dir)
}

// recorded returns what the engine in dir has recorded of its options.
func recorded(dir string) (string, error) {
	found, err := filepath.Glob(filepath.Join(dir, "OPTIONS-*"))
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", errors.New("the engine has left no OPTIONS file in the store's folder")
	}
	text, err := os.ReadFile(found[len(found)-1])
	return string(text), err
}

func filter(name string) (pebble.FilterPolicy, error) {
	const bitsPerKey = 10
	if p := bloom.FilterPolicy(bitsPerKey); p.Name() == name {
		return p, nil
	}
	return nil, fmt.Errorf("filter policy %q of our store is unknown here", name)
}

// silent drops what the engine has to say, but for the last words.
type silent struct{}

// Infof implements pebble.Logger.
func (silent) Infof(string, ...any) {}

// Errorf implements pebble.Logger.
func (silent) Errorf(string, ...any) {}

// Fatalf implements pebble.Logger.
func (silent) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }
