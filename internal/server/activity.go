package server

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Activity are the figures of what a Server does. What is counted is counted since it
// began or, but for a few, since CONFIG RESETSTAT.
type Activity struct {
	Clients           int           // connected now
	Blocked           int           // whose commands wait now
	Connections       int64         // accepted, those included that were turned away
	Refused           int64         // connections turned away
	OverLimit         int64         // connections closed because the client did not read
	Denied            int64         // wrong passwords
	Commands          int64         // carried out
	Received, Sent    int64         // bytes
	Hits, Misses      int64         // look-ups of keys by commands that only read
	Expired           int64         // keys removed because their time had come
	ExpiredFields     int64         // the same of fields of hashes
	Evicted           int64         // keys removed because there was no room
	EvictedClients    int64         // connections closed to save memory
	Used              int64         // what is compared with Limit, in bytes, as far as it is known; 0 without a limit
	Limit             int64         // the setting maxmemory
	Exceeded          time.Duration // for how long the limit was exceeded
	Changes           int64         // of keys
	RetentionFailures int64         // rounds in which old versions could not be dropped
	ErrorReplies      int64
	ErrorCodes        map[string]int64  // error replies by their first word, of a bounded number
	ByCommand         []CommandActivity // those that were called, in order of names
	Latency           []LatencyBucket   // of all commands, shortest first
	Handshakes        int64             // of TLS, that failed
	CertificateEnds   time.Time         // when the certificate expires that clients get to see; zero without TLS
	Forwarded         int64             // calls that the leader of the cluster was asked to carry out
	AnswersLost       int64             // of these, those whose answers did not come
}

// CommandActivity are the figures of one command. The name is one of the table.
type CommandActivity struct {
	Name     string // in lower case; of a subcommand, with its container's: "config|get"
	Calls    int64
	Failed   int64 // calls that were answered by an error
	Rejected int64 // calls that were not carried out
	Took     time.Duration
}

// LatencyBucket is how many calls took at most so long.
type LatencyBucket struct {
	AtMost time.Duration
	Calls  int64
}

// Activity returns the figures of this moment.
func (s *Server) Activity() Activity {
	st := &s.stats
	a := Activity{
		Clients: s.sessions.count(), Blocked: int(s.waiters.blocked.Load()), Connections: st.connections.Load(), Refused: st.refused.Load(),
		Handshakes: st.handshakes.Load(), EvictedClients: st.evicted.Load(), CertificateEnds: s.certificateEnds(),
		OverLimit: st.overLimit.Load(), Denied: st.denied.Load(), Commands: st.commands.Load(),
		Received: st.received.Load(), Sent: st.sent.Load(), Hits: st.hits.Load(), Misses: st.misses.Load(),
		Expired: st.expired.Load(), ExpiredFields: st.fields.Load(), Changes: st.changes.Load(), RetentionFailures: st.dropsFailed.Load(),
		Forwarded: st.forwarded.Load(), AnswersLost: st.answersLost.Load(),
		ErrorReplies: st.errors.Load(), ErrorCodes: make(map[string]int64),
	}
	a.Evicted, a.Limit = s.room.evicted.Load(), s.cfg.Load().maxMemory
	a.Exceeded, _ = s.room.exceeded.times(s.opts.Now())
	if m := s.db.Measured(); m.Counted {
		a.Used = startupMemory + m.Bytes
	}
	codes, counts := st.errorCounts()
	for i, code := range codes {
		a.ErrorCodes[code] = counts[i]
	}
	var all [len(histogram{})]int64
	for _, r := range s.busyRoutes() {
		a.ByCommand = append(a.ByCommand, CommandActivity{
			Name: r.cmd.FullName(), Calls: r.stats.calls.Load(), Failed: r.stats.failed.Load(),
			Rejected: r.stats.rejected.Load(), Took: time.Duration(r.stats.micros.Load()) * time.Microsecond,
		})
		for i := range all {
			all[i] += r.stats.latency[i].Load()
		}
	}
	a.Latency = latencyBuckets(&all)
	return a
}

// Bounds of the buckets of Activity.Latency, in powers of two of a nanosecond: from 4
// microseconds to 17 seconds.
const (
	latencyExpFirst = 12
	latencyExpLast  = 34
	latencyExpStep  = 2
)

// latencyBuckets makes few buckets of the many of a histogram. Powers of two are bounds
// of both. The last one has everything.
func latencyBuckets(all *[len(histogram{})]int64) (out []LatencyBucket) {
	var calls int64
	at := 0
	for exp := latencyExpFirst; exp <= latencyExpLast; exp += latencyExpStep {
		bound := time.Duration(1) << exp
		for ; at < len(all) && bucketTop(at) < bound; at++ {
			calls += all[at]
		}
		out = append(out, LatencyBucket{AtMost: bound, Calls: calls})
	}
	for ; at < len(all); at++ {
		calls += all[at]
	}
	return append(out, LatencyBucket{AtMost: 1<<63 - 1, Calls: calls})
}

// Health returns nil while clients are served, and else why they are not.
func (s *Server) Health() error {
	if cause := context.Cause(s.ctx); cause != nil && !errors.Is(cause, errShutdown) {
		return fmt.Errorf("server: %w", cause)
	}
	if s.stopping() {
		return errShutdown
	}
	return nil
}
