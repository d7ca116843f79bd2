package server

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/elastickv/elastickv/internal/acl"
	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/pubsub"
)

var infoRow = &command.Command{
	Name: "info", Arity: -1, Flags: command.Loading | command.Stale, Cats: command.CatDangerous, Group: command.GroupServer,
	Syntax: "[section...]", History: []string{"7.0.0 Takes several sections."},
	Run: info, Since: "1.0.0", Summary: "Returns figures about the server.", Complexity: "O(1)",
	Tips: []string{"nondeterministic_output", "request_policy:all_shards", "response_policy:special"},
}

// section is one part of INFO.
type section struct {
	name    string
	title   string
	special bool // shown only when it is asked for, or all are
	write   func(s *Server, r *report) error
}

var sections = []section{
	{name: "server", title: "Server", write: (*Server).infoServer},
	{name: "clients", title: "Clients", write: (*Server).infoClients},
	{name: "memory", title: "Memory", write: (*Server).infoMemory},
	{name: "persistence", title: "Persistence", write: (*Server).infoPersistence},
	{name: "storage", title: "Storage", write: (*Server).infoStorage},
	{name: "stats", title: "Stats", write: (*Server).infoStats},
	{name: "replication", title: "Replication", write: (*Server).infoReplication},
	{name: "cpu", title: "CPU", write: (*Server).infoCPU},
	{name: "modules", title: "Modules", write: func(*Server, *report) error { return nil }},
	{name: "commandstats", title: "Commandstats", special: true, write: (*Server).infoCommands},
	{name: "errorstats", title: "Errorstats", write: (*Server).infoErrors},
	{name: "latencystats", title: "Latencystats", special: true, write: (*Server).infoLatency},
	{name: "cluster", title: "Cluster", write: func(s *Server, r *report) error { r.add("cluster_enabled", s.shared()); return nil }},
	{name: "keyspace", title: "Keyspace", write: (*Server).infoKeyspace},
}

// report is the text of INFO while it is written.
type report struct{ strings.Builder }

func (r *report) add(name string, value any) {
	switch v := value.(type) {
	case bool:
		value = 0
		if v {
			value = 1
		}
	case float64:
		value = strconv.FormatFloat(v, 'f', 2, 64)
	}
	fmt.Fprintf(r, "%s:%v\r\n", name, value)
}

// memory adds an amount of memory, for programs and for people.
func (r *report) memory(name string, n uint64) {
	r.add(name, n)
	r.add(name+"_human", humanBytes(n))
}

func humanBytes(n uint64) string {
	const units = "BKMGTP"
	f, i := float64(n), 0
	for f >= 1024 && i < len(units)-1 {
		f /= 1024
		i++
	}
	if i == 0 {
		return fmt.Sprintf("%dB", n)
	}
	return fmt.Sprintf("%.2f%c", f, units[i])
}

func info(c *command.Ctx) error {
	wanted := make(map[string]bool)
	for _, a := range c.Args[1:] {
		wanted[strings.ToLower(string(a))] = true
	}
	all := wanted["all"] || wanted["everything"]
	standard := len(wanted) == 0 || wanted["default"]
	var r report
	for _, s := range sections {
		if !all && !wanted[s.name] && (!standard || s.special) {
			continue
		}
		if r.Len() > 0 {
			r.WriteString("\r\n")
		}
		r.WriteString("# " + s.title + "\r\n")
		if err := s.write(serverOf(c), &r); err != nil {
			return err
		}
	}
	c.Out.Verbatim("txt", r.String())
	return nil
}

func (s *Server) infoServer(r *report) error {
	now := s.opts.Now()
	up := now.Sub(s.began)
	exe, _ := os.Executable()
	r.add("redis_version", compatVersion)
	r.add("redis_git_sha1", "00000000") // of a build from a release
	r.add("redis_git_dirty", 0)
	r.add("elastickv_version", s.opts.Version)
	r.add("redis_mode", s.mode())
	r.add("os", runtime.GOOS+" "+runtime.GOARCH)
	r.add("arch_bits", strconv.IntSize)
	r.add("go_version", runtime.Version())
	r.add("process_id", os.Getpid())
	r.add("run_id", s.runID)
	if cfg := s.cfg.Load(); cfg.port != 0 {
		r.add("tcp_port", cfg.port)
	} else {
		r.add("tcp_port", cfg.tls.port)
	}
	r.add("server_time_usec", now.UnixMicro())
	r.add("uptime_in_seconds", int64(up.Seconds()))
	r.add("uptime_in_days", int64(up.Hours()/24))
	r.add("hz", s.cfg.Load().hz)
	r.add("configured_hz", s.cfg.Load().hz)
	r.add("executable", exe)
	r.add("config_file", s.cfg.Load().file)
	s.infoListeners(r)
	return nil
}

