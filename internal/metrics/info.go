package metrics

import (
	"strconv"

	"github.com/elastickv/elastickv/internal/server"
)

// Info returns the lines of INFO storage: what an operator looks at first. It asks the
// store only, not the server.
func Info(src Source) []server.Figure {
	var l lines
	s := &sample{store: src.Store.Stats(), pins: src.Pins(), keys: src.Keys(), now: src.Now()}
	st, pass := &s.store, &s.store.Compact
	if st.Failure == nil {
		l.text("store_status", "ok")
	} else {
		l.text("store_status", "failed")
	}
	l.count("last_commit_ts", st.LastCommitTS)
	l.count("last_commit_ms", millis(st.LastCommitTS))
	l.count("retention_floor_ts", st.RetentionFloor)
	l.count("retention_floor_ms", millis(st.RetentionFloor))
	l.decimal("retention_floor_age_seconds", s.age(st.RetentionFloor))
	l.decimal("history_seconds", s.historySeconds())
	l.count("retention_running", uint64(yes(pass.Running)))
	l.count("retention_pass_rows", pass.Pass.Rows)
	l.count("retention_pass_dropped", pass.Pass.Dropped)
	l.count("retention_passes", pass.Passes)
	l.count("retention_last_pass_rows", pass.Last.Rows)
	l.count("retention_last_pass_dropped", pass.Last.Dropped)
	l.count("retention_last_pass_keys", pass.Last.Keys)
	l.decimal("retention_last_pass_seconds", pass.Last.Duration.Seconds())
	l.count("pins", uint64(s.pins.Count))
	l.count("pins_lapsed", uint64(s.pins.Lapsed))
	l.count("oldest_pin_ms", millis(s.pins.OldestTS))
	l.decimal("oldest_pin_age_seconds", s.pins.OldestAge.Seconds())
	l.text("encryption", stageNames[s.keys.Stage])
	l.count("encryption_keys", uint64(s.keys.Count))
	l.count("encryption_active_key", uint64(s.keys.Active))
	l.count("encryption_active_key_uses", s.keys.Uses)
	l.count("reseal_running", uint64(yes(st.Reseal.Running)))
	l.count("reseal_below_key", uint64(st.Reseal.Below))
	l.count("reseal_pass_rows", st.Reseal.Pass.Rows)
	l.count("reseal_pass_sealed", st.Reseal.Pass.Sealed)
	l.count("reseal_left_bytes", st.Reseal.Left)
	l.decimal("version_cache_hit_rate", rate(st.VersionCache.Hits, st.VersionCache.Misses))
	l.decimal("block_cache_hit_rate", rate(st.BlockCache.Hits, st.BlockCache.Misses))
	l.count("disk_bytes", st.DiskBytes)
	l.count("write_stalls", st.Stalls.Count)
	l.decimal("write_stall_seconds", st.Stalls.Duration.Seconds())
	l.count("write_stalled", uint64(yes(st.Stalls.Active)))
	return l
}

// stageNames are the words for Keys.Stage.
var stageNames = [...]string{"clear", "provisioned", "activated", "sealed"}

// rate is the part of look-ups that found something; 0 if there were none.
func rate(hits, misses uint64) float64 { return float64(hits) / float64(max(hits+misses, 1)) }

type lines []server.Figure

func (l *lines) text(name, value string) { *l = append(*l, server.Figure{Name: name, Value: value}) }

func (l *lines) count(name string, n uint64) { l.text(name, strconv.FormatUint(n, 10)) }

func (l *lines) decimal(name string, f float64) { l.text(name, strconv.FormatFloat(f, 'f', 3, 64)) }
