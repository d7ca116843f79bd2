package server

import (
	"cmp"
	"context"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/elastickv/elastickv/internal/tracking"
)

// About what a connection takes besides its buffers, in bytes.
const (
	sessionBytes      = 6 << 10  // the session, its goroutine and its socket
	secureBytes       = 12 << 10 // TLS: its state and its buffers
	subscriptionBytes = 128      // one channel, pattern or watched key
)

// evictEvery is how often the memory of clients is looked at while maxmemory-clients is set.
const evictEvery = 100 * time.Millisecond

// clientsMemoryLeast is the lowest limit that is kept to, as in Redis: below it nobody could
// talk to the server.
const clientsMemoryLeast = 128 << 10

// clientMemory is what one connection takes, in bytes.
type clientMemory struct {
	query     int64 // has arrived
	queryFree int64 // room for more of it
	waiting   int64 // arguments of a command that waits
	multi     int64 // commands of a MULTI
	replies   int64 // room for replies
	output    outputUsage
	rest      int64 // everything else
}

func (m clientMemory) total() int64 {
	return m.query + m.queryFree + m.waiting + m.multi + m.replies + m.output.sent + m.output.held + m.rest
}

// memory tells what the session takes at this moment, from any goroutine.
func (c *session) memory() clientMemory {
	f := &c.facts
	m := clientMemory{multi: f.gathered.Load(), replies: f.replies.Load(), output: c.output.usage(), rest: sessionBytes}
	m.query, m.queryFree = c.in.Usage()
	if w := c.parking.waiter.Load(); w != nil {
		m.waiting = argBytes(w.call.args)
	}
	if isSecure(c.conn) {
		m.rest += secureBytes
	}
	n := f.watching.Load()
	for i := range f.subs {
		n += f.subs[i].Load()
	}
	m.rest += n * subscriptionBytes
	if mode, on := c.srv.tracking.Mode(tracking.ID(c.id)); on {
		for _, p := range mode.Prefixes {
			m.rest += int64(len(p)) + subscriptionBytes
		}
	}
	return m
}

func argBytes(args [][]byte) (n int64) {
	for _, a := range args {
		n += int64(len(a))
	}
	return n
}

// replied takes down that so many bytes of replies have been sent, and what room there is now for
// the next ones.
func (f *sessionFacts) replied(sent, room int) {
	if int64(room) != f.replies.Load() {
		f.replies.Store(int64(room))
	}
	if int64(sent) > f.peak.Load() {
		f.peak.Store(int64(sent))
	}
}

// descriptor is the number that the system knows a connection by, -1 if it has none or is closed.
func descriptor(conn net.Conn) int {
	fd := -1
	if s, ok := beneath(conn).(syscall.Conn); ok {
		if raw, err := s.SyscallConn(); err == nil {
			_ = raw.Control(func(n uintptr) { fd = int(n) })
		}
	}
	return fd
}

func formatClientsMemory(c *Config) string {
	if c.clientsMemory < 0 {
		return strconv.FormatInt(-c.clientsMemory, 10) + "%"
	}
	return strconv.FormatInt(c.clientsMemory, 10)
}

// parseClientsMemory reads an amount of memory, or a percentage of maxmemory.
func parseClientsMemory(c *Config, v string) error {
	if percent, ok := strings.CutSuffix(v, "%"); ok {
		n, err := strconv.ParseInt(percent, 10, 64)
		if err != nil {
			return errSettingShare
		}
		if n < 0 || n > 100 {
			return fmt.Errorf("percentage argument must be less or equal to %d", 100)
		}
		c.clientsMemory = -n
		return nil
	}
	n, ok := parseMemory(v)
	if !ok {
		return errSettingShare
	}
	c.clientsMemory = n
	return nil
}

// clientsLimit is how much memory all connections may take together; 0: any.
func (c *Config) clientsLimit() int64 {
	limit := c.clientsMemory
	if limit < 0 {
		all, _ := parseMemory(c.Get("maxmemory"))
		limit = int64(float64(all) * float64(-limit) / 100)
	}
	if limit == 0 {
		return 0
	}
	return max(limit, clientsMemoryLeast)
}

// clientsLoop keeps to maxmemory-clients, until ctx ends.
func (s *Server) clientsLoop(ctx context.Context) {
	tick := time.NewTicker(evictEvery)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			s.evictClients()
		case <-ctx.Done():
			return
		}
	}
}

// evictClients closes the connections that take most, until all together take less than
// maxmemory-clients. Those that have asked for it (CLIENT NO-EVICT) stay, but count.
func (s *Server) evictClients() {
	limit := s.cfg.Load().clientsLimit()
	if limit == 0 {
		return
	}
	type candidate struct {
		c    *session
		size int64
	}
	var all []candidate
	total := int64(0)
	s.sessions.each(func(c *session) {
		if c.facts.closed.Load() {
			return
		}
		size := c.memory().total()
		total += size
		if !c.facts.noEvict.Load() {
			all = append(all, candidate{c, size})
		}
	})
	slices.SortStableFunc(all, func(a, b candidate) int { return cmp.Compare(b.size, a.size) })
	for _, k := range all {
		if total < limit {
			return
		}
		s.log.Warn("client closed: clients take more memory than maxmemory-clients", "client", k.c.id, "addr", k.c.remote, "bytes", k.size)
		s.stats.evicted.Add(1)
		k.c.close()
		total -= k.size
	}
}
