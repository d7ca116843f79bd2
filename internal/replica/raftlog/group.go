package raftlog

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"go.etcd.io/raft/v3"
	pb "go.etcd.io/raft/v3/raftpb"
)

// Group is the log of one group, as raft.Storage wants to read it, but for the two methods that ask for
// the data too.
type Group struct {
	id    GroupID
	db    *pebble.DB
	seal  *Seal
	found int64 // bytes of the entries that were there when the group was opened
	noted bool  // the disk does not have the commit index yet; Log.order's

	mu struct {
		sync.Mutex
		truncated Mark
		last      uint64 // truncated.Index <= last
		hard      *pb.HardState
		tail      []*pb.Entry // the last ones, without a gap; the indexes end at last
		tailBytes int
	}
}

// Open returns a group as the last process has left it. applied is what the data has of it. If that
// process was installing a snapshot, what it left is brought to an end.
func (l *Log) Open(id GroupID, applied uint64) (*Group, error) {
	l.mu.Lock()
	g := l.mu.groups[id]
	l.mu.Unlock()
	if g != nil {
		return g, nil
	}
	g = &Group{id: id, db: l.db, seal: &l.o.Seal}
	if err := g.load(l); err != nil {
		return nil, err
	}
	if err := l.settleIntent(g, applied); err != nil {
		return nil, err
	}
	switch last, truncated := g.lastIndex(), g.truncated(); {
	case applied > last:
		return nil, fmt.Errorf("%w: group %d: the data has %d, the log ends at %d", ErrLogLost, id, applied, last)
	case applied < truncated.Index:
		return nil, fmt.Errorf("%w: group %d: the data has %d, the log begins behind %d", ErrStateLost, id, applied, truncated.Index)
	}
	// A commit index that nobody was told of need not have been synced.
	if h := g.mu.hard; h.GetCommit() < applied {
		g.mu.hard = hardState(h.GetTerm(), h.GetVote(), applied)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.mu.groups[id] = g
	return g, nil
}

// load reads the rows of the group.
func (g *Group) load(l *Log) error {
	row, ok, err := l.row(appendKey(nil, g.id, rowTruncated))
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%w: %d", ErrNoGroup, g.id)
	}
	if g.mu.truncated, err = parseMark(row); err != nil {
		return err
	}
	row, ok, err = l.row(appendKey(nil, g.id, rowHard))
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%w: group %d has no hard state", ErrDamaged, g.id)
	}
	if g.mu.hard, err = parseHard(row); err != nil {
		return err
	}
	g.mu.last, err = g.findLast()
	return err
}

// findLast walks over the entries, which have no gap and are what was written, and adds their bytes up.
func (g *Group) findLast() (last uint64, err error) {
	floor := g.seal.floor()
	iter, err := g.db.NewIter(&pebble.IterOptions{
		LowerBound: appendEntryKey(nil, g.id, g.mu.truncated.Index+1), UpperBound: appendKey(nil, g.id, rowEntry+1)})
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, iter.Close()) }()
	last = g.mu.truncated.Index
	for ok := iter.First(); ok; ok = iter.Next() {
		if want := appendEntryKey(nil, g.id, last+1); !bytes.Equal(iter.Key(), want) {
			return 0, fmt.Errorf("%w: group %d: row %x where entry %d should be", ErrDamaged, g.id, iter.Key(), last+1)
		}
		last++
		row, err := iter.ValueAndErr()
		if err != nil {
			return 0, err
		}
		if _, err := g.seal.parseRow(g.id, last, row, floor); err != nil {
			return 0, err
		}
		g.found += int64(len(row))
	}
	return last, iter.Error()
}

// settleIntent ends what a process was at that installed a snapshot: the data has it, or not.
func (l *Log) settleIntent(g *Group, applied uint64) error {
	row, ok, err := l.row(appendKey(nil, g.id, rowIntent))
	if err != nil || !ok {
		return err
	}
	m, err := parseMark(row)
	if err != nil {
		return err
	}
	if applied < m.Index {
		return l.change(pebble.Sync, func(b *pebble.Batch) error { return b.Delete(appendKey(nil, g.id, rowIntent), nil) }, func() {})
	}
	if applied > m.Index {
		return fmt.Errorf("%w: group %d: the data has %d, and a snapshot at %d was being installed", ErrLogLost, g.id, applied, m.Index)
	}
	return l.FinishInstall(g, m, installed(g.mu.hard, m))
}

// installed returns the state behind a snapshot at m. A vote counts for its own term only.
func installed(h *pb.HardState, m Mark) *pb.HardState {
	if h.GetTerm() >= m.Term {
		return hardState(h.GetTerm(), h.GetVote(), max(h.GetCommit(), m.Index))
	}
	return hardState(m.Term, 0, m.Index)
}

// ID returns the group's id.
func (g *Group) ID() GroupID { return g.id }

// Found returns how many bytes of entries there were when the group was opened.
func (g *Group) Found() int64 { return g.found }

// HardState returns what raft must not forget.
func (g *Group) HardState() *pb.HardState {
	g.mu.Lock()
	defer g.mu.Unlock()
	h := g.mu.hard
	return hardState(h.GetTerm(), h.GetVote(), h.GetCommit())
}

func (g *Group) truncated() Mark {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.truncated
}

func (g *Group) lastIndex() uint64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.last
}

// FirstIndex returns the index behind the truncated entries.
func (g *Group) FirstIndex() (uint64, error) { return g.truncated().Index + 1, nil }

// LastIndex returns the index of the last entry, or of the last one that was cut off.
func (g *Group) LastIndex() (uint64, error) { return g.lastIndex(), nil }

