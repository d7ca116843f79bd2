package server

import (
	"errors"
	"sync"
	"time"

	"github.com/elastickv/elastickv/internal/command"
	"github.com/elastickv/elastickv/internal/relay"
	"github.com/elastickv/elastickv/internal/resp"
	"github.com/elastickv/elastickv/internal/tracking"
)

// A node that does not lead asks the leader for clients that do not go there themselves. The session stays here, with all that it is: who
// has logged in, the database, the protocol, MULTI, subscriptions. Each request tells the leader what it needs to know of that. The leader keeps
// a session of its own, a guest, and carries the calls out as if the client were there; only WATCH leaves something behind in it. Never is a call
// sent a second time that may have been carried out.

// away is what the leader does for a session.
type away struct {
	node     uint64        // that led when the stream began
	stream   *relay.Stream // nil: there is none
	watching bool          // the session has called WATCH there
	lost     bool          // keys were watched where nobody watches them any more: they count as changed
	unit     []call        // that the leader is asked for; kept for the next one
	buf      []byte        // likewise
}

// awayKept is how large a buffer may be that is kept.
const awayKept = 64 << 10

func (a *away) close() {
	if a.stream != nil {
		a.stream.Close()
		a.stream = nil
	}
}

// watchAway notes that keys are watched at the leader.
func (c *session) watchAway(keys int) {
	c.away.watching = true
	c.facts.watching.Add(int64(keys))
}

// unwatchAway has the leader forget the watched keys.
func (c *session) unwatchAway() {
	if c.away.watching || c.away.lost {
		c.away.close()
		c.unwatchedAway()
	}
}

// unwatchedAway notes that the leader has forgotten them.
func (c *session) unwatchedAway() {
	c.away.watching, c.away.lost = false, false
	c.facts.watching.Store(0)
}

// forwards reports whether this node asks the leader for what it cannot do itself for the client. Who keeps copies of what it reads
// (CLIENT TRACKING) is not forwarded: only the leader can tell it to forget.
func (c *session) forwards() bool {
	if !c.srv.following.Load() || c.guest || c.srv.cfg.Load().cluster.redirects != redirectsAuto || c.facts.clustered.Load() {
		return false
	}
	_, tracks := c.srv.tracking.Mode(tracking.ID(c.id))
	return !tracks
}

// goesAway reports whether the leader is asked to carry out a call.
func (c *session) goesAway(k call) bool {
	return c.srv.following.Load() && (k.route.place == inSequencer || k.route.cmd.Has(command.AtLeader) || c.changes(k) ||
		k.route.cmd.Has(command.AtScript) && !c.srv.scripts.engine.Running()) && c.forwards()
}

// forward has the leader carry out the first call, and those behind it that may go along, and returns the rest.
func (c *session) forward(first call, calls [][][]byte) [][][]byte {
	mark, silent := c.out.Len(), c.mute || c.skip
	n := 1
	switch {
	case first.route.exec:
		c.execAway(first)
	case first.route.cmd.Has(command.Blocking | command.AtLeader):
		c.blocked = c.waitAway(first)
	default:
		n = c.unitAway(first, calls)
	}
	if silent {
		c.out.Truncate(mark)
	}
	c.skip, c.skipOne = c.skipOne, false
	return calls[n:]
}

// unitAway has the leader carry out as many of the calls as go along with the first, and returns their number.
func (c *session) unitAway(first call, calls [][][]byte) int {
	unit := c.gather(first, calls)
	defer clear(unit)
	began := c.clock
	a, err := c.ask(&request{calls: calls[:len(unit)]}, unit)
	c.clock = c.srv.opts.Now()
	if err != nil {
		c.replyAll(unit, a.replies, err)
		return len(unit)
	}
	c.out.Raw(a.replies)
	for _, k := range unit[:a.carried] {
		c.passed(k, c.clock.Sub(began)/time.Duration(a.carried))
	}
	return a.carried
}

// gather returns the first of the calls and those behind it that go along to the leader: others that only it can carry out, and reads
// that are quick there. What may wait goes by itself.
func (c *session) gather(first call, calls [][][]byte) []call {
	unit, size := append(c.away.unit[:0], first), argBytes(first.args)
	for len(unit) < len(calls) && size < flushBytes && !c.skip {
		k := c.find(calls[len(unit)])
		if !c.goesAlong(&k) {
			break
		}
		unit = append(unit, k)
		size += argBytes(k.args)
	}
	c.away.unit = unit
	return unit
}

