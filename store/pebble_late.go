package store

import "slices"

// A write is late if it has a timestamp below that of a range tombstone that is
// there already. The tombstone deleted what it found alive and nothing else, so
// what comes late must not fall under it:
//
//   - where the tombstone had deleted the key, it becomes a row of its own, above the write;
//   - where it had found nothing, a value written below it stays alive, so the
//     tombstone is cut in two around the key.
//
// Timestamps of real commits rise, so none of this happens but to histories that
// are put together by hand.
type lateWrites struct {
	s       *pebbleStore
	w       *write
	point   *pointReader
	written map[string][]uint64 // the timestamps at which the batch writes a key
	cuts    map[uint64][]string // keys to be taken out of the tombstones of a timestamp
}

// admitLate makes room for the late writes of w, in the same batch. It reports whether
// range tombstones have changed. The caller holds the apply lock.
func (s *pebbleStore) admitLate(w *write) (changed bool, err error) {
	index := s.ranges.Load()
	late := func(c Commit) bool { return len(c.Mutations) > 0 && index.newerThan(c.TS) }
	if !slices.ContainsFunc(w.commits, late) {
		return false, nil
	}
	point, err := s.openPoint()
	if err != nil {
		return false, err
	}
	defer point.close()
	l := lateWrites{s: s, w: w, point: point, written: map[string][]uint64{}, cuts: map[uint64][]string{}}
	for _, c := range w.commits {
		for _, m := range c.Mutations {
			l.written[string(m.Key)] = append(l.written[string(m.Key)], c.TS)
		}
	}
	for _, c := range slices.Clip(w.commits) { // admit appends to them
		for _, m := range c.Mutations {
			if err := l.admit(m, c.TS); err != nil {
				return false, err
			}
		}
	}
	return len(l.cuts) > 0, l.cut()
}

// admit looks at every range tombstone above a write of ts.
func (l *lateWrites) admit(m *KVPairMutation, ts uint64) error {
	for _, mark := range l.s.ranges.Load().at(m.Key).marks {
		if mark.ts <= ts {
			continue
		}
		v, ok, err := l.point.row(m.Key, mark.ts)
		if err != nil {
			return err
		}
		if ok && v.TS == mark.ts {
			continue // a row of its own stands above the tombstone
		}
		if ok {
			v = l.point.ranges.over(m.Key, v, mark.ts)
		}
		switch {
		case ok && v.Tombstone && v.TS == mark.ts:
			if !slices.Contains(l.written[string(m.Key)], mark.ts) {
				if err := l.w.putTombstones([][]byte{m.Key}, mark.ts); err != nil {
					return err
				}
				l.written[string(m.Key)] = append(l.written[string(m.Key)], mark.ts)
			}
		case m.Op == OpTypePut && (!ok || v.TS <= ts):
			l.cuts[mark.ts] = append(l.cuts[mark.ts], string(m.Key))
		}
	}
	return nil
}

// cut replaces the rows of the tombstones that lose keys.
func (l *lateWrites) cut() error {
	if len(l.cuts) == 0 {
		return nil
	}
	return l.s.eachRange(l.s.db, func(t rangeTombstone) error {
		keys := slices.DeleteFunc(slices.Clone(l.cuts[t.ts]), func(key string) bool { return !t.span.Contains([]byte(key)) })
		if len(keys) == 0 {
			return nil
		}
		if err := l.w.batch.Delete(appendRangeKey(nil, t), nil); err != nil {
			return err
		}
		slices.Sort(keys)
		rest := t
		for _, key := range slices.Compact(keys) {
			part := rest
			part.span.End = []byte(key)
			if err := l.put(part); err != nil {
				return err
			}
			rest.span.Start = []byte(key + "\x00")
		}
		return l.put(rest)
	})
}

func (l *lateWrites) put(t rangeTombstone) error {
	if t.span.empty() {
		return nil
	}
	return l.w.putRange(t)
}
