package metrics

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/elastickv/elastickv/store"
)

// storeMetrics are the figures of versions, retention and the engine.
var storeMetrics = []metric{
	{name: "store_write_conflict_total", help: "Transactions refused because another one had written their keys since they began, by kind (a key that was to be written, or only read) and class of key.",
		kind: prometheus.CounterValue, labels: []string{"kind", "key_prefix"}, read: readConflicts},
	gauge("store_writable", "1 while the store takes writes. 0: its log could not be made durable, and only a restart helps.",
		func(s *sample) int { return yes(s.store.Failure == nil) }),
	gauge("store_last_commit_timestamp_seconds", "Unix time of the newest write that no crash can take back; 0 if there is none.",
		func(s *sample) float64 { return seconds(s.store.LastCommitTS) }),
	gauge("store_applied_index", "Highest index of a replicated log that has been applied; 0 without one.",
		func(s *sample) uint64 { return s.store.AppliedIndex }),
	gauge("store_disk_bytes", "Size of all files of the store, those included that are about to be deleted.",
		func(s *sample) uint64 { return s.store.DiskBytes }),
	gauge("store_ranges", "Spans of keys that were deleted as a whole and still hide versions.",
		func(s *sample) int64 { return s.store.Ranges }),
	gauge("store_gaps", "Spans of deleted keys that are known, so that scans leave them out.",
		func(s *sample) int64 { return s.store.Gaps }),

	gauge("store_retention_floor_timestamp_seconds", "Unix time from which on history is kept: reads of an earlier moment fail. 0 while nothing has been dropped.",
		func(s *sample) float64 { return seconds(s.store.RetentionFloor) }),
	gauge("store_retention_floor_age_seconds", "How long ago the retention floor is. It grows for ever on a server that nobody writes to. 0 while nothing has been dropped.",
		func(s *sample) float64 { return s.age(s.store.RetentionFloor) }),
	gauge("store_history_seconds", "How much history is kept: from the retention floor to the newest write. About the setting retention, plus up to one interval. 0 while nothing has been dropped.",
		func(s *sample) float64 { return s.historySeconds() }),
	gauge("store_retention_running", "1 while a pass over all keys looks for versions to drop.",
		func(s *sample) int { return yes(s.store.Compact.Running) }),
	gauge("store_retention_pass_rows", "Versions that the unfinished pass has looked at; 0 if there is none.",
		func(s *sample) uint64 { return s.store.Compact.Pass.Rows }),
	gauge("store_retention_last_pass_rows", "Versions that the last finished pass has looked at.",
		func(s *sample) uint64 { return s.store.Compact.Last.Rows }),
	gauge("store_retention_last_pass_seconds", "How long the last finished pass was at work.",
		func(s *sample) float64 { return s.store.Compact.Last.Duration.Seconds() }),
	counter("store_retention_passes_total", "Passes over all keys that were finished.",
		func(s *sample) uint64 { return s.store.Compact.Passes }),
	counter("store_retention_seconds_total", "Time that passes were at work.",
		func(s *sample) float64 { return s.store.Compact.Total.Duration.Seconds() }),
	counter("store_retention_rows_total", "Versions that passes have looked at.",
		func(s *sample) uint64 { return s.store.Compact.Total.Rows }),
	counter("store_retention_versions_dropped_total", "Versions that passes have dropped one by one.",
		func(s *sample) uint64 { return s.store.Compact.Total.Dropped }),
	counter("store_retention_ranges_dropped_total", "Times that many versions in a row, of one key or of several, were dropped at once.",
		func(s *sample) uint64 { return s.store.Compact.Total.Ranges }),
	counter("store_retention_keys_dropped_total", "Keys of which passes have left nothing: deleted or expired. Those dropped many at once are not all counted.",
		func(s *sample) uint64 { return s.store.Compact.Total.Keys }),
	counter("store_retention_skips_total", "Times that passes have gone over keys unread because they have nothing to drop.",
		func(s *sample) uint64 { return s.store.Compact.Total.Skipped }),

	gauge("encryption_stage", "0 values are clear; 1 there are keys, and values are still written clear; 2 what is written is sealed; 3 every value is sealed, and a clear one is refused.",
		func(s *sample) int { return s.keys.Stage }),
	gauge("encryption_keys", "Keys that values are, or may be, sealed under.",
		func(s *sample) int { return s.keys.Count }),
	gauge("encryption_active_key", "Number of the key that values are sealed under; 0 if there is none.",
		func(s *sample) uint64 { return uint64(s.keys.Active) }),
	gauge("encryption_active_key_uses", "Rows that this process has sealed under the active key.",
		func(s *sample) uint64 { return s.keys.Uses }),
	gauge("encryption_active_key_uses_limit", "Uses after which another key takes over by itself.",
		func(s *sample) uint64 { return s.keys.RenewAt }),
	gauge("store_reseal_running", "1 while rows are sealed that were clear, or sealed again that were under older keys.",
		func(s *sample) int { return yes(s.store.Reseal.Running) }),
	gauge("store_reseal_failed", "1 if the last pass that sealed rows again has ended before its end; the log says why.",
		func(s *sample) int { return yes(s.store.Reseal.Failure != nil) }),
	gauge("store_reseal_below_key", "The pass at hand, or the last one, seals rows again that are under a lower key; clear rows count as 0.",
		func(s *sample) uint64 { return uint64(s.store.Reseal.Below) }),
	gauge("store_reseal_left_bytes", "Bytes on the disk that the pass has yet to look at; an estimate.",
		func(s *sample) uint64 { return s.store.Reseal.Left }),
	gauge("store_reseal_pass_rows", "Rows that the pass at hand, or the last one, has looked at.",
		func(s *sample) uint64 { return s.store.Reseal.Pass.Rows }),
	gauge("store_reseal_pass_sealed", "Rows that the pass at hand, or the last one, has sealed or sealed again.",
		func(s *sample) uint64 { return s.store.Reseal.Pass.Sealed }),
	gauge("store_reseal_pass_bytes", "Bytes that the pass at hand, or the last one, has read and written.",
		func(s *sample) uint64 { return s.store.Reseal.Pass.Bytes }),
	counter("store_reseal_passes_total", "Passes over all rows that came to their end.",
		func(s *sample) uint64 { return s.store.Reseal.Passes }),
	counter("store_reseal_rows_total", "Rows that passes have looked at.",
		func(s *sample) uint64 { return s.store.Reseal.Total.Rows }),
	counter("store_reseal_sealed_total", "Rows that passes have sealed or sealed again.",
		func(s *sample) uint64 { return s.store.Reseal.Total.Sealed }),
	counter("store_reseal_bytes_total", "Bytes that passes have read and written.",
		func(s *sample) uint64 { return s.store.Reseal.Total.Bytes }),

	gauge("pins", "Transactions in progress that keep the history that they read.",
		func(s *sample) int { return s.pins.Count }),
	gauge("pins_lapsed", "Transactions that have been open for too long to keep history; their reads may fail.",
		func(s *sample) int { return s.pins.Lapsed }),
	gauge("oldest_pin_timestamp_seconds", "Unix time of the oldest moment that a transaction in progress reads; 0 if there is none.",
		func(s *sample) float64 { return seconds(s.pins.OldestTS) }),
	gauge("oldest_pin_age_seconds", "For how long the transaction that reads the oldest moment has been under way.",
		func(s *sample) float64 { return s.pins.OldestAge.Seconds() }),

	counter("store_version_cache_hits_total", "Look-ups of keys that the newest-version cache has answered.",
		func(s *sample) uint64 { return s.store.VersionCache.Hits }),
	counter("store_version_cache_misses_total", "Look-ups of keys that the newest-version cache could not answer.",
		func(s *sample) uint64 { return s.store.VersionCache.Misses }),
	gauge("store_version_cache_entries", "Keys in the newest-version cache.",
		func(s *sample) int64 { return s.store.VersionCache.Entries }),
	gauge("store_version_cache_bytes", "Memory of the newest-version cache, about.",
		func(s *sample) int64 { return s.store.VersionCache.Bytes }),
	gauge("store_pages", "Spans of keys of which all rows are in memory, because they were walked lately.",
		func(s *sample) int64 { return s.store.Pages.Count }),
	gauge("store_pages_bytes", "Memory of these, about. The newest-version cache gives way to them.",
		func(s *sample) int64 { return s.store.Pages.Bytes }),
	counter("store_pages_walks_total", "Walks over rows that found the first of them there.",
		func(s *sample) uint64 { return s.store.Pages.Walks }),
	counter("store_block_cache_hits_total", "Blocks of tables that were found in memory.",
		func(s *sample) uint64 { return s.store.BlockCache.Hits }),
	counter("store_block_cache_misses_total", "Blocks of tables that had to be read from the disk and decoded.",
		func(s *sample) uint64 { return s.store.BlockCache.Misses }),
	gauge("store_block_cache_bytes", "Memory that decoded blocks take.",
		func(s *sample) int64 { return s.store.BlockCache.Bytes }),
	gauge("store_block_cache_capacity_bytes", "Memory that decoded blocks and write buffers may take together: a part of memory-limit.",
		func(s *sample) int64 { return s.store.BlockCache.Capacity }),

	byLevel("store_level_tables", "Tables of a level of the engine's tree.",
		func(l *store.LevelStats) float64 { return float64(l.Tables) }),
	byLevel("store_level_bytes", "Size of the tables of a level.",
		func(l *store.LevelStats) float64 { return float64(l.Bytes) }),
	byLevel("store_level_read_amplification", "Tables of a level that one read may have to look into. Their sum is what a read that finds nothing in memory costs.",
		func(l *store.LevelStats) float64 { return float64(l.ReadAmplification) }),
	gauge("store_memtables", "Write buffers in memory, one of them in use; the others wait to be written to tables.",
		func(s *sample) int64 { return s.store.MemTables.Count }),
	gauge("store_memtable_bytes", "Memory of the write buffers.",
		func(s *sample) uint64 { return s.store.MemTables.Bytes }),
	gauge("store_wal_files", "Files of the write-ahead log.",
		func(s *sample) int64 { return s.store.WAL.Files }),
	gauge("store_wal_bytes", "Size of the files of the write-ahead log. A restart has to read what is in use of it.",
		func(s *sample) uint64 { return s.store.WAL.Bytes }),
	counter("store_wal_written_bytes_total", "Bytes written to the write-ahead log.",
		func(s *sample) uint64 { return s.store.WAL.Written }),
	counter("store_flushes_total", "Write buffers that were written to tables.",
		func(s *sample) uint64 { return s.store.Flushes.Count }),
	gauge("store_flushes_in_progress", "Write buffers that are being written to tables.",
		func(s *sample) int64 { return s.store.Flushes.InProgress }),
	counter("store_flush_written_bytes_total", "Bytes of tables written from write buffers.",
		func(s *sample) uint64 { return s.store.Flushes.Written }),
	counter("store_engine_compactions_total", "Times that the engine has merged tables.",
		func(s *sample) uint64 { return s.store.Compactions.Count }),
	gauge("store_engine_compactions_in_progress", "Merges of tables that are going on.",
		func(s *sample) int64 { return s.store.Compactions.InProgress }),
	counter("store_engine_compaction_read_bytes_total", "Bytes of tables read to merge them.",
		func(s *sample) uint64 { return s.store.Compactions.Read }),
	counter("store_engine_compaction_written_bytes_total", "Bytes of tables written by merges.",
		func(s *sample) uint64 { return s.store.Compactions.Written }),
	gauge("store_engine_compaction_debt_bytes", "Bytes that have to be merged until the tree is at rest; an estimate. It keeps growing if the disk is too slow for the writes.",
		func(s *sample) uint64 { return s.store.Compactions.Debt }),
	counter("store_write_stalls_total", "Times that writes had to wait because flushes or merges had fallen behind.",
		func(s *sample) uint64 { return s.store.Stalls.Count }),
	counter("store_write_stall_seconds_total", "Time that writes have waited for flushes or merges.",
		func(s *sample) float64 { return s.store.Stalls.Duration.Seconds() }),
	gauge("store_write_stalled", "1 while writes wait for flushes or merges.",
		func(s *sample) int { return yes(s.store.Stalls.Active) }),
}

// readConflicts leaves out labels that are none; the store makes only such as it can decode.
func readConflicts(s *sample, emit emit) {
	for label, n := range s.conflicts {
		if kind, class, ok := store.DecodeWriteConflictLabel(label); ok {
			emit(float64(n), kind, class)
		}
	}
}

// byLevel is a row of gauges with the level of the engine's tree as label, 0 for the newest rows.
func byLevel(name, help string, read func(*store.LevelStats) float64) metric {
	return metric{name: name, help: help, kind: prometheus.GaugeValue, labels: []string{"level"},
		read: func(s *sample, emit emit) {
			for i := range s.store.Levels {
				emit(read(&s.store.Levels[i]), strconv.Itoa(i))
			}
		}}
}
