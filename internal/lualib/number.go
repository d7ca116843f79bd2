package lualib

import "strings"

// numberLength returns how many bytes at the head of s are a number to C's strtod: 0 if
// there is none.
func numberLength(s string) int {
	n := 0
	if s != "" && (s[0] == '-' || s[0] == '+') {
		n = 1
	}
	body := s[n:]
	var size int
	switch {
	case len(body) >= 3 && strings.EqualFold(body[:3], "inf"):
		size = 3
		if len(body) >= 8 && strings.EqualFold(body[:8], "infinity") {
			size = 8
		}
	case len(body) >= 3 && strings.EqualFold(body[:3], "nan"):
		size = 3 + parenthesesLength(body[3:])
	case len(body) > 2 && body[0] == '0' && body[1]|0x20 == 'x':
		size = 1 // the 0 alone, unless digits follow
		if m := decimalLength(body[2:], isHexDigit, "pP"); m > 0 {
			size = 2 + m
		}
	default:
		size = decimalLength(body, isDigit, "eE")
	}
	if size == 0 {
		return 0
	}
	return n + size
}

// decimalLength returns how many bytes at the head of s are digits with at most one point,
// and an exponent if there is one.
func decimalLength(s string, digit func(byte) bool, exponent string) int {
	n, digits, point := 0, 0, false
	for ; n < len(s); n++ {
		switch {
		case digit(s[n]):
			digits++
			continue
		case s[n] == '.' && !point:
			point = true
			continue
		}
		break
	}
	if digits == 0 {
		return 0
	}
	if n == len(s) || strings.IndexByte(exponent, s[n]) < 0 {
		return n
	}
	m := n + 1
	if m < len(s) && (s[m] == '-' || s[m] == '+') {
		m++
	}
	from := m
	for m < len(s) && isDigit(s[m]) {
		m++
	}
	if m == from {
		return n
	}
	return m
}

// parenthesesLength returns the length of letters and digits in parentheses that may stand
// behind nan.
func parenthesesLength(s string) int {
	if s == "" || s[0] != '(' {
		return 0
	}
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == ')':
			return i + 1
		case s[i] == '_' || alphanumeric(s[i]):
		default:
			return 0
		}
	}
	return 0
}

func isDigit(b byte) bool { return '0' <= b && b <= '9' }

func isHexDigit(b byte) bool { return isDigit(b) || 'a' <= b|0x20 && b|0x20 <= 'f' }
