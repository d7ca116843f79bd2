package store

import (
	"errors"
	"fmt"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// engineFormat is pinned, not "the newest", so that a new release of the engine
// cannot make a folder unreadable for the release before by merely opening it.
const engineFormat = pebble.FormatValueSeparation // part of the format

// backgroundPause is what the engine waits for before it tries again what has failed in the
// background. It would not wait at all, and a full disk would fill the log of the server
// with tens of thousands of lines a second. Meanwhile it holds a lock that writes need when
// a memtable is full, which then have to wait anyway.
const backgroundPause = 100 * time.Millisecond

// memTablesMost is how many memtables there are before writers wait: one is being filled, the
// others are being written to tables.
const memTablesMost = 4

// memTableSize is the size of a memtable, in bytes. Memtables take their memory from the cache of
// blocks: all of them together may take half of it, lest reads find an empty cache while there are
// writes. Within that large ones absorb rewrites of hot keys before they reach a table. But a row has to find its place in one, which
// takes a tenth more of the time of a SET with 16 MiB than with 8, as less of it is in the processor's caches; and whoever opens
// the folder after a crash reads again what was in all of them.
func memTableSize(cacheSize int64) uint64 {
	const least, most = 1 << 20, 8 << 20
	return uint64(min(max(cacheSize/(2*memTablesMost), least), most))
}

// setTableSizes has tables of 4 MiB at the top, which keeps compactions short, and twice as large ones on each further level. Who
// writes one keeps in memory the values of versions that are not the newest until it is finished, in pieces of a block
// each with room for up to four: so a table is at most an eighth of the cache.
func setTableSizes(o *pebble.Options) {
	const least, most = 4 << 20, 128 << 20
	for i := range o.TargetFileSizes {
		o.TargetFileSizes[i] = min(least<<i, max(least, o.CacheSize/8), most)
	}
}

// engineOptions returns the options the engine is opened with. Without a clock now is always the same.
func engineOptions(fs vfs.FS, cacheSize int64, now func() time.Time, logger *engineLogger) *pebble.Options {
	log := logger.log
	o := &pebble.Options{
		FS:                 fs,
		Comparer:           keyComparer,
		FormatMajorVersion: engineFormat,
		CacheSize:          cacheSize,
		Logger:             logger,

		// The engine starts at 256 KiB and doubles, so that a small store does not pay for
		// large memtables.
		MemTableSize:                memTableSize(cacheSize),
		MemTableStopWritesThreshold: memTablesMost,

		// A compaction of L0 rewrites most of the level below. With 64 MiB of it at a time that
		// was a third of all the time under writes, with twice or three times as much it is an eighth. Every sublevel costs each
		// point read one more filter probe, but most reads are answered by the version
		// cache. Stop writers late, because a burst is better absorbed than refused.
		L0CompactionThreshold: 16,
		L0StopWritesThreshold: 1000,
		LBaseMaxBytes:         64 << 20,
		FlushSplitBytes:       2 << 20,

		// Half of the processors may compact; the rest serves.
		CompactionConcurrencyRange: func() (int, int) { return 1, max(1, runtime.GOMAXPROCS(0)/2) },

		// See pebble_log.go.
		DisableWAL: true,
	}
	setTableSizes(o)
	for i := range o.Levels {
		l := &o.Levels[i]
		// A point read decodes one block: large blocks compress better, small
		// ones read faster.
		l.BlockSize = 8 << 10
		l.IndexBlockSize = 64 << 10
		// Ten bits per bound, one false positive in a hundred. The filter holds
		// bounds and not rows, so one probe answers for all versions.
		l.FilterPolicy = bloom.FilterPolicy(10)
		// A fifth of the time under writes went into a stronger compression of the last level.
		l.Compression = func() *sstable.CompressionProfile { return sstable.FastestCompression }
	}
	o.BlockPropertyCollectors = []func() pebble.BlockPropertyCollector{func() pebble.BlockPropertyCollector {
		return newInTurns(newTimesCollector(), now)
	}}
	// A restore takes effect in one edit of the manifest, not by way of the log.
	o.Experimental.DisableIngestAsFlushable = func() bool { return true }
	o.EventListener = &pebble.EventListener{
		FlushEnd: func(i pebble.FlushInfo) { logger.flushed.Store(&i.Err) },
		BackgroundError: func(err error) {
			if flushed := logger.flushed.Load(); flushed != nil && errors.Is(err, *flushed) {
				// An engine that is being opened would try again without a pause, for
				// ever, to write a table to a disk that takes none.
				logger.endOpening(err)
			}
			log.Error("store engine: background work failed and is retried", slog.Any("err", oneLine{err}))
			time.Sleep(backgroundPause)
		},
		// Whoever reads what is damaged gets the error; everything else goes on.
		DataCorruption: func(i pebble.DataCorruptionInfo) {
			logDamage(log, i.Path, i.Details)
		},
		WriteStallBegin: func(i pebble.WriteStallBeginInfo) {
			log.Warn("store engine: writes wait for background work", slog.String("reason", i.Reason))
		},
		WriteStallEnd: func() { log.Info("store engine: writes go on") },
	}
	o.EnsureDefaults()
	return o
}

// logDamage tells that a file of the engine's is damaged.
func logDamage(log *slog.Logger, file string, err error) {
	log.Error("store engine: a file is damaged; check the disk, and restore a backup", slog.String("file", file), slog.Any("err", oneLine{err}))
}

// engineLogger hands the engine's messages to a slog.Logger: its running
// commentary at debug level only.
type engineLogger struct {
	log     *slog.Logger
	state   atomic.Int32          // engineOpening or what follows it
	failed  chan error            // what has ended the opening; of size 1
	flushed atomic.Pointer[error] // what came of the last flush
}

// The states of an engine. It leaves the first one once.
const (
	engineOpening int32 = iota
	engineOpen
	engineGivenUp
)

func newEngineLogger(log *slog.Logger) *engineLogger {
	return &engineLogger{log: log, failed: make(chan error, 1)}
}

// endOpening gives up the engine if it is being opened, and then does not return.
func (l *engineLogger) endOpening(err error) {
	if l.state.CompareAndSwap(engineOpening, engineGivenUp) {
		l.failed <- err
	}
	if l.state.Load() == engineGivenUp {
		runtime.Goexit() // the engine's deferred calls release its locks
	}
}

// Infof implements pebble.Logger.
func (l *engineLogger) Infof(format string, args ...any) { l.log.Debug(enginef(format, args)) }

// Errorf implements pebble.Logger.
func (l *engineLogger) Errorf(format string, args ...any) { l.log.Error(enginef(format, args)) }

// Fatalf implements pebble.Logger. The engine calls it where it cannot go on, for
// example when it cannot record which tables there are, and must not get control
// back: it would work on from a state that is not on the disk. Everything
// acknowledged is in the write-ahead log, so the process ends. It ends by a
// panic that nobody can recover from, because the engine's locks are lost; but
// an engine that is being opened is given up.
func (l *engineLogger) Fatalf(format string, args ...any) {
	err := engineFailure(enginef(format, args))
	l.log.Error(string(err))
	l.endOpening(err)
	go panic(err)
	select {}
}

// engineFailure is what Fatalf panics with.
type engineFailure string

// Error implements error.
func (e engineFailure) Error() string { return string(e) }

func enginef(format string, args []any) string {
	return "store engine: " + strings.Join(strings.Fields(fmt.Sprintf(format, args...)), " ")
}

// parseFSMSyncMode reports whether mode asks for an fsync. What it does not
// know it takes for the safe one, with a warning.
func parseFSMSyncMode(mode FSMSyncMode, log *slog.Logger) bool {
	switch FSMSyncMode(strings.ToLower(strings.TrimSpace(string(mode)))) {
	case "", FSMSync:
		return true
	case FSMNoSync:
		return false
	}
	log.Warn("store: unknown sync mode; every write is fsynced", slog.String("variable", fsmSyncModeVariable),
		slog.String("value", string(mode)), slog.String("known", "sync, nosync"))
	return true
}
