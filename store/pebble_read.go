package store

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// pointReader looks up single keys in one consistent view of the engine.
type pointReader struct {
	view
	views  *views
	seat   viewSeat
	ranges *rangeIndex
	rows   rowDecoder
	key    []byte // buffer
}

// pointReaders keeps the buffers of readers, so that a read allocates nothing
// but its result.
var pointReaders = sync.Pool{New: func() any { return &pointReader{key: make([]byte, 0, 128), seat: newViewSeat()} }}

// absence is how often, lately, keys were looked for that are not there. The last level
// holds nine tenths of the keys. To ask its filters makes a look-up of a key that is
// not there twice as fast, and one of a key that is there a sixth slower.
type absence struct{ score atomic.Int32 }

const (
	absenceStep = 8 // more than one in nine keys that are not there make the score rise
	absenceMost = 64
)

// options are those of the next look-up.
func (a *absence) options(in *pointOptions) *pebble.IterOptions {
	if a.score.Load() > absenceMost/4 {
		return &in.askEveryFilter
	}
	return &in.askUpperFilters
}

// pointOptions are those of look-ups in one place.
type pointOptions struct{ askEveryFilter, askUpperFilters pebble.IterOptions }

var (
	anywhere = pointOptions{pebble.IterOptions{UseL6Filters: true}, pebble.IterOptions{}}
	inTables = pointOptions{
		pebble.IterOptions{UseL6Filters: true, OnlyReadGuaranteedDurable: true},
		pebble.IterOptions{OnlyReadGuaranteedDurable: true},
	}
)

// note is told whether a key was there. That two calls at once may count as one does no harm.
func (a *absence) note(found bool) {
	score := a.score.Load()
	next := min(score+absenceStep, absenceMost)
	if found {
		next = max(score-1, 0)
	}
	if next != score {
		a.score.Store(next)
	}
}

// openPoint returns a reader of the engine as it is now. The caller closes it.
func (s *pebbleStore) openPoint() (*pointReader, error) { return s.openPointOf(nil) }

// openPointOf returns a reader for this key alone; nil is for all.
func (s *pebbleStore) openPointOf(key []byte) (*pointReader, error) {
	ranges, rows := s.ranges.Load(), s.newRowDecoder() // before the view
	r := pointReaders.Get().(*pointReader)
	rack, in := &s.views.points, &anywhere
	if key != nil && !s.unflushed.may(r.bound(key)) { // before the view
		rack, in = &s.views.tables, &inTables
	}
	v, err := s.views.open(rack, r.seat, s.absence.options(in))
	if err != nil {
		pointReaders.Put(r)
		return nil, err
	}
	r.view, r.views, r.ranges, r.rows.seal, r.rows.floor = v, &s.views, ranges, rows.seal, rows.floor
	return r, nil
}

// close ends the reader and what at has returned. The iterator's errors have
// been returned by at.
func (r *pointReader) close() {
	_ = r.views.close(r.view)
	r.view, r.views, r.ranges, r.rows.seal = view{}, nil, nil, nil
	if cap(r.key) <= 4<<10 && r.rows.held() <= 64<<10 {
		pointReaders.Put(r)
	}
}

// bound returns the bound of a key, valid until the reader moves.
func (r *pointReader) bound(userKey []byte) []byte {
	r.key = appendKeyBound(r.key[:0], userKey)
	return r.key
}

// seek moves to the newest version of userKey at or below ts.
func (r *pointReader) seek(userKey []byte, ts uint64) (commitTS uint64, ok bool, err error) {
	r.key = appendVersionKey(r.key[:0], userKey, ts)
	if !r.iter.SeekPrefixGE(r.key) {
		return 0, false, r.iter.Error()
	}
	_, commitTS, err = parseVersionKey(r.iter.Key())
	return commitTS, err == nil, err
}

// row returns the newest version of userKey at or below ts that has a row of its own,
// whatever its state. Its value is valid until the reader moves or is closed.
func (r *pointReader) row(userKey []byte, ts uint64) (v VersionedValue, ok bool, err error) {
	commitTS, ok, err := r.seek(userKey, ts)
	if err != nil || !ok {
		return VersionedValue{}, false, err
	}
	if v, err = r.decode(); err != nil {
		return VersionedValue{}, false, err
	}
	v.TS = commitTS
	return v, true, nil
}

// decode decodes the row that seek has found.
func (r *pointReader) decode() (VersionedValue, error) {
	row, err := r.iter.ValueAndErr()
	if err != nil {
		return VersionedValue{}, err
	}
	return r.rows.version(r.iter.Key(), row)
}

// at returns the newest version of userKey at or below ts, whatever its state. It is
// valid as that of row is.
func (r *pointReader) at(userKey []byte, ts uint64) (v VersionedValue, ok bool, err error) {
	v, ok, err = r.row(userKey, ts)
	if ok {
		v = r.ranges.over(userKey, v, ts)
	}
	return v, ok, err
}

// shown reports whether a read at ts that found v may return it.
func shown(v VersionedValue, ts uint64) bool {
	return !v.Tombstone && (v.ExpireAt == 0 || ts < v.ExpireAt)
}

