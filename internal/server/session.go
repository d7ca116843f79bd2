package server

import (
	"errors"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/elastickv/elastickv/internal/acl"
	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/netpoll"
	"github.com/elastickv/elastickv/internal/pubsub"
	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/tracking"
	"github.com/elastickv/elastickv/internal/txn"
)

// session is the state of one connection. Its fields belong to the connection's
// goroutine (and to the sequencer's while that carries out commands for it, as the
// other waits), but for those that are marked as shared.
type session struct {
	srv    *Server
	id     int64 // immutable once the session can be found
	conn   net.Conn
	polled *netpoll.Conn // conn, if a loop watches it; else nil, and the session has a goroutine of its own
	remote string
	local  string
	began  time.Time

	onSocket bool    // of the file system; immutable, as the other facts of where the client is
	output   *output // shared

	in       *resp.Reader
	batch    resp.Pipeline
	received receipt     // of batch
	out      resp.Writer // replies not yet sent
	unit     unit        // what the sequencer carries out
	waits    bool        // reading may wait, although a loop watches the connection
	seq      *txn.Seq    // while the sequencer carries out commands for this session
	snap     snap        // while reads of a pipeline are carried out together
	ahead    [][][]byte  // what is carried out next, as long as nobody has looked at it
	clock    time.Time   // when the last command ended, or its turn came
	timed    bool        // a read deadline may be set

	arrived time.Time // when the command to be carried out did, or what was before it had ended
	blocked *waiter   // the call that was carried out last waits, and so do those behind it
	parking parking   // shared

	holding  bool                          // pushes to the client wait for the next flush
	running  call                          // that is being carried out
	ctx      command.Ctx                   // of that, as its handler has it
	carrier  carrier                       // of it into its transaction
	tx       *keyspace.Space               // of the transaction in progress
	telling  telling                       // what others are to be told of it
	overdue  []keyspace.Change             // keys that a read has found expired, to be removed before the reply
	hearing  atomic.Pointer[pubsub.Client] // shared: subscriptions; nil before the first
	tracking tracks

	db      int
	user    *acl.User
	authed  bool
	ending  bool // no further command; close when the replies are sent
	full    bool // there was no room for more data when the last command came, and none could be made
	mute    bool // CLIENT REPLY OFF
	skip    bool // the reply to this command is not sent
	skipOne bool // CLIENT REPLY SKIP: that to the next is not
	multi   multi
	watched []watchedKey
	dirty   atomic.Bool // shared: a watched key has changed
	away    away        // what the leader does for the session, if this node does not lead
	guest   bool        // immutable: the client is another node's, for which this one leads

	facts sessionFacts // shared
}

// sessionFacts are what other connections may ask of a session.
type sessionFacts struct {
	closed   atomic.Bool // by somebody else
	user     atomic.Pointer[acl.User]
	lastCall atomic.Pointer[command.Command]
	lastTime atomic.Int64 // Unix nanoseconds
	db       atomic.Int64
	queued   atomic.Int64 // commands in a MULTI, -1 outside
	watching atomic.Int64
	proto    atomic.Int64
	received atomic.Int64 // bytes
	gathered atomic.Int64 // bytes in a MULTI
	replies  atomic.Int64 // bytes that the buffer of replies has room for
	peak     atomic.Int64 // bytes of replies that it has held at most
	noEvict  atomic.Bool
	noTouch  atomic.Bool
	near     atomic.Bool // READONLY: what is read need not be the newest

	clustered atomic.Bool // the client has asked for the nodes of the cluster, or for READONLY

	subs       [pubsub.Kinds]atomic.Int64 // subscriptions
	subscribed atomic.Bool                // has any, or at least has asked for some
	monitors   atomic.Bool                // MONITOR
	overLimit  atomic.Bool                // was closed because it does not read

	mu struct {
		sync.Mutex
		name        string
		libName     string
		libVersion  string
		interrupted bool // the server is stopping: wait for no more commands
	}
}

