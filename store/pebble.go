package store

import (
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/elastickv/elastickv/internal/wal"
	"github.com/elastickv/elastickv/internal/watermark"
)

// pebbleStore keeps versions in a folder, one row of the engine per version.
//
// Lock order: restoring, compaction.running or resealing, apply, publish. Below them, and never
// one inside another: gaps, a shard of versions, pages, the conflict counts, the log's own, open
// snapshots, views.closing, progress, reseals, stalls. Readers take only gaps and a shard, for a look-up in memory.
type pebbleStore struct {
	dir       string                // immutable, as are all fields up to gate
	fs        vfs.FS                // where dir is
	log       *slog.Logger          // never nil
	cacheSize int64                 // bytes
	fsmMode   *FSMSyncMode          // nil until the environment has been read
	fsmSync   bool                  // Raft writes are fsynced before they return
	tune      func(*pebble.Options) // nil but in tests
	logAhead  int                   // wal.Options.Ahead; 0 but in tests
	logSize   int64                 // wal.Options.FileSize; 0 but in tests
	engine    *pebble.Options
	lock      *pebble.Lock
	db        *pebble.DB
	wal       *wal.Log
	watermark *watermark.File
	views     views
	blobs     blobs
	seal      sealing

	tombstonesMost int // defaultTombstonesMost unless a test has set it

	gate      *gate
	conflicts conflictCounts
	gaps      gaps
	versions  versionCache
	pages     pages
	absence   absence
	cached    int64 // bytes that versions may take
	unflushed unflushed
	points    []Span // that are read by the key alone

	// ranges are all range tombstones. A reader takes them before it opens its view of
	// the engine: one that is gone from here has nothing left to hide in any view opened
	// later. Changed under the apply lock; rangeMoves is odd while the engine and
	// ranges may disagree.
	ranges     atomic.Pointer[rangeIndex]
	rangeMoves atomic.Uint64

	lastCommitTS atomic.Uint64 // of what is durable, or applied on the Raft path
	floor        atomic.Uint64 // durable before it shows here; no version it needs is gone
	appliedIndex atomic.Uint64
	failed       atomic.Pointer[error] // set once; from then on nothing is written
	shownTS      atomic.Uint64         // of what every read sees that is at or above it
	inFlight     atomic.Uint64         // lowest timestamp of the batch that is being applied; 0 if none is
	written      atomic.Uint64         // rows, but for those of compactions

	// apply serialises writes: a conflict check and the batch that relies on it
	// are one step. No fsync happens under it.
	apply struct {
		sync.Mutex
		stagedTS    uint64 // highest commit timestamp handed to the engine
		unmarked    int    // rows since the last one that says so
		stagedFloor uint64 // highest floor handed to the engine
		stagedIndex uint64 // highest applied index handed to the engine
		epoch       uint64 // number of restores; what was staged in an earlier one is replaced
		// clean: no key has garbage up to it, but where the pass under way has not been; durable
		clean      uint64
		lateLow    uint64      // lowest timestamp written at or below the floor since the last pass began
		collecting *collecting // what a compaction wants to know of writes; nil while there is none
		bounds     commitBounds
	}

	// publish guards the move of lastCommitTS and floor against a restore.
	publish struct {
		sync.Mutex
		epoch uint64
	}

	restoring  sync.Mutex // held by Restore from its first byte to its end
	compaction compaction
	progress   compactProgress
	stalls     writeStalls
	resealing  sync.Mutex // held by Reseal from its first row to its end
	reseals    resealProgress
	snapshots  struct {
		sync.Mutex
		open      map[*pebbleSnapshot]struct{}
		lowestKey uint32 // no row is clear or sealed under a lower one, as far as this process knows
	}
}

var _ Engine = (*pebbleStore)(nil)

// PebbleStoreOption configures the store that NewPebbleStore returns.
type PebbleStoreOption func(*pebbleStore)

// FSMSyncMode says whether a write of the Raft path is fsynced.
type FSMSyncMode string

// The modes of the Raft path.
const (
	FSMSync   FSMSyncMode = "sync"   // durable before the call returns
	FSMNoSync FSMSyncMode = "nosync" // left to the caller's log, which can replay it
)

// fsmSyncModeVariable is the environment variable that NewPebbleStore reads
// once, unless WithFSMSyncMode has been given.
const fsmSyncModeVariable = "ELASTICKV_FSM_SYNC_MODE"

// defaultCacheSize suits a small machine; a dedicated one wants a quarter of
// its memory.
const defaultCacheSize = 128 << 20

// WithPebbleLogger sets the logger; the default discards. nil changes nothing.
func WithPebbleLogger(l *slog.Logger) PebbleStoreOption {
	return func(s *pebbleStore) {
		if l != nil {
			s.log = l
		}
	}
}

