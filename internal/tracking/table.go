package tracking

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/elastickv/elastickv/internal/prefixes"
)

// ID is the number of a client, above 0.
type ID int64

// Mode is how a client wants to be told of changes.
type Mode struct {
	Broadcast bool     // of all keys, or those with certain prefixes, whether it has read them or not
	Prefixes  []string // of the keys, sorted, if Broadcast; none is all
	OptIn     bool     // only reads that the client points out count
	OptOut    bool     // reads that the client points out do not count
	NoLoop    bool     // not of its own changes
	Redirect  ID       // who is told in its place; 0: itself
	Broken    bool     // that one is gone
}

// Table is what all clients have to be told of. Its methods are safe for concurrent use.
type Table struct {
	clients atomic.Int64 // number of clients that track: most changes need not look further

	mu struct {
		sync.Mutex
		modes   map[ID]*Mode
		readers map[string][]reader // by key
		items   int                 // readers in all
		most    int                 // keys; 0: any number
		changes uint64              // that have been collected
		// broadcast has the clients of Mode.Broadcast by prefix.
		broadcast prefixes.Map[map[ID]bool]
	}
}

// reader is a client that may have copies of a key. Those of one key stand in order of their
// numbers, each once. Some may no longer be there.
type reader struct {
	id ID
	// oldest and newest are the last changes that its copies have in them for sure, that of the
	// oldest copy and that of the newest. What was read where everybody can see it may lack any
	// change that is not settled, and counts as having none.
	oldest, newest uint64
}

// NewTable returns a Table without clients.
func NewTable() *Table {
	t := &Table{}
	t.mu.modes = make(map[ID]*Mode)
	t.mu.readers = make(map[string][]reader)
	return t
}

// Active reports whether there is any client that tracks.
func (t *Table) Active() bool { return t.clients.Load() > 0 }

// Enable begins or changes the tracking of a client. Prefixes come on top of those that it has.
func (t *Table) Enable(id ID, m Mode) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if old := t.mu.modes[id]; old != nil {
		m.Prefixes = append(m.Prefixes, old.Prefixes...)
	} else {
		t.clients.Add(1)
	}
	if m.Broadcast && len(m.Prefixes) == 0 {
		m.Prefixes = []string{""}
	}
	slices.Sort(m.Prefixes)
	m.Prefixes = slices.Compact(m.Prefixes)
	t.mu.modes[id] = &m
	for _, p := range m.Prefixes {
		ids, ok := t.mu.broadcast.Get(p)
		if !ok {
			ids = make(map[ID]bool)
			t.mu.broadcast.Put(p, ids)
		}
		ids[id] = true
	}
}

// Disable ends the tracking of a client. That it did not track is no fault.
func (t *Table) Disable(id ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.mu.modes[id]
	if m == nil {
		return
	}
	for _, p := range m.Prefixes {
		ids, _ := t.mu.broadcast.Get(p)
		if delete(ids, id); len(ids) == 0 {
			t.mu.broadcast.Delete(p)
		}
	}
	delete(t.mu.modes, id)
	if t.clients.Add(-1) == 0 { // nobody is left to be told of what they have read
		t.mu.readers, t.mu.items = make(map[string][]reader), 0
	}
}

// Mode returns how a client tracks, and whether it does.
func (t *Table) Mode(id ID) (Mode, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.mu.modes[id]
	if m == nil {
		return Mode{}, false
	}
	c := *m
	c.Prefixes = slices.Clone(m.Prefixes)
	return c, true
}

// Break notes that whom a client has redirected to is gone.
func (t *Table) Break(id ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := t.mu.modes[id]; m != nil {
		m.Broken = true
	}
}

// View is which state of the keys a read looks at.
type View int

// The views.
const (
	// Durable: what can be seen by everybody. The read has to begin after Remember.
	Durable View = iota
	// Latest: all changes that have been collected, and no change is collected meanwhile.
	Latest
)

// Remember notes that a client is going to read keys. If the table has become too large, some
// of its keys are given up: whoever has read them has to be told at once.
func (t *Table) Remember(id ID, v View, keys ...[]byte) []Notice {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.mu.modes[id] == nil {
		return nil
	}
	var seen uint64
	if v == Latest {
		seen = t.mu.changes
	}
	for _, key := range keys {
		t.addLocked(key, reader{id, seen, seen})
	}
	return t.evictLocked()
}

// addLocked puts a reader in its place.
func (t *Table) addLocked(key []byte, r reader) {
	all := t.mu.readers[string(key)]
	i, ok := find(all, r.id)
	if ok {
		all[i].oldest, all[i].newest = min(all[i].oldest, r.oldest), max(all[i].newest, r.newest)
		return
	}
	if len(all) > 0 && len(all) == cap(all) { // before it grows
		n := len(all)
		all = slices.DeleteFunc(all, func(r reader) bool { return t.mu.modes[r.id] == nil })
		t.mu.items -= n - len(all)
		i, _ = find(all, r.id)
	}
	t.mu.items++
	t.mu.readers[string(key)] = slices.Insert(all, i, r)
}

func find(all []reader, id ID) (int, bool) {
	return slices.BinarySearchFunc(all, id, func(r reader, id ID) int { return int(r.id - id) })
}

// Forget takes back that a client has read keys.
func (t *Table) Forget(id ID, keys ...[]byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, key := range keys {
		all := t.mu.readers[string(key)]
		i, ok := find(all, id)
		if !ok {
			continue
		}
		t.setLocked(string(key), slices.Delete(all, i, i+1))
	}
}

// Knows reports whether it is noted that a client has read a key.
func (t *Table) Knows(id ID, key []byte) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	_, ok := find(t.mu.readers[string(key)], id)
	return ok
}

// Limit sets how many keys may be remembered; 0 is any number. Whoever has read what is given up
// has to be told.
func (t *Table) Limit(keys int) []Notice {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.mu.most = keys
	return t.evictLocked()
}

// evictLocked gives up keys, whichever come first, until there are not too many.
func (t *Table) evictLocked() (out []Notice) {
	if t.mu.most <= 0 || len(t.mu.readers) <= t.mu.most {
		return nil
	}
	for key, all := range t.mu.readers {
		t.mu.items -= len(all)
		delete(t.mu.readers, key)
		out = appendNotice(out, []byte(key), t.targetsLocked(all, 0))
		if len(t.mu.readers) <= t.mu.most {
			break
		}
	}
	return out
}

// Figures are sizes of a Table.
type Figures struct {
	Clients  int // that track
	Keys     int // that are remembered
	Items    int // pairs of a key and one who has read it
	Prefixes int // of broadcasts
}

// Figures returns the sizes of this moment.
func (t *Table) Figures() Figures {
	t.mu.Lock()
	defer t.mu.Unlock()
	return Figures{len(t.mu.modes), len(t.mu.readers), t.mu.items, t.mu.broadcast.Len()}
}
