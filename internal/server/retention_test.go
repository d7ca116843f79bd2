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
