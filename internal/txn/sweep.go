package txn

import "github.com/elastickv/elastickv/store"

// sweep is one deletion of a span of keys from a buffer.
type sweep struct {
	at   int   // length of the log when it happened
	void []int // writes of the log that it has made void, each the newest of its key
	// hides is what can no longer be seen of the layer below. nil is nothing: the
	// zero span is everything.
	hides  *store.Span
	joined []store.Span // what was hidden already and has become one with hides
}

// sweeps is what a buffer knows of deleted spans.
type sweeps struct {
	log []sweep
	// hidden is the union of all that the log hides. A write of the buffer that
	// lies in it is newer: older ones are void.
	hidden spanSet
}

// dropWrites makes every write of span void, as if the keys had never been written.
func (w *writes) dropWrites(span store.Span) {
	if void := w.newestIn(span); len(void) > 0 {
		w.note(sweep{void: void})
	}
}

// sweep is dropWrites, and from then on the layer below is not seen through
// span, which must not be empty. The buffer keeps the bounds of span.
func (w *writes) sweep(span store.Span) {
	w.note(sweep{void: w.newestIn(span), hides: &span})
}

// newestIn returns the newest write of every key of span, as indices of the log.
func (w *writes) newestIn(span store.Span) (all []int) {
	if len(w.log) > linearMax {
		for c := w.cursor(span, store.Ascending); c.valid; c.next() {
			all = append(all, c.iter.Item().at)
		}
		return all
	}
	for i := range w.log { // without the tree: most transactions never need it
		if span.Contains(w.log[i].key) && w.find(w.log[i].key) == i {
			all = append(all, i)
		}
	}
	return all
}

func (w *writes) note(s sweep) {
	s.at = len(w.log)
	w.gaps = [2]gap{}
	for _, i := range s.void {
		w.setVoid(i)
	}
	if w.swept == nil {
		w.swept = &sweeps{}
	}
	if s.hides != nil {
		s.joined = w.swept.hidden.add(*s.hides)
		w.size += s.bytes()
	}
	w.swept.log = append(w.swept.log, s)
}

// bytes is about what s takes in a batch.
func (s *sweep) bytes() int { return len(s.hides.Start) + len(s.hides.End) + writeOverhead }

// setVoid takes the write at index i, the newest of its key, out of sight. It
// stays in the log, so that it can come back.
func (w *writes) setVoid(i int) {
	w.log[i].void = true
	w.point(w.log[i].key, -1)
}

// undoSweep takes back the last sweep and everything after it.
func (w *writes) undoSweep() {
	last := len(w.swept.log) - 1
	s := &w.swept.log[last]
	w.cutLog(s.at)
	for _, i := range s.void {
		w.log[i].void = false
		w.point(w.log[i].key, i)
	}
	if s.hides != nil {
		w.swept.hidden.takeBack(*s.hides, s.joined)
		w.size -= s.bytes()
	}
	*s = sweep{}
	if w.swept.log = w.swept.log[:last]; last == 0 {
		w.swept = nil
	}
}

// sweepCount is the number of sweeps so far.
func (w *writes) sweepCount() int {
	if w.swept == nil {
		return 0
	}
	return len(w.swept.log)
}

// hides reports whether key cannot be seen in the layer below.
func (w *writes) hides(key []byte) bool { return w.swept != nil && w.swept.hidden.contains(key) }

// deleted returns the spans of which everything below is deleted. It precedes
// what mutations returns.
func (w *writes) deleted() []store.Span {
	if w.swept == nil {
		return nil
	}
	return w.swept.hidden.spans()
}
