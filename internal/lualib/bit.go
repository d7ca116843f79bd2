package lualib

import (
	"math"

	"github.com/elastickv/elastickv/internal/lua"
)

func openBit(s *lua.State) *lua.Table {
	t := s.NewTable(0, 16)
	s.Register(t, []lua.Entry{
		{Name: "tobit", Fn: func(c *lua.Call) { returnBits(c, bits(c, 1)) }},
		{Name: "bnot", Fn: func(c *lua.Call) { returnBits(c, ^bits(c, 1)) }},
		{Name: "band", Fn: fold(func(a, b uint32) uint32 { return a & b })},
		{Name: "bor", Fn: fold(func(a, b uint32) uint32 { return a | b })},
		{Name: "bxor", Fn: fold(func(a, b uint32) uint32 { return a ^ b })},
		{Name: "lshift", Fn: shift(func(b, n uint32) uint32 { return b << n })},
		{Name: "rshift", Fn: shift(func(b, n uint32) uint32 { return b >> n })},
		{Name: "arshift", Fn: shift(func(b, n uint32) uint32 { return uint32(int32(b) >> n) })},
		{Name: "rol", Fn: shift(func(b, n uint32) uint32 { return b<<n | b>>(32-n) })},
		{Name: "ror", Fn: shift(func(b, n uint32) uint32 { return b<<(32-n) | b>>n })},
		{Name: "bswap", Fn: func(c *lua.Call) {
			b := bits(c, 1)
			returnBits(c, b>>24|b>>8&0xff00|b&0xff00<<8|b<<24)
		}},
		{Name: "tohex", Fn: toHex},
	})
	return t
}

// bits returns argument n modulo 2^32, rounded to the nearest integer.
func bits(c *lua.Call, n int) uint32 {
	f, ok := lua.ToNumber(c.Arg(n))
	b := uint32(math.Float64bits(f + (1<<52 + 1<<51))) // the sum has the integer in its lower bits
	if !ok {
		c.TypeError(n, "number")
	}
	return b
}

func returnBits(c *lua.Call, b uint32) { c.Return(lua.Number(float64(int32(b)))) }

func fold(op func(a, b uint32) uint32) lua.GoFunction {
	return func(c *lua.Call) {
		b := bits(c, 1)
		for i := c.NArgs(); i > 1; i-- {
			b = op(b, bits(c, i))
		}
		returnBits(c, b)
	}
}

func shift(op func(b, n uint32) uint32) lua.GoFunction {
	return func(c *lua.Call) { returnBits(c, op(bits(c, 1), bits(c, 2)&31)) }
}

func toHex(c *lua.Call) {
	b, n, digits := bits(c, 1), int32(8), "0123456789abcdef"
	if c.NArgs() > 1 {
		n = int32(bits(c, 2))
	}
	if n < 0 {
		n, digits = -max(n, -8), "0123456789ABCDEF"
	}
	n = min(n, 8)
	var buf [8]byte
	for i := n - 1; i >= 0; i-- {
		buf[i] = digits[b&15]
		b >>= 4
	}
	c.Return(lua.String(string(buf[:n])))
}
