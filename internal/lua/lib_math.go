package lua

import "math"

func (s *State) openMath() {
	t := s.NewLibrary("math", mathEntries)
	t.SetField("pi", Number(math.Pi))
	t.SetField("huge", Number(math.Inf(1)))
	t.SetField("mod", t.GetField("fmod"))
}

// of makes a function of a number a function for programs.
func of(f func(float64) float64) GoFunction {
	return func(c *Call) {
		x := c.CheckNumber(1)
		c.Return(Number(signNaN(f(x), x, x)))
	}
}

// ofPlus is of for a function of which C returns NaN without a minus.
func ofPlus(f func(float64) float64) GoFunction {
	return func(c *Call) {
		x := c.CheckNumber(1)
		if math.IsNaN(x) {
			c.Return(Number(x))
			return
		}
		c.Return(Number(f(x)))
	}
}

func of2(f func(x, y float64) float64) GoFunction {
	return func(c *Call) {
		x, y := c.CheckNumber(1), c.CheckNumber(2)
		c.Return(Number(signNaN(f(x, y), x, y)))
	}
}

// negativeNaN is what x86 makes of an invalid operation.
var negativeNaN = math.Copysign(math.NaN(), -1)

// signNaN gives a result that is NaN the sign that it has in C, which programs can see: that
// of the argument that is NaN already, or else a minus.
func signNaN(result, x, y float64) float64 {
	switch {
	case !math.IsNaN(result):
		return result
	case math.IsNaN(x):
		return x
	case math.IsNaN(y):
		return y
	default:
		return negativeNaN
	}
}

const radiansPerDegree = math.Pi / 180

var mathEntries = []Entry{
	{"abs", func(c *Call) { c.Return(Number(math.Abs(c.CheckNumber(1)))) }},
	{"acos", ofPlus(math.Acos)},
	{"asin", ofPlus(math.Asin)},
	{"atan2", of2(math.Atan2)},
	{"atan", of(math.Atan)},
	{"ceil", of(math.Ceil)},
	{"cosh", of(math.Cosh)},
	{"cos", of(math.Cos)},
	{"deg", of(func(x float64) float64 { return x / radiansPerDegree })},
	{"exp", of(exp)},
	{"floor", of(math.Floor)},
	{"fmod", of2(math.Mod)},
	{"frexp", mathFrexp},
	{"ldexp", func(c *Call) { c.Return(Number(math.Ldexp(c.CheckNumber(1), c.checkInt32(2)))) }},
	{"log10", ofPlus(log10)},
	{"log", of(log)},
	{"max", func(c *Call) { mathBest(c, func(x, best float64) bool { return x > best }) }},
	{"min", func(c *Call) { mathBest(c, func(x, best float64) bool { return x < best }) }},
	{"modf", mathModf},
	{"pow", of2(power)},
	{"rad", of(func(x float64) float64 { return x * radiansPerDegree })},
	{"random", mathRandom},
	{"randomseed", func(c *Call) { c.state.SeedRandom(int32(c.checkInt32(1))) }},
	{"sinh", of(math.Sinh)},
	{"sin", of(math.Sin)},
	{"sqrt", of(math.Sqrt)},
	{"tanh", of(math.Tanh)},
	{"tan", of(math.Tan)},
}

func mathFrexp(c *Call) {
	fraction, exponent := math.Frexp(c.CheckNumber(1))
	c.Return(Number(fraction), Number(float64(exponent)))
}

func mathModf(c *Call) {
	x := c.CheckNumber(1)
	if math.IsInf(x, 0) {
		c.Return(Number(x), Number(math.Copysign(0, x)))
		return
	}
	whole, fraction := math.Modf(x)
	c.Return(Number(whole), Number(math.Copysign(fraction, x)))
}

func mathBest(c *Call, better func(x, best float64) bool) {
	best := c.CheckNumber(1)
	for i := 2; i <= len(c.args); i++ {
		if x := c.CheckNumber(i); better(x, best) {
			best = x
		}
	}
	c.Return(Number(best))
}

// mathRandom returns a number from 0 to 1, or a whole one from 1 or the first argument to the
// last one.
func mathRandom(c *Call) {
	r := float64(c.state.random.next()%randMax) / randMax
	low, high := 1, 0
	switch len(c.args) {
	case 0:
		c.Return(Number(r))
		return
	case 1:
		high = c.checkInt32(1)
	case 2:
		low, high = c.checkInt32(1), c.checkInt32(2)
	default:
		c.Errorf("wrong number of arguments")
	}
	if low > high {
		c.ArgError(len(c.args), "interval is empty")
	}
	span := float64(int32(high - low + 1)) // as C computes it
	c.Return(Number(math.Floor(r*span) + float64(low)))
}
