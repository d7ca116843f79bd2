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
	"github.com/elastickv/elastickv/internal/replica/node"
	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/internal/txn"
)

// operated is what operators look after in a server.
type operated struct {
	ring   *keys.Ring
	e      engine
	member *node.Node // nil: there is no cluster
	db     txn.DB
}

// startOperated begins to look after the keys and opens the door to operators.
// stop ends both and waits for that.
func startOperated(ctx context.Context, on operated, cfg *server.Config, log *slog.Logger) (stop func(), err error) {
	ctx, cancel := context.WithCancel(ctx)
	ln, err := admin.Listen(ctx, cfg.Dir())
	if err != nil {
		cancel()
		return nil, err
	}
	k, stopKeeper := startKeeper(ctx, on.ring, on.e, on.member, cfg, log)
	o := admin.Operated{Keys: k, Cluster: clusterOf(on.member, on.db),
		Backup: func(_ context.Context, w io.Writer) error { return writeBackup(w, on.e, cfg.Dir(), on.ring) }}
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
