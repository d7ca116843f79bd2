package keyspace

import (
	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// streamNode is a run of entries that were added one after the other. It is gone
// with the last of them.
//
// How many entries a node still has is not kept in its row, so that neither XADD nor
// a cut at the front has to write it: they are those from its start to the next
// node's, less its holes, but for the first, of which the tally says it.
type streamNode struct {
	id    StreamID // the first entry that it had; all others, and none of the node before, are above
	start int64    // ordinal of that entry
	holes int64    // entries of it that were deleted; of no meaning for the first node

	end  int64    // ordinal of the first entry behind it
	next StreamID // the next node; zero: it is the last
}

// live is how many entries a node has that is not the first.
func (n streamNode) live() int64 { return n.end - n.start - n.holes }

// firstLive is how many entries the first node has.
func (st *Stream) firstLive() int64 {
	if st.tally.nodes <= 1 {
		return st.meta.Length
	}
	return st.tally.firstLive
}

// nodeMax is how many entries a node takes, those that are gone again included.
func (st *Stream) nodeMax() int64 {
	if n := st.s.shared.limits.StreamNodeMaxEntries; n > 0 {
		return int64(n)
	}
	return int64(DefaultLimits().StreamNodeMaxEntries)
}

// tailIsFull reports whether the next entry begins a node.
func (st *Stream) tailIsFull() bool {
	return st.tally.nodes == 0 || st.ordinal()-st.tally.tailStart >= st.nodeMax()
}

// beginNode makes a node that begins with the entry that is about to be added.
func (st *Stream) beginNode(id StreamID) error {
	switch st.tally.nodes {
	case 0:
		st.tally.first, st.tally.firstNode = id, id
	case 1:
		st.tally.firstLive = st.meta.Length
	}
	st.tally.nodes++
	st.tally.tailStart = st.ordinal()
	if err := st.writeNode(streamNode{id: id, start: st.tally.tailStart}); err != nil {
		return err
	}
	return st.writeTally()
}

func (st *Stream) writeNode(n streamNode) error {
	return st.s.tx.Put(st.nodeName(n.id), encodePair(n.start, n.holes), 0)
}

// walkNodes calls fn for the nodes from the one with the given ID on until it returns false.
func (st *Stream) walkNodes(from StreamID, fn func(streamNode) bool) error {
	var bad error
	var last *streamNode // whose end is not known yet
	more := true
	err := st.walkRows(st.part(nodeTag, store.StreamIDBytes), StreamRange{From: from, To: MaxStreamID}, func(id StreamID, row txn.Row) bool {
		n := streamNode{id: id}
		if n.start, n.holes, bad = parsePair("node", row.Value); bad != nil {
			return false
		}
		if last != nil {
			last.end, last.next = n.start, id
			more = fn(*last)
		}
		last = &n
		return more
	})
	switch {
	case err != nil:
		return err
	case bad != nil:
		return bad
	case last != nil && more:
		last.end = st.ordinal()
		fn(*last)
	}
	return nil
}

// nodeFrom returns the node with the given ID or the first one after it.
func (st *Stream) nodeFrom(id StreamID) (n streamNode, err error) {
	err = st.walkNodes(id, func(found streamNode) bool {
		n = found
		return false
	})
	return n, err
}

// nodeBelow returns the ID of the last node that begins at id or before it.
func (st *Stream) nodeBelow(id StreamID) (below StreamID, err error) {
	err = st.walkRows(st.part(nodeTag, store.StreamIDBytes), StreamRange{To: id, Reverse: true}, func(found StreamID, _ txn.Row) bool {
		below = found
		return false
	})
	return below, err
}

// leaveNode takes an entry, which is still there, out of its node.
func (st *Stream) leaveNode(id StreamID) error {
	if st.tally.nodes == 1 && st.meta.Length > 1 {
		return nil
	}
	if st.tally.nodes == 1 {
		return st.dropFirst()
	}
	at, err := st.nodeBelow(id)
	switch {
	case err != nil:
		return err
	case at == st.tally.firstNode && st.tally.firstLive > 1:
		st.tally.firstLive--
		return nil
	case at == st.tally.firstNode:
		return st.dropFirst()
	}
	n, err := st.nodeFrom(at)
	if err != nil {
		return err
	}
	if n.live() > 1 {
		n.holes++
		return st.writeNode(n)
	}
	return st.dropNode(n)
}

// dropFirst removes the first node.
func (st *Stream) dropFirst() error {
	if err := st.s.tx.Delete(st.nodeName(st.tally.firstNode)); err != nil {
		return err
	}
	st.tally.nodes--
	if st.tally.nodes == 0 {
		st.tally.firstNode = StreamID{}
		return nil
	}
	second, err := st.nodeFrom(st.tally.firstNode)
	if err != nil {
		return err
	}
	st.tally.firstNode = second.id
	st.setFirstLive(second.live())
	return nil
}

// setFirstLive sets how many entries the first node has.
func (st *Stream) setFirstLive(n int64) {
	if st.tally.nodes <= 1 {
		n = 0
	}
	st.tally.firstLive = n
}

// dropNode removes a node that is not the first. The one before takes over its
// ordinals, as holes.
func (st *Stream) dropNode(n streamNode) error {
	if err := st.s.tx.Delete(st.nodeName(n.id)); err != nil {
		return err
	}
	below, err := st.nodeBelow(n.id)
	if err != nil {
		return err
	}
	before, err := st.nodeFrom(below)
	if err != nil {
		return err
	}
	before.holes += n.end - n.start
	if n.next.IsZero() {
		st.tally.tailStart = before.start
	}
	st.tally.nodes--
	st.setFirstLive(st.tally.firstLive)
	return st.writeNode(before)
}