// Term returns the term of an entry.
func (g *Group) Term(i uint64) (uint64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch first := g.tailFirst(); {
	case i == g.mu.truncated.Index:
		return g.mu.truncated.Term, nil
	case i < g.mu.truncated.Index:
		return 0, raft.ErrCompacted
	case i > g.mu.last:
		return 0, raft.ErrUnavailable
	case i >= first:
		return g.mu.tail[i-first].GetTerm(), nil
	}
	row, closer, err := g.db.Get(appendEntryKey(nil, g.id, i))
	if err != nil {
		return 0, fmt.Errorf("raftlog: group %d, entry %d: %w", g.id, i, err)
	}
	if len(row) < 8 {
		err = fmt.Errorf("%w: entry %d in %d bytes", ErrDamaged, i, len(row))
		return 0, errors.Join(err, closer.Close())
	}
	term := binary.BigEndian.Uint64(row)
	return term, closer.Close()
}

// tailFirst returns the index of the first entry in memory, or the one behind the last. The
// caller holds the lock.
func (g *Group) tailFirst() uint64 { return g.mu.last + 1 - uint64(len(g.mu.tail)) }

// Entries returns entries [lo, hi), at least one, and no more than have most bytes.
func (g *Group) Entries(lo, hi, most uint64) ([]*pb.Entry, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case lo <= g.mu.truncated.Index:
		return nil, raft.ErrCompacted
	case hi > g.mu.last+1:
		return nil, raft.ErrUnavailable
	}
	var out []*pb.Entry
	var bytes uint64
	take := func(e *pb.Entry) bool {
		bytes += uint64(entrySize(e))
		if len(out) > 0 && bytes > most {
			return false
		}
		out = append(out, e)
		return true
	}
	first := g.tailFirst()
	if lo < first {
		more, err := g.read(lo, min(hi, first), take)
		if err != nil || !more {
			return out, err
		}
		lo = first
	}
	for ; lo < hi; lo++ {
		if !take(g.mu.tail[lo-first]) {
			break
		}
	}
	return out, nil
}

// read gives the entries [lo, hi) on the disk to take, until that has enough: then more is false.
func (g *Group) read(lo, hi uint64, take func(*pb.Entry) bool) (more bool, err error) {
	floor := g.seal.floor()
	iter, err := g.db.NewIter(&pebble.IterOptions{LowerBound: appendEntryKey(nil, g.id, lo), UpperBound: appendEntryKey(nil, g.id, hi)})
	if err != nil {
		return false, err
	}
	defer func() { err = errors.Join(err, iter.Close()) }()
	ok := iter.First()
	for i := lo; i < hi; i++ {
		if !ok {
			return false, errors.Join(fmt.Errorf("%w: group %d has no entry %d", ErrDamaged, g.id, i), iter.Error())
		}
		if key := iter.Key(); len(key) != 13 || binary.BigEndian.Uint64(key[5:]) != i {
			return false, fmt.Errorf("%w: group %d: row %x where entry %d should be", ErrDamaged, g.id, key, i)
		}
		row, err := iter.ValueAndErr()
		if err != nil {
			return false, err
		}
		e, err := g.seal.parseRow(g.id, i, row, floor)
		if err != nil {
			return false, err
		}
		if !take(e) {
			return false, nil
		}
		ok = iter.Next()
	}
	return true, iter.Error()
}

// entrySize is what an entry takes in memory and in a message, about.
func entrySize(e *pb.Entry) int { return 24 + len(e.GetData()) }

// wrote shows what is in the log now.
func (g *Group) wrote(w Write, most int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if w.Hard != nil {
		g.mu.hard = hardState(w.Hard.GetTerm(), w.Hard.GetVote(), w.Hard.GetCommit())
	}
	if len(w.Entries) == 0 {
		return
	}
	from := w.Entries[0].GetIndex()
	if first := g.tailFirst(); from >= first {
		for _, e := range g.mu.tail[from-first:] {
			g.mu.tailBytes -= entrySize(e)
		}
		g.mu.tail = g.mu.tail[:from-first]
	} else {
		g.mu.tail, g.mu.tailBytes = nil, 0
	}
	for _, e := range w.Entries {
		g.mu.tailBytes += entrySize(e)
	}
	g.mu.tail = append(g.mu.tail, w.Entries...)
	g.mu.last = w.Entries[len(w.Entries)-1].GetIndex()
	drop := 0
	for ; g.mu.tailBytes > most && drop < len(g.mu.tail); drop++ {
		g.mu.tailBytes -= entrySize(g.mu.tail[drop])
	}
	g.dropTail(drop)
}

// dropTail forgets the first n entries of the tail. The caller holds the lock and has
// counted their bytes.
func (g *Group) dropTail(n int) {
	clear(g.mu.tail[:n])
	g.mu.tail = g.mu.tail[n:]
}

// cut shows that the beginning of the log is gone.
func (g *Group) cut(m Mark) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if m.Index <= g.mu.truncated.Index {
		return
	}
	g.mu.truncated = m
	drop := 0
	for first := g.tailFirst(); drop < len(g.mu.tail) && first+uint64(drop) <= m.Index; drop++ {
		g.mu.tailBytes -= entrySize(g.mu.tail[drop])
	}
	g.dropTail(drop)
}

// restart shows a log that begins behind m.
func (g *Group) restart(m Mark, hard *pb.HardState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.mu.truncated, g.mu.last, g.mu.hard = m, m.Index, hard
	g.mu.tail, g.mu.tailBytes = nil, 0
}
