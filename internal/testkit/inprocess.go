package testkit

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"testing"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// Memory starts our server inside the test, over the store that lives in memory, and
// returns its address. The server ends with t.
func Memory(t testing.TB) (addr string) {
	t.Helper()
	return InProcess(t, store.NewMVCCStore().(store.Engine), nil)
}

// Folder is Memory over the data folder dir.
func Folder(t testing.TB, dir string) (addr string) {
	t.Helper()
	engine, err := store.NewPebbleStore(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Errorf("close the store: %v", err)
		}
	})
	return InProcess(t, engine.(store.Engine), nil)
}

// InProcess starts our server inside the test, over an engine that the caller closes,
// and returns its address. settings are names and values of a configuration. The
// server ends with t, and must end well.
func InProcess(t testing.TB, engine store.Engine, settings map[string]string) (addr string) {
	t.Helper()
	config := server.NewConfig()
	for name, value := range settings {
		if err := config.Set(name, value); err != nil {
			t.Fatalf("setting %s: %v", name, err)
		}
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	db := txn.NewLocal(engine, hlc.New(time.Now), txn.Options{})
	srv := server.New(server.Options{
		DB: db, Config: config, Now: time.Now, Rand: rand.Uint64, Version: "test",
		Log: slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- srv.Serve(ctx, listener) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the server ended with %v", err)
		}
		if err := db.Close(); err != nil {
			t.Errorf("close the database: %v", err)
		}
	})
	return listener.Addr().String()
}
