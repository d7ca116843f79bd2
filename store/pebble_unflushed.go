package store

import (
	"bytes"
	"hash/maphash"
	"math/bits"
	"slices"
	"sync/atomic"

	"github.com/cockroachdb/pebble/v2"
)

// unflushed knows of which bounds the engine's memtables may have rows. All other keys are looked up in its tables
// alone, whose filters mostly say at once that a key is not there; to find that out in a memtable takes most of the time of writing
// a new key. And a view of tables is good until there are others, however much is written meanwhile.
//
// It has generations of rows. A row is noted before the engine gets it, and forgotten, with its generation, when a flush has brought all
// of that into tables. A reader asks first and opens its view then. So what was written before it asked is noted,
// or is in tables that the view has, since views of fewer tables were thrown away before anything was forgotten.
type unflushed struct {
	seed maphash.Seed
	most int // rows of a generation, at most

	// All that the engine has numbered up to this is in tables that a view has which is opened from now on. The engine numbers its rows one after
	// the other, and flushes them in this order.
	flushed atomic.Uint64

	// recent are the generations, oldest first. Whoever holds the apply lock changes it.
	recent atomic.Pointer[[]*generation]
}

// generation is the rows of some batches.
type generation struct {
	// A filter of bounds: each has four bits in one of the blocks of eight words, which is a line of a processor's cache.
	words []uint64
	spans atomic.Pointer[[]Span] // of rows of the engine, whose ends count as in them

	// The others are the apply lock's.
	rows, room int
	since      uint64 // unflushed.flushed when it began
	below      uint64 // of what the engine has numbered; 0 while that is not known
}

const (
	generationsMost = 12 // that readers ask; nothing is known while there are more
	spansMost       = 16
	firstRoom       = 4 << 10 // of a generation of a young store
	blockWords      = 8
	rowsOfBlock     = 48 // about ten bits a row: of a hundred bounds that are not there one or two seem to be
)

// open prepares u for an engine that is about to be opened, and is empty but for its tables.
func (u *unflushed) open(memTableSize uint64) {
	u.seed = maphash.MakeSeed()
	u.most = max(int(memTableSize/128), 1)
	u.publish([]*generation{newGeneration(min(firstRoom, u.most), 0)})
}

// listen has the engine tell what it has flushed, after what l does already. It does so when it reads the new tables.
func (u *unflushed) listen(l *pebble.EventListener) {
	told := l.FlushEnd
	l.FlushEnd = func(i pebble.FlushInfo) {
		if told != nil {
			told(i)
		}
		if i.Err != nil || i.Ingest {
			return
		}
		for _, table := range i.Output {
			if n := uint64(table.LargestSeqNum); n > u.flushed.Load() { // flushes come one after the other
				u.flushed.Store(n)
			}
		}
	}
}

// may reports whether a memtable may have rows of bound, or may delete some.
func (u *unflushed) may(bound []byte) bool {
	recent := *u.recent.Load()
	if len(recent) > generationsMost {
		return true
	}
	hash := maphash.Bytes(u.seed, bound)
	for _, g := range slices.Backward(recent) {
		if g.may(hash, bound) {
			return true
		}
	}
	return false
}

// note notes the rows of b, which the engine is about to get. The caller holds the apply lock, and calls noted next.
func (u *unflushed) note(b *pebble.Batch) error {
	g := u.current()
	for r := b.Reader(); ; {
		kind, key, value, ok, err := r.Next()
		switch {
		case err != nil || !ok:
			return err
		case kind == pebble.InternalKeyKindRangeDelete:
			g.note(Span{Start: key[:splitKey(key)], End: value[:splitKey(value)]})
		case kind != pebble.InternalKeyKindLogData:
			g.set(maphash.Bytes(u.seed, key[:splitKey(key)]))
		}
	}
}

// noted is called when the engine has b. The generations that get no more rows have only those that it has numbered before.
func (u *unflushed) noted(b *pebble.Batch) {
	if b.Empty() {
		return // or the engine has made a table in memory of it, and has taken the number with it
	}
	recent := *u.recent.Load()
	for _, g := range recent[:len(recent)-1] {
		if g.below == 0 {
			g.below = uint64(b.SeqNum())
		}
	}
}

// current returns the generation that the next rows belong to, and forgets those that are in tables. There is another one when it is
// full, and after each flush.
func (u *unflushed) current() *generation {
	flushed, recent := u.flushed.Load(), *u.recent.Load()
	gone := 0
	for gone < len(recent)-1 && recent[gone].below != 0 && recent[gone].below-1 <= flushed {
		gone++
	}
	last := recent[len(recent)-1]
	switch {
	case last.rows >= last.room:
		last = newGeneration(min(2*last.room, u.most), flushed)
	case last.rows > 0 && last.since != flushed:
		last = newGeneration(last.room, flushed)
	case gone == 0:
		return last
	default:
		u.publish(slices.Clone(recent[gone:]))
		return last
	}
	u.publish(append(slices.Clone(recent[gone:]), last))
	return last
}

func (u *unflushed) publish(recent []*generation) { u.recent.Store(&recent) }

func newGeneration(room int, since uint64) *generation {
	blocks := room/rowsOfBlock + 1
	return &generation{words: make([]uint64, blocks*blockWords), room: room, since: since}
}

// block returns the block of hash. The bits in it are taken from the other end of hash.
func (g *generation) block(hash uint64) *[blockWords]uint64 {
	i, _ := bits.Mul64(hash, uint64(len(g.words)/blockWords))
	return (*[blockWords]uint64)(g.words[i*blockWords:])
}

// set notes a row. Readers look on.
func (g *generation) set(hash uint64) {
	g.rows++
	block := g.block(hash)
	for range 4 {
		word := &block[hash%blockWords]
		atomic.StoreUint64(word, *word|1<<(hash>>3&63)) // others only read it
		hash >>= 9
	}
}

// note notes a deletion of all rows of a span.
func (g *generation) note(span Span) {
	g.rows++
	var spans []Span
	if old := g.spans.Load(); old != nil {
		spans = slices.Clone(*old)
	}
	if len(spans) < spansMost {
		spans = append(spans, Span{Start: bytes.Clone(span.Start), End: bytes.Clone(span.End)})
	} else { // the last one has all further ones, and what is between them
		last := &spans[spansMost-1]
		if bytes.Compare(span.Start, last.Start) < 0 {
			last.Start = bytes.Clone(span.Start)
		}
		if bytes.Compare(span.End, last.End) > 0 {
			last.End = bytes.Clone(span.End)
		}
	}
	g.spans.Store(&spans)
}

func (g *generation) may(hash uint64, bound []byte) bool {
	if spans := g.spans.Load(); spans != nil {
		for _, s := range *spans {
			if bytes.Compare(s.Start, bound) <= 0 && bytes.Compare(bound, s.End) <= 0 {
				return true
			}
		}
	}
	block := g.block(hash)
	for range 4 {
		if atomic.LoadUint64(&block[hash%blockWords])&(1<<(hash>>3&63)) == 0 {
			return false
		}
		hash >>= 9
	}
	return true
}
