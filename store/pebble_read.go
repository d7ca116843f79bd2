package store

import (
	"context"
	"sync"

	"github.com/cockroachdb/pebble/v2"
)

// pointReader looks up single keys in one consistent view of the engine.
type pointReader struct {
	iter   *pebble.Iterator
	ranges *rangeIndex
	rows   rowDecoder
	key    []byte // buffer
}

// pointReaders keeps the buffers of readers, so that a read allocates nothing
// but its result.
var pointReaders = sync.Pool{New: func() any { return &pointReader{key: make([]byte, 0, 128)} }}

// pointOptions makes look-ups use the filters of the last level too: it holds
// nine tenths of the keys, and a key that is not there is then not looked for
// in a block.
var pointOptions = pebble.IterOptions{UseL6Filters: true}

// openPoint returns a reader of the engine as it is now. The caller closes it.
func (s *pebbleStore) openPoint() (*pointReader, error) {
	ranges := s.ranges.Load() // before the view
	iter, err := s.db.NewIter(&pointOptions)
	if err != nil {
		return nil, err
	}
	r := pointReaders.Get().(*pointReader)
	r.iter, r.ranges, r.rows.seal = iter, ranges, &s.seal
	return r, nil
}

// close ends the reader and what at has returned. The iterator's errors have
// been returned by at.
func (r *pointReader) close() {
	_ = r.iter.Close()
	r.iter, r.ranges, r.rows.seal = nil, nil, nil
	if cap(r.key) <= 4<<10 && r.rows.held() <= 64<<10 {
		pointReaders.Put(r)
	}
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
	v, ok, err := s.VersionAt(ctx, key, ts)
	if err != nil {
		return nil, err
	}
	if !ok || !shown(v, ts) {
		return nil, ErrKeyNotFound
	}
	return cloneBytes(v.Value), nil
}

// ExistsAt implements MVCCStore.
func (s *pebbleStore) ExistsAt(ctx context.Context, key []byte, ts uint64) (bool, error) {
	v, ok, err := s.VersionAt(ctx, key, ts)
	return ok && shown(v, ts), err
}

// VersionAt implements Engine.
func (s *pebbleStore) VersionAt(ctx context.Context, key []byte, ts uint64) (VersionedValue, bool, error) {
	if err := ctx.Err(); err != nil {
		return VersionedValue{}, false, err
	}
	if err := s.enter(); err != nil {
		return VersionedValue{}, false, err
	}
	defer s.gate.leave()
	ranges := s.ranges.Load() // before the cache
	v, none, known, mark := s.versions.newest(key)
	if known && (none || v.TS <= ts) && s.settled(ts) {
		if err := s.checkReadable(ts); err != nil {
			return VersionedValue{}, false, err
		}
		if none {
			return VersionedValue{}, false, nil
		}
		return ranges.over(key, v, ts), true, nil
	}
	return s.readEngine(key, ts, known, mark)
}

// readEngine returns the newest version of key at or below ts, and leaves what
// it learns of the newest one of all in the cache, unless that has it already.
func (s *pebbleStore) readEngine(key []byte, ts uint64, cached bool, mark uint64) (VersionedValue, bool, error) {
	r, err := s.openPoint()
	if err != nil {
		return VersionedValue{}, false, err
	}
	defer r.close()
	if err := s.checkReadable(ts); err != nil {
		return VersionedValue{}, false, err
	}
	first := uint64(maxTS)
	if cached {
		first = ts
	}
	v, ok, err := r.row(key, first)
	if err == nil && ok && v.TS > ts {
		cached = true // what is wanted is not the newest
		v, ok, err = r.row(key, ts)
	}
	if err != nil {
		return VersionedValue{}, false, err
	}
	if cached {
		v = v.clone()
	} else {
		v = s.versions.found(key, v, !ok, mark)
	}
	if !ok {
		return VersionedValue{}, false, nil
	}
	return r.ranges.over(key, v, ts), true, nil
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
	ranges := s.ranges.Load() // before the cache
	if v, none, known, _ := s.versions.newest(key); known && (none || v.TS <= ts) && s.settled(ts) {
		if none {
			return 0, false, nil
		}
		return ranges.over(key, v, ts).TS, true, nil
	}
	r, err := s.openPoint()
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
