package store

import (
	"math"
	"sync/atomic"
)

// gate lets calls in until it is closed, and lets the closer wait for those
// inside. Unlike a read lock it may be entered again by a call that is inside
// already, whether or not someone waits to close it.
type gate struct {
	inside  atomic.Int64 // calls inside; math.MinInt64 is added by shut
	drained chan struct{}
}

func newGate() *gate { return &gate{drained: make(chan struct{}, 1)} }

// enter reports whether the call may go on; then it must leave.
func (g *gate) enter() bool {
	if g.inside.Add(1) > 0 {
		return true
	}
	g.leave()
	return false
}

func (g *gate) leave() {
	if g.inside.Add(-1) == math.MinInt64 {
		select {
		case g.drained <- struct{}{}:
		default:
		}
	}
}

// shared reports whether others are inside besides the caller.
func (g *gate) shared() bool { return g.inside.Load() > 1 }

// closing reports whether long calls should come to an end.
func (g *gate) closing() bool { return g.inside.Load() < 0 }

// shut closes the gate and waits until it is empty. It reports whether this
// call was the one that closed it.
func (g *gate) shut() bool {
	for {
		n := g.inside.Load()
		if n < 0 {
			return false
		}
		if !g.inside.CompareAndSwap(n, n+math.MinInt64) {
			continue
		}
		if n > 0 {
			<-g.drained
		}
		return true
	}
}
