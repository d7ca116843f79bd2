package lua

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

const formatFlags = "-+ #0"

// formatSpec is one conversion of string.format.
type formatSpec struct {
	flags        string
	width        string
	precision    string // with its point
	verb         byte
	hasPrecision bool
}

func stringFormat(c *Call) {
	format := c.CheckString(1)
	b := textBuilder{state: c.state}
	arg := 1
	for i := 0; i < len(format); {
		if format[i] != '%' {
			b.addByte(format[i])
			i++
			continue
		}
		i++
		if i < len(format) && format[i] == '%' {
			b.addByte('%')
			i++
			continue
		}
		arg++
		if arg > len(c.args) {
			c.ArgError(arg, "no value")
		}
		spec, size := c.parseSpec(format[i:])
		i += size
		c.formatArg(&b, spec, arg)
	}
	c.Return(b.value())
}

// parseSpec reads a conversion behind its %, and returns its length.
func (c *Call) parseSpec(s string) (spec formatSpec, size int) {
	i := 0
	for i < len(s) && s[i] != 0 && strings.IndexByte(formatFlags, s[i]) >= 0 {
		i++
	}
	if i > len(formatFlags) {
		c.Errorf("invalid format (repeated flags)")
	}
	spec.flags = s[:i]
	spec.width, i = twoDigits(s, i)
	if i < len(s) && s[i] == '.' {
		spec.hasPrecision = true
		spec.precision, i = twoDigits(s, i+1)
	}
	if i < len(s) && isDigit(int(s[i])) {
		c.Errorf("invalid format (width or precision too long)")
	}
	if i < len(s) {
		spec.verb = s[i]
	}
	return spec, i + 1
}

// twoDigits returns at most two digits of s from i on, and what follows.
func twoDigits(s string, i int) (digits string, end int) {
	end = i
	for end < len(s) && end < i+2 && isDigit(int(s[end])) {
		end++
	}
	return s[i:end], end
}

func (c *Call) formatArg(b *textBuilder, spec formatSpec, arg int) {
	switch spec.verb {
	case 'c':
		b.add(cutAtZero(spec.pad(string([]byte{byte(c.checkInt32(arg))}))))
	case 'd', 'i':
		b.add(spec.signed(int64(c.CheckInt(arg))))
	case 'o', 'u', 'x', 'X':
		b.add(spec.unsigned(toUnsigned(c.CheckNumber(arg))))
	case 'e', 'E', 'f', 'g', 'G':
		b.add(spec.float(c.CheckNumber(arg)))
	case 'q':
		addQuoted(b, c.CheckString(arg))
	case 's':
		s := c.CheckString(arg)
		if !spec.hasPrecision && len(s) >= 100 {
			b.add(s)
			return
		}
		b.add(spec.text(cutAtZero(s)))
	default:
		c.Errorf("invalid option '%%%s' to 'format'", cutAtZero(string([]byte{spec.verb})))
	}
}

// toUnsigned converts as C does on x86: negative numbers become their two's complement.
func toUnsigned(f float64) uint64 {
	if f >= 1<<63 && f < 1<<64 {
		return uint64(f)
	}
	if f >= 1<<64 {
		return 0
	}
	return uint64(int64(truncate(f)))
}

func (spec formatSpec) has(flag byte) bool { return strings.IndexByte(spec.flags, flag) >= 0 }

// number returns up to two digits as a number.
func number(digits string) int {
	n := 0
	for i := range len(digits) {
		n = 10*n + int(digits[i]-'0')
	}
	return n
}

// pad fills s with spaces to the width.
func (spec formatSpec) pad(s string) string {
	fill := strings.Repeat(" ", max(number(spec.width)-len(s), 0))
	if spec.has('-') {
		return s + fill
	}
	return fill + s
}

func (spec formatSpec) text(s string) string {
	if spec.hasPrecision {
		s = s[:min(number(spec.precision), len(s))]
	}
	return spec.pad(s)
}

func (spec formatSpec) signed(n int64) string {
	if n < 0 {
		return spec.integer("-", strconv.FormatUint(-uint64(n), 10))
	}
	return spec.integer(spec.plus(), strconv.FormatUint(uint64(n), 10))
}

// plus returns what stands in front of a number that is not negative.
func (spec formatSpec) plus() string {
	switch {
	case spec.has('+'):
		return "+"
	case spec.has(' '):
		return " "
	}
	return ""
}

func (spec formatSpec) unsigned(n uint64) string {
	prefix := ""
	var digits string
	switch spec.verb {
	case 'o':
		digits = strconv.FormatUint(n, 8)
		precision := number(spec.precision)
		if spec.has('#') && (n != 0 && precision <= len(digits) || n == 0 && spec.hasPrecision && precision == 0) {
			prefix = "0"
		}
	case 'u':
		digits = strconv.FormatUint(n, 10)
	default:
		digits = strconv.FormatUint(n, 16)
		if spec.has('#') && n != 0 {
			prefix = "0x"
		}
	}
	if spec.verb == 'X' {
		prefix, digits = strings.ToUpper(prefix), strings.ToUpper(digits)
	}
	return spec.integer(prefix, digits)
}

// integer puts the sign or prefix in front of the digits, with as many zeros as precision or
// width want.
func (spec formatSpec) integer(prefix, digits string) string {
	zeros := 0
	switch {
	case spec.hasPrecision:
		if digits == "0" && number(spec.precision) == 0 {
			digits = ""
		}
		zeros = number(spec.precision) - len(digits)
		if spec.verb == 'o' {
			zeros -= len(prefix)
		}
	case spec.has('0') && !spec.has('-'):
		zeros = number(spec.width) - len(prefix) - len(digits)
	}
	return spec.pad(prefix + strings.Repeat("0", max(zeros, 0)) + digits)
}

// goFormat returns the format of package fmt that means the same.
func (spec formatSpec) goFormat() string {
	return "%" + spec.flags + spec.width + "." + spec.precision + string(rune(spec.verb))
}

func (spec formatSpec) float(f float64) string {
	if math.IsInf(f, 0) || math.IsNaN(f) {
		return spec.special(f)
	}
	if !spec.hasPrecision {
		spec.precision = "6"
	}
	return fmt.Sprintf(spec.goFormat(), f)
}

// special spells infinities and NaN.
func (spec formatSpec) special(f float64) string {
	s := string(appendSpecial(nil, f))
	if !math.Signbit(f) {
		s = spec.plus() + s
	}
	if spec.verb < 'a' {
		s = strings.ToUpper(s)
	}
	return spec.pad(s)
}

// addQuoted adds s as a literal of a program.
func addQuoted(b *textBuilder, s string) {
	b.addByte('"')
	for i := range len(s) {
		switch x := s[i]; x {
		case '"', '\\', '\n':
			b.addByte('\\')
			b.addByte(x)
		case '\r':
			b.add(`\r`)
		case 0:
			b.add(`\000`)
		default:
			b.addByte(x)
		}
	}
	b.addByte('"')
}
