package command

import (
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/rdb"
)

func (d *dumper) stream() (rdb.Value, error) {
	st, err := d.c.Keys.Stream(d.key)
	if err != nil {
		return nil, err
	}
	out := &rdb.Stream{
		LastID: rdb.ID(st.LastID()), MaxDeletedID: rdb.ID(st.MaxDeletedID()), EntriesAdded: uint64(st.EntriesAdded()),
	}
	err = st.Walk(keyspace.AllStreamIDs(), func(e keyspace.StreamEntry) bool {
		entry := rdb.Entry{ID: rdb.ID(e.ID), Fields: make([][]byte, len(e.Fields))}
		for i, f := range e.Fields {
			entry.Fields[i] = d.own(f)
		}
		out.Entries = append(out.Entries, entry)
		return d.fits()
	})
	if err != nil {
		return nil, err
	}
	groups, err := st.Groups()
	for i := 0; i < len(groups) && err == nil && d.fits(); i++ {
		var g rdb.Group
		g, err = d.group(groups[i])
		out.Groups = append(out.Groups, g)
	}
	return d.result(out, err)
}

func (d *dumper) group(g *keyspace.Group) (rdb.Group, error) {
	out := rdb.Group{Name: g.Name(), LastID: rdb.ID(g.LastID), EntriesRead: g.EntriesRead}
	consumers, err := g.Consumers()
	if err != nil {
		return out, err
	}
	byName := make(map[string]int, len(consumers))
	for i, c := range consumers {
		byName[string(c.Name)] = i
		out.Consumers = append(out.Consumers, rdb.Consumer{Name: c.Name, SeenAt: c.Seen, ActiveAt: c.Active})
	}
	err = g.WalkPending(nil, keyspace.AllStreamIDs(), func(p keyspace.Pending) bool {
		out.Pending = append(out.Pending, rdb.Pending{
			ID: rdb.ID(p.ID), Consumer: byName[string(p.Consumer)], DeliveredAt: p.At, Deliveries: uint64(p.Count),
		})
		d.left -= pendingBytes
		return d.fits()
	})
	return out, err
}

// pendingBytes is what a pending entry takes in a payload, about.
const pendingBytes = 40
