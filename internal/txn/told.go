package txn

import (
	"sync"
	"sync/atomic"
)

// told is how far those who asked for AfterSync have been called. What is durable can be
// read a moment before.
type told struct {
	ts    atomic.Uint64 // all have been called about what was committed up to here
	begun atomic.Uint64 // runs

	mu struct {
		sync.Mutex
		ended uint64 // runs whose callers have been called
	}
	more sync.Cond // ended rises
}

func (t *told) init(ts uint64) {
	t.ts.Store(ts)
	t.more.L = &t.mu
}

// end notes that a run which has staged everything up to ts has been told of.
func (t *told) end(ts uint64) {
	t.ts.Store(ts)
	t.mu.Lock()
	t.mu.ended++
	t.mu.Unlock()
	t.more.Broadcast()
}

// wait returns when everything up to ts, which can be read already, has been told of.
func (t *told) wait(ts uint64) {
	if t.ts.Load() >= ts {
		return
	}
	begun := t.begun.Load() // whatever can be read is of a run that has begun
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.ts.Load() < ts && t.mu.ended < begun {
		t.more.Wait()
	}
}

// drain returns when the callers of all runs that have begun have been called.
func (t *told) drain() {
	begun := t.begun.Load()
	t.mu.Lock()
	defer t.mu.Unlock()
	for t.mu.ended < begun {
		t.more.Wait()
	}
}
