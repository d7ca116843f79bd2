package wal

import (
	"slices"
	"time"
)

// SyncBounds are the upper bounds of the durations that syncs are counted by.
var SyncBounds = []time.Duration{
	100 * time.Microsecond, 200 * time.Microsecond, 500 * time.Microsecond,
	time.Millisecond, 2 * time.Millisecond, 5 * time.Millisecond,
	10 * time.Millisecond, 20 * time.Millisecond, 50 * time.Millisecond,
	100 * time.Millisecond, 200 * time.Millisecond, 500 * time.Millisecond,
	time.Second, 2 * time.Second, 5 * time.Second, 10 * time.Second,
}

// Stats are the figures of a log.
type Stats struct {
	Files   int    // those that are needed, and those that wait to be written again
	Bytes   uint64 // in them
	Written uint64 // bytes since it was opened

	// Syncs counts, for each of SyncBounds, those that took no longer than that.
	Syncs    []uint64
	SyncsAll uint64
	SyncTime time.Duration // of all
}

func (s *Stats) wrote(f *file, bytes int) {
	s.Written += uint64(bytes)
	if s.Files = len(f.begin); s.Files > 0 { // or it has failed
		s.Bytes = uint64(f.end - f.begin[0])
	}
}

func (s *Stats) synced(took time.Duration) {
	s.SyncsAll++
	s.SyncTime += took
	for i, bound := range SyncBounds {
		if took <= bound {
			s.Syncs[i]++
		}
	}
}

// Stats returns the figures of now.
func (l *Log) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	st := l.stats
	st.Syncs = slices.Clone(st.Syncs)
	return st
}