func newSession(srv *Server, conn net.Conn) *session {
	cfg := srv.cfg.Load()
	if t, ok := beneath(conn).(*net.TCPConn); ok {
		_ = t.SetKeepAliveConfig(net.KeepAliveConfig{Enable: cfg.keepalive > 0, Idle: seconds(cfg.keepalive)})
	}
	polled, ok := srv.loops.adopt(srv, conn)
	if ok {
		conn = polled
	}
	c := &session{
		srv: srv, conn: conn, polled: polled, began: srv.opts.Now(), output: newOutput(conn, srv.opts.Now, cfg.output["normal"]),
		authed: srv.open(),
	}
	c.remote, c.local, c.onSocket = places(conn)
	c.setUser(srv.users.Get(acl.Default))
	if ok {
		polled.Data = c
	}
	c.in = resp.NewReader(&source{c, &srv.stats.received}, srv.readLimits(c.authed))
	c.multi.reset(c)
	c.makeCarrier()
	c.facts.proto.Store(2)
	c.facts.lastTime.Store(c.began.UnixNano())
	return c
}

// readLimits are what a client may send, which is little before it has logged in.
func (s *Server) readLimits(authed bool) resp.Limits {
	if !authed {
		return resp.UnauthenticatedLimits
	}
	return resp.Limits{MaxBulk: int(s.cfg.Load().bulkMax)}
}

// call is one command as it came off the wire.
type call struct {
	args  [][]byte
	route *route        // nil if err is not
	err   command.Error // why the table does not have it

	// refused is why the call is not carried out, once that has been decided. What was refused stays
	// so, whatever others change meanwhile: its place was chosen for that.
	refused error
	decided bool

	mayBlock bool // it is not part of a transaction
}

func (c *session) find(args [][]byte) call {
	cmd, err := c.srv.table.Lookup(args)
	if err != nil {
		return call{args: args, err: err.(command.Error)}
	}
	if busy := c.srv.scripts.refusal(cmd); busy != "" && c.authed {
		return call{args: args, err: busy}
	}
	return call{args: args, route: c.srv.routes[cmd]}
}

// begin takes down when calls have arrived.
func (c *session) begin() {
	c.clock = c.srv.opts.Now()
	c.arrived = c.clock
}

// carryOn runs the commands of a pipeline in order, waiting for whatever they have to wait for. Replies
// are in c.out, or sent, when it returns the calls that were not carried out: of a session that ends, or of a guest
// with many replies.
func (c *session) carryOn(calls [][][]byte) [][][]byte {
	for {
		if c.blocked != nil && !c.ending {
			calls = c.park(calls)
		}
		if c.out.Len() >= flushBytes {
			if c.guest {
				return calls
			}
			c.flush()
		}
		if len(calls) == 0 || c.over() {
			return calls
		}
		if calls = c.waitForPause(calls); c.ending {
			return calls
		}
		c.hold()
		next := c.find(calls[0])
		switch c.place(&next) {
		case inSequencer:
			calls = c.sequenced(next, calls)
			continue
		case atLeader:
			calls = c.forward(next, calls)
			continue
		case anywhere:
			calls = c.quickly(next, calls)
		case outside:
			c.step(next)
			calls = calls[1:]
		}
		if len(c.overdue) > 0 {
			c.removeOverdue()
		}
	}
}

// over reports whether no further command is to be carried out: the client has asked for
// that, or somebody has closed the connection.
func (c *session) over() bool { return c.ending || c.facts.closed.Load() }

// sequenced hands the first call, which has to run inside the sequencer, to it
// together with all those after it that may run there, and returns the rest. What
// has been carried out is durable when it returns.
func (c *session) sequenced(first call, calls [][][]byte) [][][]byte {
	c.unit.prepare(first, calls, c.out.Len())
	return c.endUnit(c.srv.db.Sequence(c.srv.scripts.patience(first.route.cmd), c.runUnit))
}

// unitTime is how long a session has the sequencer to itself while more commands of its pipeline
// wait. Others come first then: thousands of slow commands are no slower for them than one.
const unitTime = 10 * time.Millisecond

