package txn

import (
	"bytes"

	"github.com/elastickv/elastickv/store"
)

// gap is a span at the beginning of which a walk has found nothing: what lay there below the buffer has been deleted in it. Who
// takes one element after the other from the end of a collection would else pass all that were taken before, in each walk.
type gap struct {
	known      bool
	start, end []byte // [start, end), neither nil, in memory that is not written again: a walk under way may begin there
}

func (b *gap) set(start, end []byte) {
	b.known = true
	if b.start == nil || !bytes.Equal(b.start, start) {
		b.start = append([]byte{}, start...) // a nil end of a span is none
	}
	if b.end == nil || !bytes.Equal(b.end, end) {
		b.end = append([]byte{}, end...)
	}
}

func (b *gap) contains(key []byte) bool {
	return b.known && bytes.Compare(key, b.start) >= 0 && bytes.Compare(key, b.end) < 0
}

// behindGap returns what a walk over span has still to look at.
func (w *writes) behindGap(span store.Span, order store.Order) store.Span {
	if order == store.Ascending {
		if b := &w.gaps[0]; b.contains(span.Start) {
			span.Start = b.end
		}
	} else if b := &w.gaps[1]; b.known && span.End != nil && bytes.Compare(span.End, b.start) > 0 && bytes.Compare(span.End, b.end) <= 0 {
		span.End = b.start
	}
	return span
}

// cutGaps says that key is there now.
func (w *writes) cutGaps(key []byte) {
	if b := &w.gaps[0]; b.contains(key) {
		b.end = append([]byte{}, key...)
	}
	if b := &w.gaps[1]; b.contains(key) {
		b.start = behind(key)
	}
}

// behind returns the first key behind key.
func behind(key []byte) []byte { return append(append(make([]byte, 0, len(key)+1), key...), 0) }
