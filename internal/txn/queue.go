package txn

import "sync"

// queue collects tasks for the sequencer. Its length is bounded by the number
// of callers, each of whom waits for its one task, and of those that were taken back
// since the sequencer looked last.
type queue struct {
	mu     sync.Mutex
	filled *sync.Cond
	tasks  []*task
	closed bool
}

func (q *queue) init() { q.filled = sync.NewCond(&q.mu) }

// put appends t and reports whether the queue still takes tasks.
func (q *queue) put(t *task) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return false
	}
	q.tasks = append(q.tasks, t)
	if len(q.tasks) == 1 {
		q.filled.Signal()
	}
	return true
}

// takeAll waits for tasks and returns them in order of arrival, or nil when the
// queue is closed and empty.
func (q *queue) takeAll() []*task {
	q.mu.Lock()
	defer q.mu.Unlock()
	for len(q.tasks) == 0 && !q.closed {
		q.filled.Wait()
	}
	tasks := q.tasks
	q.tasks = nil
	return tasks
}

// close refuses further tasks; those in the queue are still taken.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.filled.Signal()
}
