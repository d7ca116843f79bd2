package server_test

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/internal/testkit"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// newSecureBubble is a server under synctest whose clients come in by TLS.
func newSecureBubble(t *testing.T, own *testkit.Issued) *secureBubble {
	t.Helper()
	b := &secureBubble{
		ln:  &pipes{conns: make(chan net.Conn), closed: make(chan struct{})},
		log: &safeLog{}, done: make(chan error, 1),
	}
	cfg := configOf(t, "tls-port", "6380", "tls-cert-file", own.CertFile, "tls-key-file", own.KeyFile, "tls-auth-clients", "no")
	b.db = txn.NewLocal(store.NewMVCCStore().(store.Engine), hlc.New(time.Now), txn.Options{})
	b.t, b.srv = t, server.New(server.Options{
		DB: b.db, Config: cfg, Log: slog.New(slog.NewTextHandler(b.log, nil)), Now: time.Now, Rand: rand.Uint64, Version: "test",
	})
	ctx, cancel := context.WithCancel(t.Context())
	b.stop = cancel
	go func() { b.done <- b.srv.Serve(ctx, server.SecureListener(b.ln)) }()
	return b
}

type secureBubble struct {
	t    *testing.T
	ln   *pipes
	log  *safeLog
	db   txn.DB
	srv  *server.Server
	stop func()
	done chan error
}

func (b *secureBubble) connect() net.Conn {
	ours, theirs := net.Pipe()
	b.ln.conns <- theirs
	b.t.Cleanup(func() { ours.Close() })
	return ours
}

func (b *secureBubble) end() {
	b.stop()
	if err := <-b.done; err != nil {
		b.t.Error(err)
	}
	if err := b.db.(*txn.Local).Close(); err != nil {
		b.t.Error(err)
	}
}

// A certificate that is about to expire is announced once a day, from thirty days before.
func TestTLSCertificateExpires(t *testing.T) {
	ca := testkit.NewAuthority(t, "test authority")
	synctest.Test(t, func(t *testing.T) {
		own := ca.Issue(t, "server", time.Now().Add(40*24*time.Hour))
		log := &safeLog{}
		db := txn.NewLocal(store.NewMVCCStore().(store.Engine), hlc.New(time.Now), txn.Options{})
		defer db.Close()
		srv := server.New(server.Options{
			DB: db, Config: configOf(t, "tls-port", "6380", "tls-cert-file", own.CertFile, "tls-key-file", own.KeyFile, "tls-auth-clients", "no"),
			Log: slog.New(slog.NewTextHandler(log, nil)), Now: time.Now, Rand: rand.Uint64,
		})
		if err := srv.ReloadTLS(); err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		go server.WatchCertificate(ctx, srv)
		counts := func() (soon, over int) {
			synctest.Wait()
			return strings.Count(log.String(), "expires soon"), strings.Count(log.String(), "has expired")
		}
		const day = 24 * time.Hour
		time.Sleep(9 * day)
		if soon, _ := counts(); soon != 0 {
			t.Errorf("%d warnings 31 days before", soon)
		}
		time.Sleep(11 * day)
		if soon, over := counts(); soon < 9 || soon > 11 || over != 0 {
			t.Errorf("%d and %d warnings 20 days before", soon, over)
		}
		time.Sleep(22 * day)
		if _, over := counts(); over < 1 || over > 3 {
			t.Errorf("%d warnings two days after", over)
		}
	})
}
