package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"os"
	"os/signal"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/elastickv/elastickv/encryption/keys"
	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/metrics"
	"github.com/elastickv/elastickv/internal/replica/node"
	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/internal/txn"
)

// serve is the subcommand that runs a server until it is asked to end.
func serve(args []string, env lookupEnv, io stdio) int {
	cfg, err := parseServe(args, env)
	if errors.Is(err, flag.ErrHelp) {
		fmt.Fprint(io.out, serveUsage)
		return exitOK
	}
	if err != nil {
		return complain(io, exitUsage, err)
	}
	if err := checkCluster(cfg); err != nil {
		return complain(io, exitUsage, err)
	}
	kek, err := newProvider(cfg, env)
	if err != nil {
		return complain(io, exitUsage, err)
	}
	ctx, stop := onSignal()
	defer stop()
	if err := runServer(ctx, cfg, kek, io); err != nil {
		return complain(io, exitFault, err)
	}
	return exitOK
}

// onSignal returns a context that ends with the first SIGINT or SIGTERM. The second
// ends the process: all that was acknowledged is on disk.
func onSignal() (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		if _, ok := <-signals; ok {
			cancel()
		}
		if _, ok := <-signals; ok {
			os.Exit(exitFault)
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(signals)
		cancel()
	}
}

// reloadOn has the certificates read again at each signal, until it is stopped.
func reloadOn(signals chan os.Signal, srv *server.Server, member *node.Node, log *slog.Logger) (stop func()) {
	var loop sync.WaitGroup
	loop.Go(func() {
		for range signals {
			if err := srv.ReloadTLS(); err != nil {
				log.Error("certificates were not reloaded, the old ones stay", "err", err)
			}
			if member == nil {
				continue
			}
			if err := member.Reload(); err != nil {
				log.Error("the certificate for other nodes was not reloaded, the old one stays", "err", err)
			}
		}
	})
	return func() {
		signal.Stop(signals)
		close(signals)
		loop.Wait()
	}
}

// runServer listens, opens the store and serves until ctx ends. It listens
// first, so that a port in use is found before any file is touched.
func runServer(ctx context.Context, cfg *server.Config, kek keys.Provider, io stdio) error {
	began := time.Now()
	hangups := make(chan os.Signal, 1)
	signal.Notify(hangups, syscall.SIGHUP) // from the first moment: by itself it ends a process
	defer signal.Stop(hangups)
	level := new(slog.LevelVar)
	log := newLogger(cfg, level, io)
	listeners, err := server.Listen(ctx, cfg)
	if err != nil {
		return err
	}
	defer closeAll(listeners)
	meters, err := listenMetrics(ctx, cfg)
	if err != nil {
		return err
	}
	defer closeAll(meters)
	users, err := server.LoadUsers(cfg)
	if err != nil {
		return err
	}
	var member *node.Node
	peers, err := listenCluster(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() {
		if member == nil { // or it is the node's
			closeAll(peers)
		}
	}()
	defer limitMemory(cfg.MemoryPlan())()
	ring, err := loadKeys(ctx, cfg, kek)
	if err != nil {
		return err
	}
	engine, err := openStore(cfg, ring, log)
	if err != nil {
		return err
	}
	clock := hlc.New(time.Now)
	if ahead := clock.Ahead(engine.LastCommitTS()); ahead > time.Second {
		log.Warn("the clock of this machine is behind the newest data", "by", ahead.String())
	}
	var db *txn.Local
	var running atomic.Pointer[server.Server]
	if len(peers) > 0 {
		if member, err = openCluster(cfg, peers[0], engine, ring, &running, log, io); err != nil {
			return errors.Join(err, engine.Close())
		}
		db = txn.NewReplicated(engine, clock, member.Group(), txn.Options{Now: time.Now})
	} else {
		db = txn.NewLocal(engine, clock, txn.Options{})
	}
	src := metrics.Source{Replica: replicaOf(member, db), Store: engine, Pins: pinsOf(db), Keys: keysOf(ring), Now: time.Now, Version: version()}
	srv := server.New(server.Options{
		DB: db, Config: cfg, Users: users, Log: log, Now: time.Now, Rand: rand.Uint64, Version: version(),
		LogLevel:   level.Set,
		Compact:    db.DropHistory,
		Cluster:    serverCluster(member),
		EngineInfo: func() []server.Figure { return metrics.Info(src) },
	})
	src.Server = srv
	running.Store(srv)
	stopOperated, err := startOperated(ctx, operated{ring, engine, member, db}, cfg, log)
	if err != nil {
		return errors.Join(err, db.Close(), closeCluster(member), engine.Close())
	}
	stopMetrics := serveMetrics(meters, cfg, src, log) // they tell of the shutdown, too
	stopReloads := reloadOn(hangups, srv, member, log)
	log.Info("ready", "addr", listeners[0].Addr().String(), "dir", cfg.Dir(), "version", version(),
		"took", time.Since(began).Round(time.Millisecond).String())
	serving, served := handOverFirst(ctx, member, log)
	err = srv.Serve(serving, listeners...)
	served()
	stopReloads()
	stopMetrics()
	stopOperated()
	if err != nil {
		return err // what is on disk is whole; to close could wait for ever
	}
	if err := errors.Join(db.Close(), closeCluster(member), engine.Close()); err != nil {
		return fmt.Errorf("close the store: %w", err)
	}
	log.Info("stopped")
	return nil
}

func newLogger(cfg *server.Config, level *slog.LevelVar, io stdio) *slog.Logger {
	level.Set(cfg.LogLevel())
	opts := &slog.HandlerOptions{Level: level}
	if cfg.JSONLog() {
		return slog.New(slog.NewJSONHandler(io.err, opts))
	}
	return slog.New(slog.NewTextHandler(io.err, opts))
}

func closeAll(listeners []net.Listener) {
	for _, ln := range listeners {
		_ = ln.Close()
	}
}
