package server

import (
	"bytes"
	"context"
	"maps"
	"math/bits"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elastickv/elastickv/internal/acl"
	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
)

// stats are the counters that INFO shows.
type stats struct {
	connections atomic.Int64
	refused     atomic.Int64 // connections
	evicted     atomic.Int64 // clients cut off to save memory
	handshakes  atomic.Int64 // that failed, of TLS
	overLimit   atomic.Int64 // connections closed because they did not read
	commands    atomic.Int64
	received    atomic.Int64                 // bytes
	sent        atomic.Int64                 // bytes
	reads       atomic.Int64                 // pipelines taken off the wire
	writes      atomic.Int64                 // of replies, to the wire
	hits        atomic.Int64                 // look-ups of keys by commands that only read
	misses      atomic.Int64                 // the same, in vain
	expired     atomic.Int64                 // keys
	fields      atomic.Int64                 // fields of hashes that expired
	expireCut   atomic.Int64                 // rounds of the search for expired keys that left some to the next
	changes     atomic.Int64                 // of keys
	dropsFailed atomic.Int64                 // rounds in which old versions could not be dropped
	errors      atomic.Int64                 // error replies
	denied      atomic.Int64                 // wrong passwords
	forwarded   atomic.Int64                 // calls that the leader was asked to carry out
	answersLost atomic.Int64                 // of these, those whose answers did not come
	deniedCalls [acl.DeniedAuth]atomic.Int64 // by reason
	peak        atomic.Uint64                // bytes of memory, as far as anybody has looked

	mu struct {
		sync.Mutex
		byCode  map[string]int64 // error replies
		samples [samplesKept]sample
		next    int // the oldest of samples
	}
}

// errorCodesMost bounds how many different codes are told apart: a script may
// make them up.
const errorCodesMost = 128

// samplesKept is over how many rounds rates are averaged.
const samplesKept = 16

// sample is the state of the counters that rates are made of.
type sample struct {
	at       time.Time
	commands int64
	received int64
	sent     int64
}

// lookups counts the look-ups of keys in a transaction.
type lookups struct{ hits, misses int64 }

func lookupsOf(keys *keyspace.Space) (l lookups) {
	l.hits, l.misses = keys.Lookups()
	return l
}

// looked adds what lies between two counts of one transaction.
func (s *stats) looked(before, after lookups) {
	s.hits.Add(after.hits - before.hits)
	s.misses.Add(after.misses - before.misses)
}

// commandStats are the counters of one command.
type commandStats struct {
	calls    atomic.Int64
	micros   atomic.Int64
	failed   atomic.Int64
	rejected atomic.Int64
	latency  histogram
}

// changed adds changes of keys.
func (s *stats) changed(all []keyspace.Change) {
	s.changes.Add(int64(len(all)))
	for _, ch := range all {
		if ch.Expired {
			s.expired.Add(1)
		}
	}
}

func (s *stats) init(now time.Time) {
	s.mu.byCode = make(map[string]int64)
	for i := range s.mu.samples {
		s.mu.samples[i].at = now
	}
}

// ran records a call that was carried out. An error reply begins with a minus.
func (s *stats) ran(r *route, took time.Duration, reply []byte) {
	s.ranWell(r, took)
	if len(reply) > 0 && reply[0] == '-' {
		r.stats.failed.Add(1)
		s.errorReply(errorCode(reply[1:]))
	}
}

// ranWell records a call that was not answered by an error.
func (s *stats) ranWell(r *route, took time.Duration) {
	s.commands.Add(1)
	r.stats.calls.Add(1)
	r.stats.micros.Add(took.Microseconds())
	r.stats.latency.add(took)
}

// ranCounted records a call that was answered by an error which has been counted already.
func (s *stats) ranCounted(r *route, took time.Duration) {
	s.ranWell(r, took)
	r.stats.failed.Add(1)
}

// rejected records a call that was refused before it was carried out.
func (s *stats) rejected(r *route, err error) {
	if r != nil {
		r.stats.rejected.Add(1)
	}
	s.errorReply(errorCode([]byte(err.Error())))
}

// errorCode is the first word of an error's text. Scripts may make it as long as they like.
func errorCode(text []byte) string {
	const most = 64
	text = clipped(text, most)
	if i := bytes.IndexAny(text, " \r"); i >= 0 {
		text = text[:i]
	}
	return string(text)
}

