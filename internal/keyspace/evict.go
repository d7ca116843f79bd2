package keyspace

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// used takes down that somebody has used a key, which is there.
func (s *Space) used(key []byte) {
	if !s.untouched {
		s.shared.uses.Touch(s.place(), key, s.Now())
	}
}

// Untouched returns the same database for one whose look-ups are not uses of keys.
func (s *Space) Untouched() *Space {
	if s.untouched || s.shared.uses == nil {
		return s
	}
	return &Space{tx: s.tx, db: s.db, shared: s.shared, reading: s.reading, untouched: true}
}

// Idle returns for how many milliseconds a key has not been used, as far as is remembered, else
// not been written, and whether it is there. To ask is not a use.
func (s *Space) Idle(key []byte) (int64, bool, error) {
	at, ok, err := s.Untouched().Written(key)
	if err != nil || !ok {
		return 0, false, err
	}
	if idle, known := s.shared.uses.Idle(s.place(), key, s.Now()); known {
		return idle, true, nil
	}
	return max(s.Now()-at, 0), true, nil
}

// Frequency returns the logarithmic count of the uses of a key, and whether it is there. To ask is not
// a use. It has a meaning only while uses are counted: see CountsUses.
func (s *Space) Frequency(key []byte) (uint8, bool, error) {
	at, ok, err := s.Untouched().Written(key)
	if err != nil || !ok || !s.CountsUses() {
		return 0, false, err
	}
	return s.shared.uses.Count(s.place(), key, s.Now(), at), true, nil
}

// CountsUses reports whether it is remembered how often keys are used, instead of when.
func (s *Space) CountsUses() bool { return s.shared.uses.Frequency() }

// SetIdle makes it so that a key was used last some milliseconds ago.
func (s *Space) SetIdle(key []byte, idle int64) { s.shared.uses.SetIdle(s.place(), key, s.Now(), idle) }

// SetFrequency gives a key a count of uses.
func (s *Space) SetFrequency(key []byte, n uint8) {
	s.shared.uses.SetCount(s.place(), key, s.Now(), n)
}

// Evict removes a key because there is no room for it, and reports whether it was there. One that
// does not expire stays if volatile.
func (s *Space) Evict(key []byte, volatile bool) (bool, error) {
	e, ok, err := s.lookUp(key)
	if err != nil || !ok || volatile && e.expireAt == 0 {
		return false, err
	}
	if err := s.remove(key, e); err != nil {
		return false, err
	}
	s.shared.changes[len(s.shared.changes)-1].Evicted = true
	s.Notify(ClassEvicted, "evicted", key)
	return true, nil
}

// candidateStarts is from how many random keys on candidates are taken.
const candidateStarts = 2

// Candidates calls offer with about n keys, neighbours of random ones, and with how much each
// is to be preferred for eviction: the milliseconds without use, or how far its count of uses is
// below the highest. With volatile they are keys that expire. Of a key that is not remembered the
// last write of its directory entry counts. A key may come twice.
//
// A few neighbours cost about as much as one random key. They are often used alike; against that help
// several starts, and a pool that keeps the best of several calls.
func (s *Space) Candidates(rnd Random, volatile bool, n int, offer func(key []byte, score int64)) error {
	prefix, size, err := s.evictable(volatile)
	if err != nil || size == 0 {
		return err
	}
	p := s.pool(prefix, size, rnd)
	p.keys = true
	n = min((n+candidateStarts-1)/candidateStarts, int(min(size, math.MaxInt32)))
	for range candidateStarts {
		first, ok, err := p.one()
		if err != nil || !ok {
			return err
		}
		rows, err := p.neighbours(first.name, n)
		if err != nil {
			return err
		}
		for _, e := range rows {
			if err := s.offer(e, volatile, offer); err != nil {
				return err
			}
		}
	}
	return nil
}

// neighbour is a row as a walk has found it.
type neighbour struct {
	name []byte
	ts   uint64
}

// neighbours returns the first n rows from the name start on; after the last row comes the first.
func (p *pool) neighbours(start []byte, n int) (rows []neighbour, err error) {
	take := func(name []byte, r txn.Row) bool {
		rows = append(rows, neighbour{bytes.Clone(name), r.TS})
		return len(rows) < n
	}
	if err = p.walk(start, store.Ascending, take); err == nil && len(rows) < n {
		err = p.walk(nil, store.Ascending, take)
	}
	return rows, err
}

// offer hands on a row that stands for a key. The index of expiries does not tell when a key was written.
func (s *Space) offer(e neighbour, volatile bool, fn func(key []byte, score int64)) error {
	key, ts := e.name, e.ts
	if volatile {
		if len(key) < 8 {
			return s.errExpiryRow(len(key))
		}
		key = key[8:]
		row, _, err := s.tx.Peek(s.lookupName(key))
		if err != nil {
			return err
		}
		ts = row.TS
	}
	fn(key, s.score(key, ts))
	return nil
}

// score is how much a key is to be preferred for eviction. ts is when it was written, 0 if just now.
func (s *Space) score(key []byte, ts uint64) int64 {
	written := s.Now()
	if ts != 0 {
		written = millis(ts)
	}
	if s.CountsUses() {
		const most = 255
		return most - int64(s.shared.uses.Count(s.place(), key, s.Now(), written))
	}
	if idle, known := s.shared.uses.Idle(s.place(), key, s.Now()); known {
		return idle
	}
	return max(s.Now()-written, 0)
}

// evictable returns the prefix of the rows that stand for the keys that may go, and their number.
func (s *Space) evictable(volatile bool) (prefix []byte, n int64, err error) {
	size, err := s.Size()
	if volatile {
		return append(s.row(len(ttlPrefix)), ttlPrefix...), size.Expires, err
	}
	return s.entryName(nil), size.Keys, err
}

// RandomEvictable returns a random key that may go, and whether there is one.
func (s *Space) RandomEvictable(rnd Random, volatile bool) ([]byte, bool, error) {
	prefix, size, err := s.evictable(volatile)
	if err != nil || size == 0 {
		return nil, false, err
	}
	p := s.pool(prefix, size, rnd)
	p.keys = true
	e, ok, err := p.one()
	if err != nil || !ok {
		return nil, false, err
	}
	if !volatile {
		return e.name, true, nil
	}
	if len(e.name) < 8 {
		return nil, false, s.errExpiryRow(len(e.name))
	}
	return e.name[8:], true, nil
}

// Soonest returns the key that expires first, when that is in Unix milliseconds, and whether any does.
func (s *Space) Soonest() (key []byte, at int64, ok bool, err error) {
	prefix := append(s.row(len(ttlPrefix)), ttlPrefix...)
	short := -1
	err = s.tx.Walk(store.PrefixSpan(prefix), store.Ascending, func(name []byte, _ txn.Row) bool {
		name = name[len(prefix):]
		if ok = len(name) >= 8; ok {
			key, at = bytes.Clone(name[8:]), millis(binary.BigEndian.Uint64(name))
		}
		if !ok {
			short = len(name)
		}
		return false
	})
	if short >= 0 {
		err = s.errExpiryRow(short)
	}
	return key, at, ok, err
}

func (s *Space) errExpiryRow(n int) error {
	return fmt.Errorf("keyspace: expiry index of database %d has a row of %d bytes", s.db, n)
}
