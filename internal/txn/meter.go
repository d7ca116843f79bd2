package txn

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"

	"github.com/elastickv/elastickv/store"
)

// meter counts the bytes of all rows, names and values, while it is on. While it is off it
// costs a look at one pointer for each commit.
//
// The number is exact, not an estimate that drifts. It begins with a walk over one snapshot, and
// from that snapshot on each commit adds what its rows have and takes off what they had, which the
// sequencer looks up, mostly in a cache. A span that is deleted whole is walked too: at once if it has
// few rows; else later, beside the sequencer, in the snapshot just below its deletion, which a pin
// keeps. Until then the number is too large by that span, and Measure.Pending says so. So no
// commit takes longer because of how much it deletes, and nothing has to be guessed from lengths.
//
// Refused: a count per key or database as rows. That is one more write for each
// write, and one more thing that can be wrong, for a number that nobody needs after a restart before
// it has been counted again.
//
// Rows that have expired count until they are removed. Who has history dropped sees to it that they
// are removed before the store forgets them by itself.
type meter struct {
	db *Local

	current atomic.Pointer[tally] // nil while it is off
	spans   atomic.Int64          // deleted whole so far, on or off

	mu struct {
		sync.Mutex
		on       bool
		counting bool
		ready    chan struct{} // closed unless counting
		late     []settlement  // spans to be walked; if there are too many, all is counted anew
	}
	lateMost int
	wake     chan struct{} // of the worker: mu.on or mu.late has changed

	open noted // the sequencer's: what commits have changed that are not put yet

	ctx  context.Context // ends with Close
	stop context.CancelFunc
	done sync.WaitGroup
}

// noted is what commits have changed of a tally, which has it already.
type noted struct {
	of     *tally // nil if there is nothing
	change int64
	spans  []settlement
}

// tally is one count, from a walk over all rows on.
type tally struct {
	bytes   atomic.Int64
	counted atomic.Bool  // the walk has ended
	pending atomic.Int64 // settlements to come
	failure atomic.Pointer[error]
}

// settlement is a deleted span that is still in a tally.
type settlement struct {
	of   *tally
	span store.Span
	ts   uint64 // of the last moment at which it was there
	pin  *pin   // keeps that moment
}

const (
	// measuredAtOnce is how many rows of a deleted span are walked while all writers wait.
	measuredAtOnce = 1 << 10
	// settlementsMost is how many spans wait to be walked: some ten megabytes.
	settlementsMost = 1 << 16
)

// errMeterBehind ends a count for which spans are deleted faster than they can be walked.
var errMeterBehind = errors.New("txn: too many deleted spans wait to be counted")

// errMeterOff ends a count that nobody wants any more.
var errMeterOff = errors.New("txn: counting was switched off")

// errMeterLead ends a count because only who leads knows what is committed.
var errMeterLead = errors.New("txn: the lead has changed")

// Measure is the size of all rows, as far as it is known.
type Measure struct {
	On bool // somebody wants it to be counted
	// Bytes is the size of the names and values of all rows. It says nothing until Counted.
	Bytes   int64
	Counted bool // Bytes is exact, but for what is pending
	Pending int  // deleted spans that are still part of Bytes
	Failure error
	Spans   int64 // that were deleted whole since the start
}

// Exact reports whether Bytes is what it says.
func (m Measure) Exact() bool { return m.Counted && m.Pending == 0 }

// Measured implements DB.
func (l *Local) Measured() Measure {
	m := Measure{Spans: l.meter.spans.Load()}
	l.meter.mu.Lock()
	m.On = l.meter.mu.on
	l.meter.mu.Unlock()
	t := l.meter.current.Load()
	if !m.On || t == nil {
		return m
	}
	if failure := t.failure.Load(); failure != nil {
		m.Failure = *failure
		return m
	}
	m.Pending = int(t.pending.Load())
	m.Counted = t.counted.Load()
	m.Bytes = t.bytes.Load()
	return m
}

// Measure implements DB.
func (l *Local) Measure(on bool) <-chan struct{} {
	m := &l.meter
	m.mu.Lock()
	defer m.mu.Unlock()
	t := m.current.Load()
	again := on && t != nil && t.failure.Load() != nil && !m.mu.counting
	if on == m.mu.on && !again {
		return m.mu.ready
	}
	m.mu.on = on
	m.endLocked()
	if on {
		m.beginLocked()
	}
	m.wakeWorker()
	return m.mu.ready
}

