package host

import (
	"context"
	"encoding/binary"
	"slices"
	"sync/atomic"

	"github.com/elastickv/elastickv/internal/replica"
)

// reader is somebody in Barrier.
type reader struct {
	done chan error // holds one
	gone atomic.Bool
}

// appliedRead is a reader whose question was answered.
type appliedRead struct {
	index uint64
	*reader
}

// Barrier implements txn.Log. A leader that has a lease asks nobody: nobody else has committed anything that it does not know of.
// But another replica may have applied, and shown, what is not applied here yet.
func (g *Group) Barrier(ctx context.Context) error {
	// In this order: at the moment of now or at that of the lease, whichever was later, nobody else led.
	if now := g.h.now(); int64(now) < g.lease.Load() {
		index := g.commit.Load()
		if g.machine.Applied() >= index {
			return nil
		}
		r := &reader{done: make(chan error, 1)}
		g.whenApplied(index, []*reader{r})
		return r.wait(ctx)
	}
	r := &reader{done: make(chan error, 1)}
	g.inbox.put(func(w *worker) {
		switch {
		case w == nil:
			r.done <- ErrClosed
		case g.Removed():
			r.done <- ErrRemoved
		default:
			w.reads.waiting = append(w.reads.waiting, r)
		}
	})
	return r.wait(ctx)
}

func (r *reader) wait(ctx context.Context) error {
	select {
	case err := <-r.done:
		return err
	case <-ctx.Done():
		r.gone.Store(true)
		return context.Cause(ctx)
	}
}

// Removed reports whether this replica has had a place in its group and has it no more.
func (g *Group) Removed() bool {
	m := g.machine.Members()
	return m.Highest >= g.replica && !m.Has(g.replica)
}

// questions are those of the readers of a group: one is asked at a time, for all who were there when it was. Who
// comes later waits for the next.
type questions struct {
	id      []byte // of the question before: the replica, the start, a number; none comes twice
	waiting []*reader
	asked   []*reader // that wait for the answer under id; none: nothing is asked
	at      uint64    // the tick at which it was
	g       *Group
}

// askTicks is how long an answer is waited for before the question is asked again.
const askTicks = 5

func (q *questions) init(g *Group) {
	q.g = g
	q.id = binary.BigEndian.AppendUint64(nil, g.replica)
	q.id = binary.BigEndian.AppendUint64(q.id, g.h.o.Boot)
	q.id = binary.BigEndian.AppendUint64(q.id, 0)
}

// next asks the next question, if there is one, nothing is asked, and there is somebody to ask. It reports
// whether it did.
func (q *questions) next(w *worker) bool {
	if len(q.waiting) == 0 || len(q.asked) > 0 || w.role.Leader == 0 {
		return false
	}
	// raft keeps the bytes.
	id := slices.Clone(q.id)
	binary.BigEndian.PutUint64(id[16:], binary.BigEndian.Uint64(id[16:])+1)
	q.id, q.asked, q.waiting, q.at = id, q.waiting, nil, w.ticks
	w.r.ReadIndex(id)
	return true
}

// answered takes an answer. One to a question that was given up says less than the next will.
func (q *questions) answered(a replica.Read) {
	if len(q.asked) == 0 || string(a.ID) != string(q.id) {
		return
	}
	q.g.whenApplied(a.Index, q.asked)
	q.asked = nil
}

// restart gives up what is asked: under another leader nobody answers it.
func (q *questions) restart() {
	q.waiting = append(q.asked, q.waiting...)
	q.asked = nil
}

func (q *questions) tick(w *worker) {
	gone := func(r *reader) bool { return r.gone.Load() }
	q.waiting = slices.DeleteFunc(q.waiting, gone)
	if len(q.asked) > 0 && w.ticks >= q.at+askTicks {
		q.restart()
		q.waiting = slices.DeleteFunc(q.waiting, gone)
	}
	if q.g.Removed() {
		q.restart()
		q.tell(ErrRemoved)
	}
}

func (q *questions) end() {
	q.restart()
	q.tell(ErrClosed)
	q.g.endReads()
}

// tell ends all who wait.
func (q *questions) tell(err error) {
	for _, r := range q.waiting {
		r.done <- err
	}
	q.waiting = nil
}

// whenApplied ends reads when the entry at index is applied, which it may be.
func (g *Group) whenApplied(index uint64, readers []*reader) {
	g.mu.Lock()
	if g.machine.Applied() < index {
		for _, r := range readers {
			g.mu.reads = append(g.mu.reads, appliedRead{index, r})
		}
		readers = nil
	}
	g.mu.Unlock()
	for _, r := range readers {
		r.done <- nil
	}
}

// advanced ends the reads whose entry is applied now.
func (g *Group) advanced() {
	var ended []appliedRead
	g.mu.Lock()
	applied := g.machine.Applied()
	g.mu.reads = slices.DeleteFunc(g.mu.reads, func(r appliedRead) bool {
		if r.index <= applied {
			ended = append(ended, r)
		}
		return r.index <= applied || r.gone.Load()
	})
	g.mu.Unlock()
	for _, r := range ended {
		r.done <- nil
	}
}

// endReads ends the reads that wait for what will not be applied here any more.
func (g *Group) endReads() {
	g.mu.Lock()
	ended := g.mu.reads
	g.mu.reads = nil
	g.mu.Unlock()
	for _, r := range ended {
		r.done <- ErrClosed
	}
}
