package server_test

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// bubble is a server for a test under synctest: its clock is the bubble's, its
// connections are pipes, and what it writes is durable when the test says so.
type bubble struct {
	t      *testing.T
	engine *gated
	ln     *pipes
	log    *safeLog
	ended  chan error
	stop   func()
}

// inBubble runs fn with a server.
func inBubble(t *testing.T, fn func(b *bubble)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		b := &bubble{
			t: t, engine: &gated{Engine: store.NewMVCCStore().(store.Engine)},
			ln: &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}, log: &safeLog{}, ended: make(chan error, 1),
		}
		db := txn.NewLocal(b.engine, hlc.New(time.Now), txn.Options{})
		srv := server.New(server.Options{
			DB: db, Config: server.NewConfig(), Log: slog.New(slog.NewTextHandler(b.log, nil)),
			Now: time.Now, Rand: rand.Uint64, Version: "test",
		})
		server.AddCommands(srv, longerRow, slowlyRow)
		ctx, cancel := context.WithCancel(t.Context())
		b.stop = cancel
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.ended <- srv.Serve(ctx, b.ln)
		}()
		fn(b)
		b.engine.open(nil)
		cancel()
		<-done
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
}

func (b *bubble) dial() *wire {
	b.t.Helper()
	ours, theirs := net.Pipe()
	b.ln.conns <- theirs
	b.t.Cleanup(func() { ours.Close() })
	return &wire{b.t, ours, bufio.NewReader(ours)}
}

// silent fails the test if the server has something to say.
func (b *bubble) silent(w *wire, when string) {
	b.t.Helper()
	synctest.Wait()
	_ = w.SetReadDeadline(time.Now().Add(time.Millisecond))
	if c, err := w.r.Peek(1); err == nil {
		b.t.Fatalf("a reply that begins with %q came %s", c, when)
	}
	_ = w.SetReadDeadline(time.Time{})
	w.r.Reset(w.Conn)
}

// pipes is a listener for connections within the process.
type pipes struct {
	conns  chan net.Conn
	once   sync.Once
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error {
	p.once.Do(func() { close(p.closed) })
	return nil
}

func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes", Net: "unix"} }

// gated is an engine whose batches become durable only while it is open.
type gated struct {
	store.Engine
	shut    atomic.Pointer[gate]
	durable atomic.Uint64
}

type gate struct {
	opened chan struct{}
	err    error
}

var errDiskOnFire = errors.New("disk on fire")

func (g *gated) LastCommitTS() uint64 { return g.durable.Load() }

// close holds what is staged from now on back until open.
func (g *gated) close() { g.shut.Store(&gate{opened: make(chan struct{})}) }

// open lets everything that is held back become durable, or fail.
func (g *gated) open(err error) {
	if at := g.shut.Swap(nil); at != nil {
		at.err = err
		close(at.opened)
	}
}

func (g *gated) Stage(ctx context.Context, commits []store.Commit) (store.Staged, error) {
	at := g.shut.Load()
	st, err := g.Engine.Stage(ctx, commits)
	if err != nil {
		return nil, err
	}
	return gatedWait{g, at, st, commits[len(commits)-1].TS}, nil
}

type gatedWait struct {
	g  *gated
	at *gate
	st store.Staged
	ts uint64
}

func (w gatedWait) Wait() error {
	if w.at != nil {
		<-w.at.opened
		if w.at.err != nil {
			return w.at.err
		}
	}
	w.g.durable.Store(w.ts)
	return w.st.Wait()
}
