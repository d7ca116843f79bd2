package server

import (
	"context"
	"time"

	"github.com/elastickv/elastickv/internal/keyspace"
)

// counterBits is how far a timestamp's milliseconds are shifted: see package hlc.
const counterBits = 16

// retentionLoop drops the history that is older than the setting retention says, at every retention-interval: of the setting
// as it is, not as it was when the interval began.
func (s *Server) retentionLoop(ctx context.Context) {
	last := s.opts.Now()
	for {
		t := time.NewTimer(seconds(s.cfg.Load().retentionEvery) - s.opts.Now().Sub(last))
		select {
		case <-t.C:
		case <-s.intervalSet:
			t.Stop()
			continue
		case <-ctx.Done():
			t.Stop()
			return
		}
		if err := s.dropHistory(ctx); err != nil && ctx.Err() == nil {
			s.stats.dropsFailed.Add(1)
			// Nothing is lost by history that stays longer, so this is no reason to end.
			s.log.Error("old versions could not be dropped", "err", err)
		}
		last = s.opts.Now()
	}
}

func (s *Server) dropHistory(ctx context.Context) error {
	floor := s.opts.Now().Add(-seconds(s.cfg.Load().retention)).UnixMilli()
	if floor <= 0 {
		return nil
	}
	ts, err := s.belowExpired(uint64(floor) << counterBits)
	if err != nil || ts == 0 {
		return err
	}
	return s.opts.Compact(ctx, ts)
}

// belowExpired lowers ts below the time of every key that has expired and still waits to be
// removed.
func (s *Server) belowExpired(ts uint64) (uint64, error) {
	err := s.glance(func(root *keyspace.Space) error {
		for db := range keyspace.Databases {
			at, any, err := root.DB(db).SoonestExpiry()
			if err != nil {
				return err
			}
			if any && at <= ts {
				ts = at - 1
			}
		}
		return nil
	})
	return ts, err
}
