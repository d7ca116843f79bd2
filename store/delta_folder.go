package store

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// DeltaFolder folds the deltas of all collections of a store in the background.
// It does not have to run for lengths to be right, but for them to be read: nobody
// reads a length with more than MaxDeltaScanLimit deltas. It is safe for concurrent use.
type DeltaFolder struct {
	c *Committer
	o DeltaFolderOptions
}

// DeltaFolderOptions configures a DeltaFolder; the zero value works.
type DeltaFolderOptions struct {
	// LeastDeltas is how many deltas a collection has before it is folded. A fold
	// writes two rows and more; readers of fewer deltas hardly notice them. The
	// default is 1; above MaxDeltaScanLimit readers would fail for good.
	LeastDeltas int
	// OnPass, if not nil, is told after every pass of Run what it has done, and
	// the error of FoldOnce.
	OnPass func(FoldReport, error)
}

// FoldReport is what one pass has done.
type FoldReport struct {
	Collections int // collections that were folded, also if not to the end
	Deltas      int // deltas that are in their bases now
	Claims      int // claims of lists that were removed
	Failed      int // collections whose fold has failed
}

// NewDeltaFolder returns a DeltaFolder for the store of c, or an error if an
// option is out of range.
func NewDeltaFolder(c *Committer, o DeltaFolderOptions) (*DeltaFolder, error) {
	if o.LeastDeltas < 0 || o.LeastDeltas > MaxDeltaScanLimit {
		return nil, fmt.Errorf("LeastDeltas is %d: take 1 to %d, or 0 for 1", o.LeastDeltas, MaxDeltaScanLimit)
	}
	o.LeastDeltas = max(o.LeastDeltas, 1)
	return &DeltaFolder{c: c, o: o}, nil
}

// Run calls FoldOnce at every tick, such as those of a time.Ticker, until ctx is
// done or ticks is closed, and returns nil. It returns early, with ErrClosed, when
// the store is closed. A pass that ctx ends is reported before Run returns.
func (f *DeltaFolder) Run(ctx context.Context, ticks <-chan time.Time) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case _, ok := <-ticks:
			if !ok {
				return nil
			}
		}
		report, err := f.FoldOnce(ctx)
		if f.o.OnPass != nil {
			f.o.OnPass(report, err)
		}
		if errors.Is(err, ErrClosed) {
			return err
		}
	}
}

// FoldOnce walks over all deltas of the store once and folds every collection that
// has enough of them. One that cannot be folded, be it that its rows are damaged or
// that a writer from outside the Committer is always in the way, stays as it is
// and does not stop the others; FoldOnce returns the first such error. A ctx that is
// done, or a store that is closed, ends the pass, and its error is returned as well.
func (f *DeltaFolder) FoldOnce(ctx context.Context) (FoldReport, error) {
	var report FoldReport
	var first error
	for kind := range countings {
		span := PrefixSpan([]byte(countings[kind].deltas))
		for {
			userKey, err := f.next(ctx, &countings[kind], span)
			if err != nil {
				return report, errors.Join(first, err)
			}
			if userKey == nil {
				break
			}
			span.Start = prefixEnd(countings[kind].deltas.prefix(userKey, 0))
			if err := f.fold(ctx, CollectionKind(kind), userKey, &report); first == nil {
				first = err
			}
		}
	}
	return report, first
}

// next returns the user key of the first delta in span, or nil if there is none.
func (f *DeltaFolder) next(ctx context.Context, kind *counting, span Span) (userKey []byte, err error) {
	for more := true; more && userKey == nil && err == nil; {
		err = f.c.view(func(startTS uint64) error {
			rows, err := f.c.s.ScanAt(ctx, span.Start, span.End, deltaPageLeast, startTS)
			for i := 0; i < len(rows) && userKey == nil; i++ {
				userKey = kind.userKeyOf(rows[i])
				span.Start = keyAfter(rows[i].Key)
			}
			more = len(rows) == deltaPageLeast
			return err
		})
	}
	return userKey, err
}

// fold folds one collection, if it has enough deltas, and adds to the report.
func (f *DeltaFolder) fold(ctx context.Context, kind CollectionKind, userKey []byte, report *FoldReport) error {
	enough, err := f.enough(ctx, &countings[kind], userKey)
	var done Folded
	if err == nil && enough {
		done, err = f.c.Fold(ctx, kind, userKey)
	}
	report.Deltas += done.Deltas
	report.Claims += done.Claims
	if done != (Folded{}) {
		report.Collections++
	}
	if err != nil {
		report.Failed++
	}
	return err
}

func (f *DeltaFolder) enough(ctx context.Context, kind *counting, userKey []byte) (enough bool, err error) {
	if f.o.LeastDeltas == 1 {
		return true, nil
	}
	err = f.c.view(func(startTS uint64) error {
		span := PrefixSpan(kind.deltas.prefix(userKey, 0))
		deltas, err := kind.deltasAt(ctx, f.c.s, span, f.o.LeastDeltas, startTS)
		enough = len(deltas) == f.o.LeastDeltas
		return err
	})
	return enough, kind.wrap(userKey, err)
}