func (c *session) goesAlong(k *call) bool {
	switch c.place(k) {
	case atLeader:
		return !k.route.exec && !k.route.cmd.Has(command.Blocking|command.AtLeader) && !c.paused(*k)
	case anywhere:
		return k.refused == nil && k.route.keyed && !c.multi.on && !c.paused(*k)
	case inSequencer, outside:
	}
	return false
}

// passed takes down that a call was carried out by the leader.
func (c *session) passed(k call, took time.Duration) {
	if k.route.cmd.Name == "watch" {
		c.watchAway(len(k.args) - 1)
	}
	c.srv.stats.forwarded.Add(1)
	c.srv.stats.ranWell(k.route, took)
	c.showMonitorsFirst(k)
	c.showMonitors(k, c.remote)
	c.facts.lastCall.Store(k.route.cmd)
}

// replyAll answers calls of which not all were carried out, or nobody knows. replies is what the leader has said before the connection broke.
func (c *session) replyAll(unit []call, replies []byte, err error) {
	if told := command.Error(""); errors.As(err, &told) {
		for _, k := range unit {
			c.srv.stats.rejected(k.route, told)
			c.out.Error(told.Error())
		}
		return
	}
	for len(unit) > 0 {
		v, rest, err := resp.ParseReply(replies)
		if err != nil {
			break
		}
		c.out.Raw(replies[:len(replies)-len(rest)])
		replies = rest
		if v.Kind != resp.KindPush {
			c.passed(unit[0], 0)
			unit = unit[1:]
		}
	}
	for _, k := range unit {
		c.passed(k, 0)
		c.lose(k, &c.out)
	}
}

// lose answers a call that the leader has been asked for and has not answered.
func (c *session) lose(k call, out *resp.Writer) {
	told := errAnswerLost
	if k.route.place != inSequencer && !k.route.exec && !k.route.cmd.Has(command.AtLeader|command.AtScript) && !c.changes(k) {
		told = errReadLost
	}
	c.srv.stats.answersLost.Add(1)
	k.route.stats.failed.Add(1)
	c.srv.stats.errorReply(errorCode([]byte(told)))
	out.Error(told.Error())
}

// execAway has the leader carry out the transaction.
func (c *session) execAway(k call) {
	m, began := c.multi, c.clock
	c.multi.reset(c)
	for _, q := range m.calls {
		if !q.route.travels {
			told := errNotAway(q.route.cmd)
			c.srv.stats.rejected(k.route, told)
			c.unwatch()
			c.out.Error(told.Error())
			return
		}
	}
	if len(c.watched) > 0 { // this node led then
		c.away.lost = true
	}
	r := &request{transaction: true}
	for _, q := range m.calls {
		r.calls = append(r.calls, q.args)
	}
	a, err := c.ask(r, m.calls)
	c.clock = c.srv.opts.Now()
	switch {
	case err == errDisturbed:
		c.out.NullArray()
	case err != nil:
		c.replyAll([]call{k}, nil, err)
	default:
		c.unwatchedAway()
		c.out.Raw(a.replies)
		for _, q := range m.calls {
			c.passed(q, c.clock.Sub(began))
		}
		c.passed(k, c.clock.Sub(began))
	}
	c.unwatch()
}

// errDisturbed says that watched keys have changed, or may have.
var errDisturbed = errors.New("server: a watched key may have changed")

// triesMost is how often a request is made that has not reached the leader.
const triesMost = 2

// ask has the leader carry out the calls of a request, whose other parts are filled in, and waits. An error that is one for the client says that
// nothing has happened. With relay.ErrLost nobody knows, and the replies are those that have come.
func (c *session) ask(r *request, of []call) (answer, error) {
	for try := 1; ; {
		leader, told := c.srv.leader()
		if told != "" {
			return answer{}, told
		}
		s, err := c.streamAway(leader)
		if r.transaction && c.away.lost {
			return answer{}, errDisturbed
		}
		if err != nil {
			return answer{}, errLeaderAway(leader)
		}
		b, err := s.Ask(c.encode(r))
		switch {
		case err == nil:
		case errors.Is(err, relay.ErrTooLong):
			return answer{}, errTooLongToPass
		case errors.Is(err, relay.ErrUnsent) && try < triesMost:
			try++
			continue
		case errors.Is(err, relay.ErrUnsent):
			return answer{}, errLeaderAway(leader)
		default:
			c.away.close()
			return answer{replies: b}, err
		}
		a, err := c.understand(s, b, r)
		if err != errLacking {
			return a, err
		}
		r.scripts, r.lastWord = c.scriptsOf(of), true
	}
}

