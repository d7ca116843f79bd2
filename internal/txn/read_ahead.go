package txn

import (
	"hash/maphash"

	"github.com/elastickv/elastickv/store"
)

// Turn says that a row is one of those that somebody takes one after the other, such as the elements of a list that is a queue.
type Turn struct {
	Prefix []byte      // that the names of all of them begin with
	Order  store.Order // in which they are taken
	Most   int64       // how many there are, the one that is asked for included
	// Last is the name of the last of them. What lies behind it is none of them, and may be many that have gone.
	Last []byte
}

// staged is the layer of what has been staged, durable or not. It belongs to the sequencer.
type staged struct {
	snapshot
	ahead readAhead
}

// row implements layer.
func (b *staged) row(key []byte) (Row, bool, error) {
	if r, ok := b.ahead.row(b.ts, key); ok {
		return r, true, nil
	}
	return b.snapshot.row(key)
}

// rowInTurn implements layer.
func (b *staged) rowInTurn(key []byte, t Turn) (Row, bool, error) {
	turn := b.ahead.turn(t)
	if r, ok := b.ahead.take(b.ts, key); ok {
		turn.left--
		return r, true, nil
	}
	n := min(turn.next(), t.Most)
	if n == 1 {
		return b.snapshot.row(key)
	}
	read, err := b.fill(key, t, n)
	if err != nil {
		return Row{}, false, err
	}
	r, ok := b.ahead.take(b.ts, key)
	if turn.left = read; ok {
		turn.left--
	}
	return r, ok, nil
}

// fill reads n rows from key on, or fewer if they are large, and returns how many it was.
func (b *staged) fill(key []byte, t Turn, n int64) (read int64, err error) {
	span := store.Span{Start: key, End: behind(t.Last)}
	if t.Order == store.Descending {
		span = store.Span{Start: t.Last, End: behind(key)}
	}
	b.ahead.begin(b.ts)
	size := 0
	err = b.walk(span, t.Order, 0, func(key []byte, r Row) bool {
		size += b.ahead.add(key, r)
		read++
		return read < n && size < aheadBytes
	})
	return read, err
}

// moved says that the layer has commits now, of which the last one is at ts.
func (b *staged) moved(commits []store.Commit) {
	was := b.ts
	b.ts = commits[len(commits)-1].TS
	b.ahead.written(was, b.ts, commits)
}

// readAhead has rows that were read before anybody has asked for them. The engine needs for a row that is looked up by itself ten times as long as for
// the next one of a walk, and to take the first of many is to look up each of them. What a row says here is
// what the engine says at one timestamp, and what is written meanwhile goes.
type readAhead struct {
	ts    uint64 // at which the engine has these rows
	rows  map[string]Row
	size  int // bytes of them, about
	seed  maphash.Seed
	turns [aheadTurns]turn // by their hashes; of two with the same place one is forgotten
	arena arena
}

const (
	aheadTurns    = 64       // that are known
	aheadRows     = 64       // that are read at once, at most
	aheadBytes    = 64 << 10 // from which on no more are
	aheadRowsMost = 1 << 12  // that are kept
	aheadSizeMost = 1 << 20
)

// turn is what is known of those who take rows of one prefix in one order.
type turn struct {
	hash uint64
	rows int64 // that were read the last time
	left int64 // of those, that nobody has taken
}

// next returns how many rows are read at once now that one is asked for that is not there: at first one, then twice as many as the last
// time, if those have been taken. Else the one who asks does not go on where the one before has been, or those have gone in another way:
// to read more is of no use then, until as many have been asked for as there were.
func (t *turn) next() int64 {
	if t.left > 0 {
		t.left--
		t.rows = 1
		return 1
	}
	t.rows = min(max(2*t.rows, 1), aheadRows)
	return t.rows
}

// turn returns what is known of t.
func (a *readAhead) turn(t Turn) *turn {
	hash := maphash.Bytes(a.seed, t.Prefix)
	if t.Order == store.Descending {
		hash = ^hash
	}
	at := &a.turns[hash%aheadTurns]
	if at.hash != hash {
		*at = turn{hash: hash}
	}
	return at
}

// row returns a row that is there, if what is there is of ts.
func (a *readAhead) row(ts uint64, key []byte) (r Row, ok bool) {
	if len(a.rows) > 0 && a.ts == ts {
		r, ok = a.rows[string(key)]
	}
	return r, ok
}

// take is row for who does not ask for it again soon.
func (a *readAhead) take(ts uint64, key []byte) (Row, bool) {
	r, ok := a.row(ts, key)
	if ok {
		a.drop(key, r)
	}
	return r, ok
}

func (a *readAhead) drop(key []byte, r Row) {
	a.size -= len(key) + len(r.Value)
	delete(a.rows, string(key))
}

// begin makes room for rows of ts. Where many are left over nobody is to read that many at once again soon.
func (a *readAhead) begin(ts uint64) {
	switch {
	case len(a.rows) >= aheadRowsMost || a.size >= aheadSizeMost:
		a.turns = [aheadTurns]turn{}
		fallthrough
	case a.ts != ts || a.rows == nil:
		a.clear()
	}
	a.ts = ts
}

func (a *readAhead) clear() {
	a.rows, a.size, a.arena = map[string]Row{}, 0, arena{}
	for i := range a.turns {
		a.turns[i].left = 0
	}
}

// add puts in a row, and returns its size.
func (a *readAhead) add(key []byte, r Row) int {
	if old, ok := a.rows[string(key)]; ok {
		a.drop(key, old)
	}
	size := len(key) + len(r.Value)
	r.Value = a.arena.keep(r.Value)
	a.rows[string(key)] = r
	a.size += size
	return size
}

// written says that what the engine has at ts is what it had at was, and commits.
func (a *readAhead) written(was, ts uint64, commits []store.Commit) {
	if len(a.rows) == 0 || a.ts != was {
		return
	}
	a.ts = ts
	for i := range commits {
		if len(commits[i].Deleted) > 0 {
			a.clear()
			return
		}
		for _, m := range commits[i].Mutations {
			if r, ok := a.rows[string(m.Key)]; ok {
				a.drop(m.Key, r)
			}
		}
	}
}
