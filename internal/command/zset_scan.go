package command

import (
	"github.com/elastickv/elastickv/internal/keyspace"
	"github.com/elastickv/elastickv/internal/resp"
)

func zscan(c *Ctx) error {
	if _, err := parseCursor(c.Args[2]); err != nil {
		return err
	}
	z, err := c.Keys.ZSet(c.Args[1])
	if err != nil {
		return err
	}
	var p page
	if z.Exists() {
		if p.scanOptions, err = parseElementScan(c, z.Compact()); err != nil {
			return err
		}
		if err := p.takeZSet(z); err != nil {
			return err
		}
	}
	p.reply(c)
	return nil
}

// takeZSet fills the page. A compact set comes all at once, in the order of
// scores, however many members are asked for.
func (p *page) takeZSet(z *keyspace.ZSet) error {
	add := func(member []byte, score float64) {
		p.out = append(p.out, member, resp.AppendDouble(nil, score))
	}
	if !z.Compact() {
		return z.WalkNames(p.start, func(member []byte, score float64) bool {
			return p.take(member, func() { add(own(member), score) })
		})
	}
	members, err := z.Slice(keyspace.ZRange{}, keyspace.Window{Limit: -1})
	for _, m := range members {
		if p.match == nil || globMatch(p.match, m.Member) {
			add(m.Member, m.Score)
		}
	}
	return err
}
