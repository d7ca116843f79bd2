package server

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/txn"
)

// Bounds of one round of the search for expired keys.
const (
	expireBatch   = 64 // keys, or fields of hashes, removed in one transaction, so that others wait little
	expireBatches = 64 // transactions of one round and database
)

// expiry removes keys that have expired and that nobody asks for.
type expiry struct {
	on       atomic.Bool // DEBUG SET-ACTIVE-EXPIRE
	paused   atomic.Bool // DEBUG PAUSE-CRON
	reported string      // the last error that was logged; the loop's own
}

// expiryLoop goes round as often as the setting hz says.
func (s *Server) expiryLoop(ctx context.Context) {
	for {
		t := time.NewTimer(time.Second / time.Duration(s.cfg.Load().hz))
		select {
		case <-t.C:
		case <-ctx.Done():
			t.Stop()
			return
		}
		if !s.expiry.on.Load() || s.expiry.paused.Load() || s.pauses.active.Load() || !s.leads() {
			continue
		}
		s.removeExpired(ctx)
	}
}

// removeExpired is one round: it removes what has expired, in small
// transactions. What is left over waits for the next. A database that cannot be
// read is reported, and leaves the others alone.
func (s *Server) removeExpired(ctx context.Context) {
	due, err := s.databasesDue()
	if err != nil {
		s.expiry.report(s, err)
	}
	began := s.opts.Now()
	for _, db := range due {
		done := false
		for i := 0; i < expireBatches && !done; i++ {
			n, err := s.removeBatch(ctx, db)
			if err != nil {
				s.expiry.report(s, err)
			}
			done = err != nil || n < expireBatch
		}
		if !done {
			s.stats.expireCut.Add(1)
		}
	}
	s.slow(latencyExpiry, s.opts.Now().Sub(began))
}

// report logs an error, but one that comes again every round only once.
func (e *expiry) report(s *Server, err error) {
	if s.ctx.Err() == nil && err.Error() != e.reported {
		e.reported = err.Error()
		s.log.Error("expired keys could not be removed", "err", err)
	}
}

// databasesDue returns the databases that have expired keys or fields of hashes. It only reads, so
// a server without them does no writes.
func (s *Server) databasesDue() (due []int, err error) {
	err = s.glance(func(root *keyspace.Space) error {
		for db := range keyspace.Databases {
			// A read-only transaction counts and leaves the keys alone.
			n, err := removeExpired(root.DB(db), 1)
			if err != nil {
				return err
			}
			if n > 0 {
				due = append(due, db)
			}
		}
		return nil
	})
	return due, err
}

// removeExpired removes up to limit keys and fields of hashes that have expired, and returns
// how many; in a read-only transaction, it returns whether there are any.
func removeExpired(keys *keyspace.Space, limit int) (int, error) {
	n, err := keys.RemoveExpired(limit)
	if err != nil || n == limit {
		return n, err
	}
	fields, err := keys.RemoveExpiredFields(limit - n)
	return n + fields, err
}

func (s *Server) removeBatch(ctx context.Context, db int) (n int, err error) {
	var failed error
	err = s.db.Sequence(ctx, func(seq *txn.Seq) {
		failed = s.update(seq, &telling{}, func(root *keyspace.Space) (err error) {
			n, err = removeExpired(root.DB(db), expireBatch)
			return err
		})
	})
	switch {
	case errors.Is(err, context.Canceled): // before its turn came
		return 0, err
	case err != nil:
		s.storeFailed(err)
		return 0, err
	case failed != nil:
		return 0, failed
	}
	return n, nil
}
