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
	if !z.Compact() {
		return z.WalkNames(p.start, func(member []byte, score float64) bool {
			return p.take(member, func() { p.out = append(p.out, own(member), scoreOf17(score)) }) // here Redis has another way to print it
		})
	}
	members, err := z.Slice(keyspace.ZRange{}, keyspace.Window{Limit: -1})
	for _, m := range members {
		if p.match == nil || globMatch(p.match, m.Member) {
			p.out = append(p.out, m.Member, resp.AppendDouble(nil, m.Score))
		}
	}
	return err
}
