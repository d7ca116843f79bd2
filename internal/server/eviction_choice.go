package server

import (
	"math"

	"github.com/elastickv/elastickv/internal/eviction"
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/txn"
)

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
