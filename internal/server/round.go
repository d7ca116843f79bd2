package server

import (
	"sync/atomic"

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

// sharedFrom is how many turns are worth waking a helper.
const sharedFrom = 4

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
		i := int(r.next.Add(1)) - 1
		if i >= len(r.ready) {
			break
		}
		r.ready[i].Data.(*session).turn(l)
		taken++
	}
	l.recent.add(taken, len(l.tasks))
	return taken, l.perform()
}

// helper takes turns of the rounds that its loop shares, until that has ended.
func (l *loop) helper() {
	h := &loop{srv: l.srv}
	for r := range l.help {
		h.take(r)
	}
}