// WithCacheSize sets the size in bytes of the cache of decoded blocks, out of which memtables
// take up to half; 0 or less leaves the default of 128 MiB. Too small a cache makes every read decode a block.
func WithCacheSize(bytes int64) PebbleStoreOption {
	return func(s *pebbleStore) {
		if bytes > 0 {
			s.cacheSize = bytes
		}
	}
}

// WithVersionCacheSize sets the size in bytes of the cache of newest versions,
// which answers reads of keys that were used lately without the engine, and, with up to half
// of it, walks over spans that were walked lately; below 0
// there is none, and 0 leaves the default of 64 MiB.
func WithVersionCacheSize(bytes int64) PebbleStoreOption {
	return func(s *pebbleStore) {
		if bytes != 0 {
			s.cached = bytes
		}
	}
}

// WithFSMSyncMode overrides ELASTICKV_FSM_SYNC_MODE.
func WithFSMSyncMode(mode FSMSyncMode) PebbleStoreOption {
	return func(s *pebbleStore) { s.fsmMode = &mode }
}

// WithFS puts the folder on another file system than the machine's: one in
// memory, or one that injects faults. nil changes nothing.
func WithFS(fs vfs.FS) PebbleStoreOption {
	return func(s *pebbleStore) {
		if fs != nil {
			s.fs = fs
		}
	}
}

// NewPebbleStore opens the store in dir, which is created, for its owner only, if it does
// not exist. The result implements Engine. It fails with ErrFolderLocked,
// ErrForeignFolder, ErrNewerFormat, ErrDamagedFolder, ErrTooManyFiles or ErrDiskFull, or,
// if deletions of whole spans are sealed and cannot be opened, ErrValueSealed or
// ErrEncryptedReadIntegrity; and then has
// changed nothing in a folder that it did not create.
func NewPebbleStore(dir string, opts ...PebbleStoreOption) (MVCCStore, error) {
	s := &pebbleStore{
		dir:       dir,
		fs:        vfs.Default,
		log:       slog.New(slog.DiscardHandler),
		cacheSize: defaultCacheSize,
		gate:      newGate(),

		tombstonesMost: defaultTombstonesMost,
	}
	s.gaps.init()
	s.blobs.policy = blobPolicy()
	s.cached = defaultVersionCacheSize
	s.snapshots.open = map[*pebbleSnapshot]struct{}{}
	s.compaction.running = make(chan struct{}, 1)
	s.apply.lateLow = maxTS
	for _, opt := range opts {
		opt(s)
	}
	s.versions.init(s.cached, &s.pages.bytes)
	s.pages.init(s.cached)
	if s.fsmMode == nil {
		mode := FSMSyncMode(os.Getenv(fsmSyncModeVariable))
		s.fsmMode = &mode
	}
	s.fsmSync = parseFSMSyncMode(*s.fsmMode, s.log)
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

// LastCommitTS implements MVCCStore.
func (s *pebbleStore) LastCommitTS() uint64 { return s.lastCommitTS.Load() }

// LastAppliedIndex implements Engine.
func (s *pebbleStore) LastAppliedIndex() uint64 { return s.appliedIndex.Load() }

// MinRetainedTS implements RetentionController.
func (s *pebbleStore) MinRetainedTS() uint64 { return s.floor.Load() }

// WriteConflictCountsByPrefix implements MVCCStore.
func (s *pebbleStore) WriteConflictCountsByPrefix() map[string]uint64 { return s.conflicts.snapshot() }

// VersionCacheStats returns the figures of the cache of newest versions.
func (s *pebbleStore) VersionCacheStats() VersionCacheStats { return s.versions.stats() }

// settled reports whether what gaps and versions say holds for reads at ts. While a
// batch is being applied, the engine may show it before they do: reads that would see
// it then ask the engine. It is asked before gaps and versions are: asked behind them it may
// find the batch done that they did not have yet, and the read would go back behind one
// that the engine has answered.
func (s *pebbleStore) settled(ts uint64) bool {
	low := s.inFlight.Load()
	return low == 0 || ts < low
}

// enter lets a call in, which must then leave by s.gate.leave.
func (s *pebbleStore) enter() error {
	if !s.gate.enter() {
		return ErrClosed
	}
	return nil
}

// Close implements MVCCStore. It ends open snapshots, waits for calls that are
// inside and makes everything durable. Closing twice is harmless.
func (s *pebbleStore) Close() error {
	if !s.gate.shut() {
		return nil
	}
	s.closeSnapshots()
	s.views.shut()
	err := firstError(s.closeEngine(), s.watermark.Close())
	if lockErr := s.lock.Close(); err == nil {
		err = lockErr
	}
	if err != nil {
		return fmt.Errorf("store: close %s: %w", s.dir, oneLine{err})
	}
	return nil
}
