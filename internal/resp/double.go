package resp

import (
	"math"
	"strconv"
)

// FormatDouble returns f as Redis 7.0 prints scores: with 17 significant digits,
// trailing zeros dropped, as "%.17g" of C does. So 0.1 is 0.10000000000000001,
// 1e20 is 1e+20, and the infinities are inf and -inf.
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
	}
	// Most scores are whole numbers; printing those as integers is several times
	// faster. -0 is none of them: C prints its sign.
	if i := int64(f); math.Abs(f) < 1e15 && float64(i) == f && (i != 0 || !math.Signbit(f)) {
		return strconv.AppendInt(dst, i, 10)
	}
	return strconv.AppendFloat(dst, f, 'g', 17, 64)
}
