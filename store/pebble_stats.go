package store

import (
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"

	"github.com/elastickv/elastickv/internal/wal"
)

// StatsReporter is a store that can tell how it is. The store of NewPebbleStore is one.
type StatsReporter interface {
	// Stats returns the figures of this moment. It waits for no write, but costs
	// enough not to be called for each of them: once a second does no harm.
	Stats() Stats
}

// Stats are figures of a store. What is counted is counted since it was opened; timestamps are
// hybrid-logical; sizes are in bytes.
type Stats struct {
	LastCommitTS   uint64 // as MVCCStore.LastCommitTS
	RetentionFloor uint64 // as RetentionController.MinRetainedTS; 0 while nothing has been dropped
	AppliedIndex   uint64 // as Engine.LastAppliedIndex
	Failure        error  // why the store takes no more writes; nil while it does

	DiskBytes    uint64 // all files, those included that are about to be deleted
	VersionCache VersionCacheStats
	Pages        PagesStats
	BlockCache   BlockCacheStats
	Gaps         int64 // spans of dead keys that scans leave out
	Ranges       int64 // spans that were deleted as a whole and still hide versions

	Levels      []LevelStats // of the tree of tables, the newest rows first
	MemTables   MemTableStats
	WAL         WALStats
	Flushes     FlushStats
	Compactions EngineCompactionStats
	Stalls      StallStats
	Reseal      ResealStats
	Compact     CompactProgress // what Compact does, as opposed to the engine's own compactions
}

// PagesStats are figures of the spans whose rows are in memory.
type PagesStats struct {
	Count int64
	Bytes int64  // a part of what WithVersionCacheSize allows
	Walks uint64 // that found a page, since the store was opened
}

// BlockCacheStats are figures of the cache of decoded blocks.
type BlockCacheStats struct {
	Bytes        int64
	Capacity     int64  // bytes, as WithCacheSize has it
	Hits, Misses uint64 // look-ups of blocks
}

// LevelStats are figures of one level of the tree.
type LevelStats struct {
	Tables int64
	Bytes  uint64 // of the tables, with the values that they keep elsewhere
	// ReadAmplification is how many tables of the level a read may have to look
	// into: 0 if it is empty, 1 below the first level.
	ReadAmplification int
}

// MemTableStats are figures of the rows that are not yet in a table.
type MemTableStats struct {
	Count int64
	Bytes uint64
}

// WALStats are figures of the write-ahead log.
type WALStats struct {
	Files   int64
	Bytes   uint64 // of the files, those included that wait to be used again
	Written uint64 // bytes
	// Sync tells how long it took to make the log durable, in seconds.
	Sync Histogram
}

// FlushStats are figures of the work of turning memtables into tables.
type FlushStats struct {
	Count      uint64
	InProgress int64
	Written    uint64 // bytes
}

// EngineCompactionStats are figures of the engine's merging of tables.
type EngineCompactionStats struct {
	Count      uint64
	InProgress int64
	Read       uint64 // bytes
	Written    uint64 // bytes
	Debt       uint64 // bytes that have to be merged until the tree is at rest; an estimate
}

// StallStats tell of writes that had to wait because the engine fell behind.
type StallStats struct {
	Count    uint64
	Active   bool          // one is going on
	Duration time.Duration // of all of them; 0 without WithNow
}

// Histogram counts observations by size.
type Histogram struct {
	Bounds []float64 // upper bounds, inclusive and rising
	Counts []uint64  // Counts[i] is how many observations were at most Bounds[i]
	Count  uint64    // all observations
	Sum    float64   // of all observations
}

// WithNow gives the store the clock, usually time.Now, that it measures durations for Stats by, and how long Compact has
// worked before it gives way to others. Without it there are no durations, and Compact goes by how much it has done.
func WithNow(now func() time.Time) PebbleStoreOption {
	return func(s *pebbleStore) { s.progress.now, s.stalls.now = now, now }
}

var _ StatsReporter = (*pebbleStore)(nil)

