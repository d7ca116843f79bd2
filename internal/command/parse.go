package command

import (
	"errors"
	"math"
	"strconv"
	"strings"
)

// parseInt reads an integer as Redis does: decimal, no plus sign, no spaces, no leading zeros.
func parseInt(b []byte) (int64, error) {
	n, err := strconv.ParseInt(string(b), 10, 64)
	if err != nil || !canonicalInt(b) {
		return 0, ErrNotInteger
	}
	return n, nil
}

// canonicalInt reports whether b is written the way an integer is printed.
func canonicalInt(b []byte) bool {
	digits := b
	if len(b) > 1 && b[0] == '-' {
		digits = b[1:]
		if digits[0] == '0' {
			return false
		}
	}
	return len(digits) == 1 && digits[0] >= '0' && digits[0] <= '9' || len(digits) > 1 && digits[0] >= '1' && digits[0] <= '9'
}

// parseFloat reads a number as Redis does: what C's strtod takes, but no
// leading space, no NaN, and nothing too large or too small to be kept.
func parseFloat(b []byte) (float64, error) {
	f, exact, ok := strtod(string(b))
	if !ok || !exact || math.IsNaN(f) {
		return 0, ErrNotFloat
	}
	return f, nil
}

// strtod reads a number in C's notation, NaN included. exact is false if the
// number is not 0 but has become 0, or is not infinite but has become so; ok is
// false if s is no number.
func strtod(s string) (f float64, exact, ok bool) {
	if strings.Contains(s, "_") { // which Go allows in hexadecimal
		return 0, false, false
	}
	f, err := strconv.ParseFloat(s, 64)
	if err != nil && hexWithoutExponent(s) {
		f, err = strconv.ParseFloat(s+"p0", 64)
	}
	var ne *strconv.NumError
	if errors.As(err, &ne) && ne.Err == strconv.ErrRange {
		return f, false, true
	}
	return f, f != 0 || !hasDigits(s), err == nil
}

// hexWithoutExponent reports whether s is a hexadecimal number in C's notation
// that lacks the exponent Go asks for.
func hexWithoutExponent(s string) bool {
	return isHex(s) && len(strings.TrimLeft(s, "+-")) > 2 && !strings.ContainsAny(s, "pP")
}

func isHex(s string) bool { return strings.HasPrefix(strings.ToLower(strings.TrimLeft(s, "+-")), "0x") }

// hasDigits reports whether the number s has a digit that is not 0 before its exponent.
func hasDigits(s string) bool {
	exponent, digits := "eE", "123456789"
	if isHex(s) {
		exponent, digits = "pP", "123456789abcdefABCDEF"
	}
	if i := strings.IndexAny(s, exponent); i >= 0 {
		s = s[:i]
	}
	return strings.ContainsAny(s, digits)
}

// int reads argument i as an integer.
func (c *Ctx) int(i int) (int64, error) { return parseInt(c.Args[i]) }

// is reports whether argument i is the word, in any case. word is upper case.
func (c *Ctx) is(i int, word string) bool {
	a := c.Args[i]
	if len(a) != len(word) {
		return false
	}
	for j := range a {
		b := a[j]
		if 'a' <= b && b <= 'z' {
			b -= 'a' - 'A'
		}
		if b != word[j] {
			return false
		}
	}
	return true
}

// formatInt prints an integer in a slice of its own.
func formatInt(n int64) []byte { return strconv.AppendInt(nil, n, 10) }
