package txn_test

import (
	"context"
	"sync"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// logged is an engine with a log in front of it that has one node, which leads: what is proposed is
// committed, after a while.
type logged struct {
	store.Engine

	mu     sync.Mutex
	term   uint64 // a new one for each DB
	queue  []func()
	filled chan struct{}
	done   sync.WaitGroup
	closed chan struct{}
	never  chan struct{}
}

func newLogged(e store.Engine) *logged {
	l := &logged{Engine: e, filled: make(chan struct{}, 1), closed: make(chan struct{}), never: make(chan struct{})}
	l.done.Go(l.work)
	return l
}

// newDB returns a DB over an engine, or over the log in front of it.
func newDB(e store.Engine, clock *hlc.Clock, opts txn.Options) *txn.Local {
	l, ok := e.(*logged)
	if !ok {
		return txn.NewLocal(e, clock, opts)
	}
	l.mu.Lock()
	l.term++
	l.mu.Unlock()
	return txn.NewReplicated(l.Engine, clock, l, opts)
}

func (l *logged) work() {
	for {
		select {
		case <-l.filled:
		case <-l.closed:
			return
		}
		l.mu.Lock()
		queue := l.queue
		l.queue = nil
		l.mu.Unlock()
		for _, fn := range queue {
			fn()
		}
	}
}

func (l *logged) Close() error {
	close(l.closed)
	l.done.Wait()
	return l.Engine.Close()
}

// Lead implements txn.Log.
func (l *logged) Lead() (uint64, bool, <-chan struct{}) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.term, true, l.never
}

// Propose implements txn.Log.
func (l *logged) Propose(_, _ uint64, commits []store.Commit, done func(error)) {
	l.mu.Lock()
	l.queue = append(l.queue, func() { done(l.ApplyCommitsRaftAt(context.Background(), commits, 0)) })
	l.mu.Unlock()
	select {
	case l.filled <- struct{}{}:
	default:
	}
}

// Barrier implements txn.Log.
func (l *logged) Barrier(context.Context) error { return nil }
