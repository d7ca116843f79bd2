package server

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/eviction"
	"github.com/elastickv/elastickv/internal/txn"
)

// startupMemory is what used_memory says of a server without data. Of the process's memory nothing is
// counted, for data stands on the disk; but to set maxmemory below what even an empty
// server takes is how one has every write refused, and programs and tests do that.
const startupMemory = 1 << 20

// room keeps the dataset within the setting maxmemory.
type room struct {
	wake chan struct{} // of the loop: there may be something to evict

	full     atomic.Bool  // over the limit, and nothing could be evicted
	evicted  atomic.Int64 // keys
	exceeded exceeded

	// The sequencer's:
	pool   eviction.Pool
	policy string // whose candidates are in pool
	nextDB int    // from which a random key is evicted next

	// The loop's:
	reported  string    // the last error that was logged
	countNext time.Time // before that a count that has failed does not begin again
}

// countPause is for how long a count that has failed is left alone.
const countPause = 10 * time.Second

// tenacity is for how long keys may be evicted before others have their turn, as Redis reckons it
// from the setting maxmemory-eviction-tenacity, from 0 to 100.
func tenacity(n int64) time.Duration {
	const usual, step, growth = 10, 50 * time.Microsecond, 1.15
	switch {
	case n <= usual:
		return time.Duration(n) * step
	case n < 100:
		return time.Duration(float64(usual*step) * math.Pow(growth, float64(n-usual)))
	}
	return math.MaxInt64
}

// overLimit reports whether the dataset is known to be larger than it may be. While it is being
// counted, or deleted rows are still in the count, it is not: nothing is evicted by mistake, and of
// what has been deleted more goes off the count than is written meanwhile.
func (s *Server) overLimit(cfg *Config) bool {
	if cfg.maxMemory == 0 {
		return false
	}
	used := int64(startupMemory)
	if m := s.db.Measured(); m.Exact() {
		used += m.Bytes
	}
	return used > cfg.maxMemory
}

// makeRoom evicts keys until the dataset is within its limit, or it has taken long enough; the loop
// goes on then. It reports whether there is no room and can be none. It runs inside the sequencer,
// between transactions.
func (s *Server) makeRoom(seq *txn.Seq) (full bool) {
	cfg := s.cfg.Load()
	if cfg.maxMemory == 0 || s.pauses.active.Load() {
		return false
	}
	began := s.opts.Now()
	if !s.overLimit(cfg) {
		s.room.full.Store(false)
		s.room.exceeded.end(began)
		return false
	}
	s.room.exceeded.begin(began)
	full = s.evict(seq, cfg, began)
	s.room.full.Store(full)
	return full
}

// evict is makeRoom for a dataset that is over its limit.
func (s *Server) evict(seq *txn.Seq, cfg *Config, began time.Time) (full bool) {
	p := eviction.PolicyNamed(cfg.policy)
	if p.Order == eviction.Nothing {
		return true
	}
	if s.room.policy != p.Name {
		s.room.policy = p.Name
		s.room.pool.Clear()
	}
	limit := tenacity(cfg.tenacity)
	for {
		before := s.opts.Now()
		gone, err := s.evictOne(seq, p, cfg)
		if err != nil {
			s.log.Error("a key could not be evicted", "err", err)
		}
		if err != nil || !gone {
			return true
		}
		now := s.opts.Now()
		s.slow(latencyEvict, now.Sub(before))
		over := s.overLimit(cfg)
		if over && now.Sub(began) <= limit {
			continue
		}
		s.slow(latencyEviction, now.Sub(began))
		if over {
			s.wakeEviction()
		} else {
			s.room.exceeded.end(now)
		}
		return false
	}
}

func (s *Server) wakeEviction() { wake(s.room.wake) }

// wake has whoever waits for a channel of size 1 look again.
func wake(sleeper chan<- struct{}) {
	select {
	case sleeper <- struct{}{}:
	default:
	}
}

// evictionLoop evicts what no command has to wait for: after a change of the limit, when keys were
// counted, and what took too long before.
func (s *Server) evictionLoop(ctx context.Context) {
	for {
		t := time.NewTimer(time.Second / time.Duration(s.cfg.Load().hz))
		select {
		case <-t.C:
		case <-s.room.wake:
			t.Stop()
		case <-ctx.Done():
			t.Stop()
			return
		}
		s.evictMeanwhile(ctx)
	}
}

// evictMeanwhile is one round of the loop. Between two of its turns in the sequencer others have theirs.
func (s *Server) evictMeanwhile(ctx context.Context) {
	cfg := s.cfg.Load()
	if cfg.maxMemory == 0 || !s.leads() {
		return
	}
	if failure := s.db.Measured().Failure; failure != nil {
		if now := s.opts.Now(); now.After(s.room.countNext) {
			s.room.report(s, failure)
			s.db.Measure(true)
			s.room.countNext = now.Add(countPause)
		}
		return
	}
	if !s.overLimit(cfg) && !s.room.full.Load() {
		return
	}
	for full := false; !full && ctx.Err() == nil; {
		var ok bool
		if full, ok = s.makeRoomOnce(ctx); !ok {
			return
		}
		if !s.overLimit(s.cfg.Load()) || s.pauses.active.Load() {
			return
		}
	}
}

// makeRoomOnce is makeRoom as one task of the sequencer. It fails if ctx ends before, or the store has failed.
func (s *Server) makeRoomOnce(ctx context.Context) (full, ok bool) {
	err := s.db.Sequence(ctx, func(seq *txn.Seq) { full = s.makeRoom(seq) })
	if busy := command.Error(""); err == nil || errors.Is(err, context.Canceled) || errors.As(err, &busy) {
		return full, err == nil
	}
	s.storeFailed(err)
	return false, false
}

func (r *room) report(s *Server, err error) {
	if s.ctx.Err() == nil && err.Error() != r.reported {
		r.reported = err.Error()
		s.log.Error("the dataset could not be counted", "err", err)
	}
}

// exceeded is for how long the limit has been exceeded.
type exceeded struct {
	mu    sync.Mutex
	since time.Time // zero: it is not now
	total time.Duration
}

func (e *exceeded) begin(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.since.IsZero() {
		e.since = now
	}
}

func (e *exceeded) end(now time.Time) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.since.IsZero() {
		e.total += now.Sub(e.since)
		e.since = time.Time{}
	}
}

func (e *exceeded) reset() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.total, e.since = 0, time.Time{}
}

// times returns for how long the limit has been exceeded in all, and without a break until now.
func (e *exceeded) times(now time.Time) (total, current time.Duration) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.since.IsZero() {
		current = now.Sub(e.since)
	}
	return e.total + current, current
}