// runUnit carries out the unit, inside the sequencer.
func (c *session) runUnit(seq *txn.Seq) {
	c.seq = seq
	defer func() {
		c.srv.makeRoom(seq) // so that who only reads need not
		c.seq = nil
	}()
	c.clock = c.srv.opts.Now() // how long a command takes does not include its turn to come
	u := &c.unit
	began := c.clock
	u.first.refused = c.refusal(u.first) // it has waited
	defer c.expect(nil)
	for next := u.first; ; next = c.find(u.calls[u.done]) {
		if u.done > 0 {
			if at := c.place(&next); at == outside || at == atLeader || c.paused(next) {
				return
			}
		}
		if u.done%lookAheadMost == 0 {
			c.expect(u.calls[u.done:])
		}
		c.step(next)
		u.done++
		if u.done == len(u.calls) || c.over() || c.blocked != nil || c.out.Len()-u.from >= flushBytes || c.clock.Sub(began) > unitTime {
			return
		}
	}
}

// endUnit takes up what has come of the unit, which is durable unless there is an error, and returns the calls behind it.
func (c *session) endUnit(err error) [][][]byte {
	first, calls, done, from := c.unit.first, c.unit.calls, c.unit.done, c.unit.from
	c.unit.first, c.unit.calls = call{}, nil
	if busy := command.Error(""); errors.As(err, &busy) {
		c.step(call{args: first.args, err: busy})
		return calls[1:]
	}
	if err != nil {
		c.out.Truncate(from) // nobody may be told of what is not durable
		if told := c.toldOf(err, first); told != "" {
			return c.unitLost(told, first, calls, done)
		}
		c.ending = true
		c.giveUp()
		c.srv.storeFailed(err)
		return nil
	}
	if c.srv.cfg.Load().latencyMillis > 0 {
		c.srv.slow(latencySync, c.srv.opts.Now().Sub(c.clock))
	}
	return calls[done:]
}

// place decides whether a call is carried out, and is where it has to run in the session's
// present state.
func (c *session) place(k *call) place {
	k.refused, k.decided = c.refusal(*k), true
	switch {
	case k.refused != nil || c.multi.on && !k.route.atOnce:
		return anywhere // it is only answered, or queued
	case k.route.exec:
		return c.multi.place(c)
	case c.multi.on && k.route.place == inSequencer && c.forwards():
		return anywhere // WATCH, which is an error there
	case c.goesAway(*k):
		return atLeader
	case k.route.scripted && c.changes(*k):
		return inSequencer
	case k.route.subscribing:
		return c.placeToSubscribe(k.args)
	}
	return k.route.placeOf(k.args)
}

// refusal is why a call cannot be carried out at all.
func (c *session) refusal(k call) error {
	switch {
	case k.route == nil:
		return k.err
	case !c.authed && !k.route.unauth:
		return errNoAuth
	}
	if err := c.check(k.route.cmd, k.args); err != nil {
		return err
	}
	if c.multi.on && k.route.cmd.Has(command.NoMulti) {
		return errNotInMulti
	}
	if err := c.refusalByLead(k); err != nil {
		return err
	}
	return c.refusalByMode(k.route)
}

// step answers one call: it is carried out, queued or refused.
func (c *session) step(k call) {
	c.out.Raw(c.output.takeHeld()) // what others have told the client comes in between
	mark, silent := c.out.Len(), c.mute || c.skip
	if !k.decided {
		k.refused = c.refusal(k)
	}
	if k.refused == nil {
		k.refused = c.refusalByMemory(k)
	}
	if k.refused == nil {
		k.refused = c.refusalByReplicas(k)
	}
	switch {
	case k.refused != nil:
		c.refuse(k, k.refused)
	case c.multi.on && !k.route.atOnce:
		c.enqueue(k)
	default:
		c.run(k)
	}
	if silent && (c.mute || c.skip) { // else it was the command that ends the silence
		c.out.Truncate(mark)
	}
	c.skip, c.skipOne = c.skipOne, false
	c.tracking.after(c, k)
}

