package server

import (
	"sync/atomic"
	"time"

	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/netpoll"
)

// A loop has one processor of two. What its sessions write keeps the other one busy, in the sequencer and behind it; what
// they only read does not. So a loop whose turns were mostly answered at once shares its rounds with a helper. Rounds of
// writes are not shared: they would reach the sequencer in two halves, and it would make smaller runs of them.

// round is what a loop has found ready at once. Whoever is free takes the next turn.
type round struct {
	ready []*netpoll.Conn
	next  atomic.Int64 // the first turn that nobody has taken; may be beyond the last one
}

func (r *round) reset() {
	clear(r.ready)
	r.next.Store(0)
}

// sharedFrom is how many turns are worth waking a helper: it takes some together, and so does the loop.
const sharedFrom = 2 * turnsTogether

// share offers a round to the helper, and reports whether that will look at it.
func (l *loop) share(r *round) bool {
	if l.help == nil || len(r.ready) < sharedFrom {
		return false
	}
	select {
	case l.help <- r:
		return true
	default: // it is busy with another one
		return false
	}
}

// take takes the turns that nobody has taken yet, carries out what they leave for the sequencer, and returns how many they were, and whether
// another goroutine watches the connections by now.
func (l *loop) take(r *round) (taken int, relieved bool) {
	l.answered = 0
	for {
		end := int(r.next.Add(turnsTogether))
		first := end - turnsTogether
		if first >= len(r.ready) {
			break
		}
		some := r.ready[first:min(end, len(r.ready))]
		l.takeTogether(some)
		taken += len(some)
	}
	l.recent.add(taken, len(l.tasks))
	return taken, l.perform()
}

// turnsTogether is how many turns are taken step by step: what has arrived is read for all of them, then it is carried out, then
// answered. So the processor has in its caches what the step of the turn before has left there, the system's code above all, and
// waits for memory once for what all of them look up. That makes GETs 7 to 11 % faster. Of more turns less is left in the caches, and a helper
// finds less to do.
const turnsTogether = 8

// answersWithin is for how long replies wait for other turns.
const answersWithin = 200 * time.Microsecond

// takeTogether takes the turns of ready, step by step.
func (l *loop) takeTogether(ready []*netpoll.Conn) {
	for _, conn := range ready {
		conn.Data.(*session).receive()
	}
	if len(ready) > 1 && !l.recent.mostlyWrites() { // what units look up is prepared right before they are carried out
		l.prefetch(func(a *keyspace.Ahead) {
			for _, conn := range ready {
				c := conn.Data.(*session)
				if calls := c.received.calls; len(calls) == 1 {
					a.In(c.db)
					c.nameAhead(calls[0], a)
				}
			}
		})
	}
	for _, conn := range ready {
		c := conn.Data.(*session)
		c.turn(l)
		// Whose reply is not the last one has been handed on, and so has its clock.
		if n := len(l.replies); n > 0 && l.replies[n-1] == c && c.clock.Sub(l.replies[0].clock) > answersWithin {
			l.answer()
		}
	}
	l.answer()
}

// answer sends the replies of turns that needed nothing but this loop. Who has sent more meanwhile gets another turn.
func (l *loop) answer() {
	for i := 0; i < len(l.replies); i++ {
		c := l.replies[i]
		l.answered++
		if c.answered() {
			c.turn(l)
		}
	}
	clear(l.replies)
	l.replies = l.replies[:0]
}

// helper takes turns of the rounds that its loop shares, until that has ended.
func (l *loop) helper() {
	h := &loop{srv: l.srv}
	for r := range l.help {
		h.take(r)
	}
}
