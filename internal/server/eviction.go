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
	"github.com/elastickv/elastickv/internal/keyspace"
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

	reported string // the last error that was logged; the loop's own
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

// errOutOfMemory refuses commands that could make the dataset larger.
const errOutOfMemory = command.Error("OOM command not allowed when used memory > 'maxmemory'.")

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

// evictOne evicts a key in a transaction of its own, if there is any that may go.
func (s *Server) evictOne(seq *txn.Seq, p eviction.Policy, cfg *Config) (gone bool, err error) {
	err = s.update(seq, &telling{}, func(root *keyspace.Space) error {
		switch p.Order {
		case eviction.Chance:
			gone, err = s.evictRandom(root, p)
		case eviction.Expiry:
			gone, err = evictSoonest(root)
		default:
			gone, err = s.evictUnused(root, p, int(min(cfg.evictionSamples, candidatesMost)))
		}
		return err
	})
	if gone && err == nil {
		s.room.evicted.Add(1)
	}
	return gone && err == nil, err
}

// candidatesMost is how many candidates are looked at for one eviction, in each database: among so
// many the best is hardly ever another than among more.
const candidatesMost = 256

// evictTries bounds how often candidates are looked for that are not there any more.
const evictTries = 16

// evictUnused evicts the best of a few candidates of each database, and of those that were left over.
func (s *Server) evictUnused(root *keyspace.Space, p eviction.Policy, samples int) (bool, error) {
	for range evictTries {
		any := false
		for db := range keyspace.Databases {
			err := root.DB(db).Candidates(s.opts.Rand, p.Volatile, samples, func(key []byte, score int64) {
				any = true
				s.room.pool.Offer(eviction.Candidate{DB: db, Key: key, Score: score})
			})
			if err != nil {
				return false, err
			}
		}
		for c, ok := s.room.pool.Take(); ok; c, ok = s.room.pool.Take() {
			if gone, err := root.DB(c.DB).Evict(c.Key, p.Volatile); gone || err != nil {
				return gone, err
			}
		}
		if !any {
			break
		}
	}
	return false, nil
}

// evictRandom takes a key of each database by turns.
func (s *Server) evictRandom(root *keyspace.Space, p eviction.Policy) (bool, error) {
	for range evictTries * keyspace.Databases {
		s.room.nextDB = (s.room.nextDB + 1) % keyspace.Databases
		keys := root.DB(s.room.nextDB)
		key, ok, err := keys.RandomEvictable(s.opts.Rand, p.Volatile)
		if err != nil {
			return false, err
		}
		if !ok {
			continue
		}
		if gone, err := keys.Evict(key, p.Volatile); gone || err != nil {
			return gone, err
		}
	}
	return false, nil
}

// evictSoonest evicts the key that expires first. One whose time has come is removed as expired, and
// the next is looked for.
func evictSoonest(root *keyspace.Space) (bool, error) {
	for range evictTries {
		var first []byte
		db, soonest := -1, int64(math.MaxInt64)
		for i := range keyspace.Databases {
			key, at, ok, err := root.DB(i).Soonest()
			if err != nil {
				return false, err
			}
			if ok && at < soonest {
				first, db, soonest = key, i, at
			}
		}
		if db < 0 {
			break
		}
		if gone, err := root.DB(db).Evict(first, true); gone || err != nil {
			return gone, err
		}
	}
	return false, nil
}

func (s *Server) wakeEviction() {
	select {
	case s.room.wake <- struct{}{}:
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
	if cfg.maxMemory == 0 {
		return
	}
	if failure := s.db.Measured().Failure; failure != nil {
		s.room.report(s, failure)
		s.db.Measure(true)
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

// refusalByMemory is why a call cannot be carried out for want of room. Inside the sequencer keys are
// evicted first; elsewhere it is what came of that last.
func (c *session) refusalByMemory(k call) error {
	cfg := c.srv.cfg.Load()
	if cfg.maxMemory == 0 {
		c.full = false
		return nil
	}
	if c.seq != nil {
		c.full = c.srv.makeRoom(c.seq)
	} else {
		nothing := eviction.PolicyNamed(cfg.policy).Order == eviction.Nothing
		c.full = c.srv.overLimit(cfg) && (nothing || c.srv.room.full.Load())
	}
	if c.full && c.needsRoom(k) {
		return errOutOfMemory
	}
	return nil
}

// needsRoom reports whether a call may make the dataset larger, or the commands that are queued.
func (c *session) needsRoom(k call) bool {
	switch {
	case c.grows(k):
		return true
	case k.route.exec:
		return c.multi.grows
	}
	return c.multi.on && !k.route.leaves
}

// grows reports whether a call by itself may make the dataset larger.
func (c *session) grows(k call) bool {
	return k.route.cmd.Has(command.DenyOOM) || k.route.scripted && c.srv.scripts.engine.NeedsRoom(k.route.cmd, k.args)
}

// OutOfMemory implements script.Host.
func (c *session) OutOfMemory() bool { return c.full }

// datasetSize is the bytes of all rows: counted, or estimated while nobody knows exactly.
func (s *Server) datasetSize() (n int64, err error) {
	if m := s.db.Measured(); m.Exact() {
		return m.Bytes, nil
	}
	err = s.view(func(root *keyspace.Space) error {
		n, err = root.DatasetSize(s.opts.Rand)
		return err
	})
	return n, err
}

// measurePatience is how long CONFIG SET waits for the dataset to be counted, so that what follows it
// finds the limit in force unless there is much to count.
const measurePatience = time.Second

// settled waits until the dataset has been counted after CONFIG SET, and begins to evict, if the session
// can wait: inside the sequencer the loop does both.
func (c *session) settled(ready <-chan struct{}) {
	if c.seq != nil {
		return
	}
	defer func() {
		if c.srv.overLimit(c.srv.cfg.Load()) {
			c.srv.makeRoomOnce(c.srv.scripts.calm.Load().ctx)
		}
	}()
	t := time.NewTimer(measurePatience)
	defer t.Stop()
	select {
	case <-ready:
	case <-t.C:
	case <-c.srv.ctx.Done():
	}
}