// refuse answers a call that is not carried out. A transaction that it was to be
// part of fails; one that it was to carry out has failed.
func (c *session) refuse(k call, err error) {
	rejected := k.route
	if rejected == nil {
		rejected = c.srv.rejectedRoute(k.args)
	}
	c.srv.stats.rejected(rejected, err)
	if d := (*denied)(nil); errors.As(err, &d) {
		context := deniedDirectly
		if c.multi.on {
			context = deniedInMulti
		}
		c.logDenied(d.Decision, context, k)
	}
	c.multi.spoil()
	if strings.EqualFold(string(k.args[0]), "exec") {
		c.multi.reset(c)
		c.unwatch()
		if !redirects(err) {
			err = errExecAbortedBy(err)
		}
	}
	c.out.Error(err.Error())
}

// run carries out a call in a transaction of its own, if it needs one.
func (c *session) run(k call) {
	k.mayBlock = true
	if !k.route.keyed {
		c.invoke(k, nil)
		return
	}
	c.rememberReads(k)
	c.running = k
	if err := c.transact(k, c.carrier.invoke); err != nil {
		c.out.Error(err.Error())
	}
	c.beginBlocked()
}

// carrier has the functions that carry a call into its transaction. A session needs them for each call, and makes them once.
type carrier struct {
	fn     func(root *keyspace.Space) // what is done there
	do     func(root *keyspace.Space) error
	read   func(*txn.Tx) error
	invoke func(root *keyspace.Space) // the fn of an ordinary call
}

func (c *session) makeCarrier() {
	k := &c.carrier
	k.do = func(root *keyspace.Space) error {
		c.tx, c.telling = root, telling{by: c}
		k.fn(root)
		return nil
	}
	k.read = c.srv.onRoot(k.do)
	k.invoke = func(root *keyspace.Space) {
		keys := root.DB(c.db)
		c.lookAhead(keys)
		c.invoke(c.running, keys)
	}
}

// transact runs fn in one transaction of a call: inside the sequencer if the session is
// there, else on a snapshot. The error is what the client is told if that has come to nothing; if the store has
// failed there is none, and the session ends. There is one at a time.
func (c *session) transact(k call, fn func(root *keyspace.Space)) error {
	c.carrier.fn = fn
	mark := c.out.Len()
	var err error
	if c.seq != nil {
		err = c.srv.update(c.seq, &c.telling, c.carrier.do)
	} else {
		err = c.readIn(c.carrier.read)
		if err == nil && !c.srv.leads() { // asked after the view: if the lead ends now, the client is told to forget
			if _, tracks := c.srv.tracking.Mode(tracking.ID(c.id)); tracks {
				err = errNotTracked
			}
		}
		c.forgetScripts()
		c.tellNow(err)
	}
	c.tx, c.carrier.fn = nil, nil
	if err == nil {
		c.out.Raw(c.telling.heard)
		c.telling.heard = nil
		return nil
	}
	c.out.Truncate(mark)
	if told := command.Error(""); errors.As(c.told(err, k), &told) {
		return told
	}
	c.ending = true
	c.srv.storeFailed(err)
	return nil
}

// invoke runs the handler of a call. keys is the selected database, nil if the command
// has no use for it.
func (c *session) invoke(k call, keys *keyspace.Space) {
	c.rememberReadsInOrder(k)
	c.showMonitorsFirst(k)
	c.running = k
	mark := c.out.Len()
	began := c.clock
	var before lookups
	counted := keys != nil && k.route.cmd.Has(command.ReadOnly) && !k.route.scripted
	if counted {
		before = lookupsOf(keys)
	}
	ctx := &c.ctx
	if ctx.Cmd != nil { // a call within a call
		ctx = new(command.Ctx)
	}
	defer func() { *ctx = command.Ctx{} }()
	*ctx = command.Ctx{
		Args: k.args, Cmd: k.route.cmd, Out: &c.out, Keys: keys, Env: c.srv.env.Load(), Caller: c, MayBlock: k.mayBlock,
		Untouched: c.untouched(k.route.cmd),
	}
	if !c.user.Unrestricted() {
		ctx.ReadsAll = c.user.ReadsAll
	}
	if err := c.srv.table.Run(ctx); err != nil {
		c.srv.commandFailed(c, err)
	}
	if counted {
		c.srv.stats.looked(before, lookupsOf(keys))
	}
	c.clock = c.srv.opts.Now()
	took := c.clock.Sub(began)
	c.showMonitors(k, c.remote)
	if ctx.Blocked != nil {
		c.block(k, ctx.Blocked, took)
		return
	}
	reply := c.out.Since(mark)
	if ctx.Counted {
		c.srv.stats.ranCounted(k.route, took)
	} else {
		c.srv.stats.ran(k.route, took, reply)
	}
	c.srv.logSlow(c, k, took)
	c.srv.slowCommand(k.route.cmd, took)
	c.facts.lastCall.Store(k.route.cmd)
}

