package keyspace

import (
	"bytes"
	"errors"
	"fmt"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// Group is a consumer group of a stream. Two Groups of one stream and name must not
// be in use at the same time, if either changes it. What its methods change is
// written at the latest by Save.
type Group struct {
	LastID      StreamID // the last entry that was delivered
	EntriesRead int64    // how many had been added up to it, or EntriesReadUnknown; below, if clients have made it overflow

	st        *Stream
	name      []byte
	pending   int64
	consumers int64
	open      map[string]*Consumer // those that were looked up
}

// Consumer is a consumer of a group.
type Consumer struct {
	Name    []byte
	Seen    int64 // when it last asked for entries, in Unix milliseconds
	Active  int64 // when it last got any; NeverActive: not yet
	Pending int64 // entries that were delivered to it and not acknowledged
	changed bool
}

// NeverActive is the Active of a consumer that has got nothing yet.
const NeverActive = -1

// Group returns the group of that name, nil if there is none.
func (st *Stream) Group(name []byte) (*Group, error) {
	if !st.Exists() {
		return nil, nil
	}
	row, ok, err := st.s.tx.Get(st.groupName(name))
	if err != nil || !ok {
		return nil, err
	}
	g := &Group{st: st, name: name}
	return g, g.parse(row.Value)
}

// CreateGroup makes a group and reports whether there was none of that name. The
// stream has to be there.
func (st *Stream) CreateGroup(name []byte, last StreamID, entriesRead int64) (bool, error) {
	row := st.groupName(name)
	if _, ok, err := st.s.tx.Get(row); err != nil || ok {
		return false, err
	}
	g := &Group{st: st, name: name, LastID: last, EntriesRead: entriesRead}
	return true, st.s.tx.Put(row, g.encode(), 0)
}

// Groups returns all groups in the order of their names.
func (st *Stream) Groups() ([]*Group, error) {
	if !st.Exists() {
		return nil, nil
	}
	var all []*Group
	var bad error
	prefix := st.part(groupTag, 0)
	err := st.s.tx.Walk(store.PrefixSpan(prefix), store.Ascending, func(name []byte, row txn.Row) bool {
		g := &Group{st: st, name: bytes.Clone(name[len(prefix):])}
		bad = g.parse(row.Value)
		all = append(all, g)
		return bad == nil
	})
	return all, errors.Join(err, bad)
}

// Name returns the name of the group.
func (g *Group) Name() []byte { return g.name }

// Stream returns the stream that the group belongs to.
func (g *Group) Stream() *Stream { return g.st }

// Pending returns how many entries were delivered and not acknowledged.
func (g *Group) Pending() int64 { return g.pending }

// ConsumerCount returns the number of consumers.
func (g *Group) ConsumerCount() int64 { return g.consumers }

// Save writes what has been changed.
func (g *Group) Save() error {
	for _, c := range g.open {
		if !c.changed {
			continue
		}
		if err := g.st.s.tx.Put(g.consumerName(c.Name), c.encode(), 0); err != nil {
			return err
		}
		c.changed = false
	}
	return g.st.s.tx.Put(g.st.groupName(g.name), g.encode(), 0)
}

// Destroy removes the group with all that belongs to it. Those who wait for its
// entries are told, for the key counts as changed.
func (g *Group) Destroy() error {
	if err := g.st.s.tx.Delete(g.st.groupName(g.name)); err != nil {
		return err
	}
	g.st.s.changed(g.st.key)
	return g.st.s.tx.DeletePrefix(g.membersPrefix())
}

// Consumer returns the consumer of that name, nil if there is none.
func (g *Group) Consumer(name []byte) (*Consumer, error) {
	if c := g.open[string(name)]; c != nil {
		return c, nil
	}
	row, ok, err := g.st.s.tx.Get(g.consumerName(name))
	if err != nil || !ok {
		return nil, err
	}
	c := &Consumer{Name: bytes.Clone(name)}
	if err := c.parse(row.Value); err != nil {
		return nil, err
	}
	g.keep(c)
	return c, nil
}

func (g *Group) keep(c *Consumer) {
	if g.open == nil {
		g.open = make(map[string]*Consumer)
	}
	g.open[string(c.Name)] = c
}

// CreateConsumer makes a consumer unless there is one of that name.
func (g *Group) CreateConsumer(name []byte) (c *Consumer, created bool, err error) {
	if c, err = g.Consumer(name); err != nil || c != nil {
		return c, false, err
	}
	c = &Consumer{Name: name, Seen: g.st.s.Now(), Active: NeverActive, changed: true}
	g.keep(c)
	g.consumers++
	g.st.s.Notify(ClassStream, "xgroup-createconsumer", g.st.key)
	return c, true, nil
}

// Meet returns the consumer of that name, made if there is none, as one that asks for
// entries now.
func (g *Group) Meet(name []byte) (*Consumer, error) {
	c, _, err := g.CreateConsumer(name)
	if err != nil {
		return nil, err
	}
	c.Seen, c.changed = g.st.s.Now(), true
	return c, nil
}

// DeleteConsumer removes a consumer, and its pending entries from the group. It
// returns how many those were and whether there was such a consumer.
func (g *Group) DeleteConsumer(name []byte) (pending int64, ok bool, err error) {
	c, err := g.Consumer(name)
	if err != nil || c == nil {
		return 0, false, err
	}
	owned := g.ownedPrefix(name)
	rows, err := g.st.takeRows(owned, AllStreamIDs(), -1)
	if err != nil {
		return 0, false, err
	}
	for _, r := range rows {
		if err := g.st.s.tx.Delete(g.pendingName(r.id)); err != nil {
			return 0, false, err
		}
	}
	if err := g.st.s.tx.DeletePrefix(owned); err != nil {
		return 0, false, err
	}
	if err := g.st.s.tx.Delete(g.consumerName(name)); err != nil {
		return 0, false, err
	}
	delete(g.open, string(name))
	g.pending -= c.Pending
	g.consumers--
	return c.Pending, true, g.Save()
}

// Consumers returns all consumers in the order of their names.
func (g *Group) Consumers() ([]Consumer, error) {
	var all []Consumer
	var bad error
	prefix := g.member(consumerTag, 0)
	err := g.st.s.tx.Walk(store.PrefixSpan(prefix), store.Ascending, func(name []byte, row txn.Row) bool {
		c := Consumer{Name: bytes.Clone(name[len(prefix):])}
		bad = c.parse(row.Value)
		all = append(all, c)
		return bad == nil
	})
	return all, errors.Join(err, bad)
}

// consumer is Consumer for one that has to be there.
func (g *Group) consumer(name []byte) (*Consumer, error) {
	c, err := g.Consumer(name)
	if err == nil && c == nil {
		err = fmt.Errorf("keyspace: an entry is pending for the consumer %q, whom the group does not have", name)
	}
	return c, err
}
