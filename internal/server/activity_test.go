package server

import (
	"errors"
	"log/slog"
	"slices"
	"testing"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// idleServer is a server that nobody is connected to.
func idleServer(t *testing.T) *Server {
	t.Helper()
	db := txn.NewLocal(store.NewMVCCStore().(store.Engine), hlc.New(time.Now), txn.Options{})
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	return New(Options{DB: db, Config: NewConfig(), Log: slog.New(slog.DiscardHandler), Now: time.Now, Rand: func() uint64 { return 1 }})
}

func TestActivity(t *testing.T) {
	s := idleServer(t)
	if a := s.Activity(); a.Commands != 0 || len(a.ByCommand) != 0 || len(a.ErrorCodes) != 0 || a.Latency[len(a.Latency)-1].Calls != 0 {
		t.Errorf("before anything happens: %+v", a)
	}
	get, set, sub := s.named["get"], s.named["set"], s.named["config|get"]
	s.stats.ran(get, 5*time.Microsecond, []byte("$1\r\nv\r\n"))
	s.stats.ran(get, 10*time.Millisecond, []byte("-WRONGTYPE Operation\r\n"))
	s.stats.ran(set, time.Hour, []byte("+OK\r\n"))
	s.stats.rejected(sub, errors.New("ERR wrong number"))
	s.stats.rejected(nil, errors.New("ERR unknown command"))
	a := s.Activity()
	want := []CommandActivity{
		{Name: "config|get", Rejected: 1},
		{Name: "get", Calls: 2, Failed: 1, Took: 10*time.Millisecond + 5*time.Microsecond},
		{Name: "set", Calls: 1, Took: time.Hour},
	}
	if !slices.Equal(a.ByCommand, want) {
		t.Errorf("got %+v, want %+v", a.ByCommand, want)
	}
	if a.Commands != 3 || a.ErrorReplies != 3 || len(a.ErrorCodes) != 2 || a.ErrorCodes["ERR"] != 2 || a.ErrorCodes["WRONGTYPE"] != 1 {
		t.Errorf("got %+v", a)
	}
	last := a.Latency[len(a.Latency)-1]
	for i, b := range a.Latency {
		want := int64(0)
		for _, took := range []time.Duration{5 * time.Microsecond, 10 * time.Millisecond, time.Hour} {
			if took < b.AtMost {
				want++
			}
		}
		if b.Calls != want || i > 0 && b.AtMost <= a.Latency[i-1].AtMost {
			t.Errorf("bucket %d: %d calls up to %v, want %d", i, b.Calls, b.AtMost, want)
		}
	}
	if last.Calls != 3 || last.AtMost != 1<<63-1 {
		t.Errorf("the last bucket: %+v", last)
	}
}

func TestHealth(t *testing.T) {
	s := idleServer(t)
	if err := s.Health(); err != nil {
		t.Errorf("a server that runs: %v", err)
	}
	s.beginShutdown()
	if err := s.Health(); !errors.Is(err, errShutdown) {
		t.Errorf("a server that ends: got %v, want %v", err, errShutdown)
	}
	s.kill(errShutdown) // the grace is over
	if err := s.Health(); !errors.Is(err, errShutdown) {
		t.Errorf("a server whose grace is over: got %v, want %v", err, errShutdown)
	}
	broken := errors.New("disk is gone")
	s = idleServer(t)
	s.fail(broken)
	if err := s.Health(); !errors.Is(err, broken) {
		t.Errorf("a server whose store has failed: got %v, want %v", err, broken)
	}
}