// snap is a snapshot that several reads are carried out on, or why there is none.
type snap struct {
	tx  *txn.Tx
	err error
}

// readIn runs fn on a snapshot.
func (c *session) readIn(fn func(*txn.Tx) error) error {
	switch {
	case c.snap.err != nil:
		return c.snap.err
	case c.snap.tx != nil:
		return txn.Protect(func() error { return fn(c.snap.tx) })
	}
	return c.srv.snapshot(c.near(), fn)
}

// togetherMost is how many reads are carried out on one snapshot.
const togetherMost = 128

// together reports whether a call that may run anywhere is a read that others of its pipeline may share a snapshot with: all of them
// had arrived when it was taken. For one who tracks what they read it has to be taken after each is noted.
func (c *session) together(k *call) bool {
	return k.refused == nil && k.route.keyed && !k.route.scripted && !c.multi.on && !c.tracking.counts()
}

// readTogether carries out the first call and the reads behind it, on one snapshot, and returns the rest. Where several machines keep the
// data that asks the others once for all of them.
func (c *session) readTogether(first call, calls [][][]byte) [][][]byte {
	done, waited := 0, c.srv.db.ReadWaits()
	err := c.srv.snapshot(c.near(), func(tx *txn.Tx) error {
		c.snap.tx = tx
		defer func() { c.snap.tx = nil }()
		defer c.expect(nil)
		for next := first; ; next = c.find(calls[done]) {
			if done > 0 && (c.place(&next) != anywhere || !c.together(&next) || c.paused(next)) {
				return nil
			}
			if done%lookAheadMost == 0 {
				c.expect(calls[done:])
			}
			c.step(next)
			done++
			if done == len(calls) || done == togetherMost || c.over() || c.slow() || !c.waits && c.srv.db.ReadWaits() != waited {
				return nil
			}
		}
	})
	switch {
	case err != nil && done == 0:
		c.snap.err = err
		c.step(first)
		c.snap.err = nil
		done = 1
	case err != nil: // a fault of the server's
		c.ending = true
		c.srv.storeFailed(err)
	}
	return calls[done:]
}

// lookAheadMost is how many calls are looked at before the first of them is carried out: the rows that they begin with
// fit into the nearest cache of a processor.
const lookAheadMost = 32

// expect has the calls that come next looked at before the first of them is carried out, if there is enough to gain.
func (c *session) expect(calls [][][]byte) {
	c.ahead = nil
	if len(calls) > 1 || len(calls) == 1 && len(calls[0]) > 4 {
		c.ahead = calls[:min(len(calls), lookAheadMost)]
	}
}

// lookAhead prepares the look-ups of the calls that are expected.
func (c *session) lookAhead(keys *keyspace.Space) {
	if len(c.ahead) == 0 {
		return
	}
	keys.Prefetch(func(a *keyspace.Ahead) {
		for _, args := range c.ahead {
			c.nameAhead(args, a)
		}
	})
	c.ahead = nil
}

// nameAhead names what a call will look up.
func (c *session) nameAhead(args [][]byte, a *keyspace.Ahead) {
	if cmd, err := c.srv.table.Lookup(args); err == nil {
		cmd.LookAhead(args, a)
	}
}

// quickly carries out the first of calls, which may run anywhere, or more, and returns the rest.
func (c *session) quickly(first call, calls [][][]byte) [][][]byte {
	if len(calls) > 1 && c.together(&first) {
		return c.readTogether(first, calls)
	}
	c.expect(calls[:1])
	c.step(first)
	c.expect(nil)
	return calls[1:]
}

// callerOf returns the session that a call comes from.
func callerOf(c *command.Ctx) *session { return c.Caller.(*session) }

func serverOf(c *command.Ctx) *Server { return callerOf(c).srv }
