package lua

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// ToNumber returns v as a number: a number itself, or a string that spells one.
func ToNumber(v Value) (float64, bool) {
	if v.isNumber() {
		return v.number(), true
	}
	if v.isString() {
		return parseNumber(v.str())
	}
	return 0, false
}

// ToString returns v as a string: a string itself, or the spelling of a number.
func ToString(v Value) (string, bool) {
	if v.isString() {
		return v.str(), true
	}
	if v.isNumber() {
		return FormatNumber(v.number()), true
	}
	return "", false
}

// numberTextMax is the length of the longest spelling of a number.
const numberTextMax = 32

// FormatNumber spells f as C's printf("%.14g") does.
func FormatNumber(f float64) string {
	var buf [numberTextMax]byte
	return string(appendNumber(buf[:0], f))
}

func appendNumber(dst []byte, f float64) []byte {
	if i := int64(f); float64(i) == f && -1e14 < f && f < 1e14 && (i != 0 || !math.Signbit(f)) {
		return strconv.AppendInt(dst, i, 10)
	}
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return appendSpecial(dst, f)
	}
	return strconv.AppendFloat(dst, f, 'g', 14, 64)
}

// appendSpecial spells infinities and NaN, whose sign C shows.
func appendSpecial(dst []byte, f float64) []byte {
	if math.Signbit(f) {
		dst = append(dst, '-')
	}
	if math.IsNaN(f) {
		return append(dst, "nan"...)
	}
	return append(dst, "inf"...)
}

// parseNumber reads the whole of s, but for white space at both ends, as C's strtod does:
// decimal, hexadecimal with or without a binary exponent, inf, infinity, nan.
func parseNumber(s string) (float64, bool) {
	s = strings.Trim(cutAtZero(s), whiteSpace)
	body, negative := s, false
	if body != "" && (body[0] == '-' || body[0] == '+') {
		negative = body[0] == '-'
		body = body[1:]
	}
	f, ok := parseUnsigned(body)
	if negative {
		f = -f
	}
	return f, ok
}

const whiteSpace = " \t\n\v\f\r"

func parseUnsigned(s string) (float64, bool) {
	if s == "" {
		return 0, false
	}
	if len(s) <= 15 && isDigits(s) {
		n, _ := strconv.ParseUint(s, 10, 64)
		return float64(n), true
	}
	switch {
	case len(s) > 1 && s[0] == '0' && s[1]|0x20 == 'x':
		return parseHex(s[2:])
	case s[0] == '.' || '0' <= s[0] && s[0] <= '9':
		if strings.IndexByte(s, '_') >= 0 {
			return 0, false
		}
		f, err := strconv.ParseFloat(s, 64)
		return f, err == nil || math.IsInf(f, 0)
	default:
		return parseWord(s)
	}
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// parseHex reads what stands behind 0x.
func parseHex(s string) (float64, bool) {
	if strings.IndexByte(s, '_') >= 0 {
		return 0, false
	}
	if !strings.ContainsAny(s, "pP") {
		s += "p0" // which Go wants, and C does not
	}
	f, err := strconv.ParseFloat("0x"+s, 64)
	return f, err == nil || math.IsInf(f, 0)
}

// parseWord reads inf, infinity, nan and nan(characters), in any case.
func parseWord(s string) (float64, bool) {
	switch word := strings.ToLower(s); {
	case word == "inf" || word == "infinity":
		return math.Inf(1), true
	case word == "nan":
		return math.NaN(), true
	case strings.HasPrefix(word, "nan(") && strings.HasSuffix(word, ")"):
		inside := word[4 : len(word)-1]
		ok := strings.Trim(inside, "0123456789abcdefghijklmnopqrstuvwxyz_") == ""
		return math.NaN(), ok
	}
	return 0, false
}

// truncate converts as C does on x86: out of range, and NaN, is the smallest integer.
func truncate(f float64) int {
	if f >= -(1<<63) && f < 1<<63 {
		return int(f)
	}
	return math.MinInt64
}

// parseInteger reads the whole of s, but for white space at both ends, as C's strtoul does:
// the largest number if it is too large, and the two's complement of a negative one.
func parseInteger(s string, base int) (uint64, bool) {
	s = strings.Trim(s, whiteSpace)
	negative := strings.HasPrefix(s, "-")
	if negative || strings.HasPrefix(s, "+") {
		s = s[1:]
	}
	if base == 16 && len(s) > 2 && s[0] == '0' && s[1]|0x20 == 'x' {
		s = s[2:]
	}
	if strings.IndexByte(s, '_') >= 0 || strings.HasPrefix(s, "+") {
		return 0, false
	}
	n, err := strconv.ParseUint(s, base, 64)
	if errors.Is(err, strconv.ErrRange) {
		return math.MaxUint64, true
	}
	if negative {
		n = -n
	}
	return n, err == nil
}
