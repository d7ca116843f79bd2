package server

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elastickv/elastickv/internal/netpoll"
	"github.com/elastickv/elastickv/internal/txn"
)

// loops serve the connections that need no goroutine of their own. There is one for two
// processors: the others are for the sequencer, which all share, and for clients on this machine; and for
// helpers while there is little to write.
type loops struct {
	once sync.Once
	all  []*loop       // after once
	next atomic.Uint32 // who gets the next connection
	wg   sync.WaitGroup

	// Until when reads are left to goroutines, because one has had to wait for the disk, which all
	// share: Unix time in nanoseconds. slow is how many had by then.
	coldUntil atomic.Int64
	slow      atomic.Uint64
}

// loop takes the turns of its sessions one after the other, on one goroutine, and shares them with its helper
// where that is of use.
type loop struct {
	srv    *Server
	poller *netpoll.Poller // nil of a helper
	help   chan *round     // to the helper; nil if there is none

	answered int // how many turns of the round needed nothing but this loop

	// Units of the turns that are being taken. They are handed over together: one
	// wake-up of the sequencer, and one sync, for all.
	tasks []*txn.Task
	ctx   context.Context // that they wait under
}

// When a read has had to wait for the disk, others that would do the same should not have to wait one
// behind the other, so for such a time all of them get goroutines. Commands that read no keys stay.
const coldTime = 10 * time.Millisecond

// cold reports whether a command that begins now and reads keys is left to a goroutine. slow is how many reads
// have waited for the disk so far.
func (l *loops) cold(now time.Time, slow uint64) bool {
	if l.slow.Load() != slow {
		l.slow.Store(slow)
		l.coldUntil.Store(now.Add(coldTime).UnixNano())
	}
	return now.UnixNano() < l.coldUntil.Load()
}

// start begins as many loops as are of use, or none where connections cannot be watched. It does so when
// there is a connection to watch: a server of others has none.
func (l *loops) start(s *Server) {
	for range max(1, runtime.GOMAXPROCS(0)/2) {
		p, err := netpoll.New(s.opts.Now)
		if err != nil {
			if !errors.Is(err, errors.ErrUnsupported) {
				s.log.Warn("connections get a goroutine each", "err", err)
			}
			return
		}
		lp := &loop{srv: s, poller: p}
		if runtime.GOMAXPROCS(0) > 1 {
			lp.help = make(chan *round, 1)
			l.wg.Go(lp.helper)
		}
		l.all = append(l.all, lp)
		l.wg.Go(lp.run)
	}
}

// stop ends the loops. No connection is served any more.
func (l *loops) stop() {
	for _, lp := range l.all {
		lp.poller.Close()
	}
	l.wg.Wait()
}

// adopt takes over a connection for a loop, if there is one for connections of its kind.
func (l *loops) adopt(s *Server, conn net.Conn) (*netpoll.Conn, bool) {
	t, ok := conn.(*net.TCPConn)
	if !ok {
		return nil, false
	}
	if l.once.Do(func() { l.start(s) }); len(l.all) == 0 {
		return nil, false
	}
	lp := l.all[int(l.next.Add(1))%len(l.all)]
	polled, err := lp.poller.Adopt(t, wakeSession)
	return polled, err == nil
}

// wakeSession has a session that has rested look at what has become of its connection.
func wakeSession(conn *netpoll.Conn) {
	c := conn.Data.(*session)
	if conn.Expired() { // it has been idle for too long, or has to go
		c.finish()
		return
	}
	c.turn(nil)
}

func (l *loop) run() {
	if l.help != nil {
		defer close(l.help)
	}
	r := &round{}
	reading := false // of the turns that were taken here last most could be answered at once
	for {
		var err error
		if r.ready, err = l.poller.Wait(r.ready[:0]); err != nil {
			if !errors.Is(err, net.ErrClosed) {
				l.srv.fail(err)
			}
			return
		}
		shared := reading && l.share(r)
		taken := l.take(r)
		reading = 2*l.answered > taken
		if shared {
			r = &round{} // the helper may still look at that one
		} else {
			r.reset()
		}
	}
}

// submit hands a task to the sequencer: at the end of the round, or at once if it is not of a loop.
func (s *Server) submit(l *loop, ctx context.Context, t *txn.Task) {
	if l == nil {
		s.db.Enqueue(ctx, t)
		return
	}
	if l.ctx != ctx {
		l.enqueue()
		l.ctx = ctx
	}
	l.tasks = append(l.tasks, t)
}

func (l *loop) enqueue() {
	if len(l.tasks) > 0 {
		l.srv.db.Enqueue(l.ctx, l.tasks...)
		clear(l.tasks)
		l.tasks = l.tasks[:0]
	}
}
