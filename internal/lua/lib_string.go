package lua

import "strings"

func (s *State) openString() {
	t := s.NewLibrary("string", stringEntries)
	t.SetField("gfind", t.GetField("gmatch"))
	s.stringsMeta = s.NewTable(0, 1)
	s.stringsMeta.Set(nameIndex, TableValue(t))
}

var stringEntries = []Entry{
	{"byte", stringByte},
	{"char", stringChar},
	{"dump", stringDump},
	{"find", func(c *Call) { findOrMatch(c, true) }},
	{"format", stringFormat},
	{"gfind", nil}, // becomes gmatch
	{"gmatch", stringGmatch},
	{"gsub", stringGsub},
	{"len", func(c *Call) { c.Return(Number(float64(len(c.CheckString(1))))) }},
	{"lower", func(c *Call) { mapBytes(c, 'A', 'Z') }},
	{"match", func(c *Call) { findOrMatch(c, false) }},
	{"rep", stringRep},
	{"reverse", stringReverse},
	{"sub", stringSub},
	{"upper", func(c *Call) { mapBytes(c, 'a', 'z') }},
}

// position makes a place in a string count from its beginning: negative ones count from the
// end.
func stringPosition(i, length int) int {
	if i < 0 {
		i += length + 1
	}
	return max(i, 0)
}

func stringSub(c *Call) {
	s := c.CheckString(1)
	from := max(stringPosition(c.CheckInt(2), len(s)), 1)
	to := min(stringPosition(c.OptInt(3, -1), len(s)), len(s))
	switch {
	case from > to:
		c.Return(String(""))
	case from == 1 && to == len(s):
		c.Return(String(s))
	default:
		c.Return(c.substring(s[from-1 : to]))
	}
}

// substring returns a copy of a part of a string, so that it does not keep the whole alive.
func (c *Call) substring(part string) Value {
	if len(part) == 1 {
		return oneByte[part[0]]
	}
	c.state.charge(len(part) + sizeofValue)
	return String(strings.Clone(part))
}

func stringByte(c *Call) {
	s := c.CheckString(1)
	from := stringPosition(c.OptInt(2, 1), len(s))
	to := min(stringPosition(c.OptInt(3, from), len(s)), len(s))
	from = max(from, 1)
	if from > to {
		return
	}
	c.CheckResults(to-from+1, "stack overflow (string slice too long)")
	for i := from; i <= to; i++ {
		c.Return(Number(float64(s[i-1])))
	}
}

func stringChar(c *Call) {
	b := textBuilder{state: c.state}
	for i := range c.args {
		code := c.checkInt32(i + 1)
		if code < 0 || code > 255 {
			c.ArgError(i+1, "invalid value")
		}
		b.addByte(byte(code))
	}
	c.Return(b.value())
}

// stringDump returns the mark of compiled code, and no code: such code is never loaded.
func stringDump(c *Call) {
	if c.CheckFunction(1).IsGo() {
		c.Errorf("unable to dump given function")
	}
	c.Return(String("\x1bLua"))
}

// mapBytes changes the case of the letters from low to high.
func mapBytes(c *Call, low, high byte) {
	s := c.CheckString(1)
	b := textBuilder{state: c.state}
	b.add(s)
	for i, x := range b.bytes {
		if low <= x && x <= high {
			b.bytes[i] = x ^ 0x20
		}
	}
	c.Step(len(s) / bytesPerStep)
	c.Return(b.value())
}

func stringRep(c *Call) {
	s := c.CheckString(1)
	n := max(c.checkInt32(2), 0)
	if s == "" || n == 0 {
		c.Return(String(""))
		return
	}
	if len(s) > maxString/n {
		panic(errMemory)
	}
	c.state.charge(len(s)*n + sizeofValue)
	c.Step(len(s) * n / bytesPerStep)
	c.Return(String(strings.Repeat(s, n)))
}

func stringReverse(c *Call) {
	s := c.CheckString(1)
	b := textBuilder{state: c.state}
	b.grow(len(s))
	for i := len(s) - 1; i >= 0; i-- {
		b.bytes = append(b.bytes, s[i])
	}
	c.Step(len(s) / bytesPerStep)
	c.Return(b.value())
}
