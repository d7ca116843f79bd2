package store

import "context"

// ctxCheckEvery is how many rows a loop may pass between two looks at its ctx.
const ctxCheckEvery = 1024

// ScanAt implements MVCCStore.
func (s *mvccStore) ScanAt(ctx context.Context, start []byte, end []byte, limit int, ts uint64) ([]*KVPair, error) {
	return s.scan(ctx, Span{Start: start, End: end}, Ascending, limit, ts)
}

// ReverseScanAt implements MVCCStore.
func (s *mvccStore) ReverseScanAt(ctx context.Context, start []byte, end []byte, limit int, ts uint64) ([]*KVPair, error) {
	return s.scan(ctx, Span{Start: start, End: end}, Descending, limit, ts)
}

func (s *mvccStore) scan(ctx context.Context, span Span, order Order, limit int, ts uint64) ([]*KVPair, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	pairs := []*KVPair{}
	if limit <= 0 {
		return pairs, s.usableLocked(ctx)
	}
	if err := s.readableLocked(ctx, ts); err != nil {
		return nil, err
	}
	err := s.eachLocked(ctx, span, order, func(r *memoryRow) bool {
		if v, ok := r.at(ts); ok && visible(v, ts) {
			pairs = append(pairs, &KVPair{Key: []byte(r.key), Value: cloneBytes(v.Value)})
		}
		return len(pairs) < limit
	})
	if err != nil {
		return nil, err
	}
	return pairs, nil
}

// WalkAt implements Engine. The rows are gathered under the lock and handed out
// without it, so that fn may use the store and still sees one moment.
func (s *mvccStore) WalkAt(ctx context.Context, span Span, order Order, ts uint64, fn func(key []byte, v VersionedValue) bool) error {
	found, err := s.gather(ctx, span, order, ts)
	if err != nil {
		return err
	}
	for i, f := range found {
		if i%ctxCheckEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		if !fn([]byte(f.key), f.version) {
			return nil
		}
	}
	return nil
}

// WalkKeeping implements Engine. All there is is at hand.
func (s *mvccStore) WalkKeeping(ctx context.Context, span Span, order Order, ts uint64, fn func(key []byte, v VersionedValue) (more, keep bool)) error {
	return s.WalkAt(ctx, span, order, ts, func(key []byte, v VersionedValue) bool {
		more, _ := fn(key, v)
		return more
	})
}

// WalkBehind implements Engine.
func (s *mvccStore) WalkBehind(ctx context.Context, span Span, order Order, skip int64, ts uint64, fn func(key []byte, v VersionedValue) bool) error {
	return s.WalkAt(ctx, span, order, ts, func(key []byte, v VersionedValue) bool {
		skip--
		return skip >= 0 || fn(key, v)
	})
}

// CountAt implements Engine.
func (s *mvccStore) CountAt(ctx context.Context, span Span, ts, moment uint64) (n int64, err error) {
	err = s.WalkAt(ctx, span, Ascending, ts, func(_ []byte, v VersionedValue) bool {
		if shown(v, moment) {
			n++
		}
		return true
	})
	if err != nil {
		return 0, err
	}
	return n, nil
}

// foundRow is one key with the version that a read has found.
type foundRow struct {
	key     string
	version VersionedValue
}

func (s *mvccStore) gather(ctx context.Context, span Span, order Order, ts uint64) ([]foundRow, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.readableLocked(ctx, ts); err != nil {
		return nil, err
	}
	var found []foundRow
	err := s.eachLocked(ctx, span, order, func(r *memoryRow) bool {
		if v, ok := r.at(ts); ok && !v.Tombstone {
			found = append(found, foundRow{r.key, v})
		}
		return true
	})
	return found, err
}

// eachLocked calls fn for the rows of span until it returns false.
func (s *mvccStore) eachLocked(ctx context.Context, span Span, order Order, fn func(*memoryRow) bool) error {
	rows := s.rowsLocked(span)
	for i := range rows {
		if i%ctxCheckEvery == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		r := rows[i]
		if order == Descending {
			r = rows[len(rows)-1-i]
		}
		if !fn(r) {
			return nil
		}
	}
	return nil
}

// rowsLocked returns the rows of span, in rising order.
func (s *mvccStore) rowsLocked(span Span) []*memoryRow {
	from, _ := s.findLocked(span.Start)
	to := len(s.mu.rows)
	if span.End != nil {
		to, _ = s.findLocked(span.End)
	}
	if from >= to {
		return nil
	}
	return s.mu.rows[from:to]
}