// checkReadable fails if versions that a read at ts needs may be gone. It is
// called after the reader has been opened: the floor is raised before anything
// is deleted, so a reader that was opened at or above the floor has it all.
func (s *pebbleStore) checkReadable(ts uint64) error {
	if ts != 0 && ts != maxTS && ts < s.floor.Load() {
		return ErrReadTSCompacted
	}
	return nil
}

// GetAt implements MVCCStore.
func (s *pebbleStore) GetAt(ctx context.Context, key []byte, ts uint64) ([]byte, error) {
	v, ok, shared, err := s.versionAt(ctx, key, ts)
	switch {
	case err != nil:
		return nil, err
	case !ok || !shown(v, ts):
		return nil, ErrKeyNotFound
	case shared:
		return cloneBytes(v.Value), nil
	}
	return v.Value, nil
}

// ExistsAt implements MVCCStore.
func (s *pebbleStore) ExistsAt(ctx context.Context, key []byte, ts uint64) (bool, error) {
	v, ok, err := s.VersionAt(ctx, key, ts)
	return ok && shown(v, ts), err
}

// VersionAt implements Engine.
func (s *pebbleStore) VersionAt(ctx context.Context, key []byte, ts uint64) (VersionedValue, bool, error) {
	v, ok, _, err := s.versionAt(ctx, key, ts)
	return v, ok, err
}

// Prefetch implements Engine. What the version cache does not have is not prepared.
func (s *pebbleStore) Prefetch(keys [][]byte) { s.versions.prefetch(keys) }

// ReadWaits implements Engine.
func (s *pebbleStore) ReadWaits() time.Duration { return time.Duration(s.views.waited.Load()) }

// versionAt is VersionAt, and reports whether the value is shared with the cache.
func (s *pebbleStore) versionAt(ctx context.Context, key []byte, ts uint64) (v VersionedValue, ok, shared bool, err error) {
	if err := ctx.Err(); err != nil {
		return VersionedValue{}, false, false, err
	}
	if err := s.enter(); err != nil {
		return VersionedValue{}, false, false, err
	}
	defer s.gate.leave()
	settled, ranges := s.settled(ts), s.ranges.Load() // before the cache
	v, none, known, mark := s.versions.newest(key)
	if settled && known && (none || v.TS <= ts) {
		if err := s.checkReadable(ts); err != nil || none {
			return VersionedValue{}, false, false, err
		}
		return ranges.over(key, v, ts), true, true, nil
	}
	return s.readEngine(key, ts, known, mark)
}

// readEngine returns the newest version of key at or below ts, and leaves what
// it learns of the newest one of all in the cache, unless that has it already.
func (s *pebbleStore) readEngine(key []byte, ts uint64, cached bool, mark uint64) (v VersionedValue, ok, shared bool, err error) {
	r, err := s.openPointOf(key)
	if err != nil {
		return VersionedValue{}, false, false, err
	}
	defer r.close()
	if err := s.checkReadable(ts); err != nil {
		return VersionedValue{}, false, false, err
	}
	first := uint64(maxTS)
	if cached {
		first = ts
	}
	v, ok, err = r.row(key, first)
	s.absence.note(ok)
	if err == nil && ok && v.TS > ts {
		cached = true // what is wanted is not the newest
		v, ok, err = r.row(key, ts)
	}
	if err != nil {
		return VersionedValue{}, false, false, err
	}
	if !cached {
		v, shared = s.versions.found(key, v, !ok, mark)
	}
	if !ok {
		return VersionedValue{}, false, false, nil
	}
	if v = r.ranges.over(key, v, ts); !shared {
		v = r.rows.own(v)
	}
	return v, true, shared, nil
}

// LatestCommitTS implements MVCCStore.
func (s *pebbleStore) LatestCommitTS(ctx context.Context, key []byte) (uint64, bool, error) {
	return s.commitTSAt(ctx, key, maxTS)
}

// CommittedVersionAt implements MVCCStore.
func (s *pebbleStore) CommittedVersionAt(ctx context.Context, key []byte, commitTS uint64) (bool, error) {
	ts, ok, err := s.commitTSAt(ctx, key, commitTS)
	return ok && ts == commitTS, err
}

// commitTSAt returns the timestamp of the newest version of key at or below
// ts, without regard to the retention floor.
func (s *pebbleStore) commitTSAt(ctx context.Context, key []byte, ts uint64) (uint64, bool, error) {
	if err := ctx.Err(); err != nil {
		return 0, false, err
	}
	if err := s.enter(); err != nil {
		return 0, false, err
	}
	defer s.gate.leave()
	settled, ranges := s.settled(ts), s.ranges.Load() // before the cache
	if v, none, known, _ := s.versions.newest(key); settled && known && (none || v.TS <= ts) {
		if none {
			return 0, false, nil
		}
		return ranges.over(key, v, ts).TS, true, nil
	}
	r, err := s.openPointOf(key)
	if err != nil {
		return 0, false, err
	}
	defer r.close()
	commitTS, ok, err := r.seek(key, ts)
	if err != nil || !ok || !r.ranges.newerThan(commitTS) {
		return commitTS, ok, err
	}
	v, err := r.decode()
	v.TS = commitTS
	return r.ranges.over(key, v, ts).TS, true, err
}
