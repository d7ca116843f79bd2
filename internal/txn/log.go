package txn

import (
	"context"

	"github.com/elastickv/elastickv/store"
)

// Log is where the runs of a sequencer go when several machines keep the data. What is in it is
// applied to the engine by whoever implements it, in order, on every machine.
type Log interface {
	// Lead returns the term in which this node leads and has applied everything of earlier terms, so
	// that the engine is what evaluations may rely on; leading is false otherwise. changed is closed
	// when the answer has become another. A term is not led again once it has ended.
	Lead() (term uint64, leading bool, changed <-chan struct{})

	// Propose puts commits into the log as one entry, as the number-th proposal of the term, from 0,
	// and does not wait. It gets into the log only if this node leads in the term, and all proposals
	// with lower numbers are in the log. done is called exactly once: with nil when the entry is
	// committed and applied to the engine here; else with an error that wraps ErrNotCommitted (it is in no log and
	// never will be; the next proposal may have its number) or ErrUnknown (it may become committed
	// yet; the term has ended). Calls come in the order of the proposals. done is quick and waits for nothing.
	Propose(term, number uint64, commits []store.Commit, done func(error))

	// Barrier returns when the engine here has everything that was acknowledged anywhere before the
	// call. A lead that Lead still returns afterwards was held when Barrier was called: nobody else
	// had acknowledged anything in a later term.
	Barrier(ctx context.Context) error
}
