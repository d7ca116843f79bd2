package eviction

import (
	"bytes"
	"slices"
)

// Candidate is a key that may be evicted.
type Candidate struct {
	DB    int
	Key   []byte
	Score int64 // the higher, the sooner it goes
}

// poolMost is how many candidates a Pool keeps.
const poolMost = 16

// Pool keeps the best candidates of all that were offered and not taken yet, so that what a few
// looks have found is not lost for the next. The zero value is empty. A candidate may have been
// used, or have gone, since it was offered: whoever takes it looks.
type Pool struct {
	best []Candidate // by score, ascending; at most poolMost
}

// Offer takes a candidate into the pool if it is better than the worst there. The pool keeps c.Key.
// Of one key the last offer counts.
func (p *Pool) Offer(c Candidate) {
	p.best = slices.DeleteFunc(p.best, func(b Candidate) bool { return b.DB == c.DB && bytes.Equal(b.Key, c.Key) })
	if len(p.best) == poolMost {
		if c.Score <= p.best[0].Score {
			return
		}
		p.best = slices.Delete(p.best, 0, 1)
	}
	at, _ := slices.BinarySearchFunc(p.best, c.Score, func(b Candidate, score int64) int {
		if b.Score < score {
			return -1
		}
		return 1
	})
	p.best = slices.Insert(p.best, at, c)
}

// Take removes the best candidate and returns it; false if there is none.
func (p *Pool) Take() (Candidate, bool) {
	n := len(p.best)
	if n == 0 {
		return Candidate{}, false
	}
	c := p.best[n-1]
	p.best = slices.Delete(p.best, n-1, n)
	return c, true
}

// Clear empties the pool: its scores are of another policy.
func (p *Pool) Clear() { p.best = nil }
