package txn_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/elastickv/elastickv/hlc"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// askedLog is a log of a node that follows, and counts the questions whether it has everything.
type askedLog struct {
	asked int
	cut   bool
	never chan struct{}
}

func (l *askedLog) Lead() (uint64, bool, <-chan struct{}) { return 0, false, l.never }

func (l *askedLog) Propose(uint64, uint64, []store.Commit, func(error)) {}

func (l *askedLog) Barrier(ctx context.Context) error {
	l.asked++
	if l.cut {
		<-ctx.Done()
		return ctx.Err()
	}
	time.Sleep(30 * time.Millisecond) // of the bubble: the answer takes as long
	return nil
}

// TestStaleness reads at a node that follows: others are asked when what is known is too old, which counts from the
// question on; and when nobody answers, only as long as it is not.
func TestStaleness(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log := &askedLog{never: make(chan struct{})}
		db := txn.NewReplicated(store.NewMVCCStore().(store.Engine), hlc.New(time.Now), log, txn.Options{Now: time.Now, BarrierWait: time.Second})
		defer db.Close()
		if age, known := db.Staleness(); known {
			t.Errorf("%v is known before anybody was asked", age)
		}
		read := func(within time.Duration, asked int, want error) {
			t.Helper()
			err := db.ViewStale(t.Context(), within, func(*txn.Tx) error { return nil })
			if !errors.Is(err, want) || log.asked != asked {
				t.Errorf("got %v after %d questions, want %v after %d", err, log.asked, want, asked)
			}
		}
		read(100*time.Millisecond, 1, nil)
		if age, known := db.Staleness(); !known || age != 30*time.Millisecond {
			t.Errorf("%v, %v behind the first answer", age, known)
		}
		time.Sleep(70 * time.Millisecond)
		read(100*time.Millisecond, 1, nil)
		time.Sleep(time.Millisecond)
		read(100*time.Millisecond, 2, nil)
		log.cut = true
		time.Sleep(50 * time.Millisecond)
		read(100*time.Millisecond, 2, nil)
		time.Sleep(50 * time.Millisecond)
		read(100*time.Millisecond, 3, txn.ErrNoMajority)
		read(time.Hour, 3, nil)
	})
}
