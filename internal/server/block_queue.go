package server

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/elastickv/elastickv/internal/keyspace"
)

// waiters is every session that waits. Waits for keys begin inside the sequencer, and
// whom a change concerns is found there, so that none is missed. They end
// anywhere.
type waiters struct {
	blocked atomic.Int64 // sessions whose wait has no end yet
	keys    atomic.Int64 // in byKey: most transactions need not look further

	mu    sync.Mutex
	byKey map[dbKey]*queue
	last  uint64 // number of the newest waiter
	ready []*queue

	serving bool // the sequencer's own
}

// queue is those who wait for one key, in the order in which they began to.
type queue struct {
	key         dbKey
	first, last *turn
	next        *turn // of the sequencer's walk, nil at its end
	anyway      int   // of them are concerned whatever the key becomes
	ready       bool  // the key has changed; it stands in waiters.ready
}

// turn is where a waiter stands in a queue.
type turn struct {
	w          *waiter
	q          *queue
	prev, next *turn
}

func (t *waiters) init() { t.byKey = make(map[dbKey]*queue) }

// begin makes a waiter wait, unless its session is being closed.
func (t *waiters) begin(w *waiter) {
	t.mu.Lock()
	defer t.mu.Unlock()
	w.begun = true
	if w.c.parking.gone {
		w.how = left
		return
	}
	t.last++
	w.number = t.last
	t.blocked.Add(1)
	for _, key := range w.keys {
		q := t.byKey[key]
		if q == nil {
			q = &queue{key: key}
			t.byKey[key] = q
			t.keys.Add(1)
		}
		if q.last == nil || q.last.w != w { // a key may be named twice
			q.append(w)
		}
	}
	w.c.parking.waiter.Store(w)
}

func (q *queue) append(w *waiter) {
	p := &turn{w: w, q: q, prev: q.last}
	if q.last == nil {
		q.first = p
	} else {
		q.last.next = p
	}
	q.last = p
	if w.anyway() {
		q.anyway++
	}
	w.turns = append(w.turns, p)
}

// anyway reports whether a change of a key concerns the waiter whatever the key becomes.
func (w *waiter) anyway() bool { return w.block.Gone != nil || w.block.Kind == keyspace.KindNone }

// decide ends a wait as told if it has no end yet. It returns how it ends, and whether
// that was decided by this call.
func (t *waiters) decide(w *waiter, how outcome) (outcome, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.decideLocked(w, how)
}

func (t *waiters) decideLocked(w *waiter, how outcome) (outcome, bool) {
	if w.how != undecided {
		return w.how, false
	}
	w.how = how
	t.blocked.Add(-1)
	for _, p := range w.turns {
		t.removeLocked(p)
	}
	w.turns = nil
	return how, true
}

// expire ends a wait as if its time were over, if it has no end yet.
func (t *waiters) expire(w *waiter) {
	if _, mine := t.decide(w, timedOut); mine {
		w.wake()
	}
}

func (t *waiters) removeLocked(p *turn) {
	q := p.q
	if q.next == p {
		q.next = p.next
	}
	if p.prev == nil {
		q.first = p.next
	} else {
		p.prev.next = p.next
	}
	if p.next == nil {
		q.last = p.prev
	} else {
		p.next.prev = p.prev
	}
	if p.w.anyway() {
		q.anyway--
	}
	if q.first == nil {
		delete(t.byKey, q.key)
		t.keys.Add(-1)
	}
}

// leave ends whatever a session waits for, now and later.
func (t *waiters) leave(c *session) {
	t.mu.Lock()
	defer t.mu.Unlock()
	c.parking.gone = true
	if w := c.parking.waiter.Load(); w != nil {
		t.decideLocked(w, left)
	}
}

// waits reports whether the session's wait has no end yet.
func (t *waiters) waits(c *session) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	w := c.parking.waiter.Load()
	return w != nil && w.how == undecided
}

// touch takes down which keys that somebody waits for have changed.
func (t *waiters) touch(changes []keyspace.Change) {
	if t.keys.Load() == 0 || len(changes) == 0 {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, ch := range changes {
		if ch.Key == nil {
			t.touchAllLocked(ch.DB)
		} else if q := t.byKey[dbKey{ch.DB, string(ch.Key)}]; q != nil {
			t.touchLocked(q)
		}
	}
}

func (t *waiters) touchLocked(q *queue) {
	if !q.ready {
		q.ready = true
		t.ready = append(t.ready, q)
	}
}

// touchAllLocked takes every key of a database for changed, those first that were
// waited for first.
func (t *waiters) touchAllLocked(db int) {
	var all []*queue
	for key, q := range t.byKey {
		if key.db == db {
			all = append(all, q)
		}
	}
	slices.SortFunc(all, func(a, b *queue) int {
		switch x, y := a.first.w.number, b.first.w.number; {
		case x < y:
			return -1
		case x > y:
			return 1
		}
		return bytes.Compare([]byte(a.key.key), []byte(b.key.key))
	})
	for _, q := range all {
		t.touchLocked(q)
	}
}

// nextReady returns the queue of the key that changed first and has not been looked at
// since, ready to be walked; nil if there is none.
func (t *waiters) nextReady() *queue {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.ready) == 0 {
		t.ready = nil
		return nil
	}
	q := t.ready[0]
	t.ready = t.ready[1:]
	q.ready = false
	q.next = q.first
	return q
}

// step returns the next waiter of a walk, nil at its end. If told that the key has gone,
// it ends where nobody is concerned by that.
func (t *waiters) step(q *queue, gone bool) *waiter {
	t.mu.Lock()
	defer t.mu.Unlock()
	if q.next == nil || gone && q.anyway == 0 {
		q.next = nil
		return nil
	}
	w := q.next.w
	q.next = q.next.next
	return w
}

// counts returns for how many keys somebody waits, and for how many of these somebody
// who is concerned even if the key has gone.
func (t *waiters) counts() (keys, anyway int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, q := range t.byKey {
		if q.anyway > 0 {
			anyway++
		}
	}
	return len(t.byKey), anyway
}
