package store

import (
	"bytes"
	"context"
	"fmt"
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
	return underOneKey(func() error {
		w := s.newWrite(directPath).at(commitTS)
		defer w.release()
		w.only(m, commitTS)
		if err := w.rows.put(w.batch, &w.single.mutation, commitTS); err != nil {
			return firstError(err, w.batch.Close())
		}
		return w.commit()
	})
}

// only makes m the only mutation of w.
func (w *write) only(m KVPairMutation, ts uint64) {
	one := &w.single
	one.mutation = m
	one.mutations[0] = &one.mutation
	one.commits[0] = Commit{TS: ts, Mutations: one.mutations[:]}
	w.commits = one.commits[:]
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
	return underOneKey(func() error { return s.expire(key, expireAt, commitTS) })
}

func (s *pebbleStore) expire(key []byte, expireAt, commitTS uint64) error {
	w := s.newWrite(directPath).at(commitTS)
	w.only(KVPairMutation{Op: OpTypePut, Key: key, ExpireAt: expireAt}, commitTS)
	w.locked = func(w *write) error {
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
		w.single.mutation.Value = bytes.Clone(v.Value)
		return w.rows.put(w.batch, &w.single.mutation, commitTS)
	}
	return w.commit()
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

// checkSpan fails if a bound of a span is longer than any key and what follows it.
func checkSpan(span Span) error {
	if n := max(len(span.Start), len(span.End)); n > maxKeySize+1 {
		return fmt.Errorf("store: %w: %d bytes, at most %d", ErrSnapshotKeyTooLarge, n, maxKeySize)
	}
	return nil
}
