package txn

import (
	"context"
	"sync/atomic"
)

// Task is a call of Sequence by one who does not wait for it: see DB.Enqueue. When Then has been
// called the Task may be used again, unless it was withdrawn.
type Task struct {
	// Run is what Sequence is given.
	Run func(*Seq)
	// Then is called once, with what Sequence would have returned and when it would have. It is
	// quick and waits for nothing: all callers share the goroutine.
	Then func(error)

	ctx   context.Context // when it ends the task is overdue; under the lock of the queue
	fn    func(*Seq) error
	err   error
	taken atomic.Bool // by the sequencer, or back by the caller: whoever is first

	// What the sequencer knows of it when it has run:
	first, last int  // parts of the run that have what it saw and did; one that is not there is no part
	wrote       bool // it has committed something
}

// begin makes the task ready for the queue.
func (t *Task) begin() {
	if t.fn == nil {
		t.fn = func(s *Seq) error { t.Run(s); return nil }
	}
	t.err = nil
	t.taken.Store(false)
}

// take reports whether the task is the one's who asks.
func (t *Task) take() bool { return t.taken.CompareAndSwap(false, true) }
