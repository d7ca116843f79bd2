package store

import (
	"bytes"
	"context"
	"fmt"
)

// PutAt implements MVCCStore.
func (s *mvccStore) PutAt(ctx context.Context, key []byte, value []byte, commitTS uint64, expireAt uint64) error {
	return s.commit(ctx, commitTS, []*KVPairMutation{{Op: OpTypePut, Key: key, Value: value, ExpireAt: expireAt}})
}

// PutWithTTLAt implements MVCCStore.
func (s *mvccStore) PutWithTTLAt(ctx context.Context, key []byte, value []byte, commitTS uint64, expireAt uint64) error {
	return s.PutAt(ctx, key, value, commitTS, expireAt)
}

// DeleteAt implements MVCCStore.
func (s *mvccStore) DeleteAt(ctx context.Context, key []byte, commitTS uint64) error {
	return s.commit(ctx, commitTS, []*KVPairMutation{{Op: OpTypeDelete, Key: key}})
}

// commit writes mutations without any conflict check.
func (s *mvccStore) commit(ctx context.Context, commitTS uint64, mutations []*KVPairMutation) error {
	if err := validateMutations(mutations); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usableLocked(ctx); err != nil {
		return err
	}
	s.commitLocked(commitTS, mutations)
	return nil
}

// commitLocked writes mutations that have been validated. It cannot fail, so
// that whoever has made all checks before commits everything or nothing.
func (s *mvccStore) commitLocked(commitTS uint64, mutations []*KVPairMutation) {
	for _, m := range mutations {
		v := VersionedValue{TS: commitTS, Tombstone: true}
		if m.Op == OpTypePut {
			v = VersionedValue{TS: commitTS, Value: cloneBytes(m.Value), ExpireAt: m.ExpireAt}
		}
		s.putLocked(m.Key, v)
	}
	s.mu.lastCommitTS = max(s.mu.lastCommitTS, commitTS)
}

// ExpireAt implements MVCCStore. Below the retention floor nobody can tell what
// was visible, so it fails there as a read does.
func (s *mvccStore) ExpireAt(ctx context.Context, key []byte, expireAt uint64, commitTS uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.readableLocked(ctx, commitTS); err != nil {
		return err
	}
	v, ok := s.rowLocked(key).at(commitTS)
	if !ok || !visible(v, commitTS) {
		return ErrKeyNotFound
	}
	s.commitLocked(commitTS, []*KVPairMutation{{Op: OpTypePut, Key: key, Value: v.Value, ExpireAt: expireAt}})
	return nil
}

// DeletePrefixAt implements MVCCStore.
func (s *mvccStore) DeletePrefixAt(ctx context.Context, prefix []byte, excludePrefix []byte, commitTS uint64) error {
	return s.DeletePrefixAtRaftAt(ctx, prefix, excludePrefix, commitTS, 0)
}

// DeletePrefixAtRaft implements MVCCStore.
func (s *mvccStore) DeletePrefixAtRaft(ctx context.Context, prefix []byte, excludePrefix []byte, commitTS uint64) error {
	return s.DeletePrefixAtRaftAt(ctx, prefix, excludePrefix, commitTS, 0)
}

// DeletePrefixAtRaftAt implements MVCCStore.
func (s *mvccStore) DeletePrefixAtRaftAt(ctx context.Context, prefix []byte, excludePrefix []byte, commitTS, appliedIndex uint64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usableLocked(ctx); err != nil {
		return err
	}
	var deletes []*KVPairMutation
	err := s.eachLocked(ctx, Span{Start: prefix}, Ascending, func(r *memoryRow) bool {
		key := []byte(r.key)
		if !bytes.HasPrefix(key, prefix) {
			return false
		}
		excluded := len(excludePrefix) > 0 && bytes.HasPrefix(key, excludePrefix)
		if v, ok := r.at(commitTS); ok && visible(v, commitTS) && !excluded {
			deletes = append(deletes, &KVPairMutation{Op: OpTypeDelete, Key: key})
		}
		return true
	})
	if err != nil {
		return err
	}
	s.commitLocked(commitTS, deletes)
	s.mu.appliedIndex = max(s.mu.appliedIndex, appliedIndex)
	return nil
}

// deleteSpansLocked deletes whatever is in the spans and not deleted yet.
func (s *mvccStore) deleteSpansLocked(commitTS uint64, spans []Span) {
	for _, span := range spans {
		for _, r := range s.rowsLocked(span) {
			if v, _ := r.at(commitTS); !v.Tombstone {
				s.putLocked([]byte(r.key), VersionedValue{TS: commitTS, Tombstone: true})
			}
		}
	}
}

// validateMutations checks everything that can be wrong with a mutation by itself.
func validateMutations(mutations []*KVPairMutation) error {
	for i, m := range mutations {
		switch {
		case m == nil:
			return fmt.Errorf("mutation %d is nil", i)
		case m.Op != OpTypePut && m.Op != OpTypeDelete:
			return fmt.Errorf("mutation %d: %w %d", i, ErrUnknownOp, m.Op)
		case len(m.Key) > maxKeySize:
			return fmt.Errorf("mutation %d: %w: %d bytes", i, ErrSnapshotKeyTooLarge, len(m.Key))
		case m.Op == OpTypePut && len(m.Value) > maxValueSize:
			return fmt.Errorf("mutation %d: %w: %d bytes", i, ErrValueTooLarge, len(m.Value))
		}
	}
	return nil
}
