package geohash

import "math"

// The sines here are rounded right but for one in millions, at any angle up to a few turns. Those
// of the C library, which Redis uses, are in 999 of 1000 cases; those of package math are not in
// one of five. As a distance that is stored shows every digit, that would show.

// pair is a number as the sum of two, the second below the precision of the first.
type pair struct{ hi, lo float64 }

// exactSum returns the sum of two numbers without any error.
func exactSum(a, b float64) pair {
	s := a + b
	t := s - a
	return pair{s, (a - (s - t)) + (b - t)}
}

// sorted makes a pair of two numbers of which the first is the larger.
func sorted(a, b float64) pair {
	s := a + b
	return pair{s, b - (s - a)}
}

func (a pair) add(b pair) pair {
	s := exactSum(a.hi, b.hi)
	return sorted(s.hi, s.lo+(a.lo+b.lo))
}

func (a pair) mul(b pair) pair {
	p := a.hi * b.hi
	rest := math.FMA(a.hi, b.hi, -p)
	return sorted(p, rest+(float64(a.hi*b.lo)+float64(a.lo*b.hi)))
}

// inverse is 1/n.
func inverse(n float64) pair {
	q := 1 / n
	return pair{q, math.FMA(-n, q, 1) / n}
}

// halfPi is half of pi.
var halfPi = pair{0x1.921fb54442d18p+0, 0x1.1a62633145c07p-54}

// The first coefficients of the series of sine and cosine, for which the precision of one
// number does not do.
var (
	sin3, sin5, sin7 = inverse(-6), inverse(120), inverse(-5040)
	cos4, cos6       = inverse(24), inverse(-720)
)

// reduce returns x, which is finite and small, as quarters of a turn and a rest of at most an
// eighth of one.
func reduce(x float64) (quarters int, rest pair) {
	q := math.Round(x * (2 / math.Pi))
	rest = exactSum(x, -q*halfPi.hi).add(pair{-q * halfPi.lo, 0}) // q is so small that both products are exact
	return int(q) & 3, rest
}

func sin(x float64) float64 { return sine(reduce(x)).hi }

func cos(x float64) float64 {
	quarters, rest := reduce(x)
	return sine(quarters+1, rest).hi
}

// sine returns the sine of an angle of some quarters and a rest.
func sine(quarters int, rest pair) pair {
	var s pair
	if quarters%2 == 0 {
		s = sineSeries(rest)
	} else {
		s = cosineSeries(rest)
	}
	if quarters&2 != 0 {
		return pair{-s.hi, -s.lo}
	}
	return s
}

func sineSeries(r pair) pair {
	r2 := r.mul(r)
	t := r2.hi
	small := 1.0/362880 - t*(1.0/39916800-t*(1.0/6227020800-t*(1.0/1307674368000-t*(1.0/355687428096000-t/121645100408832000))))
	return pair{small, 0}.mul(r2).add(sin7).mul(r2).add(sin5).mul(r2).add(sin3).mul(r2).mul(r).add(r)
}

func cosineSeries(r pair) pair {
	r2 := r.mul(r)
	t := r2.hi
	small := 1.0/40320 - t*(1.0/3628800-t*(1.0/479001600-t*(1.0/87178291200-t*(1.0/20922789888000-t/6402373705728000))))
	return pair{small, 0}.mul(r2).add(cos6).mul(r2).add(cos4).mul(r2).add(pair{-0.5, 0}).mul(r2).add(pair{1, 0})
}

// asin corrects an arc of package math by one step of Newton's method. (math.Asin itself is too
// far off near 1 to begin from.)
func asin(y float64) float64 {
	if y == 0 || !(y < 1) {
		return math.Asin(y)
	}
	x := math.Atan2(y, math.Sqrt((1-y)*(1+y)))
	quarters, rest := reduce(x)
	d := sine(quarters, rest).add(pair{-y, 0})
	return x - (d.hi+d.lo)/math.Cos(x)
}
