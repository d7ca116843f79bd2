package txn_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"time"

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
	next   uint64 // the number of the next proposal of the term
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
	l.next = 0
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
func (l *logged) Propose(term, number uint64, commits []store.Commit, done func(error)) {
	l.mu.Lock()
	if term != l.term || number != l.next {
		l.mu.Unlock()
		done(fmt.Errorf("%w: number %d of term %d, not the next one", txn.ErrNotCommitted, number, term))
		return
	}
	l.next++
	l.queue = append(l.queue, func() { done(l.ApplyCommitsRaftAt(context.Background(), commits, 0)) })
	l.mu.Unlock()
	select {
	case l.filled <- struct{}{}:
	default:
	}
}

// Barrier implements txn.Log.
func (l *logged) Barrier(context.Context) error { return nil }

// What is in the log is never taken for lost, at whatever moment it becomes known that it is committed.
func TestEveryProposalIsTheNext(t *testing.T) {
	l := newLogged(store.NewMVCCStore().(store.Engine))
	defer l.Close()
	db := newDB(l, hlc.New(time.Now), txn.Options{})
	defer db.Close()
	n := 25_000
	if testing.Short() {
		n /= 5
	}
	var all sync.WaitGroup
	for w := range 4 {
		all.Go(func() {
			for i := range n {
				err := db.Sequence(context.Background(), func(s *txn.Seq) {
					if err := s.Do(func(tx *txn.Tx) error { return tx.Put([]byte{byte(w)}, []byte{byte(i)}, 0) }); err != nil {
						t.Error(err)
					}
				})
				if err != nil {
					t.Errorf("update %d of writer %d: %v", i, w, err)
					return
				}
			}
		})
	}
	all.Wait()
}
