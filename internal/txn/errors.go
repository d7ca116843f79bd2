package txn

import (
	"errors"
	"fmt"

	"github.com/elastickv/elastickv/store"
)

var (
	// ErrReadOnly says that a transaction that only reads was asked to write.
	ErrReadOnly = errors.New("txn: write in a read-only transaction")

	// ErrTooLarge says that a transaction writes more than fits into one atomic
	// batch: about 1 GiB.
	ErrTooLarge = errors.New("txn: transaction is too large")

	// ErrClosed says that the DB has been closed.
	ErrClosed = errors.New("txn: database is closed")

	// ErrFinished says that a transaction was used after its end.
	ErrFinished = errors.New("txn: transaction has ended")
)

// What becomes of updates where several machines keep the data.
var (
	// ErrNotLeader says that this node does not lead, and so makes no updates. Nothing has happened.
	ErrNotLeader = errors.New("txn: this node does not lead")

	// ErrNotCommitted says that an update has not happened, and never will, because the lead of this
	// node has ended, or it could not keep up.
	ErrNotCommitted = errors.New("txn: not committed")

	// ErrNoMajority says that there was nobody to say whether this node has all that was acknowledged.
	ErrNoMajority = errors.New("txn: no majority of the nodes has answered")

	// ErrUnknown says that the lead of this node ended before it knew what became of an update: all of a transaction may
	// have been committed, or yet be, or nothing.
	ErrUnknown = errors.New("txn: it is not known whether it was committed")
)

// PanicError is what a transaction function that panicked is reported as. Its
// writes are dropped; the transactions around it are not affected.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("txn: transaction panicked: %v", e.Value) }

// Limits of one write, as the store reports them.
var (
	ErrKeyTooLarge   = store.ErrSnapshotKeyTooLarge // a row's key, 1 MiB
	ErrValueTooLarge = store.ErrValueTooLarge       // a row's value, 256 MiB
)