// Stats implements StatsReporter. Of a store that is closed there is only Failure.
func (s *pebbleStore) Stats() Stats {
	if err := s.enter(); err != nil {
		return Stats{Failure: err}
	}
	defer s.gate.leave()
	m := s.db.Metrics()
	st := Stats{
		LastCommitTS:   s.LastCommitTS(),
		RetentionFloor: s.MinRetainedTS(),
		AppliedIndex:   s.LastAppliedIndex(),
		Failure:        s.failure(),
		DiskBytes:      m.DiskSpaceUsage(),
		VersionCache:   s.versions.stats(),
		Pages:          s.pages.stats(),
		BlockCache: BlockCacheStats{Bytes: m.BlockCache.Size, Capacity: s.cacheSize,
			Hits: uint64(m.BlockCache.Hits), Misses: uint64(m.BlockCache.Misses)},
		Gaps:      s.gaps.count.Load(),
		MemTables: MemTableStats{Count: m.MemTable.Count, Bytes: m.MemTable.Size},
		WAL:       walStats(s.wal.Stats()),
		Flushes:   FlushStats{Count: uint64(m.Flush.Count), InProgress: m.Flush.NumInProgress},
		Compactions: EngineCompactionStats{Count: uint64(m.Compact.Count), InProgress: m.Compact.NumInProgress,
			Debt: m.Compact.EstimatedDebt},
		Stalls:  s.stalls.stats(),
		Reseal:  s.reseals.snapshot(),
		Compact: s.progress.snapshot(),
	}
	st.addLevels(m)
	if ranges := s.ranges.Load(); ranges != nil {
		st.Ranges = int64(ranges.fragments.Len())
	}
	return st
}

// addLevels adds what the engine counts by level.
func (st *Stats) addLevels(m *pebble.Metrics) {
	for i := range m.Levels {
		l := &m.Levels[i]
		st.Levels = append(st.Levels, LevelStats{Tables: l.TablesCount, Bytes: uint64(l.AggregateSize()), ReadAmplification: int(l.Sublevels)})
		st.Flushes.Written += l.TableBytesFlushed + l.BlobBytesFlushed
		st.Compactions.Read += l.TableBytesRead + l.BlobBytesReadEstimate
		st.Compactions.Written += l.TableBytesCompacted + l.BlobBytesCompacted
	}
}

func walStats(st wal.Stats) WALStats {
	syncs := Histogram{Counts: st.Syncs, Count: st.SyncsAll, Sum: st.SyncTime.Seconds()}
	for _, bound := range wal.SyncBounds {
		syncs.Bounds = append(syncs.Bounds, bound.Seconds())
	}
	return WALStats{Files: int64(st.Files), Bytes: st.Bytes, Written: st.Written, Sync: syncs}
}

// writeStalls measures for how long writes wait for the engine. The zero value is ready for
// use, without durations.
type writeStalls struct {
	now func() time.Time // nil: no durations; immutable

	mu struct {
		sync.Mutex
		StallStats
		since time.Time // when the active one began
	}
}

// listen has the engine tell of stalls, after what l does already. It calls under its own
// locks, so what is done here is next to nothing.
func (w *writeStalls) listen(l *pebble.EventListener) {
	begin, end := l.WriteStallBegin, l.WriteStallEnd
	l.WriteStallBegin = func(i pebble.WriteStallBeginInfo) {
		w.begin()
		begin(i)
	}
	l.WriteStallEnd = func() {
		w.end()
		end()
	}
}

func (w *writeStalls) begin() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.Count++
	w.mu.Active, w.mu.since = true, w.clock()
}

func (w *writeStalls) end() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.mu.StallStats = w.statsLocked()
	w.mu.Active = false
}

func (w *writeStalls) clock() time.Time {
	if w.now == nil {
		return time.Time{}
	}
	return w.now()
}

func (w *writeStalls) stats() StallStats {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.statsLocked()
}

// statsLocked includes the stall that is going on.
func (w *writeStalls) statsLocked() StallStats {
	st := w.mu.StallStats
	if st.Active {
		st.Duration += w.clock().Sub(w.mu.since)
	}
	return st
}
