package script

import (
	"sync"
	"sync/atomic"
)

// idleMost is how many worlds without work are kept.
const idleMost = 4

// pool hands out worlds. The one that came back last goes first, so that scripts which run one
// after the other find what the last has left: the sequence of math.random, settings of
// cjson, variables of libraries.
type pool struct {
	make  func() *world
	limit func() int64 // of memory, for a new world

	mu   sync.Mutex
	idle []*world
	used atomic.Int64 // bytes that idle worlds hold
}

// take returns a world that nobody else uses.
func (p *pool) take() *world {
	if w := p.takeIdle(p.limit()); w != nil {
		return w
	}
	w := p.make()
	w.held = w.lua.Memory()
	return w
}

// takeIdle returns a world that is there already, or nil. Those with another limit go.
func (p *pool) takeIdle(limit int64) *world {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n := len(p.idle); n > 0; n = len(p.idle) {
		w := p.idle[n-1]
		p.idle[n-1] = nil
		p.idle = p.idle[:n-1]
		p.used.Add(-w.held)
		if w.limit == limit {
			return w
		}
	}
	return nil
}

// collectEvery is how many bytes a world may have taken since it was looked at last until it is
// counted what of that is still in use. One that holds more may have taken as much again, so that
// counting does not cost more than what it counts.
const collectEvery = 64 << 10

// put takes back a world that is as a script should leave it.
func (p *pool) put(w *world) {
	if w.spent {
		return
	}
	if w.lua.Memory() > w.held+max(collectEvery, w.held) {
		w.held = w.lua.Collect()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.idle) < idleMost && w.limit == p.limit() {
		p.idle = append(p.idle, w)
		p.used.Add(w.held)
	}
}

// drop forgets the worlds without work.
func (p *pool) drop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.idle)
	p.idle = nil
	p.used.Store(0)
}

func (p *pool) memory() int64 { return p.used.Load() }
