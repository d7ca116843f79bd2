package host

import (
	"fmt"
	"maps"
	"slices"

	"github.com/elastickv/elastickv/internal/replica"
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// entryMost is how large the data of an entry may be: with it a message still has room on its way.
const entryMost = 64 << 20

// Lead implements txn.Log.
func (g *Group) Lead() (term uint64, leading bool, changed <-chan struct{}) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.mu.lead.term, g.mu.lead.leading, g.mu.lead.changed
}

// publish makes this the answer of Lead.
func (g *Group) publish(term uint64, leading bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	l := &g.mu.lead
	if l.term == term && l.leading == leading {
		return
	}
	l.term, l.leading = term, leading
	close(l.changed)
	l.changed = make(chan struct{})
}

// Propose implements txn.Log.
func (g *Group) Propose(term, number uint64, commits []store.Commit, done func(error)) {
	data := replica.AppendEntry(nil, commits)
	if len(data) > entryMost {
		g.refuse(done, ErrTooLarge)
		return
	}
	taken := g.inbox.putProposal(len(data), func(w *worker) {
		if w == nil {
			g.refuse(done, ErrClosed)
			return
		}
		index, err := w.r.Propose(replica.Place{Term: term, Number: number}, data)
		if err != nil {
			g.refuse(done, err)
			return
		}
		g.await(index, wait{term: term, done: done})
	})
	if !taken {
		g.refuse(done, replica.ErrBusy)
	}
}

// refuse ends a proposal that is in no log.
func (g *Group) refuse(done func(error), why error) {
	g.count(func(f *Figures) { f.Refused++ })
	done(fmt.Errorf("%w: %w", txn.ErrNotCommitted, why))
}

// await has somebody told of the fate of an entry that is in the log. If somebody waits there for the entry of an
// earlier lead, that has lost its place: a leader has everything in its log that was ever committed.
func (g *Group) await(index uint64, w wait) {
	g.mu.Lock()
	before, replaced := g.mu.waits[index]
	g.mu.figures.Proposed++
	g.mu.waits[index] = w
	g.mu.Unlock()
	if replaced {
		before.done(errReplaced)
	}
}

var errReplaced = fmt.Errorf("%w: another leader has put something else in its place", txn.ErrNotCommitted)

// settle tells who waits for the entry at index that one is applied there: his own, if it is of
// the same term. effective says that it has changed the members.
func (g *Group) settle(index, term uint64, effective bool) {
	g.mu.Lock()
	w, ok := g.mu.waits[index]
	delete(g.mu.waits, index)
	g.mu.Unlock()
	switch {
	case !ok:
	case w.term != term:
		w.done(errReplaced)
	case w.change && !effective:
		w.done(ErrRefused)
	default:
		w.done(nil)
	}
}

// overtaken ends the proposals that a snapshot has the outcome of: nobody tells which it was.
func (g *Group) overtaken(index uint64) { g.end(func(i uint64, _ wait) bool { return i <= index }) }

// abandon ends proposals of which nobody knows what becomes of them.
func (g *Group) abandon(which func(wait) bool) {
	g.end(func(_ uint64, w wait) bool { return which(w) })
}

func (g *Group) end(which func(uint64, wait) bool) {
	ended := map[uint64]wait{}
	g.mu.Lock()
	for index, w := range g.mu.waits {
		if which(index, w) {
			ended[index] = w
			delete(g.mu.waits, index)
		}
	}
	g.mu.figures.Unknown += uint64(len(ended))
	g.mu.Unlock()
	for _, index := range slices.Sorted(maps.Keys(ended)) {
		ended[index].done(txn.ErrUnknown)
	}
}
