package command

import (
	"math/big"
	"strings"
)

// Redis adds floating point numbers as C's long double, which on the machines it
// runs on is the 80-bit format of the 8087: 64 bits of mantissa, exponents from
// longDoubleExpMin to longDoubleExpMax. Its replies show that precision.
const (
	longDoublePrec   = 64
	longDoubleExpMax = 16384  // numbers are below 2 to this
	longDoubleExpMin = -16446 // half of the smallest number above 0
	longDoubleDigits = 17     // behind the point, in replies
	longDoubleText   = 5 << 10
)

// addLongDouble adds by to old, a missing (nil) old being 0, and returns the sum
// as Redis prints it. ErrNotFloat says that one of them is not a number,
// ErrIncrNaN that the sum is none.
func addLongDouble(old, by []byte) (sum []byte, err error) {
	x := new(big.Float)
	if old != nil {
		if x, err = parseLongDouble(old); err != nil {
			return nil, err
		}
	}
	y, err := parseLongDouble(by)
	if err != nil {
		return nil, err
	}
	if x.IsInf() || y.IsInf() {
		return nil, ErrIncrNaN
	}
	z := new(big.Float).SetPrec(longDoublePrec).Add(x, y)
	if z.MantExp(nil) > longDoubleExpMax {
		return nil, ErrIncrNaN
	}
	return appendLongDouble(nil, z), nil
}

// appendLongDouble prints a finite number as C's %.17Lf, without the zeros at the end.
func appendLongDouble(dst []byte, f *big.Float) []byte {
	n := len(dst)
	dst = f.Append(dst, 'f', longDoubleDigits)
	for dst[len(dst)-1] == '0' {
		dst = dst[:len(dst)-1]
	}
	if dst[len(dst)-1] == '.' {
		dst = dst[:len(dst)-1]
	}
	if string(dst[n:]) == "-0" {
		dst = append(dst[:n], '0')
	}
	return dst
}

// parseLongDouble reads a number as C's strtold does, rounded once and to the
// nearest: decimal, hexadecimal, or infinity. Space at either end, NaN, and what
// is too large or too small to be told from infinity or 0 are ErrNotFloat.
func parseLongDouble(b []byte) (*big.Float, error) {
	if len(b) >= longDoubleText {
		return nil, ErrNotFloat
	}
	n, ok := scanNumeral(string(b))
	if !ok {
		return nil, ErrNotFloat
	}
	f := new(big.Float).SetPrec(longDoublePrec)
	if n.infinite {
		return f.SetInf(n.negative), nil
	}
	digits, ok := new(big.Int).SetString(n.digits, n.base)
	if !ok {
		return nil, ErrNotFloat
	}
	if digits.Sign() != 0 {
		if !n.near() {
			return nil, ErrNotFloat
		}
		if f = n.scale(f, digits); !inLongDouble(f) {
			return nil, ErrNotFloat
		}
	}
	if n.negative {
		f.Neg(f)
	}
	return f, nil
}

// inLongDouble reports whether f, above 0, is neither too large nor too small.
func inLongDouble(f *big.Float) bool {
	half := new(big.Float).SetMantExp(big.NewFloat(1), longDoubleExpMin)
	c := f.Cmp(half)
	return f.MantExp(nil) <= longDoubleExpMax && (c > 0 || c == 0 && f.Acc() == big.Below)
}

// numeral is a number as it is written: digits in base 10 or 16, without a point,
// times a power of 10 or of 2.
type numeral struct {
	negative bool
	infinite bool
	digits   string
	base     int
	exp      int
}

// near reports whether the number, which is not 0, is in range or not far out of it,
// so that the power that scale computes is small whatever the exponent says.
func (n numeral) near() bool {
	size := len(strings.TrimLeft(n.digits, "0"))
	if n.base == 16 {
		size *= 4
		return longDoubleExpMin < size+n.exp && size+n.exp < longDoubleExpMax+4
	}
	const above, below = 4933, -4951 // powers of 10
	return below < size+n.exp && size+n.exp <= above
}

// scale sets f to digits times the power, with one rounding.
func (n numeral) scale(f *big.Float, digits *big.Int) *big.Float {
	power := new(big.Int)
	size := max(n.exp, -n.exp)
	if n.base == 16 {
		power.Lsh(big.NewInt(1), uint(size))
	} else {
		power.Exp(big.NewInt(10), big.NewInt(int64(size)), nil)
	}
	if n.exp >= 0 {
		return f.SetInt(digits.Mul(digits, power))
	}
	return f.Quo(new(big.Float).SetInt(digits), new(big.Float).SetInt(power))
}

// scanNumeral takes a text apart and reports whether the whole of it is a number.
func scanNumeral(s string) (n numeral, ok bool) {
	if s != "" && (s[0] == '+' || s[0] == '-') {
		n.negative = s[0] == '-'
		s = s[1:]
	}
	s = strings.ToLower(s)
	if s == "inf" || s == "infinity" {
		n.infinite = true
		return n, true
	}
	n.base = 10
	set, mark, perDigit := "0123456789", byte('e'), 1
	if strings.HasPrefix(s, "0x") {
		n.base, s = 16, s[2:]
		set, mark, perDigit = "0123456789abcdef", 'p', 4
	}
	whole := s[:len(s)-len(strings.TrimLeft(s, set))]
	s = s[len(whole):]
	var fraction string
	if s != "" && s[0] == '.' {
		s = s[1:]
		fraction = s[:len(s)-len(strings.TrimLeft(s, set))]
		s = s[len(fraction):]
	}
	n.digits = whole + fraction
	if n.digits == "" {
		return n, false
	}
	if s != "" {
		if n.exp, ok = scanExponent(s, mark); !ok {
			return n, false
		}
	}
	n.exp -= perDigit * len(fraction)
	return n, true
}

// scanExponent reads mark, a sign or none, and digits up to the end of s. An
// exponent far out of range is clipped to one that is out of range.
func scanExponent(s string, mark byte) (int, bool) {
	if s[0] != mark {
		return 0, false
	}
	s = s[1:]
	negative := false
	if s != "" && (s[0] == '+' || s[0] == '-') {
		negative = s[0] == '-'
		s = s[1:]
	}
	if s == "" {
		return 0, false
	}
	const clipped = 1 << 20
	n := 0
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		n = min(10*n+int(s[i]-'0'), clipped)
	}
	if negative {
		n = -n
	}
	return n, true
}
