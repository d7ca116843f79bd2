package keyspace

import (
	"bytes"
	"fmt"
	"slices"

	"github.com/elastickv/elastickv/internal/txn"
	"github.com/elastickv/elastickv/store"
)

// Random returns 64 random bits.
type Random func() uint64

// below returns a random number in [0, n), n above 0.
func (r Random) below(n int64) int64 { return int64(r() % uint64(n)) }

// chance is true with probability p.
func (r Random) chance(p float64) bool { return float64(r()>>11)/(1<<53) < p }

// element is a row of a collection: its name behind the collection's prefix,
// and its value.
type element struct{ name, value []byte }

// pool is a number of rows with a common prefix, of which some are picked at
// random. What it returns is the caller's.
//
// Rows are ordered by name and not numbered, so the i-th cannot be looked up.
// When a good part of a pool is wanted, rows are picked by going through all of
// them, and each is exactly as likely as any other. Single rows are taken from a
// sample: see Samples. Where there is none, a row of a small pool is picked by going
// through all, and one of a large pool is found by descent: see descend.
type pool struct {
	tx      *txn.Tx
	prefix  []byte
	n       int64 // rows there are
	rnd     Random
	samples *Samples
	now     int64 // moment of the transaction, Unix milliseconds
	keys    bool  // only names are wanted
	remove  bool  // rows that are picked are going to be removed
}

const (
	poolWalkMax  = 1000 // rows of a pool that is gone through even for a single one
	poolWalkGain = 64   // rows passed in about the time of one pick
	poolDraw     = 1 << 16
	poolMisses   = 64 // names that may turn out to be gone before a pick does without the sample
)

// pool returns the rows of a collection with the given length. prefix is that of package store.
func (c *collection) pool(prefix []byte, n int64, rnd Random) *pool {
	return c.s.pool(c.s.withPrefix(prefix), n, rnd)
}

func (s *Space) pool(prefix []byte, n int64, rnd Random) *pool {
	return &pool{tx: s.tx, prefix: prefix, n: n, rnd: rnd, samples: s.shared.samples, now: s.Now()}
}

// Random returns a random key of the database, and whether there is one.
func (s *Space) Random(rnd Random) ([]byte, bool, error) {
	size, err := s.Size()
	if err != nil {
		return nil, false, err
	}
	p := s.pool(s.entryName(nil), size.Keys, rnd)
	p.keys = true
	e, ok, err := p.one()
	return e.name, ok, err
}

// one returns a random row, and whether there is any.
func (p *pool) one() (element, bool, error) {
	walked := false
	for misses := 0; p.n > 0 && misses < poolMisses; {
		d, how := p.samples.draw(ticket{
			prefix: p.prefix, n: p.n, now: p.now, bits: p.rnd(), remove: p.remove, walked: walked,
		})
		if how == pickBySearch {
			break
		}
		if how == pickAfterStep {
			if err := p.sampleStep(d.next); err != nil {
				return element{}, false, err
			}
			walked = true
			continue
		}
		r, ok, err := p.tx.Get(append(bytes.Clone(p.prefix), d.name...))
		if err != nil || ok {
			return p.own(d.name, r), err == nil, err
		}
		p.samples.lost(p.prefix, d)
		misses++
	}
	return p.search()
}

// sampleStep goes on with a sample of the pool; nil begins one. A pool of
// another size than the sample was begun with gets a new one.
func (p *pool) sampleStep(b *sampleBuilder) error {
	var done *sampleBuilder
	defer func() { p.samples.put(p.prefix, done) }()
	if b == nil || p.n-b.n > b.n/sampleMissing || p.n < b.n/2 {
		b = p.samples.builder(p.n)
	}
	b.rnd = p.rnd
	left, size := sampleStepWrite, 0
	if p.tx.ReadOnly() {
		left = sampleStepRead
	}
	span := store.PrefixSpan(p.prefix)
	span.Start = append(bytes.Clone(p.prefix), b.start...)
	whole := true
	err := p.tx.WalkAll(span, store.Ascending, func(name []byte, r txn.Row) bool {
		name = name[len(p.prefix):]
		if left == 0 || size > sampleStepBytes {
			b.start, whole = append([]byte{}, name...), false
			return false
		}
		left--
		size += len(name) + len(r.Value)
		if !p.tx.Expired(r) {
			b.add(name)
		}
		return true
	})
	if err != nil {
		return err
	}
	b.at, b.rows, b.whole = max(b.at, p.now), p.n, whole
	done = b
	return nil
}