func (s *Server) infoClients(r *report) error {
	var input, output int64
	var watching int
	all := s.sessions.all()
	for _, c := range all {
		_, n := c.output.waiting()
		output = max(output, n)
		held, _ := c.in.Usage()
		input = max(input, held)
		if c.facts.watching.Load() > 0 {
			watching++
		}
	}
	r.add("connected_clients", len(all))
	r.add("cluster_connections", 0)
	r.add("maxclients", s.cfg.Load().maxClients)
	r.add("client_recent_max_input_buffer", input)
	r.add("client_recent_max_output_buffer", output)
	r.add("blocked_clients", s.waiters.blocked.Load())
	r.add("tracking_clients", s.tracking.Figures().Clients)
	r.add("watching_clients", watching)
	r.add("total_watched_keys", s.watches.active.Load())
	keys, anyway := s.waiters.counts()
	r.add("total_blocking_keys", keys)
	r.add("total_blocking_keys_on_nokey", anyway)
	return nil
}

// infoMemory compares the dataset, which stands on the disk, with maxmemory, in the words in which
// Redis compares its memory; what the process itself takes is used_memory_rss and process_memory.
func (s *Server) infoMemory(r *report) error {
	dataset, err := s.datasetSize()
	if err != nil {
		return err
	}
	cfg := s.cfg.Load()
	m := s.db.Measured()
	used, process, rss := uint64(startupMemory+dataset), memoryUsed(), memoryResident()
	peak := s.stats.peakMemory(used)
	r.memory("used_memory", used)
	if rss > 0 {
		r.memory("used_memory_rss", rss)
	}
	r.memory("used_memory_peak", peak)
	r.add("used_memory_peak_perc", fmt.Sprintf("%.2f%%", 100*float64(used)/float64(max(peak, 1))))
	r.add("used_memory_overhead", startupMemory)
	r.add("used_memory_startup", startupMemory)
	r.add("used_memory_dataset", dataset)
	r.add("used_memory_dataset_perc", fmt.Sprintf("%.2f%%", 100*float64(dataset)/float64(used)))
	r.add("dataset_counted", m.Exact())
	r.memory("process_memory", process)
	if total := memoryTotal(); total > 0 {
		r.memory("total_system_memory", total)
	}
	r.memory("maxmemory", uint64(cfg.maxMemory))
	r.add("maxmemory_policy", cfg.policy)
	if rss > 0 {
		r.add("mem_fragmentation_ratio", float64(rss)/float64(max(process, 1)))
	}
	r.add("mem_not_counted_for_evict", 0)
	r.add("mem_clients_slaves", 0)
	r.add("mem_clients_normal", s.clientMemory())
	r.add("mem_aof_buffer", 0)
	r.add("mem_allocator", "go")
	r.add("lazyfree_pending_objects", m.Pending)
	r.add("lazyfreed_objects", m.Spans-int64(m.Pending)-s.freedBefore.Load())
	return s.infoScripts(r)
}

// infoPersistence tells that every acknowledged write is on disk. It says so in
// the words that tools look for.
func (s *Server) infoPersistence(r *report) error {
	r.add("loading", 0)
	r.add("async_loading", 0)
	r.add("rdb_changes_since_last_save", s.stats.changes.Load()-s.saved.changes.Load())
	r.add("rdb_bgsave_in_progress", 0)
	r.add("rdb_last_save_time", s.saved.at.Load())
	r.add("rdb_last_bgsave_status", "ok")
	r.add("aof_enabled", 1)
	r.add("aof_rewrite_in_progress", 0)
	r.add("aof_rewrite_scheduled", 0)
	r.add("aof_last_bgrewrite_status", "ok")
	r.add("aof_last_write_status", "ok")
	return nil
}

// infoStorage tells how the store under the server is.
func (s *Server) infoStorage(r *report) error {
	if s.opts.EngineInfo != nil {
		for _, f := range s.opts.EngineInfo() {
			r.add(f.Name, f.Value)
		}
	}
	return nil
}

