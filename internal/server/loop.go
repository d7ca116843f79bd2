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
// processors: the others are for the sequencer, which all share, and for clients on this machine.
type loops struct {
	once sync.Once
	all  []*loop       // after once
	next atomic.Uint32 // who gets the next connection
	wg   sync.WaitGroup

	// Until when reads are left to goroutines, because some have had to wait for the disk, which all
	// share: Unix time in nanoseconds. At watched they had waited for so long, together.
	coldUntil, watched, waited atomic.Int64
}

// loop takes the turns of its sessions one after the other, on one goroutine.
type loop struct {
	srv    *Server
	poller *netpoll.Poller

	// Units of the turns that are being taken. They are handed over together: one
	// wake-up of the sequencer, and one sync, for all.
	tasks []*txn.Task
	ctx   context.Context // that they wait under

	// What the last round was like, for costly.
	turns, looks int    // how many turns there were, and how many times commands that read keys began in them
	reads        uint64 // look-ups that had gone to the engine by then

	helped atomic.Bool // a goroutine takes part of the turns
}

// When reads have had to wait for the disk for an eighth of coldTime or more, within that time, others that would do the same should
// not have to wait one behind the other: so for such a time all of them get goroutines. For less than that it
// would cost more than it saves. Commands that read no keys stay.
const coldTime = 10 * time.Millisecond

// cold reports whether a command that begins now and reads keys is left to a goroutine. waited is how long reads
// have waited for the disk so far, together.
func (l *loops) cold(now time.Time, waited time.Duration) bool {
	at := now.UnixNano()
	slow := waited-time.Duration(l.waited.Load()) >= coldTime/8
	if slow {
		l.coldUntil.Store(at + int64(coldTime))
	}
	if slow || at-l.watched.Load() >= int64(coldTime) {
		l.watched.Store(at)
		l.waited.Store(int64(waited))
	}
	return at < l.coldUntil.Load()
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
	var ready []*netpoll.Conn
	for {
		var err error
		if ready, err = l.poller.Wait(ready[:0]); err != nil {
			if !errors.Is(err, net.ErrClosed) {
				l.srv.fail(err)
			}
			return
		}
		if l.costly(len(ready)) && l.helped.CompareAndSwap(false, true) {
			l.share(ready)
			ready = nil // the helper may still have it
			continue
		}
		for _, conn := range ready {
			conn.Data.(*session).turn(l)
		}
		l.enqueue()
		clear(ready)
	}
}

// costly reports whether a round of so many turns is worth a helper: whether in the last one most turns read keys, and
// one look-up in four or more went to the engine, for many times what a turn takes otherwise.
func (l *loop) costly(turns int) bool {
	reads := l.srv.db.EngineReads()
	costly := turns > 1 && 2*l.looks > l.turns && 4*(reads-l.reads) > uint64(l.looks)
	l.turns, l.looks, l.reads = turns, 0, reads
	return costly
}

// share takes the turns of a round together with a goroutine, for which it does not wait.
func (l *loop) share(ready []*netpoll.Conn) {
	var next atomic.Int64
	take := func(l *loop) {
		for i := next.Add(1); i <= int64(len(ready)); i = next.Add(1) {
			ready[i-1].Data.(*session).turn(l)
		}
		l.enqueue()
	}
	l.srv.loops.wg.Go(func() { // while run, which is waited for, goes on
		defer l.helped.Store(false)
		take(&loop{srv: l.srv})
	})
	take(l)
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
