package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elastickv/elastickv/internal/acl"
	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/eviction"
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/pubsub"
	"github.com/elastickv/elastickv/internal/script"
	"github.com/elastickv/elastickv/internal/tracking"
	"github.com/elastickv/elastickv/internal/txn"
)

// Options are what a Server is made of. DB, Config, Log, Now and Rand have to be there.
type Options struct {
	DB     txn.DB
	Config *Config // not to be changed afterwards
	Log    *slog.Logger
	Now    func() time.Time
	Rand   func() uint64 // 64 random bits; safe for concurrent use

	// Users are what LoadUsers has made of Config; nil: the default user alone.
	Users *acl.Users

	Version string // of the program, for INFO and HELLO

	// LogLevel, if not nil, is called with the level to log at when CONFIG SET
	// changes it.
	LogLevel func(slog.Level)

	// Compact, if not nil, drops versions that no read at or above ts needs. The
	// server calls it from time to time, with the moment up to which history is kept.
	Compact func(ctx context.Context, ts uint64) error

	// Cluster, if not nil, is that of the machines which keep the data together. Reads of the DB then wait for others.
	Cluster Cluster

	// EngineInfo, if not nil, returns figures of the store for INFO storage.
	EngineInfo func() []Figure
}

// Figure is one line of INFO.
type Figure struct{ Name, Value string }

// Server serves clients from one DB.
type Server struct {
	db     txn.DB
	log    *slog.Logger
	opts   Options
	table  *command.Table
	runID  string
	began  time.Time
	memory MemoryPlan // never changed

	env      atomic.Pointer[command.Env] // replaced as a whole when a setting changes it
	cfg      atomic.Pointer[Config]
	configMu sync.Mutex // held while cfg and env are replaced

	users    *acl.Users
	aclLog   acl.Log
	sessions sessions
	loops    loops
	watches  watches
	places   keyspace.Places
	desk     keyspace.Memory // of updates: the sequencer's
	waiters  waiters
	routes   map[*command.Command]*route // never changed
	named    map[string]*route           // by full name; never changed
	stats    stats
	slowlog  slowlog
	spikes   latencies
	saved    saved
	pauses   pauses
	hub      *pubsub.Hub
	tracking *tracking.Table
	monitors monitors
	scripts  scripting
	expiry   expiry
	room     room
	// freedBefore is what Measure.Spans was when the counters were set to zero.
	freedBefore atomic.Int64
	uses        *eviction.Uses
	following   atomic.Bool  // others lead: what only the leader does is not tried here
	replicas    atomic.Int64 // other nodes that were heard of, as of a moment ago

	links links

	intervalSet chan struct{} // retention-interval may have changed

	listeners listeners
	identity  atomic.Pointer[identity] // nil: nobody speaks TLS

	// ctx ends when connections must go without an answer: after a fault, or
	// when the grace of a shutdown is over.
	ctx  context.Context
	kill context.CancelCauseFunc

	stop     chan struct{} // closed when a shutdown begins
	stopOnce sync.Once
}

// Announced is where other nodes of a cluster send clients for this one. It may change while the server runs. An empty host is
// that at which others reach the node.
func (s *Server) Announced() (host string, port, tlsPort uint16) {
	cfg := s.cfg.Load()
	own := func(announced, listened int64) uint16 {
		if announced != 0 {
			return uint16(announced)
		}
		return uint16(listened)
	}
	return cfg.cluster.AnnounceHost, own(cfg.cluster.AnnouncePort, cfg.port), own(cfg.cluster.AnnounceTLSPort, cfg.tls.port)
}

// samplesBytes is what may be remembered of large collections for random picks.
const samplesBytes = 16 << 20

// New returns a Server that does not listen yet.
func New(opts Options) *Server {
	s := &Server{
		db: opts.DB, log: opts.Log, opts: opts, table: table(),
		runID: runID(opts.Rand), began: opts.Now(), stop: make(chan struct{}),
		memory: opts.Config.MemoryPlan(),
	}
	s.hub, s.tracking = pubsub.NewHub(command.MatchGlob), tracking.NewTable()
	s.ctx, s.kill = context.WithCancelCause(context.Background())
	s.sessions.byID = make(map[int64]*session)
	s.watches.init()
	s.waiters.init()
	s.routes, s.named = makeRoutes(s.table), make(map[string]*route)
	for cmd, r := range s.routes {
		s.named[cmd.FullName()] = r
	}
	s.stats.init(opts.Now())
	s.markSaved(opts.Now())
	s.expiry.on.Store(true)
	s.scripts.init(s)
	s.room.wake, s.intervalSet = make(chan struct{}, 1), make(chan struct{}, 1)
	s.uses = eviction.NewUses(opts.Now().UnixMilli(), opts.Rand)
	s.env.Store(&command.Env{
		Table: s.table, Cursors: command.NewCursors(), Rand: opts.Rand, MaxReply: replyBytesMost,
		Keys: keyspace.Env{Samples: keyspace.NewSamples(samplesBytes), Uses: s.uses},
	})
	s.users = opts.Users
	if s.users == nil {
		s.users = acl.New(s.table)
		if err := s.users.SetPassword(opts.Config.password); err != nil {
			panic(err) // any password will do
		}
	}
	s.applyConfig(opts.Config.clone())
	s.following.Store(!s.leads())
	return s
}

