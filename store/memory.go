package store

import (
	"context"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"sync"
	"time"
)

// mvccStore keeps everything in memory. It is the executable specification of
// MVCCStore and Engine: one lock, one sorted slice of keys, each with its sorted
// slice of versions, and the rules written down as plainly as they can be. It
// shares no rule with the Pebble store, so that the two can be compared.
//
// A write of a new key costs time proportional to the number of keys.
type mvccStore struct {
	log       *slog.Logger   // immutable
	conflicts conflictCounts // has a lock of its own

	mu struct {
		sync.RWMutex
		closed       bool
		rows         []*memoryRow // in strictly rising order of keys
		lastCommitTS uint64       // the highest of all commits; never falls but by Restore
		floor        uint64       // reads below it fail; 0 is no floor
		appliedIndex uint64
	}
}

var _ Engine = (*mvccStore)(nil)

// memoryRow is the history of one key.
type memoryRow struct {
	key      string
	versions []VersionedValue // at least one, in strictly rising order of TS; their values are never changed
}

// MVCCStoreOption configures the store that NewMVCCStore returns.
type MVCCStoreOption func(*mvccStore)

// WithLogger sets the logger; the default discards. nil changes nothing.
func WithLogger(l *slog.Logger) MVCCStoreOption {
	return func(s *mvccStore) {
		if l != nil {
			s.log = l
		}
	}
}

// NewMVCCStore returns an empty store that lives in memory. It implements Engine.
func NewMVCCStore(opts ...MVCCStoreOption) MVCCStore {
	s := &mvccStore{log: slog.New(slog.DiscardHandler)}
	for _, opt := range opts {
		opt(s)
	}
	return s
}

// GetAt implements MVCCStore.
func (s *mvccStore) GetAt(ctx context.Context, key []byte, ts uint64) ([]byte, error) {
	v, ok, err := s.VersionAt(ctx, key, ts)
	if err != nil {
		return nil, err
	}
	if !ok || !visible(v, ts) {
		return nil, ErrKeyNotFound
	}
	return v.Value, nil
}

// ExistsAt implements MVCCStore.
func (s *mvccStore) ExistsAt(ctx context.Context, key []byte, ts uint64) (bool, error) {
	v, ok, err := s.VersionAt(ctx, key, ts)
	return ok && visible(v, ts), err
}

// ReadWaits implements Engine. Nothing is read from a disk.
func (s *mvccStore) ReadWaits() time.Duration { return 0 }

// VersionAt implements Engine.
func (s *mvccStore) VersionAt(ctx context.Context, key []byte, ts uint64) (VersionedValue, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.readableLocked(ctx, ts); err != nil {
		return VersionedValue{}, false, err
	}
	v, ok := s.rowLocked(key).at(ts)
	if ok && !v.Tombstone {
		v.Value = cloneBytes(v.Value)
	}
	return v, ok, nil
}

// Prefetch implements Engine. What a look-up in a tree looks at is known only on the way.
func (s *mvccStore) Prefetch([][]byte) {}

// LatestCommitTS implements MVCCStore.
func (s *mvccStore) LatestCommitTS(ctx context.Context, key []byte) (uint64, bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usableLocked(ctx); err != nil {
		return 0, false, err
	}
	ts, ok := s.rowLocked(key).newest()
	return ts, ok, nil
}

// CommittedVersionAt implements MVCCStore.
func (s *mvccStore) CommittedVersionAt(ctx context.Context, key []byte, commitTS uint64) (bool, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usableLocked(ctx); err != nil {
		return false, err
	}
	v, ok := s.rowLocked(key).at(commitTS)
	return ok && v.TS == commitTS, nil
}

// LastCommitTS implements MVCCStore.
func (s *mvccStore) LastCommitTS() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.lastCommitTS
}

// LastAppliedIndex implements Engine.
func (s *mvccStore) LastAppliedIndex() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.appliedIndex
}

// WriteConflictCountsByPrefix implements MVCCStore.
func (s *mvccStore) WriteConflictCountsByPrefix() map[string]uint64 { return s.conflicts.snapshot() }

// Close implements MVCCStore. Closing twice is harmless.
func (s *mvccStore) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.closed = true
	s.mu.rows = nil
	return nil
}

// usableLocked fails if the store is closed or the caller has given up.
func (s *mvccStore) usableLocked(ctx context.Context) error {
	if s.mu.closed {
		return ErrClosed
	}
	return ctx.Err()
}

// readableLocked fails if nothing can be read at ts. At 0 there is nothing to
// lose, and the maximum means "the newest": both are always readable.
func (s *mvccStore) readableLocked(ctx context.Context, ts uint64) error {
	if err := s.usableLocked(ctx); err != nil {
		return err
	}
	if ts != 0 && ts != maxTS && ts < s.mu.floor {
		return ErrReadTSCompacted
	}
	return nil
}

// findLocked returns the index of the first row with a key >= key, and whether
// it is that key's.
func (s *mvccStore) findLocked(key []byte) (int, bool) {
	return slices.BinarySearchFunc(s.mu.rows, string(key), func(r *memoryRow, key string) int {
		return strings.Compare(r.key, key)
	})
}

// rowLocked returns the row of key, or nil.
func (s *mvccStore) rowLocked(key []byte) *memoryRow {
	i, ok := s.findLocked(key)
	if !ok {
		return nil
	}
	return s.mu.rows[i]
}

// putLocked adds a version, replacing one of the same timestamp. It keeps
// v.Value.
func (s *mvccStore) putLocked(key []byte, v VersionedValue) {
	i, ok := s.findLocked(key)
	if !ok {
		s.mu.rows = slices.Insert(s.mu.rows, i, &memoryRow{key: string(key)})
	}
	row := s.mu.rows[i]
	n := row.upTo(v.TS)
	if n > 0 && row.versions[n-1].TS == v.TS {
		row.versions[n-1] = v
		return
	}
	row.versions = slices.Insert(row.versions, n, v)
}

// upTo returns how many versions have a timestamp <= ts.
func (r *memoryRow) upTo(ts uint64) int {
	return sort.Search(len(r.versions), func(i int) bool { return r.versions[i].TS > ts })
}

// at returns the newest version at or below ts. A nil row has none.
func (r *memoryRow) at(ts uint64) (VersionedValue, bool) {
	if r == nil {
		return VersionedValue{}, false
	}
	n := r.upTo(ts)
	if n == 0 {
		return VersionedValue{}, false
	}
	return r.versions[n-1], true
}

// newest returns the highest timestamp. A nil row has none.
func (r *memoryRow) newest() (uint64, bool) {
	if r == nil {
		return 0, false
	}
	return r.versions[len(r.versions)-1].TS, true
}

// visible reports whether a read at ts that has found v may show it.
func visible(v VersionedValue, ts uint64) bool { return !v.Tombstone && !v.ExpiredAt(ts) }
