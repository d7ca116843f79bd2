package store

import (
	"bytes"
	"errors"
	"slices"
)

const (
	// captureRowsMost and captureBytesMost bound what one walk leaves behind; what lies behind that it leaves to the engine.
	captureRowsMost  = 1024
	captureBytesMost = 256 << 10
	// captureAhead is how many rows a walk gathers if it is given up early: a queue is asked for its first row alone, again and again.
	captureAhead = 64
	// capturePassMost is how many rows are passed for those.
	capturePassMost = 256
	// enginesMost is how many times a walk leaves pages for the engine and comes back: to open a view costs more than to read some rows twice.
	enginesMost = 3
)

// through is walk, but for what pages have of the span.
func (w *scanner) through(span Span, order Order) error {
	p := &w.s.pages
	if p.limit == 0 || !w.s.settled(w.ts) || w.ts > w.s.shownTS.Load() {
		return w.walk(span, order)
	}
	if err := w.s.checkReadable(w.ts); err != nil {
		return err
	}
	restarts := p.restarts.Load()
	near := false // the walk comes from a page
	for asked, rest := 0, span; !rest.empty(); {
		rows, part, old := p.find(rest, order, w.ts)
		if rows != nil {
			if !near && asked == 0 {
				p.walks.Add(1)
			}
			near = true
			if w.counted != nil {
				w.counted(rows, part)
			} else if !rows.show(part, order, &w.skip, w.fn) {
				return nil
			}
			if err := w.pass(); err != nil {
				return err
			}
		} else {
			if asked++; asked > enginesMost {
				part = rest
			}
			more, err := w.ask(part, order, near, old)
			if err != nil || !more {
				return err
			}
			near = false
		}
		if p.restarts.Load() != restarts {
			return ErrReadTSCompacted // what was found and what would be are not of one store
		}
		if rest = beyond(rest, part, order); rest.Start == nil && rest.End == nil {
			break
		}
	}
	return nil
}

// beyond returns what is left of rest behind part, which it begins with.
func beyond(rest, part Span, order Order) Span {
	if order == Descending {
		return Span{Start: rest.Start, End: append([]byte{}, part.Start...)}
	}
	if part.End == nil {
		return Span{}
	}
	return Span{Start: part.End, End: rest.End}
}

// ask walks span in the engine, and leaves pages behind if such walks come again, as they do behind a page; but not where there
// are pages already that are too new. It reports whether fn wants more.
func (w *scanner) ask(span Span, order Order, near, old bool) (more bool, err error) {
	fn := w.fn
	defer func() { w.fn = fn }()
	p := &w.s.pages
	edge := span.Start
	if order == Descending {
		edge = span.End
	}
	if w.visible || old || !near && !p.again(edge, order) {
		more = true
		w.fn = func(key []byte, v VersionedValue) bool {
			more = fn(key, v)
			return more
		}
		err = w.walk(span, order)
		return more, err
	}
	r := recorder{w: w, fn: fn, more: true, bytesMost: int(min(captureBytesMost, p.limit/8))}
	w.newer, w.fn = false, r.take
	c := p.begin(span, w.ts)
	err = w.walk(span, order)
	if w.rowsMost = 0; err != nil && errors.Is(err, errRowsMost) {
		r.ended, err = true, nil
	}
	keep := err == nil && !w.newer && !w.s.ranges.Load().marksAbove(span, w.ts)
	p.end(c, keep, r.span(span, order), r.inOrder(order))
	return r.more, err
}

// recorder takes what a walk finds, for whoever walks and for a page.
type recorder struct {
	w         *scanner
	fn        func(key []byte, v VersionedValue) bool
	more      bool // fn wants to see more
	rows      pageRows
	bytesMost int
	ended     bool // rows are not all of the span: none behind the last one is known
}

func (r *recorder) take(key []byte, v VersionedValue) bool {
	if !r.ended {
		if r.rows.len() < captureRowsMost && len(r.rows.data)+len(key)+len(v.Value) < r.bytesMost {
			r.rows.add(key, v)
		} else {
			r.ended = true
		}
	}
	if r.more {
		if r.more = r.fn(key, v); !r.more {
			r.w.rowsMost = r.w.passed + capturePassMost
		}
	}
	if r.more {
		return true
	}
	r.ended = r.ended || r.rows.len() >= captureAhead
	return !r.ended
}

// span returns the part of the span walked that rows are all of.
func (r *recorder) span(walked Span, order Order) Span {
	if !r.ended {
		return walked
	}
	if r.rows.len() == 0 {
		return Span{End: []byte{}}
	}
	last := r.rows.entry(r.rows.len() - 1).key()
	if order == Descending {
		return Span{Start: last, End: walked.End}
	}
	return Span{Start: walked.Start, End: append(bytes.Clone(last), 0)}
}

// inOrder returns the rows in ascending order.
func (r *recorder) inOrder(order Order) *pageRows {
	if order == Descending {
		slices.Reverse(r.rows.at)
		sorted := pageRows{data: make([]byte, 0, len(r.rows.data)), at: make([]uint32, 0, len(r.rows.at)), expires: r.rows.expires}
		for i := range r.rows.at {
			sorted.at = append(sorted.at, uint32(len(sorted.data)))
			sorted.data = append(sorted.data, r.rows.entry(i).whole()...)
		}
		return &sorted
	}
	return &r.rows
}