// errLacking says that the leader asks for scripts.
var errLacking = errors.New("server: the leader has not got a script")

// understand returns what the leader has answered to r.
func (c *session) understand(s *relay.Stream, b []byte, r *request) (answer, error) {
	most := len(r.calls)
	if r.transaction {
		most = 1
	}
	a, err := parseAnswer(b, most)
	switch {
	case err != nil || a.status == lacking && r.lastWord:
		s.Close()
		return answer{}, relay.ErrLost
	case a.status == lacking:
		return answer{}, errLacking
	case a.status == refused:
		return answer{}, command.Error(a.replies)
	}
	return a, nil
}

// encode returns a request, with what the leader has to know of the session, until the next one.
func (c *session) encode(r *request) []byte {
	r.user, r.addr, r.db, r.proto, r.noTouch = c.user.Name(), c.remote, c.db, c.out.Proto(), c.facts.noTouch.Load()
	b := appendRequest(c.away.buf[:0], r)
	if c.away.buf = nil; cap(b) <= awayKept {
		c.away.buf = b
	}
	return b
}

// scriptsOf returns those that calls name by their digests, as far as this node knows them.
func (c *session) scriptsOf(calls []call) (scripts [][]byte) {
	for _, k := range calls {
		if !k.route.byDigest {
			continue
		}
		if body, ok := c.srv.scripts.engine.Script(k.args[1]); ok {
			scripts = append(scripts, body)
		}
	}
	return scripts
}

// streamAway returns a stream on which the leader can be asked now.
func (c *session) streamAway(leader Peer) (*relay.Stream, error) {
	a := &c.away
	if a.stream != nil && a.node == leader.Node && !a.stream.Over() {
		return a.stream, nil
	}
	a.close()
	a.lost = a.lost || a.watching
	l, err := c.srv.link(leader.Node)
	if err != nil {
		return nil, err
	}
	a.node = leader.Node
	a.stream, err = l.Open()
	return a.stream, err
}

// Nudges end a wait at the leader. The numbers are part of the format; never change.
var nudges = map[outcome]byte{timedOut: 1, unblocked: 2}

// nudged is nudges from the other side.
func nudged(which byte) (outcome, bool) {
	for how, n := range nudges {
		if n == which {
			return how, true
		}
	}
	return undecided, false
}

// waitAway returns a wait for what the leader answers to a call. If it cannot be asked, there is none, and the client is told.
func (c *session) waitAway(k call) *waiter {
	leader, told := c.srv.leader()
	var s *relay.Stream
	if told == "" {
		var err error
		if s, err = c.streamAway(leader); err != nil {
			told = errLeaderAway(leader)
		}
	}
	if told != "" {
		c.replyAll([]call{k}, nil, told)
		return nil
	}
	w := &waiter{
		c: c, call: call{args: ownArgs(k.args), route: k.route}, db: c.db, block: &command.Block{},
		silent: c.mute || c.skip, ready: make(chan struct{}), away: s,
	}
	w.out.SetProto(c.out.Proto())
	w.block.Expired = func(out *resp.Writer) { out.Error(errAnswerLost.Error()) } // never: the leader keeps the time
	return w
}

// askAway asks the leader for the call of a wait, which ends with the answer. answered is told how it has ended, before anything
// else is asked.
func (c *session) askAway(w *waiter) (answered func(outcome)) {
	r := &request{calls: [][][]byte{w.call.args}}
	m := c.encode(r)
	var asking sync.WaitGroup
	asking.Go(func() {
		a, err := c.askFor(w, m, r)
		if told := command.Error(""); errors.As(err, &told) {
			w.lost = told
		} else if err != nil {
			c.lose(w.call, &w.out)
		}
		w.out.Raw(a.replies)
		if _, mine := c.srv.waiters.decide(w, served); mine {
			w.wake()
		}
	})
	return func(how outcome) {
		if how != served {
			w.away.Close()
		}
		asking.Wait()
		c.passed(w.call, c.srv.opts.Now().Sub(c.clock))
	}
}

func (c *session) askFor(w *waiter, m []byte, r *request) (answer, error) {
	b, err := w.away.Ask(m)
	switch {
	case errors.Is(err, relay.ErrLost):
		return answer{}, err
	case err != nil:
		return answer{}, errLeaderAway(Peer{Node: c.away.node})
	}
	return c.understand(w.away, b, r)
}
