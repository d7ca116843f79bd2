package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/elastickv/elastickv/encryption/keys"
	"github.com/elastickv/elastickv/internal/admin"
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/replica/node"
	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/store"
)

// storeFolder is where in the data folder the store keeps its files. Other
// folders may come to stand beside it.
const storeFolder = "store"

// restoringFolder is where a restore gathers the store, until it is whole.
const restoringFolder = "store.restoring"

// ownFiles are what may be in a data folder before there is a store, beside what a fresh file
// system comes with: the store was lost, or put away.
var ownFiles = []string{"lost+found", keys.FileName, keys.NewFileName, admin.SocketName,
	node.FileName, node.NewFileName, node.LogFolder, node.StagingFolder}

// engine is a store that can be asked how it is.
type engine interface {
	store.Engine
	store.StatsReporter
	store.Resealer
}

// openStore opens the store of the data folder, which it creates if need be. Unless the ring is idle
// it seals from the first write on.
func openStore(cfg *server.Config, ring *keys.Ring, log *slog.Logger) (engine, error) {
	if err := checkFolder(cfg.Dir()); err != nil {
		return nil, err
	}
	e, err := openEngine(filepath.Join(cfg.Dir(), storeFolder), cfg, ring, log)
	if ring.Idle() && errors.Is(err, keys.ErrStale) {
		return nil, fmt.Errorf("data folder %s: its values are sealed, and %s is missing; put that back, and start with --encryption (%w)", cfg.Dir(), keys.FileName, err)
	}
	return e, err
}

// openEngine opens the store in path, and begins the life of this process as a writer with the
// keys of ring.
func openEngine(path string, cfg *server.Config, ring *keys.Ring, log *slog.Logger) (engine, error) {
	memory := cfg.MemoryPlan()
	opts := []store.PebbleStoreOption{store.WithPebbleLogger(log), store.WithNow(time.Now),
		store.WithCacheSize(memory.Engine), store.WithVersionCacheSize(memory.Versions), store.WithPointReads(keyspace.PointReads()...),
		// What a member of a cluster applies its log replays, which is synced. It concerns no
		// other write: what a server on its own acknowledges is staged, and always synced.
		store.WithFSMSyncMode(store.FSMNoSync)}
	s, err := store.NewPebbleStore(path, append(opts, sealOptions(ring)...)...)
	if err != nil {
		return nil, err
	}
	e, ok := s.(engine)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the store in %s is no engine", path), s.Close())
	}
	if err := beginKeys(ring, e, log); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return e, nil
}

// checkFolder refuses a folder that somebody else uses, so that a wrong --dir
// does not leave files among theirs.
func checkFolder(dir string) error {
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("data folder: %w", err)
	}
	for _, e := range entries {
		if e.Name() == storeFolder && e.IsDir() {
			return nil
		}
	}
	for _, e := range entries {
		if e.Name() == restoringFolder {
			return fmt.Errorf("data folder %s: a restore did not come to its end; remove what is in the folder and restore again", dir)
		}
		if !slices.Contains(ownFiles, e.Name()) {
			return fmt.Errorf("data folder %s: not a data folder of elastickv: it holds %s", dir, e.Name())
		}
	}
	return nil
}
