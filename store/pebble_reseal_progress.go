package store

import "sync"

// ResealStats tell how far Reseal is.
type ResealStats struct {
	Running bool       // Reseal is at work
	Below   uint32     // as ResealOptions has it, of the pass at hand or the last one; 0 if there was none
	Failure error      // what has ended the last pass before its end; nil if nothing has
	Left    uint64     // bytes on the disk that the pass has yet to look at; an estimate
	Pass    ResealPass // of the pass at hand or the last one, since it was begun or taken up
	Total   ResealPass // of all passes since the store was opened
	Passes  uint64     // that came to their end since the store was opened
}

// ResealPass is what Reseal has done.
type ResealPass struct {
	Rows   uint64 // looked at
	Sealed uint64 // sealed, or sealed again
	Bytes  uint64 // read and written
}

func (p *ResealPass) add(work ResealPass) {
	p.Rows += work.Rows
	p.Sealed += work.Sealed
	p.Bytes += work.Bytes
}

// resealProgress follows Reseal. The zero value is ready for use.
type resealProgress struct {
	mu struct {
		sync.Mutex
		ResealStats
	}
}

func (r *resealProgress) begin(below uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.Running, r.mu.Below, r.mu.Failure, r.mu.Pass = true, below, nil, ResealPass{}
}

func (r *resealProgress) left(bytes uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.Left = bytes
}

func (r *resealProgress) step(work ResealPass) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.Pass.add(work)
	r.mu.Total.add(work)
}

func (r *resealProgress) end(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.mu.Running, r.mu.Failure = false, err
	if err == nil {
		r.mu.Left = 0
		r.mu.Passes++
	}
}

func (r *resealProgress) snapshot() ResealStats {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.mu.ResealStats
}
