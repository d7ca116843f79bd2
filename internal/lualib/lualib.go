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

// read accounts for reading s once, or a few times.
func read(c *lua.Call, s string) { c.Step(len(s) / 64) }

// stackMost is how many values a C function of the reference implementation may have on its
// stack. Functions that would need more fail, here as there, and that bounds how deep they
// recurse.
const stackMost = 8000

// buffer is a string in the making. The memory for it is accounted for before it is taken, and
// writing to it takes steps.
type buffer struct {
	c *lua.Call
	b []byte
}

func (b *buffer) grow(n int) {
	b.c.Step(1 + n/64)
	if len(b.b)+n <= cap(b.b) {
		return
	}
	size := max(2*cap(b.b), len(b.b)+n, 64)
	b.c.State().Pin(size)
	grown := append(make([]byte, 0, size), b.b...)
	b.c.State().Unpin(cap(b.b))
	b.b = grown
}

func (b *buffer) add(p ...byte) {
	b.grow(len(p))
	b.b = append(b.b, p...)
}

func (b *buffer) text(s string) {
	b.grow(len(s))
	b.b = append(b.b, s...)
}

// value returns what has been written as a string of the program. The buffer must not be used any
// more.
func (b *buffer) value() lua.Value {
	b.c.State().Charge(len(b.b))
	b.c.State().Unpin(cap(b.b))
	return lua.String(string(b.b))
}

// newString returns a copy of s that the program pays for.
func newString(c *lua.Call, s string) lua.Value {
	c.State().Charge(len(s))
	read(c, s)
	return lua.String(strings.Clone(s))
}

// place is where a value goes that is being decoded: a key of a table or, if there is no
// table, the results of the function. A table goes there before it is filled, so that what it
// holds counts as held by the program all the time.
type place struct {
	in  *lua.Table
	key lua.Value
}

// newTable returns a new table in its place.
func newTable(c *lua.Call, at place) *lua.Table {
	t := c.State().NewTable(0, 0)
	put(c, at, lua.TableValue(t))
	return t
}

// put puts v in its place.
func put(c *lua.Call, at place, v lua.Value) {
	if at.in == nil {
		c.Return(v)
		return
	}
	at.in.Set(at.key, v)
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
