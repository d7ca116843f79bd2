package server

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// History older than the setting says is dropped at every interval, and an error
// does not end that.
func TestRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var floors []time.Duration // since the beginning
		var log strings.Builder
		cfg := NewConfig()
		for name, value := range map[string]string{"retention": "600", "retention-interval": "30"} {
			if err := cfg.Set(name, value); err != nil {
				t.Fatal(err)
			}
		}
		s := &Server{log: slog.New(slog.NewTextHandler(&log, nil)), opts: Options{
			Now: time.Now,
			Compact: func(_ context.Context, ts uint64) error {
				floors = append(floors, time.UnixMilli(int64(ts>>16)).Sub(began))
				if len(floors) == 1 {
					return errors.New("not today")
				}
				return nil
			},
		}}
		s.cfg.Store(cfg)
		db := withData(s, t.Context())
		defer db.Close()
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.retentionLoop(ctx)
		}()
		time.Sleep(100 * time.Second)
		stop()
		<-done
		want := []time.Duration{-570 * time.Second, -540 * time.Second, -510 * time.Second}
		if !slices.Equal(floors, want) {
			t.Errorf("history was dropped up to %v, want %v", floors, want)
		}
		if n := s.stats.dropsFailed.Load(); n != 1 {
			t.Errorf("%d rounds are counted as failed, want 1", n)
		}
		if !strings.Contains(log.String(), "not today") {
			t.Errorf("the log does not tell of the error:\n%s", log.String())
		}
	})
}

// A new interval counts at once, from the last round on.
func TestRetentionInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		began := time.Now()
		var rounds []time.Duration
		db := txn.NewLocal(store.NewMVCCStore().(store.Engine), hlc.New(time.Now), txn.Options{})
		defer db.Close()
		note := func(context.Context, uint64) error {
			rounds = append(rounds, time.Since(began))
			return nil
		}
		s := New(Options{DB: db, Config: NewConfig(), Log: slog.New(slog.DiscardHandler), Now: time.Now, Rand: func() uint64 { return 1 }, Compact: note})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.retentionLoop(ctx)
		}()
		set := func(interval string) {
			if _, err := s.configure([][]byte{[]byte("retention-interval"), []byte(interval)}); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		set("30")
		time.Sleep(30 * time.Second) // to the 40th
		set("5")
		time.Sleep(time.Second)
		set("60")
		time.Sleep(time.Minute) // to the 101st
		stop()
		<-done
		want := []time.Duration{30 * time.Second, 40 * time.Second, 100 * time.Second}
		if !slices.Equal(rounds, want) {
			t.Errorf("rounds at %v, want %v", rounds, want)
		}
	})
}

// withData gives a Server a DB that holds nothing.
func withData(s *Server, ctx context.Context) *txn.Local {
	db := txn.NewLocal(store.NewMVCCStore().(store.Engine), hlc.New(time.Now), txn.Options{})
	limits := keyspace.DefaultLimits()
	s.db, s.ctx = db, ctx
	s.env.Store(&command.Env{Keys: keyspace.Env{Limits: &limits}})
	return db
}

// The entry of a key that has expired must not go before the rest of the key: whoever makes the
// key anew would find its old elements.
func TestRetentionWaitsForExpiredKeys(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var floor uint64
		s := &Server{log: slog.New(slog.DiscardHandler), opts: Options{
			Now:     time.Now,
			Compact: func(_ context.Context, ts uint64) error { floor = ts; return nil },
		}}
		cfg := NewConfig()
		if err := cfg.Set("retention", "0"); err != nil {
			t.Fatal(err)
		}
		s.cfg.Store(cfg)
		db := withData(s, t.Context())
		defer db.Close()
		expires := time.Now().Add(time.Minute).UnixMilli()
		update := func(fn func(keys *keyspace.Space) error) {
			err := db.Update(t.Context(), func(tx *txn.Tx) error { return fn(keyspace.Open(tx, 3, s.env.Load().Keys)) })
			if err != nil {
				t.Fatal(err)
			}
		}
		update(func(keys *keyspace.Space) error { return keys.SetString([]byte("k"), []byte("v"), expires) })
		drop := func() int64 {
			if err := s.dropHistory(t.Context()); err != nil {
				t.Fatal(err)
			}
			return int64(floor >> counterBits)
		}
		if got, want := drop(), time.Now().UnixMilli(); got != want {
			t.Errorf("before the key expires history goes up to %d, want %d", got, want)
		}
		time.Sleep(time.Hour)
		if got := drop(); got >= expires {
			t.Errorf("history goes up to %d, though a key that expired at %d is still there", got, expires)
		}
		update(func(keys *keyspace.Space) error {
			_, err := keys.RemoveExpired(1)
			return err
		})
		if got, want := drop(), time.Now().UnixMilli(); got != want {
			t.Errorf("when the key has been removed history goes up to %d, want %d", got, want)
		}
	})
}
