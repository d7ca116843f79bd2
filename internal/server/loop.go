package server

import (
	"context"
	"errors"
	"net"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elastickv/elastickv/internal/keyspace"
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

	// Until when reads are left to goroutines, because some have had to wait for the disk, which all
	// share: Unix time in nanoseconds. At watched they had waited for so long, together.
	coldUntil, watched, waited atomic.Int64
}

// loop takes the turns of its sessions one after the other, on one goroutine, and shares them with its helper
// where that is of use.
type loop struct {
	srv    *Server
	poller *netpoll.Poller // nil of a helper
	help   chan *round     // to the helper; nil if there is none

	replies  []*session // who have to be answered
	answered int        // how many turns of the round needed nothing but this loop
	recent   kinds

	// Units of the turns that are being taken. They are carried out together: one
	// run, and one sync, for all.
	units []*session
	tasks []*txn.Task     // theirs
	ctx   context.Context // that they wait under

	relief   *time.Timer   // of this goroutine, while it carries out units
	relieved chan struct{} // closed when another one watches the connections
	late     *atomic.Int32 // goroutines that have been relieved and are still at it; nil if units are the sequencer's
}

// kinds are how many turns were taken lately, and how many of them have left a unit.
type kinds struct{ turns, units int }

// kindsMost is how many turns count as much as all those before them.
const kindsMost = 256

func (k *kinds) add(turns, units int) {
	k.turns += turns
	k.units += units
	if k.turns > kindsMost {
		k.turns, k.units = k.turns/2, k.units/2
	}
}

// mostlyWrites reports whether that were three of four, or more.
func (k *kinds) mostlyWrites() bool { return 4*k.units >= 3*k.turns }

// unattendedMost is for how long a loop leaves its connections alone while it carries out units and waits for the disk. Then
// another goroutine goes on in its place. A disk that is not slow syncs in a fraction of that.
const unattendedMost = 5 * time.Millisecond

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
	n := max(1, runtime.GOMAXPROCS(0)/2)
	for range n {
		p, err := netpoll.New(s.opts.Now)
		if err != nil {
			if !errors.Is(err, errors.ErrUnsupported) {
				s.log.Warn("connections get a goroutine each", "err", err)
			}
			return
		}
		lp := &loop{srv: s, poller: p}
		if n == 1 { // with more processors one is free for the sequencer, and a sync is the time to make the next run in
			lp.late = new(atomic.Int32)
		}
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
	r := &round{}
	reading := false // of the turns that were taken here last most could be answered at once
	for {
		var err error
		if r.ready, err = l.poller.Wait(r.ready[:0]); err != nil {
			if !errors.Is(err, net.ErrClosed) {
				l.srv.fail(err)
			}
			if l.help != nil {
				close(l.help)
			}
			return
		}
		shared := reading && l.share(r)
		taken, relieved := l.take(r)
		if relieved {
			return
		}
		reading = 2*l.answered > taken
		if shared {
			r = &round{} // the helper may still look at that one
		} else {
			r.reset()
		}
	}
}

// submit hands the unit of a session to the sequencer: at the end of the round, or at once if it is not of a loop.
func (s *Server) submit(l *loop, c *session) {
	ctx, t := s.scripts.patience(c.unit.first.route.cmd), c.unit.task(c)
	if l == nil {
		s.db.Enqueue(ctx, t)
		return
	}
	if l.ctx != ctx {
		l.enqueue()
		l.ctx = ctx
	}
	l.units, l.tasks = append(l.units, c), append(l.tasks, t)
}

// enqueue leaves the units to the sequencer.
func (l *loop) enqueue() {
	if len(l.tasks) > 0 {
		l.srv.db.Enqueue(l.ctx, l.tasks...)
		l.handed()
	}
}

// perform carries out the units of a round, and sends the replies. To wake up others for that would cost as much as what they
// do. But reads are not to wait for the disk because of it: where more than a few turns need only that, the units are the sequencer's. And others have
// to watch the connections if it takes long; while they do units are the sequencer's, too. It reports whether others do.
func (l *loop) perform() (relieved bool) {
	switch {
	case len(l.tasks) == 0:
		return false
	case !l.recent.mostlyWrites() || l.late == nil || l.late.Load() > 0:
		l.enqueue()
		return false
	case l.relief == nil:
		l.relieved = make(chan struct{})
		l.relief = time.AfterFunc(unattendedMost, l.relieve)
	default:
		l.relief.Reset(unattendedMost)
	}
	l.lookAhead()
	l.srv.db.Perform(l.ctx, l.tasks...)
	l.handed()
	if l.relief.Stop() {
		return false
	}
	<-l.relieved
	l.late.Add(-1)
	return true
}

// lookAhead prepares what the units look up that have but one call. Others do so by themselves: see session.expect.
func (l *loop) lookAhead() {
	if len(l.units) == 1 {
		return
	}
	l.prefetch(func(a *keyspace.Ahead) {
		for _, c := range l.units {
			if u := &c.unit; len(u.calls) == 1 {
				a.In(c.db)
				u.first.route.cmd.LookAhead(u.first.args, a)
			}
		}
	})
}

func (l *loop) prefetch(fill func(a *keyspace.Ahead)) {
	l.srv.places.Prefetch(l.srv.db, l.srv.env.Load().Keys, fill)
}

func (l *loop) handed() {
	clear(l.units)
	clear(l.tasks)
	l.units, l.tasks = l.units[:0], l.tasks[:0]
}

// relieve goes on in place of l, which takes long.
func (l *loop) relieve() {
	l.late.Add(1)
	next := &loop{srv: l.srv, poller: l.poller, help: l.help, late: l.late, recent: l.recent}
	l.srv.loops.wg.Go(next.run)
	close(l.relieved)
}
