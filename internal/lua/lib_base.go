package lua

import (
	"fmt"
	"strings"
)

func (s *State) openBase() {
	g := s.globals
	g.SetField("_G", TableValue(g))
	s.Register(g, baseEntries)
	g.SetField("_VERSION", String("Lua 5.1"))

	step := FunctionValue(s.NewFunction(ipairsStep))
	s.Register(g, []Entry{{"ipairs", func(c *Call) {
		c.CheckTable(1)
		c.Return(step, c.Arg(1), Number(0))
	}}})
	next := FunctionValue(s.NewFunction(baseNext))
	s.Register(g, []Entry{{"pairs", func(c *Call) {
		c.CheckTable(1)
		c.Return(next, c.Arg(1), Nil)
	}}})
}

var baseEntries = []Entry{
	{"assert", baseAssert},
	{"collectgarbage", baseCollectGarbage},
	{"error", baseError},
	{"gcinfo", func(c *Call) { c.Return(Number(float64(c.state.memory.used / 1024))) }},
	{"getmetatable", baseGetMetatable},
	{"load", baseLoad},
	{"loadstring", baseLoadString},
	{"next", baseNext},
	{"pcall", basePcall},
	{"rawequal", baseRawEqual},
	{"rawget", baseRawGet},
	{"rawset", baseRawSet},
	{"select", baseSelect},
	{"setmetatable", baseSetMetatable},
	{"tonumber", baseToNumber},
	{"tostring", func(c *Call) { c.Return(c.toText(c.CheckAny(1))) }},
	{"type", func(c *Call) { c.Return(typeNames[c.CheckAny(1).Kind()]) }},
	{"unpack", baseUnpack},
	{"xpcall", baseXpcall},
}

var typeNames = func() (vs [len(kindNames)]Value) {
	for i, name := range kindNames {
		vs[i] = String(name)
	}
	return vs
}()

func baseAssert(c *Call) {
	if !c.CheckAny(1).Truthy() {
		c.Errorf("%s", cutAtZero(c.OptString(2, "assertion failed!")))
	}
	c.Return(c.Args()...)
}

func baseError(c *Call) {
	v, level := c.Arg(1), c.optInt32(2, 1)
	if text, ok := ToString(v); ok && level > 0 {
		v = c.state.newString(c.Where(level) + text)
	}
	c.Raise(v)
}

func baseGetMetatable(c *Call) {
	m := c.state.metatable(c.CheckAny(1))
	if m != nil {
		if v := m.getString(nameMetatable); !v.IsNil() {
			c.Return(v)
			return
		}
	}
	c.Return(TableValue(m))
}

func baseSetMetatable(c *Call) {
	t := c.CheckTable(1)
	m := c.Arg(2)
	if len(c.args) < 2 || !m.IsNil() && !m.isTable() {
		c.ArgError(2, "nil or table expected")
	}
	if t.meta != nil && !t.meta.getString(nameMetatable).IsNil() {
		c.Errorf("cannot change a protected metatable")
	}
	checkWritable(t)
	t.meta = m.AsTable()
	c.Return(c.Arg(1))
}

func baseRawEqual(c *Call) {
	a, b := c.CheckAny(1), c.CheckAny(2)
	c.state.work(a, b)
	c.Return(Bool(RawEqual(a, b)))
}

func baseRawGet(c *Call) {
	t := c.CheckTable(1)
	c.Return(t.Get(c.CheckAny(2)))
}

func baseRawSet(c *Call) {
	t := c.CheckTable(1)
	k, v := c.CheckAny(2), c.CheckAny(3)
	checkWritable(t)
	t.Set(k, v)
	c.Return(c.Arg(1))
}

func baseNext(c *Call) {
	k, v := c.CheckTable(1).Next(c.Arg(2))
	if k.IsNil() {
		c.Return(Nil)
		return
	}
	c.Return(k, v)
}

func ipairsStep(c *Call) {
	i := c.checkInt32(2) + 1
	v := c.CheckTable(1).GetInt(i)
	if v.IsNil() {
		return
	}
	c.Return(Number(float64(i)), v)
}

func baseSelect(c *Call) {
	n := len(c.args)
	if s, ok := c.Arg(1).AsString(); ok && strings.HasPrefix(s, "#") {
		c.Return(Number(float64(n - 1)))
		return
	}
	i := c.checkInt32(1)
	if i < 0 {
		i += n
	} else if i > n {
		i = n
	}
	if i < 1 {
		c.ArgError(1, "index out of range")
	}
	c.Return(c.args[i:]...)
}

func baseUnpack(c *Call) {
	t := c.CheckTable(1)
	from := c.optInt32(2, 1)
	to := c.unpackEnd(t)
	if from > to {
		return
	}
	c.CheckResults(to-from+1, "too many results to unpack")
	for i := from; i <= to; i++ {
		c.Return(t.GetInt(i))
	}
}

func (c *Call) unpackEnd(t *Table) int {
	if c.Arg(3).IsNil() {
		return t.Len()
	}
	return c.checkInt32(3)
}

