package keyspace

import (
	"bytes"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// Bounds of a descent.
const (
	descentLeaf   = 32 // rows of a group of which one is picked by going through it
	descentDepth  = 64
	descentTries  = 24
	descentMisses = 32
	descentDense  = 16 // width of a range of bytes in which most are taken to occur
	descentFew    = 4  // children that are listed rather than guessed
	descentSlack  = 3  // how much larger than estimated a group may be and still get its share
)

// descend picks a row without going through all. It treats the names as a
// trie: at every node it goes on with one of the bytes that occur there, each as
// likely as the others, until a small group of rows is left, and picks one of
// those. Nodes have as many rows below them as their siblings only if the
// names are evenly spread; so the number of rows that the group ought to have is
// estimated on the way, and a group with fewer is given up with a probability that
// makes up for that. Very uneven names (most begin with one byte, the rest with many
// others) still leave some members two or three times as likely as others.
func (p *pool) descend() (element, bool, error) {
	var e element
	var ok bool
	for range descentTries {
		var fair bool
		var err error
		if e, ok, fair, err = p.descendOnce(); err != nil || fair || !ok {
			return e, ok, err
		}
	}
	return e, ok, nil
}

// descendOnce makes one attempt; fair says that its outcome is to be kept.
func (p *pool) descendOnce() (e element, ok, fair bool, err error) {
	var node []byte
	size := float64(p.n) // of the group below node, as estimated
	for depth := 0; ; depth++ {
		want := 2
		if size < 16*descentLeaf || depth == descentDepth {
			want = descentLeaf + 1
		}
		group, err := p.group(node, want)
		if err != nil || len(group) == 0 {
			return e, false, false, err
		}
		if len(group) < want || depth == descentDepth {
			e = group[p.rnd.below(int64(len(group)))]
			return e, true, p.rnd.chance(float64(len(group)) / size / descentSlack), nil
		}
		last, err := p.last(node)
		if err != nil {
			return e, false, false, err
		}
		n := commonLen(group[0].name, last)
		first := group[0].name
		if len(first) == n { // a row at the node itself
			if p.rnd.chance(1 / size) {
				return group[0], true, p.rnd.chance(1. / descentSlack), nil
			}
			first = group[1].name
		}
		b, share, err := p.child(first[:n], first[n], last[n])
		if err != nil {
			return e, false, false, err
		}
		node = append(bytes.Clone(first[:n]), b)
		size = max(size*share, 1)
	}
}

// child picks one of the bytes that follow node in names; lo and hi are the
// lowest and the highest. share is 1 divided by their number, if they are few and far
// between, or else an unbiased estimate of it.
func (p *pool) child(node []byte, lo, hi byte) (b byte, share float64, err error) {
	width := int64(hi) - int64(lo) + 1
	if width > descentDense {
		few, err := p.children(node, lo, hi)
		if err != nil {
			return 0, 0, err
		}
		if n := int64(len(few)); n > 0 {
			return few[p.rnd.below(n)], 1 / float64(n), nil
		}
	}
	for tries := 1; ; tries++ {
		b = lo + byte(p.rnd.below(width))
		found := b
		if b != lo && b != hi {
			found, err = p.nextChild(node, b)
		}
		if err != nil || found == b || tries == descentMisses {
			return found, float64(tries) / float64(width), err
		}
	}
}

// children returns the bytes that follow node, from lo to hi, or nil if they are many.
func (p *pool) children(node []byte, lo, hi byte) ([]byte, error) {
	out := []byte{lo}
	for len(out) < descentFew {
		b, err := p.nextChild(node, out[len(out)-1]+1)
		if err != nil {
			return nil, err
		}
		if out = append(out, b); b == hi {
			return out, nil
		}
	}
	return nil, nil
}

// nextChild returns the first byte that follows node and is not below b. There is one.
func (p *pool) nextChild(node []byte, b byte) (found byte, err error) {
	err = p.walk(append(bytes.Clone(node), b), store.Ascending, func(name []byte, _ txn.Row) bool {
		found = name[len(node)]
		return false
	})
	return found, err
}

// group returns the first rows whose names begin with node, at most n.
func (p *pool) group(node []byte, n int) ([]element, error) {
	out := make([]element, 0, n)
	sub := pool{tx: p.tx, prefix: append(bytes.Clone(p.prefix), node...)}
	err := sub.walk(nil, store.Ascending, func(name []byte, r txn.Row) bool {
		out = append(out, p.own(append(bytes.Clone(node), name...), r))
		return len(out) < n
	})
	return out, err
}

// last returns the last name that begins with node. There is one.
func (p *pool) last(node []byte) (name []byte, err error) {
	sub := pool{tx: p.tx, prefix: append(bytes.Clone(p.prefix), node...)}
	err = sub.walk(nil, store.Descending, func(rest []byte, _ txn.Row) bool {
		name = append(bytes.Clone(node), rest...)
		return false
	})
	return name, err
}

// commonLen returns the length of the longest common prefix.
func commonLen(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
