package server

import (
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/pubsub"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// loneSession is a session of a user, without a client, whose commands the test carries out.
func loneSession(t *testing.T, rules ...string) *session {
	t.Helper()
	engine := store.NewMVCCStore().(store.Engine)
	db := txn.NewLocal(engine, hlc.New(time.Now), txn.Options{})
	srv := New(Options{DB: db, Config: NewConfig(), Log: slog.New(slog.DiscardHandler), Now: time.Now, Rand: func() uint64 { return 1 }})
	conn, peer := net.Pipe()
	t.Cleanup(func() {
		conn.Close()
		peer.Close()
		db.Close()
		engine.Close()
	})
	c := newSession(srv, conn)
	if err := setRules(srv, rules...); err != nil {
		t.Fatal(err)
	}
	c.setUser(srv.users.Get("u"))
	return c
}

func setRules(srv *Server, rules ...string) error { return srv.users.Set("u", rules...) }

func (c *session) found(words ...string) call {
	var args [][]byte
	for _, w := range words {
		args = append(args, []byte(w))
	}
	return c.find(args)
}

// TestMigrateKeepsNoHistory says that no view is open while another server is waited for.
func TestMigrateKeepsNoHistory(t *testing.T) {
	c := loneSession(t, "on", "nopass", "+@all", "~*")
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	host, port, _ := net.SplitHostPort(ln.Addr().String())
	db := c.srv.db.(*txn.Local)
	if err := db.Sequence(t.Context(), func(seq *txn.Seq) {
		c.seq = seq
		c.step(c.found("SET", "k", "v"))
		c.seq = nil
	}); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.step(c.found("MIGRATE", host, port, "k", "0", "20000"))
	}()
	conn, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != nil { // it waits for the reply now
		t.Error(err)
	}
	if n := db.Pins().Count; n != 0 {
		t.Errorf("%d transactions are open", n)
	}
	conn.Close()
	<-done
	if got := string(c.out.Bytes()); !strings.Contains(got, "-IOERR") {
		t.Errorf("answered %q", got)
	}
}

// TestRefusedStaysRefused has a user allowed what a call was refused for just before: it was
// not sent to where it may run, so it must not run.
func TestRefusedStaysRefused(t *testing.T) {
	c := loneSession(t, "on", "nopass", "+@all", "-migrate", "~*")
	k := c.found("MIGRATE", "127.0.0.1", "1", "k", "0", "10")
	if at := c.place(&k); at != anywhere {
		t.Fatalf("a call that is refused is placed %v", at)
	}
	if err := setRules(c.srv, "+migrate"); err != nil {
		t.Fatal(err)
	}
	c.step(k)
	if got := string(c.out.Bytes()); !strings.HasPrefix(got, "-NOPERM") {
		t.Errorf("answered %q", got)
	}
}

// TestSubscribeIsCheckedAgain has a channel taken from a user between the decision about a
// SUBSCRIBE and the subscription.
func TestSubscribeIsCheckedAgain(t *testing.T) {
	for _, word := range []string{"SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE"} {
		c := loneSession(t, "on", "nopass", "+@all", "&a", "&b")
		allowed, revoked := c.found(word, "a"), c.found(word, "b")
		c.place(&allowed)
		c.place(&revoked)
		if err := setRules(c.srv, "resetchannels", "&a"); err != nil {
			t.Fatal(err)
		}
		if c.step(allowed); c.ending || !c.facts.subscribed.Load() {
			t.Errorf("%s of a channel that is allowed: ending %v", word, c.ending)
		}
		c.step(revoked)
		for k := range pubsub.Kinds {
			if heard := c.heard(k); len(heard) > 0 {
				t.Errorf("%s: hears %q", word, heard)
			}
		}
		if !c.ending || c.facts.subscribed.Load() {
			t.Errorf("%s: ending %v", word, c.ending)
		}
	}
}
