package server_test

import (
	"bufio"
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// replyWait is far longer than any reply takes: who waits that long has found a hang.
const replyWait = 20 * time.Second

// running is a server over a store in memory.
type running struct {
	addr   string
	srv    *server.Server
	ended  chan error // what Serve returned
	stop   func()
	log    *safeLog
	config *server.Config
}

// start serves until the test ends. settings are names and values, one after the other.
func start(t *testing.T, engine store.Engine, settings ...string) *running {
	t.Helper()
	cfg := server.NewConfig()
	for i := 0; i < len(settings); i += 2 {
		if err := cfg.Set(settings[i], settings[i+1]); err != nil {
			t.Fatalf("%s %s: %v", settings[i], settings[i+1], err)
		}
	}
	return startConfig(t, engine, cfg)
}

func startConfig(t *testing.T, engine store.Engine, cfg *server.Config) *running {
	t.Helper()
	return serveOn(t, engine, cfg, anyPort(t))
}

// startOn serves a listener made of one on a free port.
func startOn(t *testing.T, of func(net.Listener) net.Listener) *running {
	t.Helper()
	return serveOn(t, nil, server.NewConfig(), of(anyPort(t)))
}

func anyPort(t *testing.T) net.Listener {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return ln
}

// serveOn serves from listeners until the test ends. The first one's address is addr.
func serveOn(t *testing.T, engine store.Engine, cfg *server.Config, listeners ...net.Listener) *running {
	t.Helper()
	if engine == nil {
		engine = store.NewMVCCStore().(store.Engine)
	}
	return serveAt(t, engine, time.Now, cfg, listeners...)
}

// serveAt is serveOn by a clock.
func serveAt(t *testing.T, engine store.Engine, now func() time.Time, cfg *server.Config, listeners ...net.Listener) *running {
	t.Helper()
	return serveDB(t, txn.NewLocal(engine, hlc.New(now), txn.Options{}), now, cfg, listeners...)
}

func serveDB(t *testing.T, db txn.DB, now func() time.Time, cfg *server.Config, listeners ...net.Listener) *running {
	t.Helper()
	r := &running{addr: listeners[0].Addr().String(), ended: make(chan error, 1), log: &safeLog{}, config: cfg}
	srv := server.New(server.Options{
		DB: db, Config: cfg, Log: slog.New(slog.NewTextHandler(r.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now: now, Rand: rand.Uint64, Version: "test",
	})
	r.srv = srv
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	done := make(chan struct{})
	go func() {
		defer close(done)
		r.ended <- srv.Serve(ctx, listeners...)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		if err := db.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return r
}

// end waits until Serve has returned.
func (r *running) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-r.ended:
		return err
	case <-time.After(replyWait):
		t.Fatal("the server did not end")
		return nil
	}
}

// safeLog collects log lines.
type safeLog struct {
	mu sync.Mutex
	b  strings.Builder
}

func (l *safeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *safeLog) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// wire is a connection that speaks bytes.
type wire struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dial(t *testing.T, addr string) *wire {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	return wireOn(t, conn)
}

func wireOn(t *testing.T, conn net.Conn) *wire {
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(replyWait))
	return &wire{t, conn, bufio.NewReader(conn)}
}

func (w *wire) send(s string) {
	w.t.Helper()
	if _, err := io.WriteString(w.Conn, s); err != nil {
		w.t.Fatalf("send %.60q: %v", s, err)
	}
}

// expect reads as many bytes as want has, and compares them.
func (w *wire) expect(want string) {
	w.t.Helper()
	got := make([]byte, len(want))
	n, err := io.ReadFull(w.r, got)
	if err != nil || string(got) != want {
		w.t.Fatalf("got %.300q (%v), want %.300q", got[:n], err, want)
	}
}

// expectClosed wants the server to hang up without a word.
func (w *wire) expectClosed() {
	w.t.Helper()
	b, err := io.ReadAll(w.r)
	if len(b) > 0 {
		w.t.Fatalf("got %.300q, want the end", b)
	}
	if ne, ok := err.(net.Error); ok && ne.Timeout() {
		w.t.Fatal("the connection was not closed")
	}
}

// ask sends a line and expects its reply.
func (w *wire) ask(line, want string) {
	w.t.Helper()
	w.send(line + "\r\n")
	w.expect(want)
}

// eventually repeats a check until it holds.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.After(replyWait)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("it never came about that %s", what)
		}
	}
}
