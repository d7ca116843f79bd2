package keyspace

import (
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// StreamTrim says which entries go from the front of a stream.
type StreamTrim struct {
	ByID   bool     // those below MinID, else all but the last MaxLen
	MaxLen int64    // not below 0
	MinID  StreamID //
	Approx bool     // only whole nodes go
	Limit  int64    // entries that go at most, if above 0; only with Approx
}

// Trim removes entries from the front and returns how many.
func (st *Stream) Trim(t StreamTrim) (int64, error) {
	if st.isTrimmed(t) {
		return 0, nil
	}
	c := streamCut{t: t, first: st.tally.first, restLive: st.firstLive()}
	if err := st.cutNodes(&c); err != nil {
		return 0, err
	}
	if !t.Approx && c.gone < st.meta.Length {
		if err := st.cutNode(&c); err != nil {
			return 0, err
		}
	}
	if c.gone == 0 {
		return 0, nil
	}
	return c.gone, st.cut(c)
}

// isTrimmed reports whether it is plain that no entry has to go.
func (st *Stream) isTrimmed(t StreamTrim) bool {
	if t.ByID {
		return st.meta.Length == 0 || t.MinID.Compare(st.tally.first) <= 0
	}
	return st.meta.Length <= t.MaxLen
}

// streamCut is a cut at the front of a stream in the making.
type streamCut struct {
	t        StreamTrim
	gone     int64      // entries that go
	nodes    int64      // nodes that go as a whole
	rest     StreamID   // the first node that stays; zero if none goes
	restLive int64      // entries that stay in the first node that stays
	first    StreamID   // the first entry that stays, or a place before it and behind those that go
	found    bool       // it is the entry
	part     []StreamID // entries that go from a node that stays, if they are not many
}

// cutNodes finds the nodes that go as a whole.
func (st *Stream) cutNodes(c *streamCut) error {
	var keep StreamID // the first entry that MinID lets stay
	kept := true
	if c.t.ByID {
		var err error
		if keep, kept, err = st.seek(c.t.MinID); err != nil {
			return err
		}
	} else if st.meta.Length-st.firstLive() < c.t.MaxLen {
		return nil
	}
	return st.walkNodes(st.tally.firstNode, func(n streamNode) bool {
		live := n.live()
		if c.nodes == 0 {
			live = st.firstLive()
		}
		goes := st.meta.Length-c.gone-live >= c.t.MaxLen
		if c.t.ByID {
			goes = !kept || !n.next.IsZero() && n.next.Compare(keep) <= 0
		}
		if c.rest, c.restLive = n.id, live; c.nodes > 0 {
			c.first = n.id
		}
		if !goes || c.t.Limit > 0 && c.gone+live > c.t.Limit {
			return false
		}
		c.gone += live
		c.nodes++
		return true
	})
}

// cutNode finds the entries that go from the first node that stays, which has more of them.
func (st *Stream) cutNode(c *streamCut) error {
	var n int64
	most := st.meta.Length - c.gone - c.t.MaxLen
	if !c.t.ByID && most <= 0 {
		return nil
	}
	err := st.walkIDs(StreamRange{From: c.first, To: MaxStreamID}, func(id StreamID, _ txn.Row) bool {
		c.first = id
		c.found = c.t.ByID && id.Compare(c.t.MinID) >= 0 || !c.t.ByID && n == most
		if c.found {
			return false
		}
		if n++; n <= dropSingly {
			c.part = append(c.part, id)
		}
		return true
	})
	c.gone += n
	c.restLive -= n
	return err
}

// cut removes what is to go.
func (st *Stream) cut(c streamCut) error {
	if err := st.cutRows(c); err != nil {
		return err
	}
	st.s.changed(st.key)
	st.meta.Length -= c.gone
	st.tally.removed += c.gone
	st.tally.nodes -= c.nodes
	st.setFirstLive(c.restLive)
	if c.nodes > 0 {
		st.tally.firstNode = c.rest
	}
	if st.meta.Length == 0 {
		st.tally.firstNode = StreamID{}
	}
	if !c.found {
		var err error
		if c.first, _, err = st.seek(c.first); err != nil {
			return err
		}
	}
	st.tally.first = c.first
	if err := st.writeTally(); err != nil {
		return err
	}
	return st.writeMeta()
}

// cutRows deletes the rows of the entries and nodes that go.
func (st *Stream) cutRows(c streamCut) error {
	if err := st.cutNodeRows(c); err != nil {
		return err
	}
	if c.gone > dropSingly {
		end := store.PrefixSpan(st.s.withPrefix(store.StreamEntryScanPrefix(st.home))).End
		if c.gone < st.meta.Length {
			end = st.entryName(c.first)
		}
		return st.s.tx.DeleteSpan(store.Span{Start: st.entryName(st.tally.first), End: end})
	}
	ids := c.part
	if int64(len(ids)) < c.gone {
		var err error
		if ids, err = st.ids(c.gone); err != nil {
			return err
		}
	}
	for _, id := range ids {
		if err := st.s.tx.Delete(st.entryName(id)); err != nil {
			return err
		}
	}
	return nil
}

// cutNodeRows deletes the rows of the nodes that go.
func (st *Stream) cutNodeRows(c streamCut) error {
	first := st.nodeName(st.tally.firstNode)
	switch {
	case c.nodes == 0:
		return nil
	case c.nodes == 1:
		return st.s.tx.Delete(first)
	case c.gone == st.meta.Length:
		return st.s.tx.DeleteSpan(store.Span{Start: first, End: store.PrefixSpan(st.part(nodeTag, 0)).End})
	}
	return st.s.tx.DeleteSpan(store.Span{Start: first, End: st.nodeName(c.rest)})
}

// ids returns the first n IDs.
func (st *Stream) ids(n int64) ([]StreamID, error) {
	all := make([]StreamID, 0, n)
	err := st.walkIDs(AllStreamIDs(), func(id StreamID, _ txn.Row) bool {
		all = append(all, id)
		return int64(len(all)) < n
	})
	return all, err
}
