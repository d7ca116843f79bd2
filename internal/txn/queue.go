package txn

import (
	"context"
	"sync"
)

// queue collects tasks for the sequencer. Its length is bounded by the number
// of callers, each of whom waits for its one task, and of those that were taken back
// since the sequencer looked last.
type queue struct {
	mu     sync.Mutex
	filled *sync.Cond
	tasks  []*Task
	taken  []*Task // for the present run, or the one before it
	closed bool
}

func (q *queue) init() { q.filled = sync.NewCond(&q.mu) }

// put appends tasks, which overdue finds when ctx has ended, and wakes the sequencer unless the caller
// is going to take them. It reports whether the queue still takes any.
func (q *queue) put(ctx context.Context, wake bool, tasks ...*Task) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	for _, t := range tasks {
		t.ctx = ctx
	}
	if wake && len(q.tasks) == 0 {
		q.filled.Signal()
	}
	q.tasks = append(q.tasks, tasks...)
	return true
}

// wait returns when there are tasks, or false when the queue is closed and empty.
func (q *queue) wait() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.tasks) == 0 && !q.closed {
		q.filled.Wait()
	}
	return len(q.tasks) > 0
}

// takeAll returns all tasks, in order of arrival. They are valid until the next call.
func (q *queue) takeAll() []*Task {
	q.mu.Lock()
	defer q.mu.Unlock()
	clear(q.taken)
	q.taken, q.tasks = q.tasks, q.taken[:0]
	return q.taken
}

// overdue returns tasks whose context has ended, and why, that the sequencer may not have come to.
func (q *queue) overdue() map[*Task]error {
	q.mu.Lock()
	defer q.mu.Unlock()
	found := make(map[*Task]error)
	for _, some := range [][]*Task{q.taken, q.tasks} {
		for _, t := range some {
			if t.ctx.Err() != nil {
				found[t] = context.Cause(t.ctx)
			}
		}
	}
	return found
}

// close refuses further tasks; those in the queue are still taken.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.filled.Signal()
}
