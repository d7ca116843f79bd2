package main

import (
	"context"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/elastickv/elastickv/encryption/keys"
	"github.com/elastickv/elastickv/internal/admin"
	"github.com/elastickv/elastickv/internal/backup"
	"github.com/elastickv/elastickv/internal/server"
)

// startOperated begins to look after the keys and opens the door to operators.
// stop ends both and waits for that.
func startOperated(ctx context.Context, r *keys.Ring, e engine, cfg *server.Config, cluster admin.Cluster, log *slog.Logger) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	ln, err := admin.Listen(ctx, cfg.Dir())
	if err != nil {
		cancel()
		return nil, err
	}
	k, stopKeeper := startKeeper(ctx, r, e, cfg, log)
	o := admin.Operated{Keys: keysIn(cluster, k), Cluster: cluster, Backup: func(_ context.Context, w io.Writer) error { return writeBackup(w, e, cfg.Dir(), r) }}
	var serving sync.WaitGroup
	serving.Go(func() {
		if err := admin.Serve(ctx, ln, o, log); err != nil {
			log.Error("elastickv backup, keys and cluster are no longer answered", "err", err)
		}
	})
	return func() {
		cancel()
		serving.Wait()
		stopKeeper()
	}, nil
}

// writeBackup writes all that e holds now.
func writeBackup(w io.Writer, e engine, dir string, r *keys.Ring) error {
	image, err := e.Snapshot()
	if err != nil {
		return err
	}
	defer image.Close()
	return backup.Write(w, backup.Source{
		Snapshot: image,
		Header:   backup.Header{Created: time.Now().UTC(), Server: version()},
		Keys: func() ([]byte, error) {
			if !r.Sealing() {
				return nil, nil
			}
			return os.ReadFile(filepath.Join(dir, keys.FileName))
		},
	})
}