func (m *meter) wakeWorker() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// beginLocked has those who wait for a count wait until it has ended.
func (m *meter) beginLocked() {
	if !m.mu.counting {
		m.mu.counting, m.mu.ready = true, make(chan struct{})
	}
}

// endLocked tells those who wait for a count that it has ended.
func (m *meter) endLocked() {
	if m.mu.counting {
		m.mu.counting = false
		close(m.mu.ready)
	}
}

func (m *meter) init(l *Local) {
	m.db = l
	m.mu.ready = make(chan struct{})
	close(m.mu.ready)
	m.wake, m.lateMost = make(chan struct{}, 1), settlementsMost
	m.ctx, m.stop = context.WithCancel(context.Background())
	m.done.Go(m.work)
}

// close ends the worker. The sequencer has ended.
func (m *meter) close() {
	m.stop()
	m.done.Wait()
}

// note takes down what the commit of a transaction at ts changes. below is what there was before it.
func (m *meter) note(below layer, tx *Tx, ts uint64, deleted []store.Span, mutations []store.KVPairMutation) {
	if n := len(deleted); n > 0 {
		m.spans.Add(int64(n))
	}
	t := m.current.Load()
	if t == nil || t.failure.Load() != nil {
		return
	}
	m.open.of = t
	change, err := int64(0), error(nil)
	for _, span := range deleted {
		n, whole, failed := bytesOf(below, span, measuredAtOnce)
		switch {
		case failed != nil:
			err = failed
		case whole:
			change -= n
		default:
			err = errors.Join(err, m.later(t, span, ts-1))
		}
	}
	for i := range mutations {
		mu := &mutations[i]
		if !tx.view.hides(mu.Key) { // else it went with the span
			old, ok, failed := below.row(mu.Key)
			if ok {
				change -= rowBytes(mu.Key, old.Value)
			}
			err = errors.Join(err, failed)
		}
		if mu.Op != store.OpTypeDelete {
			change += rowBytes(mu.Key, mu.Value)
		}
	}
	if err != nil {
		t.fail(err)
	}
	m.open.change += change
	t.bytes.Add(change)
}

func rowBytes(key, value []byte) int64 { return int64(len(key) + len(value)) }

// bytesOf returns the size of the rows of a span, and false if there are more than the given number.
func bytesOf(l layer, span store.Span, most int) (sum int64, whole bool, err error) {
	whole = true
	err = l.walk(span, store.Ascending, 0, func(key []byte, r Row) bool {
		if most--; most < 0 {
			whole = false
			return false
		}
		sum += rowBytes(key, r.Value)
		return true
	})
	return sum, whole, err
}

// later leaves a span to the worker.
func (m *meter) later(t *tally, span store.Span, ts uint64) error {
	h, _, err := m.db.pins.take(ts, heldSince(m.db.clock.Now(), 0))
	if err != nil {
		m.db.pins.release(h)
		return err
	}
	t.pending.Add(1)
	m.open.spans = append(m.open.spans, settlement{of: t, span: span, ts: ts, pin: h})
	return nil
}

// take returns what was noted since the last call, which is to be ended.
func (m *meter) take() noted {
	n := m.open
	m.open = noted{}
	return n
}

// end says that what was noted can be read in the engine, or has not happened.
func (m *meter) end(n noted, ok bool) {
	if n.of == nil {
		return
	}
	if !ok {
		n.of.bytes.Add(-n.change)
	}
	for _, s := range n.spans {
		if !ok || !m.queue(s) {
			m.settled(s)
		}
	}
}

// queue hands a span to the worker, if there is room for it.
func (m *meter) queue(s settlement) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.mu.late) >= m.lateMost {
		s.of.fail(errMeterBehind)
		return false
	}
	m.mu.late = append(m.mu.late, s)
	m.wakeWorker()
	return true
}

// lead says that this node begins or has ceased to lead. While it does not the count knows nothing of what is committed.
func (m *meter) lead(begins bool) {
	if t := m.current.Load(); t != nil {
		t.fail(errMeterLead)
	}
	if begins {
		m.wakeWorker()
	}
}

// settled forgets a settlement, which has been made or is not needed any more.
func (m *meter) settled(s settlement) {
	s.of.pending.Add(-1)
	m.db.pins.release(s.pin)
}

func (t *tally) fail(err error) { t.failure.CompareAndSwap(nil, &err) }

// RowsSize counts the rows of the transaction's view, of every name, up to the given number, and
// their bytes; whole says that there are no more.
func (tx *Tx) RowsSize(most int) (bytes int64, whole bool, err error) {
	return bytesOf(&tx.view, store.Span{}, most)
}
