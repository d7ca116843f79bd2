package tracking

import (
	"maps"
	"slices"
)

// Change is a key that has been changed. A nil Key stands for all keys.
type Change struct {
	Key     []byte
	Expired bool // by nobody, but because its time had come
}

// Due is changes that have been collected and wait to be settled. The zero Due has none.
type Due struct {
	by      ID
	changes []change
}

type change struct {
	Change
	number uint64
}

// Empty reports whether there is nothing to settle.
func (d *Due) Empty() bool { return len(d.changes) == 0 }

// author returns who has made a change, 0 for nobody: a key that expires is nobody's change, whoever has found that out.
func (d *Due) author(c change) ID {
	if c.Expired {
		return 0
	}
	return d.by
}

// Collect adds changes that a client, 0 for none, has just made. They are collected in the order in
// which they are made, by one caller at a time.
func (t *Table) Collect(d *Due, by ID, changes ...Change) {
	t.mu.Lock()
	defer t.mu.Unlock()
	d.by = by
	t.mu.changes++
	for _, ch := range changes {
		d.changes = append(d.changes, change{ch, t.mu.changes})
	}
}

// Notice is what some clients have to be told: to forget keys, or all if Keys is nil.
type Notice struct {
	Keys [][]byte
	To   []Target
}

// Target is a client, and who is told in its place if it wants that.
type Target struct{ ID, Redirect ID }

// Settle returns who has to be told of changes that everybody can see now: first those who have
// read the keys, then those to whom changes are broadcast.
func (t *Table) Settle(d *Due) (read, broadcast []Notice) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range d.changes {
		if c.Key == nil {
			read = append(read, t.settleAllLocked())
		} else {
			read = appendNotice(read, c.Key, t.settleLocked(d.author(c), c))
		}
	}
	return read, t.broadcastLocked(d)
}

// settleLocked returns who has to be told of a change: those with copies that may lack it. They
// are forgotten unless they have newer copies, too. Of its own change a client may not
// want to know.
func (t *Table) settleLocked(by ID, c change) []Target {
	all := t.mu.readers[string(c.Key)]
	var stale, left []reader
	for _, r := range all {
		if r.oldest < c.number {
			stale = append(stale, r)
			r.oldest = c.number // older copies are forgotten
		}
		if r.newest >= c.number {
			left = append(left, r)
		}
	}
	t.setLocked(string(c.Key), left)
	return t.targetsLocked(stale, by)
}

// setLocked replaces the readers of a key.
func (t *Table) setLocked(key string, all []reader) {
	t.mu.items += len(all) - len(t.mu.readers[key])
	if len(all) > 0 {
		t.mu.readers[key] = all
	} else {
		delete(t.mu.readers, key)
	}
}

// isOwnLocked reports whether a client is not to be told of a change by another, because that is
// itself.
func (t *Table) isOwnLocked(by, id ID) bool {
	m := t.mu.modes[id]
	return by == id && m != nil && m.NoLoop
}

// settleAllLocked forgets who has read what: every client is told to forget everything, and is told
// so behind what it has read meanwhile.
func (t *Table) settleAllLocked() Notice {
	t.mu.readers, t.mu.items = make(map[string][]reader), 0
	var to []Target
	for _, id := range slices.Sorted(maps.Keys(t.mu.modes)) {
		to = append(to, Target{id, t.mu.modes[id].Redirect})
	}
	return Notice{To: to}
}

// targetsLocked returns those of the readers that want to be told of a change by a client, 0 for
// none.
func (t *Table) targetsLocked(all []reader, by ID) []Target {
	var to []Target
	for _, r := range all {
		if m := t.mu.modes[r.id]; m != nil && !m.Broadcast && !t.isOwnLocked(by, r.id) {
			to = append(to, Target{r.id, m.Redirect})
		}
	}
	return to
}

func appendNotice(out []Notice, key []byte, to []Target) []Notice {
	if len(to) == 0 {
		return out
	}
	return append(out, Notice{Keys: [][]byte{key}, To: to})
}

// broadcastLocked returns one notice for each prefix with all the keys that have it, and besides one
// without their own for those clients that do not want these.
func (t *Table) broadcastLocked(d *Due) (out []Notice) {
	if t.mu.broadcast.Len() == 0 {
		return nil
	}
	for _, p := range t.changedPrefixesLocked(d) {
		ids, _ := t.mu.broadcast.Get(p.prefix)
		all, others := Notice{Keys: p.keys(nil)}, Notice{}
		for _, id := range slices.Sorted(maps.Keys(ids)) {
			to := Target{id, t.mu.modes[id].Redirect}
			if !t.isOwnLocked(d.by, id) {
				all.To = append(all.To, to)
			} else if others.Keys = p.keys(&d.by); len(others.Keys) > 0 {
				others.To = append(others.To, to)
			}
		}
		for _, n := range []Notice{all, others} {
			if len(n.To) > 0 {
				out = append(out, n)
			}
		}
	}
	return out
}

// changedPrefix is a prefix, and the keys with it that have changed: by whom last.
type changedPrefix struct {
	prefix  string
	changed map[string]ID
}

// changedPrefixesLocked returns the prefixes that changed keys have, in order.
func (t *Table) changedPrefixesLocked(d *Due) []changedPrefix {
	found := make(map[string]map[string]ID)
	for _, c := range d.changes {
		if c.Key == nil {
			continue
		}
		for p := range t.mu.broadcast.Of(c.Key) {
			if found[p] == nil {
				found[p] = make(map[string]ID)
			}
			found[p][string(c.Key)] = d.author(c)
		}
	}
	var out []changedPrefix
	for _, p := range slices.Sorted(maps.Keys(found)) {
		out = append(out, changedPrefix{p, found[p]})
	}
	return out
}

// keys returns the keys in order, but for those that a client has changed last.
func (p changedPrefix) keys(except *ID) (out [][]byte) {
	for _, k := range slices.Sorted(maps.Keys(p.changed)) {
		if except == nil || p.changed[k] != *except {
			out = append(out, []byte(k))
		}
	}
	return out
}
