package host

import (
	"errors"
	"testing"

	"github.com/elastickv/elastickv/internal/txn"
)

// Who waits for an entry in whose place a later lead of the same replica puts another is told so.
func TestAwaitInTheSamePlace(t *testing.T) {
	g := &Group{}
	g.mu.waits = map[uint64]wait{}
	var told, later []error
	g.await(7, wait{term: 5, done: func(err error) { told = append(told, err) }})
	g.await(7, wait{term: 9, done: func(err error) { later = append(later, err) }})
	if len(told) != 1 || !errors.Is(told[0], txn.ErrNotCommitted) || len(later) > 0 {
		t.Fatalf("told %v and %v", told, later)
	}
	g.settle(7, 9, false)
	if len(told) != 1 || len(later) != 1 || later[0] != nil {
		t.Errorf("told %v and %v", told, later)
	}
}
