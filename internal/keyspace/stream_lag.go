package keyspace

// EntriesReadUnknown stands for a number of entries read that nobody can tell.
const EntriesReadUnknown = -1

// hasHolesFrom reports whether an entry with the given ID or a later one may have
// been deleted from among those that are there.
func (st *Stream) hasHolesFrom(id StreamID) bool {
	deleted := st.tally.maxDeleted
	if st.meta.Length == 0 || deleted.IsZero() || st.tally.first.Compare(deleted) > 0 {
		return false
	}
	return id.Compare(deleted) <= 0
}

// addedUpTo returns how many entries had been added when the one with the given ID
// was, itself included, or EntriesReadUnknown: only at the ends of the stream, and
// before them, does anybody know.
func (st *Stream) addedUpTo(id StreamID) int64 {
	added := st.EntriesAdded()
	last := id.Compare(st.LastID())
	switch {
	case added == 0:
		return 0
	case st.meta.Length == 0 && last <= 0, last == 0:
		return added
	case last > 0:
		return EntriesReadUnknown
	}
	first := st.tally.first
	if deleted := st.tally.maxDeleted; !deleted.IsZero() && deleted.Compare(first) >= 0 {
		return EntriesReadUnknown
	}
	switch id.Compare(first) {
	case -1:
		return added - st.meta.Length
	case 0:
		return added - st.meta.Length + 1
	}
	return EntriesReadUnknown
}

// Lag returns how many entries the group has yet to read, unless nobody can tell.
func (g *Group) Lag() (lag int64, ok bool) {
	added := g.st.EntriesAdded()
	if added == 0 {
		return 0, true
	}
	read := g.EntriesRead
	if read == EntriesReadUnknown || g.st.hasHolesFrom(g.LastID) {
		if read = g.st.addedUpTo(g.LastID); read == EntriesReadUnknown {
			return 0, false
		}
	}
	return added - read, true
}

// advance makes an entry the last one that the group has read, if it is a later one.
func (g *Group) advance(id StreamID) {
	if id.Compare(g.LastID) <= 0 {
		return
	}
	if g.EntriesRead != EntriesReadUnknown && !g.st.hasHolesFrom(id) {
		g.EntriesRead++
	} else if g.st.EntriesAdded() != 0 {
		g.EntriesRead = g.st.addedUpTo(id)
	}
	g.LastID = id
}
