package store

import (
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2"
)

// viewSlots is how many iterators of a kind wait for their next reader at most.
const viewSlots = 32

// views keeps iterators of the engine open for who reads next. To open one, and to open the
// tables below it, costs a read a quarter of what it costs altogether.
//
// An iterator shows the engine as it was when it was opened. It is handed out again only if
// no batch has been given to the engine since: then a new one would show the same. One of tables alone is, as long as those are the
// same. What the
// engine does by itself changes no rows, but an iterator keeps the memtables and tables that it
// reads. So whenever the engine is done with some, all that wait are closed. Whoever closes the last one that kept a table has
// to drop that from the engine's caches, block by block, which takes up to hundreds of milliseconds: so readers leave that to another
// goroutine.
type views struct {
	db *pebble.DB // immutable

	// begun and ended count the batches that were given to the engine and those that it is
	// done with. They are the same while nothing is being written.
	begun, ended atomic.Uint64

	age           atomic.Uint64 // how often the engine was done with memtables and tables
	points, spans viewRack
	tables        viewRack      // points of keys that no memtable has, see unflushed
	waited        atomic.Int64  // nanoseconds that all of them have waited for the disk
	waits         atomic.Uint64 // counted by the file system, see diskWatch

	closing struct {
		sync.Mutex
		shut   bool
		drains sync.WaitGroup // added to under the lock, and never once shut is set
	}
}

// viewRack holds iterators of one kind.
type viewRack [viewSlots]viewSlot

// viewSlot holds an iterator or none.
type viewSlot struct {
	taken atomic.Bool // whoever has set it owns view, until it is cleared
	view  view
	_     [64]byte // two slots share no line of a processor's cache
}

// view is an iterator in use. Its zero value is none.
type view struct {
	iter    *pebble.Iterator
	options *pebble.IterOptions // it was opened with these
	at      uint64              // value of begun as long as nothing has been written; unsettled if something was
	age     uint64              // value of views.age when it was opened
	slot    *viewSlot           // where it goes back to, or nil
	reading time.Duration       // how long its readers before have waited for blocks
	waits   uint64              // value of views.waits when its reader got it
}

// slowRead is how long a view waits for blocks if they come from the disk. One that the system has in
// memory is there in a tenth of that; but where processors are busy it may take as long. So the time counts only
// if a file had to ask the disk meanwhile.
const slowRead = 100 * time.Microsecond

// unsettled is no value of views.begun.
const unsettled = math.MaxUint64

// viewSeat is the slot that a reader tries. Readers are kept in pools, each processor of which
// tends to give out the same ones: so it finds what it has left.
type viewSeat uint32

var viewSeats atomic.Uint32

func newViewSeat() viewSeat { return viewSeat(viewSeats.Add(1) % viewSlots) }

// changing says that rows of the engine are about to change. It returns what to call once they have.
func (v *views) changing() (changed func()) {
	v.begun.Add(1)
	return v.changed
}

func (v *views) changed() { v.ended.Add(1) }

// open returns a view of the engine as it is now. The caller gives it back by close.
func (v *views) open(rack *viewRack, seat viewSeat, options *pebble.IterOptions) (view, error) {
	slot := &rack[seat]
	if !slot.taken.CompareAndSwap(false, true) {
		slot = nil
	} else if old := slot.view; old.iter != nil {
		if v.fresh(old) && old.options == options {
			old.waits = v.waits.Load()
			return old, nil
		}
		slot.view = view{}
		_ = v.discard(old) // its errors were its reader's
	}
	age, at, waits := v.age.Load(), v.ended.Load(), v.waits.Load()
	iter, err := v.db.NewIter(options)
	if err != nil {
		slot.leave()
		return view{}, err
	}
	if v.begun.Load() != at {
		at = unsettled
	}
	return view{iter: iter, options: options, at: at, age: age, slot: slot, waits: waits}, nil
}

// close gives a view back. It fails with the error that the view has met, if any.
func (v *views) close(old view) error {
	err := old.iter.Error()
	reading := old.iter.Stats().InternalStats.BlockReadDuration
	if took := reading - old.reading; took > slowRead && v.waits.Load() != old.waits {
		v.waited.Add(int64(took))
	}
	old.reading = reading
	if err == nil && old.slot != nil && v.fresh(old) {
		old.slot.view = old
		old.slot.leave()
		return nil
	}
	if old.slot != nil {
		old.slot.view = view{}
	}
	err = firstError(err, v.discard(old))
	old.slot.leave()
	return err
}

// fresh reports whether a new view would show what this one does, or, of those of tables alone, has the same tables.
func (v *views) fresh(old view) bool {
	if old.options.OnlyReadGuaranteedDurable {
		return old.age == v.age.Load()
	}
	return old.at == v.begun.Load()
}

// discard closes the iterator of a view; if it may be the last to keep what the engine is done with, by another goroutine.
func (v *views) discard(old view) error {
	if old.age != v.age.Load() && v.aside(func() { _ = old.iter.Close() }) {
		return nil
	}
	return old.iter.Close()
}

// aside has fn called by a goroutine of its own, or reports false if v is shut.
func (v *views) aside(fn func()) bool {
	v.closing.Lock()
	defer v.closing.Unlock()
	if v.closing.shut {
		return false
	}
	v.closing.drains.Go(fn)
	return true
}

// leave gives up the slot, if there is one.
func (s *viewSlot) leave() {
	if s != nil {
		s.taken.Store(false)
	}
}

// listen has the engine tell when it is done with memtables and tables, after what l does
// already. It tells of a compaction a moment before new iterators read what that has made: one that is opened in
// between counts as new, and is closed by its reader.
func (v *views) listen(l *pebble.EventListener) {
	flushed, compacted := l.FlushEnd, l.CompactionEnd
	l.FlushEnd = func(i pebble.FlushInfo) {
		v.retire()
		if flushed != nil {
			flushed(i)
		}
	}
	l.CompactionEnd = func(i pebble.CompactionInfo) {
		v.retire()
		if compacted != nil {
			compacted(i)
		}
	}
}

// retire has all iterators of now closed by other goroutines: those that wait at once, and those in use when their readers are
// done with them. The engine calls it under locks.
func (v *views) retire() {
	v.age.Add(1)
	v.changing()()
	v.aside(v.drain)
}

// drain closes the iterators that wait.
func (v *views) drain() {
	for _, rack := range []*viewRack{&v.points, &v.spans, &v.tables} {
		for i := range rack {
			slot := &rack[i]
			if !slot.taken.CompareAndSwap(false, true) {
				continue
			}
			if old := slot.view; old.iter != nil {
				slot.view = view{}
				_ = old.iter.Close() // as in open
			}
			slot.leave()
		}
	}
}

// shut closes all iterators. There are no readers any more.
func (v *views) shut() {
	v.closing.Lock()
	v.closing.shut = true
	v.closing.Unlock()
	v.closing.drains.Wait()
	v.drain()
}
