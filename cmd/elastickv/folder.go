package main

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/store"
)

// storeFolder is where in the data folder the store keeps its files. Other
// folders may come to stand beside it.
const storeFolder = "store"

// engine is a store that can be asked how it is.
type engine interface {
	store.Engine
	store.StatsReporter
}

// openStore opens the store of the data folder, which it creates if need be.
func openStore(cfg *server.Config, log *slog.Logger) (engine, error) {
	if err := checkFolder(cfg.Dir()); err != nil {
		return nil, err
	}
	s, err := store.NewPebbleStore(filepath.Join(cfg.Dir(), storeFolder),
		store.WithPebbleLogger(log), store.WithCacheSize(cfg.CacheSize()), store.WithNow(time.Now))
	if err != nil {
		return nil, err
	}
	e, ok := s.(engine)
	if !ok {
		return nil, errors.Join(fmt.Errorf("the store in %s is no engine", cfg.Dir()), s.Close())
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
		if e.Name() != "lost+found" {
			return fmt.Errorf("data folder %s: not a data folder of elastickv: it holds %s", dir, e.Name())
		}
	}
	return nil
}
