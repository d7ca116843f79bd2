package keyspace

// Adopt gives a group that has just been made consumers and pending entries, as they
// were elsewhere. Each consumer is listed once, and so is each entry, which need not be
// in the stream. Consumer.Pending is reckoned anew.
func (g *Group) Adopt(consumers []Consumer, pending []Pending) error {
	for _, c := range consumers {
		g.keep(&Consumer{Name: c.Name, Seen: c.Seen, Active: c.Active, changed: true})
		g.consumers++
	}
	for _, p := range pending {
		c, err := g.consumer(p.Consumer)
		if err != nil {
			return err
		}
		if err := g.assign(p.ID, nil, c, p.Delivery); err != nil {
			return err
		}
	}
	return g.Save()
}
