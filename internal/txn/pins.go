package txn

import (
	"fmt"
	"math"
	"sync"
	"sync/atomic"
	"time"
	"weak"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/store"
)

// pins are the moments that transactions in progress read at. DropHistory lets go of
// nothing that one of them needs.
//
// To pin has to cost next to nothing, for every read does it: a transaction stores its
// timestamp in a pin that nobody else writes, and takes that from a pool, which hands each
// processor its own. Who drops history looks at all of them.
//
// The two meet at the barrier. A transaction stores its timestamp and then reads the
// barrier; who drops history raises the barrier and then reads the timestamps. So if
// the barrier is not above a timestamp, everyone who raises it later finds the pin. Else the
// transaction waits until it is decided up to where history goes: that takes one look at
// the pins, not the compaction.
type pins struct {
	engine store.Engine
	clock  *hlc.Clock
	age    time.Duration // after which the pin of an optimistic transaction lapses
	idle   sync.Pool     // of pins that hold nothing

	barrier atomic.Uint64 // nothing below it is sure to stay; it falls only before it is decided

	mu struct {
		sync.Mutex
		all     []weak.Pointer[pin] // those that are gone are taken out now and then
		pruneAt int                 // length at which they are
	}
}

// pin holds one timestamp for one transaction at a time. Nothing but its transaction, or
// the pool, refers to it: the pin of a transaction that was dropped goes with it.
type pin struct {
	ts   atomic.Uint64 // 0 while nothing is held
	held atomic.Uint64 // heldSince; stored before ts
	_    [112]byte     // two cache lines: processors fetch them in pairs
}

// optimistic marks in pin.held that the pin lapses.
const optimistic = 1

// heldSince says in one word since which millisecond a pin is held, and whether it lapses.
func heldSince(now, kind uint64) uint64 { return hlc.Millis(now)<<1 | kind }

func (p *pins) init(engine store.Engine, clock *hlc.Clock, age time.Duration) {
	p.engine, p.clock, p.age = engine, clock, age
	p.idle.New = func() any { return p.add() }
	p.barrier.Store(engine.MinRetainedTS())
}

// add makes a pin that is found by who drops history.
func (p *pins) add() *pin {
	h := new(pin)
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.mu.all) >= p.mu.pruneAt {
		p.eachLocked(func(*pin) {})
		p.mu.pruneAt = 64 + 2*len(p.mu.all)
	}
	p.mu.all = append(p.mu.all, weak.Make(h))
	return h
}

// eachLocked calls fn for every pin there is.
func (p *pins) eachLocked(fn func(*pin)) {
	kept := p.mu.all[:0]
	for _, w := range p.mu.all {
		if h := w.Value(); h != nil {
			fn(h)
			kept = append(kept, w)
		}
	}
	clear(p.mu.all[len(kept):])
	p.mu.all = kept
}

// hold has the pin keep what a read at ts needs. Where nothing has been committed yet, that is all there
// will be: 0 would hold nothing.
func (h *pin) hold(ts uint64) { h.ts.Store(max(ts, 1)) }

// present is what take is asked for by who reads the newest moment.
const present = math.MaxUint64

// take pins the timestamp asked, or the newest durable one if that is lower, which it
// returns. It fails if history is being, or has been, dropped above that; the pin then
// holds nothing back, but is to be released all the same.
func (p *pins) take(asked, held uint64) (*pin, uint64, error) {
	h := p.idle.Get().(*pin)
	if h.held.Load() != held { // a load is cheaper, and it is mostly the same millisecond
		h.held.Store(held)
	}
	ts := min(asked, p.engine.LastCommitTS())
	h.hold(ts)
	if p.barrier.Load() <= ts {
		return h, ts, nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	ts = min(asked, p.engine.LastCommitTS())
	h.hold(ts)
	if kept := p.barrier.Load(); kept > ts && ts != 0 { // at 0 there is nothing to read
		return h, ts, fmt.Errorf("txn: timestamp %d is below %d, from which on history is kept: %w", ts, kept, store.ErrReadTSCompacted)
	}
	return h, ts, nil
}

// release ends the use of a pin.
func (p *pins) release(h *pin) {
	h.ts.Store(0)
	p.idle.Put(h)
}

// settle decides up to where history goes: at most to ts, which is at most the newest
// durable timestamp, and never beyond a pin.
func (p *pins) settle(ts uint64) uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.barrier.Load()
	if ts <= before {
		return ts
	}
	p.barrier.Store(ts)
	if st := p.statsLocked(); st.OldestTS != 0 {
		ts = max(before, min(ts, st.OldestTS))
		p.barrier.Store(ts)
	}
	return ts
}

// PinStats tell what transactions in progress keep from being dropped.
type PinStats struct {
	Count     int           // transactions that read
	OldestTS  uint64        // the lowest timestamp that one of them reads at; 0 if there are none
	OldestAge time.Duration // for how long that one has been under way
	Lapsed    int           // optimistic transactions older than Options.PinAge, which keep nothing; not in Count
}

// Pins returns what transactions in progress keep from being dropped.
func (l *Local) Pins() PinStats {
	l.pins.mu.Lock()
	defer l.pins.mu.Unlock()
	return l.pins.statsLocked()
}

func (p *pins) statsLocked() (st PinStats) {
	now := hlc.Millis(p.clock.Now())
	p.eachLocked(func(h *pin) {
		// In this order: what is read of held is as new as ts, so no pin lapses for
		// one that had its place before.
		ts := h.ts.Load()
		held := h.held.Load()
		if ts == 0 {
			return
		}
		age := time.Duration(now-min(held>>1, now)) * time.Millisecond
		if held&optimistic != 0 && age > p.age {
			st.Lapsed++
			return
		}
		st.Count++
		if st.OldestTS == 0 || ts < st.OldestTS {
			st.OldestTS, st.OldestAge = ts, age
		}
	})
	return st
}

// pinned is the snapshot of an optimistic transaction.
type pinned struct {
	snapshot
	pin *pin // keeps it from the collector as long as the transaction is used
}

// unpin ends the hold of an optimistic transaction. It is called once.
func (p *pins) unpin(tx *Tx) {
	if s, ok := tx.view.base.(*pinned); ok {
		p.release(s.pin)
	}
}
