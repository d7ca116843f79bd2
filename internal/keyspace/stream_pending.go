package keyspace

import (
	"bytes"
	"encoding/binary"
	"errors"

	"github.com/elastickv/elastickv/internal/txn"
)

// Delivery is when an entry was delivered last, and how often.
type Delivery struct {
	At    int64 // Unix milliseconds
	Count int64 // below 0, if clients have made it overflow
}

// Pending is an entry that was delivered to a consumer and not acknowledged.
type Pending struct {
	ID       StreamID
	Consumer []byte
	Delivery
}

func (p Pending) encode() []byte {
	b := append(make([]byte, 0, streamPendingSize+len(p.Consumer)), encodePair(p.At, p.Count)...)
	return append(b, p.Consumer...)
}

// parsePending reads a row of the group's, or of a consumer's.
func parsePending(id StreamID, b []byte, of *Consumer) (Pending, error) {
	p := Pending{ID: id}
	switch {
	case len(b) < streamPendingSize, of != nil && len(b) > streamPendingSize:
		return p, errStreamRow("pending entry", b)
	case of != nil:
		p.Consumer = of.Name
	default:
		p.Consumer = b[streamPendingSize:]
	}
	p.At, p.Count = int64(binary.BigEndian.Uint64(b)), int64(binary.BigEndian.Uint64(b[8:]))
	return p, nil
}

// pendingAt returns the pending entry of that ID, if there is one.
func (g *Group) pendingAt(id StreamID) (Pending, bool, error) {
	row, ok, err := g.st.s.tx.Get(g.pendingName(id))
	if err != nil || !ok {
		return Pending{}, false, err
	}
	p, err := parsePending(id, row.Value, nil)
	return p, err == nil, err
}

// WalkPending calls fn for the pending entries of r until it returns false: those
// of one consumer, or all if of is nil. fn must not write; what it gets is valid
// only during the call.
func (g *Group) WalkPending(of *Consumer, r StreamRange, fn func(Pending) bool) error {
	prefix := g.member(pendingTag, 16)
	if of != nil {
		prefix = g.ownedPrefix(of.Name)
	}
	var bad error
	err := g.st.walkRows(prefix, r, func(id StreamID, row txn.Row) bool {
		var p Pending
		if p, bad = parsePending(id, row.Value, of); bad != nil {
			return false
		}
		return fn(p)
	})
	return errors.Join(err, bad)
}

// takePending returns the first pending entries of r, at most limit; below 0, all.
func (g *Group) takePending(of *Consumer, r StreamRange, limit int64) (all []Pending, err error) {
	if limit == 0 {
		return nil, nil
	}
	err = g.WalkPending(of, r, func(p Pending) bool {
		p.Consumer = bytes.Clone(p.Consumer)
		all = append(all, p)
		return limit < 0 || int64(len(all)) < limit
	})
	return all, err
}

// Ack takes entries off the pending ones and returns how many of them were pending.
func (g *Group) Ack(ids []StreamID) (int64, error) {
	var n int64
	for _, id := range ids {
		p, ok, err := g.pendingAt(id)
		if err != nil {
			return 0, err
		}
		if !ok {
			continue
		}
		if err := g.drop(p); err != nil {
			return 0, err
		}
		n++
	}
	if n == 0 {
		return 0, nil
	}
	return n, g.Save()
}

// drop removes a pending entry.
func (g *Group) drop(p Pending) error {
	if err := g.disown(p); err != nil {
		return err
	}
	g.pending--
	return g.st.s.tx.Delete(g.pendingName(p.ID))
}

// disown takes a pending entry from its consumer.
func (g *Group) disown(p Pending) error {
	c, err := g.consumer(p.Consumer)
	if err != nil {
		return err
	}
	c.Pending--
	c.changed = true
	return g.st.s.tx.Delete(g.ownedName(p.Consumer, p.ID))
}

// assign makes an entry pending for a consumer. old is what is pending of it, if anything.
func (g *Group) assign(id StreamID, old *Pending, to *Consumer, d Delivery) error {
	if old == nil || !bytes.Equal(old.Consumer, to.Name) {
		if old == nil {
			g.pending++
		} else if err := g.disown(*old); err != nil {
			return err
		}
		to.Pending++
		to.changed = true
	}
	value := Pending{id, to.Name, d}.encode()
	if err := g.st.s.tx.Put(g.pendingName(id), value, 0); err != nil {
		return err
	}
	return g.st.s.tx.Put(g.ownedName(to.Name, id), value[:streamPendingSize], 0)
}

// Deliver notes that a consumer has got new entries, in rising order of their IDs:
// the group goes on behind them, and they are pending.
func (g *Group) Deliver(ids []StreamID, to *Consumer) error {
	if len(ids) == 0 {
		return g.Save()
	}
	to.Active, to.changed = g.st.s.Now(), true
	// Only SETID and XCLAIM's FORCE let new entries be pending already.
	had, err := g.takePending(nil, StreamRange{From: ids[0], To: ids[len(ids)-1]}, -1)
	if err != nil {
		return err
	}
	for _, id := range ids {
		for len(had) > 0 && had[0].ID.Compare(id) < 0 {
			had = had[1:]
		}
		var old *Pending
		if len(had) > 0 && had[0].ID == id {
			old = &had[0]
		}
		if err := g.assign(id, old, to, Delivery{g.st.s.Now(), 1}); err != nil {
			return err
		}
	}
	return g.Pass(ids)
}

// Pass is Deliver to nobody: the group goes on behind the entries, and they are not
// pending.
func (g *Group) Pass(ids []StreamID) error {
	for _, id := range ids {
		g.advance(id)
	}
	return g.Save()
}

// Redeliver calls fn for the entries from the given ID on that are pending for a consumer,
// at most limit, below 0 all: they are delivered to it once more. Of one that is no
// longer in the stream, which stays as it is, the Fields are nil.
func (g *Group) Redeliver(to *Consumer, from StreamID, limit int64, fn func(StreamEntry)) error {
	all, err := g.takePending(to, StreamRange{From: from, To: MaxStreamID}, limit)
	if err != nil {
		return err
	}
	for _, p := range all {
		e, ok, err := g.st.Entry(p.ID)
		if err != nil {
			return err
		}
		if !ok {
			fn(StreamEntry{ID: p.ID})
			continue
		}
		fn(e)
		if err := g.assign(p.ID, &p, to, Delivery{g.st.s.Now(), p.Count + 1}); err != nil {
			return err
		}
	}
	return g.Save()
}