func (s *stats) errorReply(code string) {
	s.errors.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, ok := s.mu.byCode[code]; ok || len(s.mu.byCode) < errorCodesMost {
		s.mu.byCode[code]++
	}
}

// errorCounts returns the number of error replies by code, in order of the codes.
func (s *stats) errorCounts() (codes []string, counts []int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, code := range slices.Sorted(maps.Keys(s.mu.byCode)) {
		codes, counts = append(codes, code), append(counts, s.mu.byCode[code])
	}
	return codes, counts
}

// reset sets the counters back to zero, as CONFIG RESETSTAT does.
func (s *stats) reset(routes map[*command.Command]*route) {
	for _, n := range []*atomic.Int64{
		&s.connections, &s.refused, &s.handshakes, &s.evicted, &s.overLimit, &s.commands, &s.received, &s.sent, &s.reads, &s.writes,
		&s.expired, &s.fields, &s.expireCut, &s.errors, &s.hits, &s.misses, &s.forwarded, &s.answersLost,
	} {
		n.Store(0)
	}
	for _, r := range routes {
		r.stats.reset()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	clear(s.mu.byCode)
	for i := range s.mu.samples {
		s.mu.samples[i] = sample{at: s.mu.samples[i].at}
	}
}

func (s *commandStats) reset() {
	for _, n := range []*atomic.Int64{&s.calls, &s.micros, &s.failed, &s.rejected} {
		n.Store(0)
	}
	for i := range s.latency {
		s.latency[i].Store(0)
	}
}

// take adds a sample.
func (s *stats) take(now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.mu.samples[s.mu.next] = sample{now, s.commands.Load(), s.received.Load(), s.sent.Load()}
	s.mu.next = (s.mu.next + 1) % samplesKept
}

// peakMemory returns the most memory that was in use whenever somebody looked.
func (s *stats) peakMemory(used uint64) uint64 {
	for {
		peak := s.peak.Load()
		if used <= peak {
			return peak
		}
		if s.peak.CompareAndSwap(peak, used) {
			return used
		}
	}
}

// rates returns commands, bytes received and bytes sent per second, of late.
func (s *stats) rates(now time.Time) (commands, received, sent float64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	old := s.mu.samples[s.mu.next]
	d := now.Sub(old.at).Seconds()
	if d <= 0 {
		return 0, 0, 0
	}
	return float64(s.commands.Load()-old.commands) / d,
		float64(s.received.Load()-old.received) / d, float64(s.sent.Load()-old.sent) / d
}

// statsLoop takes the samples that rates are made of.
func (s *Server) statsLoop(ctx context.Context) {
	t := time.NewTicker(100 * time.Millisecond)
	defer t.Stop()
	for {
		select {
		case now := <-t.C:
			s.stats.take(now)
		case <-ctx.Done():
			return
		}
	}
}

// histogram counts durations in buckets that are about a sixteenth of their value
// wide: bucket i holds those whose nanoseconds, in binary, have the same length
// and the same four digits behind the first.
type histogram [48 * 16]atomic.Int64

func (h *histogram) add(d time.Duration) {
	n := uint64(max(d, 16))
	exp := bits.Len64(n) - 1
	h[min((exp-4)*16+int(n>>(exp-4)&15), len(h)-1)].Add(1)
}

// percentiles returns, for each of the percentages in rising order, the duration that
// this part of all calls did not exceed.
func (h *histogram) percentiles(percent ...float64) []time.Duration {
	var total int64
	for i := range h {
		total += h[i].Load()
	}
	out := make([]time.Duration, len(percent))
	var seen int64
	at := 0
	for i := 0; i < len(h) && at < len(percent); i++ {
		seen += h[i].Load()
		for at < len(percent) && float64(seen) >= percent[at]/100*float64(total) && seen > 0 {
			out[at] = bucketTop(i)
			at++
		}
	}
	return out
}

// bucketTop is the longest duration that bucket i holds.
func bucketTop(i int) time.Duration {
	exp := i/16 + 4
	return time.Duration((uint64(16+i%16+1) << (exp - 4)) - 1)
}
