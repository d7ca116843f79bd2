package txn

import (
	"slices"

	"github.com/elastickv/elastickv/store"
)

// commits are those of a run that have not been put yet. Their memory is used again for those of the next.
type commits struct {
	list      []store.Commit // their mutations are filled in by all
	ends      []int          // of each one's mutations
	mutations []store.KVPairMutation
	kinds     []writeKind // of each mutation
	pointers  []*store.KVPairMutation
}

// commitsKept is how many mutations there is memory for, at most, while there are none.
const commitsKept = 1 << 14

// add adds what tx has written, as committed at ts, and returns it. It is valid until the next call.
func (c *commits) add(tx *Tx, ts uint64) ([]store.Span, []store.KVPairMutation) {
	deleted, from := tx.view.deleted(), len(c.mutations)
	tx.view.newest(func(wr *write) {
		m := store.KVPairMutation{Key: wr.key, Value: wr.value, ExpireAt: wr.expireAt}
		if wr.deleted {
			m = store.KVPairMutation{Op: store.OpTypeDelete, Key: wr.key}
		}
		c.mutations, c.kinds = append(c.mutations, m), append(c.kinds, wr.kind)
	})
	c.list = append(c.list, store.Commit{TS: ts, Deleted: deleted})
	c.ends = append(c.ends, len(c.mutations))
	return deleted, c.mutations[from:]
}

// supersede says that a later commit has all that is ever read of a mutation.
func (c *commits) supersede(mutation int) { c.kinds[mutation] = superseded }

// all returns the commits, which are valid until reset is called.
func (c *commits) all() []store.Commit {
	c.pointers = slices.Grow(c.pointers, len(c.mutations)) // what the commits have of it stays where it is
	at := 0
	for i, end := range c.ends {
		from := len(c.pointers)
		for ; at < end; at++ {
			if c.kinds[at] != superseded {
				c.pointers = append(c.pointers, &c.mutations[at])
			}
		}
		c.list[i].Mutations = c.pointers[from:len(c.pointers):len(c.pointers)]
	}
	return c.list
}

// reset forgets all commits. again says that nobody looks at them any more, so that others may take their place.
func (c *commits) reset(again bool) {
	if !again || cap(c.mutations) > commitsKept {
		*c = commits{}
		return
	}
	clear(c.list)
	clear(c.mutations)
	clear(c.pointers)
	*c = commits{list: c.list[:0], ends: c.ends[:0], mutations: c.mutations[:0], kinds: c.kinds[:0], pointers: c.pointers[:0]}
}
