package keyspace

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// stream checks what the rows of a stream say of each other: lengths, nodes, counts
// of consumers and pending entries, and that each of those stands in two places.
func (a *auditor) stream(s *Space, key []byte) error {
	st, err := s.Stream(key)
	if err != nil {
		return err
	}
	ids, err := a.streamIDs(st, st.s.withPrefix(store.StreamEntryScanPrefix(st.home)))
	if err != nil {
		return err
	}
	if st.Len() != int64(len(ids)) {
		return fmt.Errorf("stream %q has length %d and %d entries", key, st.Len(), len(ids))
	}
	if n := len(ids); n > 0 && (st.tally.first != ids[0] || st.LastID().Compare(ids[n-1]) < 0) || n == 0 && !st.tally.first.IsZero() {
		return fmt.Errorf("stream %q of the entries %v has first %v and last %v", key, ids, st.tally.first, st.LastID())
	}
	a.owned[string(st.part(tallyTag, 0))] = true
	if err := a.nodes(st, ids); err != nil {
		return fmt.Errorf("stream %q: %w", key, err)
	}
	groups, err := st.Groups()
	if err != nil {
		return err
	}
	for _, g := range groups {
		if err := a.group(g); err != nil {
			return fmt.Errorf("group %q of stream %q: %w", g.name, key, err)
		}
	}
	return nil
}

// streamIDs returns the IDs that the names of all rows under prefix end in.
func (a *auditor) streamIDs(st *Stream, prefix []byte) (ids []StreamID, err error) {
	err = a.rows(prefix, func(name []byte, _ txn.Row) error {
		a.owned[string(name)] = true
		id, err := idBehind(name, len(prefix))
		ids = append(ids, id)
		return err
	})
	return ids, err
}

// nodes checks that each node has as many entries as is reckoned of it, and none has none.
func (a *auditor) nodes(st *Stream, ids []StreamID) error {
	starts, err := a.streamIDs(st, st.part(nodeTag, 0))
	if err != nil {
		return err
	}
	if int64(len(starts)) != st.tally.nodes {
		return fmt.Errorf("%d nodes, counted %d", st.tally.nodes, len(starts))
	}
	if n := len(starts); n > 0 && starts[0] != st.tally.firstNode || n == 0 && !st.tally.firstNode.IsZero() {
		return fmt.Errorf("nodes %v, the first is said to be %v", starts, st.tally.firstNode)
	}
	if st.tally.nodes <= 1 && st.tally.firstLive != 0 {
		return fmt.Errorf("%d nodes and %d entries in the first", st.tally.nodes, st.tally.firstLive)
	}
	var bad error
	first, tail := true, int64(-1)
	err = st.walkNodes(StreamID{}, func(n streamNode) bool {
		var have int64
		for _, id := range ids {
			if id.Compare(n.id) >= 0 && (n.next.IsZero() || id.Compare(n.next) < 0) {
				have++
			}
		}
		want := n.live()
		if first {
			want = st.firstLive()
		}
		if have != want || have == 0 {
			bad = fmt.Errorf("node %v is to have %d entries and has %d", n.id, want, have)
		}
		first, tail = false, n.start
		return bad == nil
	})
	if err == nil && bad == nil && len(ids) > 0 && tail != st.tally.tailStart {
		bad = fmt.Errorf("the last node begins at %d, the tally says %d", tail, st.tally.tailStart)
	}
	if err != nil {
		return err
	}
	return bad
}

func (a *auditor) group(g *Group) error {
	a.owned[string(g.st.groupName(g.name))] = true
	consumers, err := g.Consumers()
	if err != nil {
		return err
	}
	pending := map[string][]byte{}
	prefix := g.member(pendingTag, 0)
	err = a.rows(prefix, func(name []byte, r txn.Row) error {
		a.owned[string(name)] = true
		pending[string(name[len(prefix):])] = bytes.Clone(r.Value)
		return nil
	})
	if err != nil {
		return err
	}
	if int64(len(consumers)) != g.consumers || int64(len(pending)) != g.pending {
		return fmt.Errorf("%d consumers and %d pending, counted %d and %d", g.consumers, g.pending, len(consumers), len(pending))
	}
	for _, c := range consumers {
		a.owned[string(g.consumerName(c.Name))] = true
		if err := a.consumer(g, c, pending); err != nil {
			return fmt.Errorf("consumer %q: %w", c.Name, err)
		}
	}
	if len(pending) > 0 {
		return fmt.Errorf("%d entries are pending for nobody", len(pending))
	}
	return nil
}

// consumer takes what is pending for a consumer out of pending.
func (a *auditor) consumer(g *Group, c Consumer, pending map[string][]byte) error {
	var n int64
	prefix := g.ownedPrefix(c.Name)
	err := a.rows(prefix, func(name []byte, r txn.Row) error {
		a.owned[string(name)] = true
		n++
		id := string(name[len(prefix):])
		if want := slices.Concat(r.Value, c.Name); !bytes.Equal(pending[id], want) {
			return fmt.Errorf("pending entry %x: the group says %x, the consumer %x", id, pending[id], want)
		}
		delete(pending, id)
		return nil
	})
	if err == nil && n != c.Pending {
		err = fmt.Errorf("%d pending, counted %d", c.Pending, n)
	}
	return err
}
