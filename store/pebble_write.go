package store

import (
	"bytes"
	"context"
	"fmt"

	"github.com/cockroachdb/pebble/v2"
)

// PutAt implements MVCCStore.
func (s *pebbleStore) PutAt(ctx context.Context, key []byte, value []byte, commitTS uint64, expireAt uint64) error {
	return s.writeOne(ctx, KVPairMutation{Op: OpTypePut, Key: key, Value: value, ExpireAt: expireAt}, commitTS)
}

// PutWithTTLAt implements MVCCStore.
func (s *pebbleStore) PutWithTTLAt(ctx context.Context, key []byte, value []byte, commitTS uint64, expireAt uint64) error {
	return s.PutAt(ctx, key, value, commitTS, expireAt)
}

// DeleteAt implements MVCCStore.
func (s *pebbleStore) DeleteAt(ctx context.Context, key []byte, commitTS uint64) error {
	return s.writeOne(ctx, KVPairMutation{Op: OpTypeDelete, Key: key}, commitTS)
}

// writeOne commits one mutation without any check for conflicts.
func (s *pebbleStore) writeOne(ctx context.Context, m KVPairMutation, commitTS uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := checkSize(&m); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	b, rows := s.db.NewBatch(), s.newRowEncoder(directPath)
	if err := rows.put(b, &m, commitTS); err != nil {
		return firstError(err, b.Close())
	}
	return s.commit(write{batch: b, highTS: commitTS, lowTS: commitTS, commits: []Commit{{TS: commitTS, Mutations: []*KVPairMutation{&m}}}})
}

// ExpireAt implements MVCCStore. It reads and writes under the apply lock, so
// that no write gets in between.
func (s *pebbleStore) ExpireAt(ctx context.Context, key []byte, expireAt uint64, commitTS uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	b := s.db.NewBatch()
	m := KVPairMutation{Op: OpTypePut, Key: key, ExpireAt: expireAt}
	commits := []Commit{{TS: commitTS, Mutations: []*KVPairMutation{&m}}}
	return s.commit(write{batch: b, highTS: commitTS, lowTS: commitTS, commits: commits, locked: func() error {
		r, err := s.openPoint()
		if err != nil {
			return err
		}
		defer r.close()
		if err := s.checkReadable(commitTS); err != nil {
			return err
		}
		v, ok, err := r.at(key, commitTS)
		if err != nil {
			return err
		}
		if !ok || !shown(v, commitTS) {
			return ErrKeyNotFound
		}
		rows := s.newRowEncoder(directPath)
		m.Value = bytes.Clone(v.Value)
		return rows.put(b, &m, commitTS)
	}})
}

// checkSize fails if m breaks a limit or is of no known kind.
func checkSize(m *KVPairMutation) error {
	switch {
	case m == nil:
		return fmt.Errorf("store: mutation is nil")
	case m.Op != OpTypePut && m.Op != OpTypeDelete:
		return fmt.Errorf("store: %w %d", ErrUnknownOp, m.Op)
	case len(m.Key) > maxKeySize:
		return fmt.Errorf("store: %w: %d bytes, at most %d", ErrSnapshotKeyTooLarge, len(m.Key), maxKeySize)
	case m.Op == OpTypePut && len(m.Value) > maxValueSize:
		return fmt.Errorf("store: %w: %d bytes, at most %d", ErrValueTooLarge, len(m.Value), maxValueSize)
	}
	return nil
}

// DeletePrefixAt implements MVCCStore.
func (s *pebbleStore) DeletePrefixAt(ctx context.Context, prefix []byte, excludePrefix []byte, commitTS uint64) error {
	return s.deletePrefix(ctx, prefixDelete{prefix, excludePrefix, commitTS}, directPath, 0)
}

// DeletePrefixAtRaft implements MVCCStore.
func (s *pebbleStore) DeletePrefixAtRaft(ctx context.Context, prefix []byte, excludePrefix []byte, commitTS uint64) error {
	return s.deletePrefix(ctx, prefixDelete{prefix, excludePrefix, commitTS}, raftPath, 0)
}

// DeletePrefixAtRaftAt implements MVCCStore.
func (s *pebbleStore) DeletePrefixAtRaftAt(ctx context.Context, prefix []byte, excludePrefix []byte, commitTS, appliedIndex uint64) error {
	return s.deletePrefix(ctx, prefixDelete{prefix, excludePrefix, commitTS}, raftPath, appliedIndex)
}

// prefixDelete is what DeletePrefixAt is asked to do.
type prefixDelete struct {
	prefix   []byte
	exclude  []byte // empty excludes nothing
	commitTS uint64
}

func (s *pebbleStore) deletePrefix(ctx context.Context, d prefixDelete, path writePath, appliedIndex uint64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := s.enter(); err != nil {
		return err
	}
	defer s.gate.leave()
	s.versions.suspend()
	defer s.versions.resume()
	b := s.db.NewBatch()
	return s.commit(write{
		batch: b, path: path, highTS: d.commitTS, lowTS: d.commitTS, appliedIndex: appliedIndex,
		locked: func() error { return s.putTombstones(ctx, b, s.newRowEncoder(path), d) },
	})
}

// putTombstones adds a tombstone for every key that d deletes. It costs one
// row for each, in one batch.
func (s *pebbleStore) putTombstones(ctx context.Context, b *pebble.Batch, rows rowEncoder, d prefixDelete) error {
	var failed error
	mark := func(key []byte, v VersionedValue) bool {
		if shown(v, d.commitTS) {
			failed = rows.put(b, &KVPairMutation{Op: OpTypeDelete, Key: key}, d.commitTS)
			if failed == nil && b.Len() > batchSizeMost {
				failed = ErrBatchTooLarge
			}
		}
		return failed == nil
	}
	for _, span := range d.spans() {
		w := scanner{s: s, ctx: ctx, ts: d.commitTS, fn: mark, anyTS: true}
		if err := w.walk(span, Ascending); err != nil {
			return err
		}
	}
	return failed
}

// spans returns what has the prefix and not the excluded one: what is below the
// excluded keys and what is above them.
func (d prefixDelete) spans() []Span {
	all := Span{Start: d.prefix, End: prefixEnd(d.prefix)}
	switch {
	case len(d.exclude) == 0:
		return []Span{all}
	case bytes.HasPrefix(d.prefix, d.exclude):
		return nil
	case !bytes.HasPrefix(d.exclude, d.prefix):
		return []Span{all}
	}
	spans := []Span{{Start: d.prefix, End: d.exclude}}
	if end := prefixEnd(d.exclude); end != nil {
		spans = append(spans, Span{Start: end, End: all.End})
	}
	return spans
}
