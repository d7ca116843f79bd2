// Package lualib answers one question: which libraries does Redis add to those of Lua?
//
// They are bit, struct, cjson and cmsgpack, with the functions, the results and the error
// texts of those that Redis 7.0 is built with. The package imports lua and knows nothing of
// Redis. Whatever a program asks for, a library takes no more memory than the program may
// have and lets itself be interrupted.
package lualib

import (
	"strings"

	"github.com/elastickv/elastickv/internal/lua"
)

// Open adds the libraries to the globals of s.
func Open(s *lua.State) {
	g := s.Globals()
	for _, lib := range []struct {
		name string
		open func(*lua.State) *lua.Table
	}{{"cjson", openJSON}, {"struct", openStruct}, {"cmsgpack", openMessagePack}, {"bit", openBit}} {
		g.SetField(lib.name, lua.TableValue(lib.open(s)))
	}
}

// stackMost is how many values a C function of the reference implementation may have on its
// stack. Functions that would need more fail, here as there, and that bounds how deep they
// recurse.
const stackMost = 8000

// buffer is a string in the making. What it holds is accounted for, and writing to it takes
// steps.
type buffer struct {
	c       *lua.Call
	b       []byte
	charged int
}

// chargeEvery is how many bytes a buffer may grow until it accounts for them.
const chargeEvery = 4096

// written is called when something has been added.
func (b *buffer) written() {
	if n := cap(b.b); n-b.charged >= chargeEvery {
		b.c.State().Charge(n - b.charged)
		b.charged = n
	}
	b.c.Step(1)
}

func (b *buffer) add(p ...byte) {
	b.b = append(b.b, p...)
	b.written()
}

func (b *buffer) text(s string) {
	if len(b.b)+len(s) > cap(b.b) && len(s) >= chargeEvery {
		b.c.State().Charge(len(s))
	}
	b.b = append(b.b, s...)
	b.written()
	b.c.Step(len(s) / 64)
}

// value returns what has been written as a string of the program.
func (b *buffer) value() lua.Value {
	b.c.State().Charge(len(b.b))
	return lua.String(string(b.b))
}

// newString returns a copy of s that the program pays for.
func newString(c *lua.Call, s string) lua.Value {
	c.State().Charge(len(s))
	c.Step(len(s) / 64)
	return lua.String(strings.Clone(s))
}

// toInt64 converts as C does on x86: what does not fit becomes the smallest number.
func toInt64(f float64) int64 {
	if f >= -(1<<63) && f < 1<<63 {
		return int64(f)
	}
	return -1 << 63
}

// toInt32 is toInt64 for 32 bits.
func toInt32(f float64) int32 {
	if f > -(1<<31)-1 && f < 1<<31 {
		return int32(f)
	}
	return -1 << 31
}

// toUint64 converts to an unsigned number as C does on x86.
func toUint64(f float64) uint64 {
	if f >= 1<<63 {
		return uint64(toInt64(f-1<<63)) ^ 1<<63
	}
	return uint64(toInt64(f))
}

// cString returns s as C sees it: up to the first NUL.
func cString(s string) string {
	if i := strings.IndexByte(s, 0); i >= 0 {
		return s[:i]
	}
	return s
}
