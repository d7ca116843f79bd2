package lua

import "slices"

// Entry is a function of a library.
type Entry struct {
	Name string
	Fn   GoFunction
}

// Register adds the functions to t, in their order.
func (s *State) Register(t *Table, entries []Entry) {
	for _, e := range entries {
		t.SetField(e.Name, FunctionValue(s.NewFunction(e.Fn)))
	}
}

// NewLibrary makes a table of the functions the value of a global variable.
func (s *State) NewLibrary(name string, entries []Entry) *Table {
	t := s.NewTable(0, len(entries))
	s.Register(t, entries)
	s.globals.SetField(name, TableValue(t))
	return t
}

// OpenLibs adds the standard library, as far as Redis lets programs have it: the basic
// functions, string, table, math, coroutine, and os with nothing but clock.
func (s *State) OpenLibs() {
	s.openBase()
	s.NewLibrary("coroutine", coroutineEntries)
	s.NewLibrary("table", tableEntries)
	s.openString()
	s.openMath()
	if s.options.Clock != nil {
		s.NewLibrary("os", []Entry{{"clock", func(c *Call) { c.Return(Number(c.state.options.Clock())) }}})
	}
}

// checkInt32 is CheckInt for what C keeps in an int: higher bits get lost.
func (c *Call) checkInt32(n int) int { return int(int32(c.CheckInt(n))) }

func (c *Call) optInt32(n, def int) int {
	if c.Arg(n).IsNil() {
		return def
	}
	return c.checkInt32(n)
}

// checkWritable raises an error if programs must not change the table.
func checkWritable(t *Table) {
	if t.ReadOnly {
		panic(errorString("Attempt to modify a readonly table"))
	}
}

// resultsMax is how many values a function can return, but for what stands below them.
const resultsMax = 8000

// CheckResults raises text as an error, with its position, if the function cannot return n
// results.
func (c *Call) CheckResults(n int, text string) {
	if n > resultsMax-len(c.args) {
		c.Errorf("%s", text)
	}
}

// textBuilder collects a string that the program pays for.
type textBuilder struct {
	state *State
	bytes []byte
}

// shortText is the room that a text begins with if it grows in small steps.
const shortText = 32

func (b *textBuilder) grow(n int) {
	if len(b.bytes)+n <= cap(b.bytes) {
		return
	}
	size := max(2*cap(b.bytes), len(b.bytes)+n)
	if n == 1 {
		size = max(size, shortText)
	}
	if size > maxString {
		panic(errMemory)
	}
	b.state.Pin(size)
	grown := make([]byte, len(b.bytes), size)
	copy(grown, b.bytes)
	b.state.Unpin(cap(b.bytes))
	b.bytes = grown
}

func (b *textBuilder) add(s string) {
	b.grow(len(s))
	b.bytes = append(b.bytes, s...)
}

func (b *textBuilder) addByte(c byte) {
	b.grow(1)
	b.bytes = append(b.bytes, c)
}

// value returns what has been collected. The builder must not be used any more.
func (b *textBuilder) value() Value {
	b.state.Unpin(cap(b.bytes))
	if spare := cap(b.bytes) - len(b.bytes); spare > len(b.bytes)/4 && cap(b.bytes) > shortText {
		b.state.charge(len(b.bytes))
		b.bytes = slices.Clone(b.bytes)
	}
	return bytesValue(b.bytes)
}
