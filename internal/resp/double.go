package resp

import (
	"math"
	"strconv"
)

// FormatDouble returns f as Redis 7.2 prints scores: with as few digits as read back as f. So 0.1 is 0.1,
// 1e20 is 1e+20, and the infinities are inf and -inf. Of one number in a thousand Redis prints a digit more than it
// has to.
func FormatDouble(f float64) string {
	return string(AppendDouble(make([]byte, 0, 24), f))
}

// AppendDouble appends what FormatDouble returns.
func AppendDouble(dst []byte, f float64) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, "nan"...)
	case math.IsInf(f, 1):
		return append(dst, "inf"...)
	case math.IsInf(f, -1):
		return append(dst, "-inf"...)
	case f == 0 && math.Signbit(f):
		return append(dst, "-0"...)
	}
	if math.Abs(f) <= 1<<62 && f == math.Trunc(f) {
		return strconv.AppendInt(dst, int64(f), 10)
	}
	return appendShortest(dst, f)
}

// appendShortest appends a number that is neither a small integer nor infinite.
func appendShortest(dst []byte, f float64) []byte {
	if f < 0 {
		dst, f = append(dst, '-'), -f
	}
	var room [24]byte
	digits, exponent := shortestDigits(room[:0], f)
	n := len(digits)
	last := exponent - n + 1 // the power of ten of the last digit
	size := max(exponent, -exponent)
	switch {
	case last >= 0 && size < n+7:
		dst = append(dst, digits...)
		return appendZeros(dst, last)
	case last < 0 && (last > -7 || size < 4):
		whole := n + last // digits before the point
		if whole > 0 {
			dst = append(dst, digits[:whole]...)
			dst = append(dst, '.')
			return append(dst, digits[whole:]...)
		}
		dst = appendZeros(append(dst, "0."...), -whole)
		return append(dst, digits...)
	}
	dst = append(dst, digits[0])
	if n > 1 {
		dst = append(dst, '.')
		dst = append(dst, digits[1:]...)
	}
	dst = append(dst, 'e', '+')
	if exponent < 0 {
		dst[len(dst)-1] = '-'
	}
	return strconv.AppendInt(dst, int64(size), 10)
}

// shortestDigits returns the digits of f, in room, and the power of ten of the first.
func shortestDigits(room []byte, f float64) (digits []byte, exponent int) {
	text := strconv.AppendFloat(room, f, 'e', -1, 64) // d.ddde±dd, or de±dd
	digits = text[:0]
	for i, b := range text {
		switch {
		case b == 'e':
			exponent, _ = strconv.Atoi(string(text[i+1:]))
			return digits, exponent
		case b != '.':
			digits = append(digits, b)
		}
	}
	panic("resp: no exponent in " + string(text))
}

func appendZeros(dst []byte, n int) []byte {
	for range n {
		dst = append(dst, '0')
	}
	return dst
}
