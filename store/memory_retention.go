package store

import (
	"context"
	"log/slog"
	"slices"
)

// MinRetainedTS implements RetentionController.
func (s *mvccStore) MinRetainedTS() uint64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.mu.floor
}

// SetMinRetainedTS implements RetentionController.
func (s *mvccStore) SetMinRetainedTS(ts uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.floor = max(s.mu.floor, ts)
}

// Compact implements MVCCStore.
func (s *mvccStore) Compact(ctx context.Context, minTS uint64) error {
	dropped, err := s.compact(ctx, minTS)
	if err != nil {
		return err
	}
	s.log.LogAttrs(ctx, slog.LevelDebug, "compacted", slog.Uint64("min_ts", minTS), slog.Int("dropped_keys", dropped))
	return nil
}

// compact returns how many keys have gone altogether.
func (s *mvccStore) compact(ctx context.Context, minTS uint64) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usableLocked(ctx); err != nil {
		return 0, err
	}
	if minTS <= s.mu.floor {
		return 0, nil
	}
	s.mu.floor = minTS
	before := len(s.mu.rows)
	for _, r := range s.mu.rows {
		r.versions = retained(r.versions, minTS)
	}
	s.mu.rows = slices.DeleteFunc(s.mu.rows, func(r *memoryRow) bool { return len(r.versions) == 0 })
	return before - len(s.mu.rows), nil
}

// retained returns what a compaction to minTS keeps of one key's versions: all
// above minTS, and the newest of the rest, because reads at minTS see it. When
// that one is the only one left and shows nothing, the key goes altogether.
func retained(versions []VersionedValue, minTS uint64) []VersionedValue {
	r := memoryRow{versions: versions}
	n := r.upTo(minTS)
	if n == 0 {
		return versions
	}
	kept := slices.Clone(versions[n-1:])
	if len(kept) == 1 && !visible(kept[0], minTS) {
		return nil
	}
	return kept
}
