package store

// collectingMost is how many rows are noted for one step of a compaction.
const collectingMost = 16 << 10

// collecting is what a step of a compaction, which looks at keys without a lock, has to know
// of the writes since it began. It is guarded by the apply lock.
type collecting struct {
	rows [][]byte // physical keys
	late bool     // a version at or below the floor, or more than can be noted
}

// beginCollecting notes writes from here on, until endCollecting.
func (s *pebbleStore) beginCollecting() *collecting {
	c := &collecting{}
	s.apply.Lock()
	defer s.apply.Unlock()
	s.apply.collecting = c
	return c
}

func (s *pebbleStore) endCollecting(c *collecting) {
	s.apply.Lock()
	defer s.apply.Unlock()
	if s.apply.collecting == c {
		s.apply.collecting = nil
	}
}

// noteForCompaction tells the step of a compaction that is under way of w, which is in.
// The caller holds the apply lock.
func (s *pebbleStore) noteForCompaction(w *write) {
	if w.highTS == 0 {
		return // it commits nothing
	}
	if w.lowTS <= s.apply.stagedFloor {
		s.apply.lateLow = min(s.apply.lateLow, w.lowTS)
	}
	if c := s.apply.collecting; c != nil {
		c.late = c.late || w.lowTS <= s.apply.stagedFloor
		c.note(w.commits)
	}
}

func (c *collecting) note(commits []Commit) {
	for i := range commits {
		for _, m := range commits[i].Mutations {
			if len(c.rows) >= collectingMost {
				c.late = true
				return
			}
			c.rows = append(c.rows, appendVersionKey(nil, m.Key, commits[i].TS))
		}
	}
}

// spoils reports whether what was collected may not be deleted any more: a late version can
// lie anywhere, and no other one may lie in a range that is to go.
func (c *collecting) spoils(ranges []deadRange) bool {
	if c.late {
		return true
	}
	for _, row := range c.rows {
		for _, r := range ranges {
			if compareKeys(row, r.first) >= 0 && compareKeys(row, r.next) < 0 {
				return true
			}
		}
	}
	return false
}

// noteClean keeps, in w itself, the promise that no key has garbage up to apply.clean: a
// late write may leave some. It returns what apply.clean was, and is to be again if w fails.
// The caller holds the apply lock.
func (s *pebbleStore) noteClean(w *write) (before uint64, err error) {
	before = s.apply.clean
	if w.highTS == 0 || w.lowTS > before {
		return before, nil
	}
	s.apply.clean = max(w.lowTS, 1) - 1
	return before, putMeta(w.batch, metaClean, s.apply.clean)
}