// table is the one table of all commands; rows are never changed.
var table = sync.OnceValue(func() *command.Table { return command.NewTable(command.Rows(), script.Rows(), rows()) })

// applyConfig puts a configuration in force. configMu is held, or nothing runs yet. What it
// returns is closed when the dataset has been counted, if that is needed.
func (s *Server) applyConfig(cfg *Config) (counted <-chan struct{}) {
	env := *s.env.Load()
	limits := cfg.limits
	env.Keys.Limits = &limits
	env.Keys.Events = cfg.notify.recorded()
	env.MaxBulk = cfg.bulkMax
	order := eviction.PolicyNamed(cfg.policy).Order
	env.OwnIntegers = cfg.maxMemory > 0 && (order == eviction.Recency || order == eviction.Frequency)
	env.HLLSparseMax = int(cfg.hllSparse)
	s.env.Store(&env)
	s.useUsers(s.cfg.Load(), cfg)
	s.cfg.Store(cfg)
	s.uses.Configure(eviction.Settings{
		Frequency: order == eviction.Frequency, LogFactor: cfg.lfuLogFactor, DecayMinutes: cfg.lfuDecay,
	})
	ready := s.db.Measure(cfg.maxMemory > 0)
	s.wakeEviction()
	wake(s.intervalSet)
	s.slowlog.trim(int(cfg.slowlogLen))
	s.sessions.each(func(c *session) { c.limitOutput(cfg) })
	s.evictClients()
	s.sendInvalidations(s.tracking.Limit(int(cfg.trackingKeys)))
	if s.opts.LogLevel != nil {
		s.opts.LogLevel(cfg.LogLevel())
	}
	return ready
}

// Serve accepts connections until ctx ends or a client asks for a shutdown,
// then lets what is under way finish and returns nil. It returns an error if
// the store has failed, or if connections did not come to an end in time. It
// closes the listeners, of which those that Listen has returned know who speaks TLS.
func (s *Server) Serve(ctx context.Context, listeners ...net.Listener) error {
	if err := s.begin(listeners); err != nil {
		for _, ln := range listeners {
			_ = ln.Close()
		}
		return err
	}
	background, stopBackground := context.WithCancel(s.ctx)
	defer stopBackground()
	var periodic sync.WaitGroup
	periodic.Go(func() { s.expiryLoop(background) })
	periodic.Go(func() { s.statsLoop(background) })
	periodic.Go(func() { s.certificateLoop(background) })
	periodic.Go(func() { s.clientsLoop(background) })
	periodic.Go(func() { s.evictionLoop(background) })
	if s.shared() {
		periodic.Go(func() { s.leadLoop(background) })
		periodic.Go(func() { s.clusterLoop(background) })
	}
	if s.opts.Compact != nil {
		periodic.Go(func() { s.retentionLoop(background) })
	}
	defer s.loops.stop()
	defer context.AfterFunc(s.ctx, func() {
		s.db.Withdraw()
		s.closeLinks(everyLink)
	})()
	defer s.endLinks()

	select {
	case <-ctx.Done():
	case <-s.stop:
	case <-s.ctx.Done():
	}
	s.beginShutdown()
	s.closeListeners()
	stopBackground()
	err := s.drain()
	periodic.Wait()
	return err
}

// beginShutdown makes Serve return in good order.
func (s *Server) beginShutdown() { s.stopOnce.Do(func() { close(s.stop) }) }

func (s *Server) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// fail ends the server at once: what it has told clients can no longer be kept.
func (s *Server) fail(err error) {
	s.log.Error("the store has failed, shutting down", "err", err)
	s.kill(fmt.Errorf("the store has failed: %w", err))
	s.sessions.each(func(c *session) { c.close() })
	s.beginShutdown()
}

// drain waits until every connection has ended: each finishes and answers what
// it is doing, but takes nothing new. After the grace they are cut off.
func (s *Server) drain() error {
	s.endPause()
	s.sessions.each(func(c *session) { c.interrupt() })
	done := make(chan struct{})
	go func() {
		s.sessions.wg.Wait()
		close(done)
	}()
	grace := time.NewTimer(seconds(s.cfg.Load().shutdownWait))
	defer grace.Stop()
	select {
	case <-done:
	case <-grace.C:
		s.kill(errShutdown)
		s.sessions.each(func(c *session) { c.close() })
		last := time.NewTimer(5 * time.Second)
		defer last.Stop()
		select {
		case <-done:
		case <-last.C:
			return errors.New("server: commands did not come to an end, giving up on them")
		}
	}
	if cause := context.Cause(s.ctx); cause != nil && !errors.Is(cause, errShutdown) {
		return cause
	}
	return nil
}