// search picks a row without a sample.
func (p *pool) search() (element, bool, error) {
	if p.n > poolWalkMax {
		return p.descend()
	}
	for n := p.n; n > 0; {
		var e element
		at, passed := p.rnd.below(n), int64(0)
		err := p.walk(nil, store.Ascending, func(name []byte, r txn.Row) bool {
			if passed == at {
				e = p.own(name, r)
			}
			passed++
			return passed <= at
		})
		if err != nil || passed > at {
			return e, err == nil, err
		}
		n = passed // some have expired since they were counted
	}
	return element{}, false, nil
}

// some returns k different random rows, or all if there are not that many.
func (p *pool) some(k int64) ([]element, error) {
	k = min(k, p.n)
	if k == 1 || p.n > poolWalkMax && k < p.n/poolWalkGain {
		if out, err := p.oneByOne(k); err != nil || int64(len(out)) == k {
			return out, err
		}
	}
	out := make([]element, 0, k)
	left := p.n
	err := p.walk(nil, store.Ascending, func(name []byte, r txn.Row) bool {
		if p.rnd.below(max(left, 1)) < k-int64(len(out)) {
			out = append(out, p.own(name, r))
		}
		left--
		return int64(len(out)) < k
	})
	return out, err
}

// oneByOne picks k different rows one by one. It gives up, with fewer, if it
// keeps meeting rows that it has.
func (p *pool) oneByOne(k int64) ([]element, error) {
	out := make([]element, 0, k)
	have := make(map[string]bool, k)
	for tries := 4*k + 16; tries > 0 && int64(len(out)) < k; tries-- {
		e, ok, err := p.one()
		if err != nil {
			return nil, err
		}
		if ok && !have[string(e.name)] {
			have[string(e.name)] = true
			out = append(out, e)
		}
	}
	return out, nil
}

// each calls fn with k random rows, which may repeat, until it fails.
func (p *pool) each(k int64, fn func(element) error) error {
	for p.n > 0 && k > 0 {
		rows, err := p.draw(min(k, poolDraw))
		if err != nil {
			return err
		}
		for _, e := range rows {
			if err := fn(e); err != nil {
				return err
			}
		}
		k -= int64(len(rows))
	}
	return nil
}

// draw returns k random rows, which may repeat; p.n and k are above 0.
func (p *pool) draw(k int64) ([]element, error) {
	out := make([]element, k)
	if p.n > poolWalkMax && k < p.n/poolWalkGain {
		for i := range out {
			var err error
			if out[i], _, err = p.one(); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	type draw struct{ at, place int64 }
	draws := make([]draw, k)
	for i := range draws {
		draws[i] = draw{p.rnd.below(p.n), int64(i)}
	}
	slices.SortFunc(draws, func(a, b draw) int { return int(a.at - b.at) })
	at := int64(0)
	err := p.walk(nil, store.Ascending, func(name []byte, r txn.Row) bool {
		if draws[0].at == at {
			e := p.own(name, r)
			for len(draws) > 0 && draws[0].at == at {
				out[draws[0].place] = e
				draws = draws[1:]
			}
		}
		at++
		return len(draws) > 0
	})
	if err == nil && len(draws) > 0 {
		err = fmt.Errorf("keyspace: %d rows under %q, but %d counted", at, p.prefix, p.n)
	}
	return out, err
}

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

// walk calls fn with the rows from the name start on.
func (p *pool) walk(start []byte, order store.Order, fn func(name []byte, r txn.Row) bool) error {
	span := store.PrefixSpan(p.prefix)
	if start != nil {
		span.Start = append(bytes.Clone(p.prefix), start...)
	}
	return p.tx.Walk(span, order, func(name []byte, r txn.Row) bool { return fn(name[len(p.prefix):], r) })
}

func (p *pool) own(name []byte, r txn.Row) element {
	e := element{name: append([]byte{}, name...)}
	if !p.keys {
		e.value = append([]byte{}, r.Value...)
	}
	return e
}

// commonLen returns the length of the longest common prefix.
func commonLen(a, b []byte) int {
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	return n
}
