package main

import (
	"math"
	"math/rand/v2"
)

// zipf draws numbers below n, small ones more often: that of rank k with a probability in proportion to
// 1/(k+1)^theta. With theta below 1, as YCSB has it, math/rand's generator does not do. The method is that of Gray and
// others, "Quickly generating billion-record synthetic databases" (1994).
type zipf struct {
	n                 int
	alpha, eta, zetan float64
	second            float64 // up to where a draw means 1
}

// theta is YCSB's: with a million numbers, the most frequent tenth gets four fifths of the draws.
const theta = 0.99

func newZipf(n int) *zipf {
	zeta2, zetan := 1+math.Pow(.5, theta), 0.
	for i := range n {
		zetan += 1 / math.Pow(float64(i+1), theta)
	}
	return &zipf{
		n: n, alpha: 1 / (1 - theta), zetan: zetan, second: zeta2,
		eta: (1 - math.Pow(2/float64(n), 1-theta)) / (1 - zeta2/zetan),
	}
}

// rank draws a number; 0 is the most frequent.
func (z *zipf) rank(rng *rand.Rand) int {
	u := rng.Float64()
	switch uz := u * z.zetan; {
	case uz < 1 || z.n < 2:
		return 0
	case uz < z.second || z.n < 3:
		return 1
	}
	return min(int(float64(z.n)*math.Pow(z.eta*u-z.eta+1, z.alpha)), z.n-1)
}

// scattered draws a number of which the frequent ones lie all over the range, so that frequent keys are no neighbours.
func (z *zipf) scattered(rng *rand.Rand) int { return scatter(z.rank(rng), z.n) }

// scatter maps the numbers below n to themselves, each to another one, if n is no multiple of the factor.
func scatter(i, n int) int {
	const factor = 2_654_435_761 // a prime
	return int(uint64(i) * factor % uint64(n))
}