// warnProtected says so when nobody can get in through a listener that was
// meant for other machines.
func (s *Server) warnProtected(listeners []*listener) {
	cfg := s.cfg.Load()
	for _, ln := range listeners {
		if cfg.protected && s.open() && !loopback(ln.Addr()) {
			s.log.Warn("protected mode: clients of other machines are refused until there is a password or protected-mode is off",
				"addr", ln.Addr().String())
		}
	}
}

// accept takes connections until the listener is closed.
func (s *Server) accept(ln *listener) {
	pause := time.Duration(0)
	for {
		conn, err := ln.Accept()
		switch {
		case err == nil:
			pause = 0
			s.admit(ln.protect(conn, s.identity.Load()))
		case s.stopping() || errors.Is(err, net.ErrClosed):
			return
		default:
			// Out of file descriptors, or a peer that has gone already: neither
			// is a reason to stop listening.
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			s.log.Warn("accept failed", "err", err)
			select {
			case <-time.After(pause):
			case <-s.stop:
				return
			}
		}
	}
}

// admit starts a session for a connection, or turns it away.
func (s *Server) admit(conn net.Conn) {
	s.stats.connections.Add(1)
	if why := s.stranger(conn); why != "" && !isSecure(conn) {
		s.refuse(conn, why)
		return
	}
	if int64(s.sessions.count()) >= s.cfg.Load().maxClients {
		s.refuse(conn, errMaxClients)
		return
	}
	c := newSession(s, conn)
	s.sessions.add(c)
	if c.polled != nil {
		if !c.polled.Rest() { // from here on a loop has it
			go c.turn(nil)
		}
		return
	}
	go func() {
		defer s.sessions.remove(c)
		c.serve()
	}()
}

// stranger is why a client may not come in because of where it is, if it may not.
func (s *Server) stranger(conn net.Conn) command.Error {
	if s.cfg.Load().protected && s.open() && !loopback(conn.RemoteAddr()) {
		return errProtected
	}
	return ""
}

// refuse tells a client why it is not let in. The few bytes always fit into the
// connection's buffer. One that speaks TLS has not agreed on it yet, and is only cut off.
func (s *Server) refuse(conn net.Conn, why command.Error) {
	s.stats.refused.Add(1)
	if !isSecure(conn) {
		_ = conn.SetWriteDeadline(s.opts.Now().Add(patience))
		_, _ = conn.Write([]byte("-" + string(why) + "\r\n"))
	}
	_ = conn.Close()
}

func loopback(a net.Addr) bool {
	t, ok := a.(*net.TCPAddr)
	return !ok || t.IP.IsLoopback()
}

// update runs fn as one transaction inside the sequencer and tells the watchers
// of what it changed before any other transaction runs. Calls that wait for what it
// changed are carried out next, each in a transaction of its own.
//
// t is filled in by fn. When all is durable, others are told.
func (s *Server) update(seq *txn.Seq, t *telling, fn func(root *keyspace.Space) error) error {
	var root *keyspace.Space
	err := seq.Do(func(tx *txn.Tx) error {
		root = s.desk.Open(tx, 0, s.env.Load().Keys)
		if err := s.places.Arrange(root); err != nil {
			return err
		}
		return fn(root)
	})
	if err != nil {
		s.tellNothing(t)
	}
	if err == nil {
		s.stats.changed(root.Changes())
		s.stats.fields.Add(root.FieldsExpired())
		s.watches.touch(root.Changes())
		s.tell(seq, t, root)
		s.waiters.touch(root.Changes())
		s.serveWaiters(seq)
	}
	return err
}

// viewAs runs fn on the databases of a snapshot.
func (s *Server) viewAs(near bool, fn func(root *keyspace.Space) error) error {
	return s.snapshot(near, s.onRoot(fn))
}

// snapshot runs fn on a snapshot, which is of now; near says that it may be what this node has, as long as that is
// not too old.
func (s *Server) snapshot(near bool, fn func(*txn.Tx) error) error {
	if near {
		return s.db.ViewStale(s.ctx, s.cfg.Load().maxStaleness(), fn)
	}
	return s.db.View(s.ctx, fn)
}

// glance runs fn on what this node has, whatever its age: for figures, and to find work.
func (s *Server) glance(fn func(root *keyspace.Space) error) error {
	return s.db.ViewStale(s.ctx, txn.AnyAge, s.onRoot(fn))
}

func (s *Server) onRoot(fn func(root *keyspace.Space) error) func(*txn.Tx) error {
	return func(tx *txn.Tx) error {
		root := keyspace.Open(tx, 0, s.env.Load().Keys)
		if err := s.places.Arrange(root); err != nil {
			return err
		}
		return fn(root)
	}
}

// runID is 40 random hexadecimal digits.
func runID(rand func() uint64) string {
	return fmt.Sprintf("%016x%016x%08x", rand(), rand(), uint32(rand()))
}