func (s *Server) infoStats(r *report) error {
	st := &s.stats
	commands, in, out := st.rates(s.opts.Now())
	r.add("total_connections_received", st.connections.Load())
	r.add("total_commands_processed", st.commands.Load())
	r.add("instantaneous_ops_per_sec", int64(commands))
	r.add("total_net_input_bytes", st.received.Load())
	r.add("total_net_output_bytes", st.sent.Load())
	r.add("instantaneous_input_kbps", in/1024)
	r.add("instantaneous_output_kbps", out/1024)
	r.add("rejected_connections", st.refused.Load())
	r.add("client_output_buffer_limit_disconnections", st.overLimit.Load())
	if err := s.infoExpiry(r); err != nil {
		return err
	}
	r.add("keyspace_hits", st.hits.Load())
	r.add("keyspace_misses", st.misses.Load())
	r.add("evicted_keys", s.room.evicted.Load())
	r.add("evicted_clients", st.evicted.Load())
	exceeded, current := s.room.exceeded.times(s.opts.Now())
	r.add("total_eviction_exceeded_time", exceeded.Milliseconds())
	r.add("current_eviction_exceeded_time", current.Milliseconds())
	r.add("pubsub_channels", s.hub.Topics(pubsub.Channel))
	r.add("pubsub_patterns", s.hub.Topics(pubsub.Pattern))
	r.add("pubsubshard_channels", s.hub.Topics(pubsub.Shard))
	r.add("latest_fork_usec", 0)
	r.add("total_forks", 0)
	r.add("migrate_cached_sockets", 0)
	r.add("total_changes", st.changes.Load())
	r.add("acl_access_denied_auth", st.denied.Load())
	r.add("acl_access_denied_cmd", st.deniedCalls[acl.DeniedCommand].Load())
	r.add("acl_access_denied_key", st.deniedCalls[acl.DeniedKey].Load())
	r.add("acl_access_denied_channel", st.deniedCalls[acl.DeniedChannel].Load())
	f := s.tracking.Figures()
	r.add("tracking_total_keys", f.Keys)
	r.add("tracking_total_items", f.Items)
	r.add("tracking_total_prefixes", f.Prefixes)
	r.add("total_error_replies", st.errors.Load())
	if s.shared() {
		r.add("forwarded_calls", st.forwarded.Load())
		r.add("forwarded_answers_lost", st.answersLost.Load())
	}
	r.add("total_reads_processed", st.reads.Load())
	r.add("total_writes_processed", st.writes.Load())
	return nil
}

// staleMost is how many expired keys that are still there are counted, in each database.
const staleMost = 1000

// infoExpiry tells what has expired, and how much of it is still to be removed.
func (s *Server) infoExpiry(r *report) error {
	var due, expires int64
	err := s.glance(func(root *keyspace.Space) error {
		for db := range keyspace.Databases {
			size, err := root.DB(db).Size()
			if err != nil || size.Expires == 0 {
				continue
			}
			n, err := root.DB(db).RemoveExpired(staleMost) // which only counts, in a transaction that only reads
			if err != nil {
				return err
			}
			due, expires = due+int64(n), expires+size.Expires
		}
		return nil
	})
	r.add("expired_keys", s.stats.expired.Load())
	r.add("expired_subkeys", s.stats.fields.Load())
	r.add("expired_stale_perc", 100*float64(due)/float64(max(expires, 1)))
	r.add("expired_time_cap_reached_count", s.stats.expireCut.Load())
	return err
}

func (s *Server) infoCPU(r *report) error {
	user, sys, ok := cpuUsed()
	if ok {
		r.add("used_cpu_sys", fmt.Sprintf("%.6f", sys.Seconds()))
		r.add("used_cpu_user", fmt.Sprintf("%.6f", user.Seconds()))
	}
	return nil
}

// busyRoutes returns the routes that have something to show, in order of names.
func (s *Server) busyRoutes() []*route {
	var out []*route
	for _, r := range s.routes {
		if r.stats.calls.Load() > 0 || r.stats.rejected.Load() > 0 {
			out = append(out, r)
		}
	}
	slices.SortFunc(out, func(a, b *route) int { return strings.Compare(a.cmd.FullName(), b.cmd.FullName()) })
	return out
}

func (s *Server) infoCommands(r *report) error {
	for _, rt := range s.busyRoutes() {
		calls, micros := rt.stats.calls.Load(), rt.stats.micros.Load()
		r.add("cmdstat_"+rt.cmd.FullName(), fmt.Sprintf("calls=%d,usec=%d,usec_per_call=%.2f,rejected_calls=%d,failed_calls=%d",
			calls, micros, float64(micros)/float64(max(calls, 1)), rt.stats.rejected.Load(), rt.stats.failed.Load()))
	}
	return nil
}

func (s *Server) infoErrors(r *report) error {
	codes, counts := s.stats.errorCounts()
	for i := range codes {
		r.add("errorstat_"+codes[i], fmt.Sprintf("count=%d", counts[i]))
	}
	return nil
}

func (s *Server) infoLatency(r *report) error {
	if !s.cfg.Load().tracking {
		return nil
	}
	micros := func(d time.Duration) float64 { return float64(d) / float64(time.Microsecond) }
	for _, rt := range s.busyRoutes() {
		if rt.stats.calls.Load() == 0 {
			continue
		}
		p := rt.stats.latency.percentiles(50, 99, 99.9)
		r.add("latency_percentiles_usec_"+rt.cmd.FullName(),
			fmt.Sprintf("p50=%.3f,p99=%.3f,p99.9=%.3f", micros(p[0]), micros(p[1]), micros(p[2])))
	}
	return nil
}

func (s *Server) infoKeyspace(r *report) error {
	return s.glance(func(root *keyspace.Space) error {
		for db := range keyspace.Databases {
			n, err := root.DB(db).Size()
			if err != nil {
				return err
			}
			ttl, err := root.DB(db).MeanTTL(s.opts.Rand)
			if err != nil {
				return err
			}
			if n.Keys > 0 {
				r.add(fmt.Sprintf("db%d", db), fmt.Sprintf("keys=%d,expires=%d,avg_ttl=%d", n.Keys, n.Expires, ttl))
			}
		}
		return nil
	})
}