// basePcall is the pcall of Redis. Of an error that is a table it returns the field err, if
// that is a text, and otherwise the table and the field.
func basePcall(c *Call) {
	if len(c.args) == 0 {
		c.Return(False, String("attempt to call a boolean value"))
		return
	}
	fn := c.Arg(1)
	err := c.protected(nil, func() []Value { return c.thread.call(fn, c.Args()[1:]) })
	if err == nil {
		return
	}
	if !err.Value.isTable() {
		c.Return(False, err.Value)
		return
	}
	field := c.thread.index(err.Value, nameErr, notRegister)
	if isText(field) {
		c.Return(False, field)
		return
	}
	c.Return(False, err.Value, field)
}

var nameErr = String("err")

func baseXpcall(c *Call) {
	c.CheckAny(2)
	handler := c.Arg(2)
	if !handler.isFunction() {
		handler = FunctionValue(c.state.failingHandler())
	}
	err := c.protected(handler.function(), func() []Value { return c.thread.call(c.Arg(1), nil) })
	if err != nil {
		c.Return(False, err.Value)
	}
}

// protected returns true and the results of f to the program, or the error that f raises
// to the caller.
func (c *Call) protected(handler *Function, f func() []Value) *Error {
	err := c.state.protectHandler(handler, func() {
		results := f()
		c.results = append(c.results, True)
		c.Return(results...)
	})
	switch err := err.(type) {
	case nil:
		return nil
	case *Error:
		c.results = c.results[:0]
		return err
	default:
		panic(&abort{err})
	}
}

// failingHandler stands for an error handler that is no function.
func (s *State) failingHandler() *Function {
	return s.NewFunction(func(*Call) { panic(errInHandler) })
}

func baseLoadString(c *Call) {
	src := c.CheckString(1)
	c.load(c.OptString(2, src), src)
}

func (c *Call) load(name, src string) {
	var fn *Function
	err := c.state.protect(func() { fn = c.state.compile(name, src) })
	c.loaded(fn, err)
}

// loaded returns fn, or nil and the error.
func (c *Call) loaded(fn *Function, err error) {
	switch err := err.(type) {
	case nil:
		c.Return(FunctionValue(fn))
	case *Error:
		c.Return(Nil, err.Value)
	default:
		panic(&abort{err})
	}
}

// baseLoad collects the pieces that a function returns, until it returns nothing.
func baseLoad(c *Call) {
	name := c.OptString(2, "=(load)")
	reader := c.CheckFunction(1)
	var fn *Function
	err := c.state.protect(func() {
		text := textBuilder{state: c.state}
		for {
			piece := c.CallFirst(FunctionValue(reader))
			if piece.IsNil() {
				break
			}
			s, ok := ToString(piece)
			if !ok {
				c.Errorf("reader function must return a string")
			}
			if s == "" {
				break
			}
			text.add(s)
		}
		src, _ := text.value().AsString()
		fn = c.state.compile(name, src)
	})
	c.loaded(fn, err)
}

func baseCollectGarbage(c *Call) {
	option := c.OptString(1, "collect")
	c.optInt32(2, 0)
	switch option {
	case "count":
		c.Return(Number(float64(c.state.memory.used) / 1024))
	case "collect":
		c.collect()
		c.Return(Number(0))
	case "step":
		c.collect()
		c.Return(True)
	case "stop", "restart":
		c.Return(Number(0))
	case "setpause", "setstepmul":
		c.Return(Number(200))
	default:
		c.ArgError(1, fmt.Sprintf("invalid option '%s'", cutAtZero(option)))
	}
}

func (c *Call) collect() {
	m := &c.state.memory
	m.used = c.state.census()
	c.Step(int(m.used / bytesPerStep))
}

// toText is tostring.
func (c *Call) toText(v Value) Value {
	if h := c.state.metamethod(v, nameToString); !h.IsNil() {
		return c.CallFirst(h, v)
	}
	switch v.Kind() {
	case KindNil:
		return typeNames[KindNil]
	case KindBool:
		if v.Truthy() {
			return textTrue
		}
		return textFalse
	case KindNumber:
		return c.state.newString(FormatNumber(v.number()))
	case KindString:
		return v
	case KindUserdata:
		return String("userdata: (nil)")
	default:
		return c.state.newString(fmt.Sprintf("%s: %p", v.Kind(), v.ref))
	}
}

var textTrue, textFalse = String("true"), String("false")

func baseToNumber(c *Call) {
	base := c.optInt32(2, 10)
	if base == 10 {
		v := c.CheckAny(1)
		c.state.work(v, v)
		if f, ok := ToNumber(v); ok {
			c.Return(Number(f))
			return
		}
		c.Return(Nil)
		return
	}
	s := c.CheckString(1)
	c.Step(len(s) / bytesPerStep)
	if base < 2 || base > 36 {
		c.ArgError(2, "base out of range")
	}
	n, ok := parseInteger(cutAtZero(s), base)
	if !ok {
		c.Return(Nil)
		return
	}
	c.Return(Number(float64(n)))
}
