package metrics

import (
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/elastickv/elastickv/internal/server"
	"github.com/elastickv/elastickv/store"
)

// serverMetrics are the figures of clients and commands. CONFIG RESETSTAT sets many of them
// back to zero, which Prometheus takes for a restart.
var serverMetrics = []metric{
	{name: "build_info", help: "Always 1; the labels tell the release and the Go version that it was built with.",
		kind: prometheus.GaugeValue, labels: []string{"version", "go_version"},
		read: func(s *sample, emit emit) { emit(1, s.version, runtime.Version()) }},
	gauge("connected_clients", "Connections of clients that are open now.",
		func(s *sample) int { return s.server.Clients }),
	gauge("blocked_clients", "Connections whose command waits now, for keys or for the end of a pause.",
		func(s *sample) int { return s.server.Blocked }),
	counter("connections_total", "Connections that were accepted, those included that were turned away.",
		func(s *sample) int64 { return s.server.Connections }),
	counter("rejected_connections_total", "Connections turned away: over maxclients, or refused by protected-mode.",
		func(s *sample) int64 { return s.server.Refused }),
	counter("tls_handshake_failures_total", "Connections on which client and server could not agree on TLS.",
		func(s *sample) int64 { return s.server.Handshakes }),
	gauge("tls_certificate_expiry_timestamp_seconds", "When the certificate of the server expires, or one of those behind it in its file, in Unix seconds; 0 without TLS.",
		func(s *sample) float64 { return unixSeconds(s.server.CertificateEnds) }),
	counter("evicted_clients_total", "Connections closed because all clients took more memory than maxmemory-clients.",
		func(s *sample) int64 { return s.server.EvictedClients }),
	counter("output_limit_disconnections_total", "Connections closed because the client did not read its replies.",
		func(s *sample) int64 { return s.server.OverLimit }),
	counter("auth_failures_total", "Wrong passwords.",
		func(s *sample) int64 { return s.server.Denied }),
	counter("forwarded_calls_total", "Calls that this node has asked the leader of the cluster to carry out.",
		func(s *sample) int64 { return s.server.Forwarded }),
	counter("forwarded_answers_lost_total", "Calls that the leader of the cluster was asked to carry out and has not answered: what has become of them is not known.",
		func(s *sample) int64 { return s.server.AnswersLost }),
	counter("received_bytes_total", "Bytes read from clients.",
		func(s *sample) int64 { return s.server.Received }),
	counter("sent_bytes_total", "Bytes sent to clients.",
		func(s *sample) int64 { return s.server.Sent }),
	counter("commands_processed_total", "Commands carried out.",
		func(s *sample) int64 { return s.server.Commands }),
	counter("error_replies_total", "Replies that were an error.",
		func(s *sample) int64 { return s.server.ErrorReplies }),
	{name: "error_replies_by_code_total", help: "Replies that were an error, by its first word. At most 128 words are told apart.",
		kind: prometheus.CounterValue, labels: []string{"code"},
		read: func(s *sample, emit emit) {
			for code, n := range byLabel(s.server.ErrorCodes) {
				emit(float64(n), code)
			}
		}},
	byCommand("commands_total", "Calls of a command that were carried out.",
		func(c *server.CommandActivity) float64 { return float64(c.Calls) }),
	byCommand("command_failures_total", "Calls of a command that were answered by an error.",
		func(c *server.CommandActivity) float64 { return float64(c.Failed) }),
	byCommand("command_rejections_total", "Calls of a command that were not carried out: wrong arguments, no permission, not in a MULTI.",
		func(c *server.CommandActivity) float64 { return float64(c.Rejected) }),
	byCommand("command_seconds_total", "Time that calls of a command took, without waiting for their turn or for the disk.",
		func(c *server.CommandActivity) float64 { return c.Took.Seconds() }),
	counter("keyspace_hits_total", "Look-ups of keys, by commands that only read, that found something.",
		func(s *sample) int64 { return s.server.Hits }),
	counter("keyspace_misses_total", "Look-ups of keys, by commands that only read, that found nothing.",
		func(s *sample) int64 { return s.server.Misses }),
	counter("expired_keys_total", "Keys removed because their time had come. Expired keys that nobody reads may wait for it.",
		func(s *sample) int64 { return s.server.Expired }),
	counter("expired_fields_total", "Fields of hashes removed because their time had come.",
		func(s *sample) int64 { return s.server.ExpiredFields }),
	counter("evicted_keys_total", "Keys removed because the dataset was over maxmemory.",
		func(s *sample) int64 { return s.server.Evicted }),
	gauge("dataset_used_bytes", "What is compared with maxmemory: used_memory of INFO. 0 while it is not counted.",
		func(s *sample) int64 { return s.server.Used }),
	gauge("dataset_limit_bytes", "The setting maxmemory; 0 if there is no limit.",
		func(s *sample) int64 { return s.server.Limit }),
	counter("dataset_limit_exceeded_seconds_total", "For how long the dataset has been over maxmemory.",
		func(s *sample) float64 { return s.server.Exceeded.Seconds() }),
	counter("key_changes_total", "Keys that were written or removed.",
		func(s *sample) int64 { return s.server.Changes }),
	counter("retention_failures_total", "Rounds in which old versions could not be dropped; the log tells why.",
		func(s *sample) int64 { return s.server.RetentionFailures }),
}

// byCommand is a row of counters with the command as label. Commands are those of the
// server's table, and of these the ones that were called.
func byCommand(name, help string, read func(*server.CommandActivity) float64) metric {
	return metric{name: name, help: help, kind: prometheus.CounterValue, labels: []string{"command"},
		read: func(s *sample, emit emit) {
			for i := range s.server.ByCommand {
				emit(read(&s.server.ByCommand[i]), s.server.ByCommand[i].Name)
			}
		}}
}

// histograms are the figures that are distributions.
var histograms = []histogram{
	{name: "command_duration_seconds", help: "How long commands took, all together, without waiting for their turn or for the disk.",
		read: commandDurations},
	{name: "store_wal_sync_duration_seconds", help: "How long it took to make the write-ahead log durable (fsync). Every write waits for one, many share it.",
		read: func(s *sample) store.Histogram { return s.store.WAL.Sync }},
}

func commandDurations(s *sample) (h store.Histogram) {
	for _, b := range s.server.Latency {
		h.Count = uint64(b.Calls) // the last has all
		if b.AtMost < time.Hour {
			h.Bounds, h.Counts = append(h.Bounds, b.AtMost.Seconds()), append(h.Counts, uint64(b.Calls))
		}
	}
	for i := range s.server.ByCommand {
		h.Sum += s.server.ByCommand[i].Took.Seconds()
	}
	return h
}

func unixSeconds(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.Unix())
}
