package eviction

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

func TestPool(t *testing.T) {
	var p Pool
	if _, ok := p.Take(); ok {
		t.Error("an empty pool has a candidate")
	}
	p.Offer(Candidate{0, []byte("a"), 5})
	p.Offer(Candidate{1, []byte("a"), 6})
	p.Offer(Candidate{0, []byte("b"), 9})
	p.Offer(Candidate{0, []byte("b"), 1}) // it has been used since
	var got []string
	for c, ok := p.Take(); ok; c, ok = p.Take() {
		got = append(got, fmt.Sprintf("%d/%s %d", c.DB, c.Key, c.Score))
	}
	if want := []string{"1/a 6", "0/a 5", "0/b 1"}; !slices.Equal(got, want) {
		t.Errorf("taken %q, want %q", got, want)
	}
	p.Offer(Candidate{0, []byte("a"), 5})
	p.Clear()
	if _, ok := p.Take(); ok {
		t.Error("a pool that was cleared has a candidate")
	}
}

// The pool has the best of all that were offered, of as many as it keeps.
func TestPoolModel(t *testing.T) {
	seed := rand.Uint64()
	rnd := rand.New(rand.NewPCG(seed, 0))
	for range 200 {
		var p Pool
		var scores []int64
		for i := range rnd.IntN(60) {
			score := rnd.Int64N(40)
			p.Offer(Candidate{0, fmt.Appendf(nil, "%d", i), score})
			scores = append(scores, score)
		}
		slices.Sort(scores)
		slices.Reverse(scores)
		scores = scores[:min(len(scores), poolMost)]
		var got []int64
		for c, ok := p.Take(); ok; c, ok = p.Take() {
			got = append(got, c.Score)
		}
		if !slices.Equal(got, scores) {
			t.Fatalf("taken %v, want %v (seed %d)", got, scores, seed)
		}
	}
}

func TestPolicies(t *testing.T) {
	for _, name := range PolicyNames() {
		if p := PolicyNamed(name); p.Name != name {
			t.Errorf("the policy %s is %v", name, p)
		}
	}
	if p := PolicyNamed("volatile-lfu"); p.Order != Frequency || !p.Volatile {
		t.Errorf("volatile-lfu is %v", p)
	}
	if p := PolicyNamed("nosuch"); p.Order != Nothing {
		t.Errorf("an unknown policy is %v", p)
	}
}
