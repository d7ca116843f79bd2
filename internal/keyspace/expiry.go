package keyspace

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// Moments are kept as hybrid-logical timestamps: Unix milliseconds in the upper
// 48 bits. maxMillis is the last moment that can be kept, in the year 10889.
const maxMillis = 1<<48 - 1

// ErrExpiryRange says that a moment cannot be kept as an expiry.
var ErrExpiryRange = errors.New("keyspace: expiry out of range")

func millis(ts uint64) int64 { return int64(ts >> 16) }

// timestamp turns a moment in Unix milliseconds into the timestamp at which a
// key expires. Moments before 1970 are as good as the first.
func timestamp(ms int64) (uint64, error) {
	if ms > maxMillis {
		return 0, ErrExpiryRange
	}
	return uint64(max(ms, 1)) << 16, nil
}

// Expiry returns the moment at which a key expires, in Unix milliseconds, 0 if
// it never does, and whether the key is there.
func (s *Space) Expiry(key []byte) (at int64, ok bool, err error) {
	e, ok, err := s.find(key)
	return millis(e.expireAt), ok, err
}

// SetExpiry makes a key expire at a moment in Unix milliseconds; if that is not
// in the future, the key is removed at once. It reports whether the key was there.
func (s *Space) SetExpiry(key []byte, at int64) (bool, error) {
	e, ok, err := s.find(key)
	if err != nil || !ok {
		return false, err
	}
	if at <= s.Now() {
		return true, s.remove(key, e)
	}
	ts, err := timestamp(at)
	if err != nil {
		return false, err
	}
	return true, s.setExpiry(key, e, ts)
}

// Persist removes the expiry of a key and reports whether it had one.
func (s *Space) Persist(key []byte) (bool, error) {
	e, ok, err := s.find(key)
	if err != nil || !ok || e.expireAt == 0 {
		return false, err
	}
	return true, s.setExpiry(key, e, 0)
}

// expire removes a key whose time has come.
func (s *Space) expire(key []byte, e entry) error {
	if err := s.remove(key, e); err != nil {
		return err
	}
	s.shared.changes[len(s.shared.changes)-1].Expired = true
	s.Notify(ClassExpired, "expired", key)
	return nil
}

// overdueMost is how many expired keys a transaction that only reads remembers.
const overdueMost = 64

func (s *Space) meetOverdue(key []byte) {
	if len(s.shared.overdue) < overdueMost {
		s.shared.overdue = append(s.shared.overdue, Change{DB: s.db, Key: key, Expired: true})
	}
}

// Overdue returns keys that a transaction that only reads has met although their time has come:
// some other has to remove them.
func (s *Space) Overdue() []Change { return s.shared.overdue }

// Expire removes a key if its time has come.
func (s *Space) Expire(key []byte) error {
	_, _, err := s.lookUp(key)
	return err
}

func (s *Space) setExpiry(key []byte, old entry, ts uint64) error {
	e := old
	e.expireAt = ts
	return s.write(key, old, e)
}

// Sizes of a sample of keys: so many are looked at if there are no more, else fewer.
const (
	meanTTLWalk   = 1000
	meanTTLSample = 32
)

// MeanTTL returns the mean of the milliseconds that the keys with an expiry have left, 0 without any. Of many
// keys it is an estimate.
func (s *Space) MeanTTL(rnd Random) (int64, error) {
	size, err := s.Size()
	if err != nil || size.Expires == 0 {
		return 0, err
	}
	p := s.pool(append(s.row(len(ttlPrefix)), ttlPrefix...), size.Expires, rnd)
	p.keys = true
	k := int64(meanTTLSample)
	if p.n <= meanTTLWalk {
		k = p.n
	}
	rows, err := p.some(k)
	var sum, n int64
	for _, r := range rows {
		if left := millis(binary.BigEndian.Uint64(append(r.name, make([]byte, 8)...))) - s.Now(); left > 0 {
			sum += left / k // the sum itself may be too large
			n++
		}
	}
	if n == 0 {
		return 0, err
	}
	return sum * k / n, err
}

// SoonestExpiry returns the timestamp at which the time of a key, or of a field of a hash, comes, or
// has come, that is the first of the database; false if there is none. Until such a key has been
// removed its rows belong together: no history may be dropped from that timestamp on, for its entry
// would go as expired and leave the others behind. A row that goes by itself would also stay in the
// size of the dataset.
func (s *Space) SoonestExpiry() (at uint64, any bool, err error) {
	for _, index := range []string{ttlPrefix, fieldsTTLPrefix} {
		prefix := append(s.row(len(index)), index...)
		err = s.tx.Walk(store.PrefixSpan(prefix), store.Ascending, func(name []byte, _ txn.Row) bool {
			if len(name) < len(prefix)+8 {
				return false
			}
			if first := binary.BigEndian.Uint64(name[len(prefix):]); !any || first < at {
				at, any = first, true
			}
			return false
		})
		if err != nil {
			return 0, false, err
		}
	}
	return at, any, nil
}

// RemoveExpired removes up to limit keys that have expired, those first whose
// time came first, and returns how many it has removed.
func (s *Space) RemoveExpired(limit int) (int, error) {
	prefix := append(s.row(len(ttlPrefix)), ttlPrefix...)
	end := binary.BigEndian.AppendUint64(bytes.Clone(prefix), s.tx.Now()+1)
	var due [][]byte
	err := s.tx.Walk(store.Span{Start: prefix, End: end}, store.Ascending, func(name []byte, _ txn.Row) bool {
		due = append(due, bytes.Clone(name[len(prefix):]))
		return len(due) < limit
	})
	if err != nil {
		return 0, err
	}
	for _, d := range due {
		if len(d) < 8 {
			return 0, s.errExpiryRow(len(d))
		}
		if err := s.Expire(d[8:]); err != nil {
			return 0, err
		}
	}
	return len(due), nil
}
