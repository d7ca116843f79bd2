package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"sync"

	"github.com/elastickv/elastickv/internal/metrics"
	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/internal/txn"
)

// listenMetrics opens the address at which metrics are served, if there is one.
func listenMetrics(ctx context.Context, cfg *server.Config) ([]net.Listener, error) {
	if cfg.MetricsListen() == "" {
		return nil, nil
	}
	var lc net.ListenConfig
	ln, err := lc.Listen(ctx, "tcp", cfg.MetricsListen())
	if err != nil {
		return nil, fmt.Errorf("metrics: %w", err)
	}
	return []net.Listener{ln}, nil
}

// serveMetrics answers at the listeners until stop is called, which waits for the end.
// That metrics can no longer be served is no reason to serve no clients.
func serveMetrics(listeners []net.Listener, cfg *server.Config, src metrics.Source, log *slog.Logger) (stop func()) {
	h := metrics.Handler(src, log)
	if cfg.Profiling() {
		h = metrics.WithProfiles(h)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var servers sync.WaitGroup
	for _, ln := range listeners {
		log.Info("metrics are served", "addr", ln.Addr().String())
		servers.Go(func() {
			if err := metrics.Serve(ctx, ln, h, log); err != nil {
				log.Error("metrics are no longer served", "err", err)
			}
		})
	}
	return func() {
		cancel()
		servers.Wait()
	}
}

// pinsOf tells metrics what transactions hold.
func pinsOf(db *txn.Local) func() metrics.Pins {
	return func() metrics.Pins { return metrics.Pins(db.Pins()) }
}
