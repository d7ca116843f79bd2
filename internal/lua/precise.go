package lua

import "math"

// C's exp, log and pow are rounded correctly but for cases that are all but ties, Go's are not:
// 10^-29 is not 1e-29 there. What programs compute should be equal, so these work with pairs
// of float64, whose sum has twice the digits.

// pair is the number high + low; low is at most half a unit in the last place of high.
type pair struct{ high, low float64 }

// sum returns x + y without loss, for |x| >= |y|.
func sum(x, y float64) pair {
	s := x + y
	return pair{s, y - (s - x)}
}

// sumAny is sum for numbers of any size.
func sumAny(x, y float64) pair {
	s := x + y
	v := s - x
	return pair{s, (x - (s - v)) + (y - v)}
}

// product returns x * y without loss.
func product(x, y float64) pair {
	p := x * y
	return pair{p, math.FMA(x, y, -p)}
}

func (a pair) add(b pair) pair {
	s := sumAny(a.high, b.high)
	return sum(s.high, s.low+a.low+b.low)
}

func (a pair) mul(b pair) pair {
	p := product(a.high, b.high)
	return sum(p.high, p.low+(a.high*b.low+a.low*b.high))
}

func (a pair) scale(f float64) pair {
	p := product(a.high, f)
	return sum(p.high, p.low+a.low*f)
}

func (a pair) div(b pair) pair {
	q := a.high / b.high
	rest := a.add(b.scale(-q))
	return sum(q, rest.high/b.high)
}

// ln2 is the natural logarithm of 2.
var ln2 = pair{0x1.62e42fefa39efp-1, 0x1.abc9e3b39803fp-56}

// expPair returns e^a as a number and the power of two by which to multiply it. a is so small
// that the power fits an int.
func expPair(a pair) (r pair, power int) {
	k := math.RoundToEven(a.high / ln2.high)
	const halvings = 9
	x := a.add(ln2.scale(-k)).scale(1.0 / (1 << halvings))
	// e^x - 1 by its series; the terms fall by more than 2^11 each.
	term := x
	r = x
	for i := 2.0; i <= 10; i++ {
		term = term.mul(x).div(pair{i, 0})
		r = r.add(term)
	}
	for range halvings { // (1+r)^2 - 1
		r = r.scale(2).add(r.mul(r))
	}
	return r.add(pair{1, 0}), int(k)
}

// logPair returns the natural logarithm of x, which is positive and finite.
func logPair(x float64) pair {
	fraction, power := math.Frexp(x)
	if fraction < math.Sqrt2/2 {
		fraction *= 2
		power--
	}
	// One step from an approximation y: log f = y + log(f/e^y).
	y := math.Log(fraction)
	e, shift := expPair(pair{y, 0})
	ratio := pair{fraction, 0}.div(pair{math.Ldexp(e.high, shift), math.Ldexp(e.low, shift)})
	rest := ratio.add(pair{-1, 0})
	correction := rest.add(rest.mul(rest).scale(-0.5))
	return ln2.scale(float64(power)).add(pair{y, 0}.add(correction))
}

// exp returns e^x.
func exp(x float64) float64 {
	if math.IsNaN(x) || x > 710 || x < -746 {
		return math.Exp(x)
	}
	return ldexpPair(expPair(pair{x, 0}))
}

// ldexpPair returns r * 2^power, rounded once even where the result is subnormal.
func ldexpPair(r pair, power int) float64 {
	if power > -1000 {
		return math.Ldexp(r.high, power)
	}
	return math.Ldexp(r.high+r.low, power)
}

func log(x float64) float64 {
	if !(x > 0) || math.IsInf(x, 1) {
		return math.Log(x)
	}
	return logPair(x).high
}

// log10 rounds as C does: its logarithm to base 10 is put together from parts.
func log10(x float64) float64 {
	if !(x > 0) || math.IsInf(x, 1) {
		return math.Log10(x)
	}
	fraction, power := math.Frexp(x)
	if power > 0 { // from 1 to 2 there, and below 1 from a half to 1
		fraction *= 2
		power--
	}
	n := float64(power)
	rest := float64(n*log10Of2Low) + float64(log10OfE*log(fraction))
	return rest + n*log10Of2High
}

// log10Of2High has so few digits that a power times it is exact.
const (
	log10OfE     = 4.34294481903251816668e-01
	log10Of2High = 3.01029995663611771306e-01
	log10Of2Low  = 3.69423907715893078616e-13
)

// power returns x^y.
func power(x, y float64) float64 {
	if y == 2 {
		return x * x
	}
	rough := math.Pow(x, y)
	if rough == 0 || math.IsInf(rough, 0) || math.IsNaN(rough) || rough == 1 || x == 0 {
		return signNaN(rough, x, y)
	}
	precise := ldexpPair(expPair(logPair(math.Abs(x)).scale(y)))
	return math.Copysign(precise, rough)
}
