package keyspace

import "github.com/elastickv/elastickv/store"

// Random returns a random member, and whether there is one.
func (z *ZSet) Random(rnd Random) (ScoredMember, bool, error) {
	p, err := z.members(rnd)
	if err != nil {
		return ScoredMember{}, false, err
	}
	e, ok, err := p.one()
	if err != nil || !ok {
		return ScoredMember{}, false, err
	}
	m, err := e.scored()
	return m, err == nil, err
}

// Sample returns k different random members, or all if there are not that many.
func (z *ZSet) Sample(k int64, rnd Random) ([]ScoredMember, error) {
	p, err := z.members(rnd)
	if err != nil {
		return nil, err
	}
	rows, err := p.some(k)
	if err != nil {
		return nil, err
	}
	out := make([]ScoredMember, len(rows))
	for i, e := range rows {
		if out[i], err = e.scored(); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Draw calls fn with k random members, which may repeat, until fn fails. It
// does nothing if the set is empty.
func (z *ZSet) Draw(k int64, rnd Random, fn func(ScoredMember) error) error {
	p, err := z.members(rnd)
	if err != nil {
		return err
	}
	return p.each(k, func(e element) error {
		m, err := e.scored()
		if err != nil {
			return err
		}
		return fn(m)
	})
}

func (z *ZSet) members(rnd Random) (*pool, error) {
	n, err := z.Len()
	if err != nil {
		return nil, err
	}
	return z.pool(store.ZSetMemberScanPrefix(z.home), n, rnd), nil
}

// scored reads e as the row of a member of a sorted set.
func (e element) scored() (ScoredMember, error) {
	score, err := store.UnmarshalZSetScore(e.value)
	return ScoredMember{e.name, score}, err
}
