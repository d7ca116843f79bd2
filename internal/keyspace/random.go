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
	for range fadedTries {
		e, ok, err := p.one()
		if err != nil || !ok {
			return nil, false, err
		}
		if _, there, err := s.lookUp(e.name); err != nil || there {
			return e.name, there, err
		}
	}
	var first []byte // hardly any other key is left
	err = s.Walk(nil, nil, func(key []byte, _ Kind) bool {
		first = bytes.Clone(key)
		return false
	})
	return first, first != nil, err
}

// fadedTries is how many hashes all of whose fields have expired may be met in the search
// for a random key.
const fadedTries = 16

// one returns a random row, and whether there is any.
func (p *pool) one() (element, bool, error) {
	e, ok, err := p.pick()
	if ok && p.remove {
		p.samples.removed(p.prefix, e.name)
	}
	return e, ok, err
}

func (p *pool) pick() (element, bool, error) {
	walked := false
	for misses := 0; p.n > 0 && misses < poolMisses; {
		d, how := p.samples.draw(ticket{
			prefix: p.prefix, n: p.n, now: p.now, bits: p.rnd(), remove: p.remove, walked: walked,
		})
		if how == pickBySearch {
			break
		}
		if how == pickAfterStep {
			if err := p.sampleStep(d.next, d.rows); err != nil {
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
// another size than the sample was begun with gets a new one. It passes so many
// rows, and more of them where no writers wait.
func (p *pool) sampleStep(b *sampleBuilder, rows int64) error {
	var done *sampleBuilder
	defer func() { p.samples.put(p.prefix, done) }()
	if b == nil || p.n-b.n > b.n/sampleMissing || p.n < b.n/2 {
		b = p.samples.builder(p.n)
	}
	b.rnd = p.rnd
	left, size := rows, 0
	if p.tx.ReadOnly() {
		left *= sampleStepReads
	}
	span := store.PrefixSpan(p.prefix)
	span.Start = append(bytes.Clone(p.prefix), b.start...)
	whole := true
	err := p.tx.WalkKeeping(span, store.Ascending, func(name []byte, r txn.Row) (more, picked bool) {
		name = name[len(p.prefix):]
		if left == 0 || size > sampleStepBytes {
			b.start, whole = append([]byte{}, name...), false
			return false, false
		}
		left--
		size += len(name) + len(r.Value)
		return true, !p.tx.Expired(r) && b.add(name) && len(r.Value) <= sampleKept
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
