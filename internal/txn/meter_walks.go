package txn

import (
	"errors"

	"github.com/elastickv/elastickv/store"
)

// work is the worker's loop: one walk at a time, so that counting takes at most one processor.
func (m *meter) work() {
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-m.wake:
		}
		m.turn()
		for s, ok := m.next(); ok; s, ok = m.next() {
			m.settle(s)
		}
	}
}

// next takes the next span that waits, unless something else has to be done first.
func (m *meter) next() (s settlement, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.mu.late) == 0 || m.mu.counting || m.ctx.Err() != nil {
		return s, false
	}
	s = m.mu.late[0]
	m.mu.late[0] = settlement{}
	m.mu.late = m.mu.late[1:]
	return s, true
}

// turn begins or ends the counting, as it is wanted now.
func (m *meter) turn() {
	t := m.current.Load()
	missing := t == nil || t.failure.Load() != nil
	m.mu.Lock()
	on := m.mu.on
	if on && missing {
		m.beginLocked() // also for those who ask while it is under way
	}
	ready := m.mu.ready
	m.mu.Unlock()
	if !on {
		m.current.Store(nil)
		return
	}
	if missing {
		m.count()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.mu.ready == ready { // else the wish has changed meanwhile
		m.endLocked()
	}
}

// count begins a tally, with all that is staged, and walks over that.
func (m *meter) count() {
	t := &tally{}
	var s settlement
	err := m.db.submit(m.ctx, func(seq *Seq) error {
		if err := m.db.to.settle(seq); err != nil {
			return err
		}
		h, _, err := m.db.pins.take(seq.base.ts, heldSince(m.db.clock.Now(), 0))
		s = settlement{of: t, ts: seq.base.ts, pin: h}
		m.current.Store(t)
		return err
	})
	if s.pin == nil { // the DB is being closed, or has failed
		return
	}
	defer m.db.pins.release(s.pin)
	if err == nil {
		var n int64
		n, err = m.walk(s)
		t.bytes.Add(n)
	}
	if err != nil {
		t.fail(err)
		return
	}
	t.counted.Store(true)
}

// settle takes off a tally what was in a span before it was deleted.
func (m *meter) settle(s settlement) {
	defer m.settled(s)
	if s.of != m.current.Load() || s.of.failure.Load() != nil {
		return // all is counted anew
	}
	n, err := m.walk(s)
	if err != nil {
		s.of.fail(err)
	}
	s.of.bytes.Add(-n)
}

// walk returns the size of the rows of a span as they were at its moment.
func (m *meter) walk(s settlement) (int64, error) {
	var sum int64
	var err error
	rows := 0
	at := snapshot{ctx: m.ctx, engine: m.db.engine, ts: s.ts}
	failed := at.walk(s.span, store.Ascending, 0, func(key []byte, r Row) bool {
		if rows++; rows%measuredAtOnce == 0 {
			err = m.given()
		}
		sum += rowBytes(key, r.Value)
		return err == nil
	})
	return sum, errors.Join(err, failed)
}

// given returns why a walk is to be given up.
func (m *meter) given() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.mu.on {
		return errMeterOff
	}
	return m.ctx.Err()
}
