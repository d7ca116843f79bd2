package txn

import (
	"errors"
	"fmt"
)

// loss is what the syncer knows of the parts of an epoch that will not count. None counts behind the first
// such part, and whoever has read behind it has read what is lost.
type loss struct {
	epoch uint64
	err   error   // of the first one; nil if none is lost
	parts []error // of the present run, its proof last
	from  int     // the first of them that is lost; their number if none is
}

// begin begins a run.
func (l *loss) begin(epoch uint64) {
	if epoch != l.epoch {
		l.epoch, l.err = epoch, nil
	}
	l.parts, l.from = l.parts[:0], 0
}

// add says what has become of the next part of the run.
func (l *loss) add(err error) {
	switch {
	case err != nil && !errors.Is(err, ErrNotCommitted) && !errors.Is(err, ErrUnknown):
		err = fmt.Errorf("txn: commit is not durable: %w", err)
	case err == nil:
		err = l.err
	}
	if l.err == nil {
		l.err = err
	}
	l.append(err)
}

// addProof says whether what was read behind the last part may be told. Later runs have their own.
func (l *loss) addProof(err error) {
	if err == nil {
		err = l.err
	}
	l.append(err)
}

func (l *loss) append(err error) {
	if err == nil {
		l.from++
	}
	l.parts = append(l.parts, err)
}

// of returns the error of a part of the run; nil if it counts.
func (l *loss) of(part int) error {
	if part < len(l.parts) {
		return l.parts[part]
	}
	return l.err
}

// outcome returns what is true of a task of the run.
func (l *loss) outcome(t *Task) error {
	if l.of(t.last) == nil {
		return t.err
	}
	err := l.of(max(t.first, l.from))
	switch {
	case !t.wrote && errors.Is(err, ErrUnknown):
		return errLeadEnded // what it saw is not sure, but it has done nothing
	case t.wrote && t.first < l.from && errors.Is(err, ErrNotCommitted):
		return fmt.Errorf("%w: some of its transactions were", ErrUnknown)
	}
	return err
}
