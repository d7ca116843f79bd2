package command

import (
	"bytes"

	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/rdb"
)

func (c *Ctx) putStream(key []byte, v *rdb.Stream) error {
	st, err := c.Keys.Stream(key)
	if err != nil {
		return err
	}
	if err := st.Create(); err != nil {
		return err
	}
	for _, e := range v.Entries {
		if err := st.Add(keyspace.StreamID(e.ID), e.Fields); err != nil {
			return err
		}
	}
	err = st.Adopt(keyspace.StreamID(v.LastID), int64(v.EntriesAdded), keyspace.StreamID(v.MaxDeletedID))
	for i := 0; i < len(v.Groups) && err == nil; i++ {
		err = putGroup(st, v.Groups[i])
	}
	return err
}

func putGroup(st *keyspace.Stream, v rdb.Group) error {
	if _, err := st.CreateGroup(v.Name, keyspace.StreamID(v.LastID), v.EntriesRead); err != nil {
		return err
	}
	g, err := st.Group(v.Name)
	if err != nil {
		return err
	}
	consumers := make([]keyspace.Consumer, len(v.Consumers))
	for i, c := range v.Consumers {
		consumers[i] = keyspace.Consumer{Name: bytes.Clone(c.Name), Seen: c.SeenAt, Active: c.ActiveAt}
	}
	pending := make([]keyspace.Pending, len(v.Pending))
	for i, p := range v.Pending {
		pending[i] = keyspace.Pending{
			ID: keyspace.StreamID(p.ID), Consumer: consumers[p.Consumer].Name,
			Delivery: keyspace.Delivery{At: p.DeliveredAt, Count: int64(p.Deliveries)},
		}
	}
	return g.Adopt(consumers, pending)
}
