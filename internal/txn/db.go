package txn

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/elastickv/elastickv/store"
)

// AnyAge has ViewStale read what is here, even if nobody knows how old that is.
const AnyAge time.Duration = math.MaxInt64

// DB runs transactions. All methods are safe for concurrent use.
type DB interface {
	// View calls fn with a read-only transaction at the newest durable moment.
	// It waits for no writer and no disk sync. Where several machines keep the data it is linearizable on
	// each of them: it waits until this one is sure to have all that was acknowledged.
	View(ctx context.Context, fn func(*Tx) error) error

	// ViewStale is View at a moment that may be up to within in the past, where several machines
	// keep the data. It then waits for nothing, as long as Staleness is less, and with AnyAge never.
	ViewStale(ctx context.Context, within time.Duration, fn func(*Tx) error) error

	// Staleness returns how old what can be read here is at most, without asking others: everything
	// that was acknowledged longer ago is here. known is false as long as nobody knows.
	Staleness() (age time.Duration, known bool)

	// ViewAt calls fn with a read-only transaction at the moment ts in the past.
	// A ts below the retention floor fails with store.ErrReadTSCompacted.
	ViewAt(ctx context.Context, ts uint64, fn func(*Tx) error) error

	// Update calls fn once, inside the sequencer, and commits what it wrote
	// unless it returns an error. When Update returns, the outcome is durable. Where several machines
	// keep the data that is: committed by a majority. It then fails with ErrNotLeader, ErrNotCommitted or ErrUnknown if
	// this node does not lead, or ceases to.
	// fn must not wait for anything: every other update waits behind it.
	Update(ctx context.Context, fn func(*Tx) error) error

	// Sequence calls fn once, inside the sequencer, where it may run several
	// transactions back to back. When Sequence returns nil, all that those saw and
	// wrote is durable. What holds for Update's fn holds for this one.
	//
	// If ctx ends before fn has begun, Sequence, like Update and Commit, returns its cause
	// at once, and fn is never called. Once begun, fn is waited for whatever happens to ctx.
	Sequence(ctx context.Context, fn func(*Seq)) error

	// Enqueue is Sequence for callers who do not wait: it hands the tasks over, in order, and
	// returns. What holds for Sequence's fn holds for theirs, but that somebody has to call
	// Withdraw when ctx has ended.
	Enqueue(ctx context.Context, tasks ...*Task)

	// Perform is Enqueue for callers who have nothing better to do than to wait: it may carry out the tasks, and those
	// that wait with them, on the caller's goroutine, and then returns when they have been told. That spares
	// waking up the sequencer and whoever waits for the disk.
	Perform(ctx context.Context, tasks ...*Task)

	// Prefetch is [Tx.Prefetch] for transactions that are to begin at once.
	Prefetch(keys [][]byte)

	// Withdraw takes back those enqueued tasks that have not begun and whose context has ended.
	Withdraw()

	// Settled returns when those who have asked for Seq.AfterSync have been called about
	// everything that can be read now. It hardly ever waits, and for a sync only amid a run that is
	// so large that it takes several. It is not to be called by them.
	Settled()

	// Begin starts an optimistic transaction at the newest durable moment. It
	// ends with Commit, or by being dropped.
	Begin(ctx context.Context) (*Tx, error)

	// Commit commits an optimistic transaction if everything it has read is
	// still as it was, and fails with a *store.WriteConflictError otherwise.
	// When it returns nil, the writes are durable.
	Commit(ctx context.Context, tx *Tx) error

	// Measure has the size of all rows counted from now on, or no longer, which is the beginning. It
	// waits for nothing; the channel is closed when the count has ended, well or not. One that
	// has failed begins again.
	Measure(on bool) <-chan struct{}

	// Measured returns the size of all rows, as far as it is known. Inside the sequencer that
	// includes what was committed a moment ago.
	Measured() Measure

	// ReadWaits returns how long reads have waited for the disk so far, all together.
	ReadWaits() time.Duration

	// Close waits for the transactions under way and ends the sequencer. The
	// engine stays open.
	Close() error
}

// Retry runs fn in optimistic transactions until one commits, at most attempts times.
// It is for work that has to wait, or takes too long, to run inside the sequencer.
// fn must have no effects but through its Tx.
func Retry(ctx context.Context, db DB, attempts int, fn func(*Tx) error) error {
	var err error
	for range attempts {
		var tx *Tx
		if tx, err = db.Begin(ctx); err != nil {
			return err
		}
		if err = fn(tx); err != nil {
			return err
		}
		if err = db.Commit(ctx, tx); !errors.Is(err, store.ErrWriteConflict) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("txn: no success in %d attempts: %w", attempts, err)
}
