package lua

import "fmt"

// Call is one call of a Go function: its arguments, and the way to give results or raise an
// error. Methods that raise an error do not return: they leave the function with a panic
// that the innermost protected call turns into a result.
type Call struct {
	state   *State
	thread  *thread
	args    []Value // in the thread's stack: valid until the thread runs other code
	results []Value
	called  []Value // what the last function that it called has returned
}

// State returns the State in which the function runs.
func (c *Call) State() *State { return c.state }

// NArgs returns the number of arguments.
func (c *Call) NArgs() int { return len(c.args) }

// Arg returns argument n, counted from 1, or Nil if there are fewer.
func (c *Call) Arg(n int) Value {
	if n <= len(c.args) {
		return c.args[n-1]
	}
	return Nil
}

// Args returns the arguments. The slice is valid until the function returns or calls
// something.
func (c *Call) Args() []Value { return c.args }

// Return adds values to the results.
func (c *Call) Return(vs ...Value) {
	before := cap(c.results)
	c.results = append(c.results, vs...)
	if grown := cap(c.results) - before; grown > 0 {
		c.state.charge(grown * sizeofValue)
	}
}

// Results returns the results that have been added so far. Their values may be replaced.
func (c *Call) Results() []Value { return c.results }

// Raise raises v as an error.
func (c *Call) Raise(v Value) { panic(&Error{Value: v}) }

// Errorf raises a text as an error, with the position of the program's line that called the
// function in front.
func (c *Call) Errorf(format string, args ...any) {
	panic(c.state.raised(c.Where(1) + fmt.Sprintf(format, args...)))
}

// Abort ends the program with err, whatever pcalls there are. State.Call returns err.
func (c *Call) Abort(err error) { panic(&abort{err}) }

// Where returns "chunk:line: " of the function at a level: 0 is the Go function itself, which
// has none, 1 the one that called it, and so on. Where it is not known, it returns "".
func (c *Call) Where(level int) string { return c.thread.where(level) }

// Position returns the name of the chunk, as Load got it, and the line that the function at
// a level executes. It returns "=[C]" and -1 for a Go function, and false if there is no
// such level.
func (c *Call) Position(level int) (chunk string, line int, ok bool) {
	return c.thread.position(level)
}

// Call calls fn, whose errors pass through the Go function to the program. The results are
// good until the Go function returns or calls something else.
func (c *Call) Call(fn Value, args ...Value) []Value {
	results := c.thread.call(fn, args)
	before := cap(c.called)
	c.called = append(c.called[:0], results...)
	if grown := cap(c.called) - before; grown > 0 {
		c.state.charge(grown * sizeofValue)
	}
	return c.called
}

// CallFirst is Call for the first result alone, or Nil.
func (c *Call) CallFirst(fn Value, args ...Value) Value { return c.thread.callFirst(fn, args...) }

// ArgError raises "bad argument #n to 'name' (text)", with the name under which the program
// calls the function.
func (c *Call) ArgError(n int, text string) {
	name, method := c.thread.calledAs()
	if method {
		n--
		if n == 0 {
			c.Errorf("calling '%s' on bad self (%s)", name, text)
		}
	}
	if name == "" {
		name = "?"
	}
	c.Errorf("bad argument #%d to '%s' (%s)", n, name, text)
}

// TypeError raises "bad argument #n to 'name' (want expected, got ...)".
func (c *Call) TypeError(n int, want string) {
	c.ArgError(n, want+" expected, got "+c.typeName(n))
}

func (c *Call) typeName(n int) string {
	if n > len(c.args) {
		return "no value"
	}
	return c.args[n-1].Kind().String()
}

// CheckAny raises an error if there is no argument n.
func (c *Call) CheckAny(n int) Value {
	if n > len(c.args) {
		c.ArgError(n, "value expected")
	}
	return c.args[n-1]
}

// CheckTable returns argument n, or raises an error if it is not a table.
func (c *Call) CheckTable(n int) *Table {
	v := c.Arg(n)
	if !v.isTable() {
		c.TypeError(n, "table")
	}
	return v.table()
}

// CheckFunction returns argument n, or raises an error if it is not a function.
func (c *Call) CheckFunction(n int) *Function {
	v := c.Arg(n)
	if !v.isFunction() {
		c.TypeError(n, "function")
	}
	return v.function()
}

// CheckNumber returns argument n as a number; strings that spell one are converted. It
// raises an error if it is neither.
func (c *Call) CheckNumber(n int) float64 {
	if n <= len(c.args) {
		if v := c.args[n-1]; v.isNumber() {
			return v.number()
		}
	}
	v := c.Arg(n)
	c.state.work(v, v)
	f, ok := ToNumber(v)
	if !ok {
		c.TypeError(n, "number")
	}
	return f
}

// CheckInt returns argument n as a number without its fraction, as C converts it: what does
// not fit into 64 bits becomes the smallest of them.
func (c *Call) CheckInt(n int) int { return truncate(c.CheckNumber(n)) }

// CheckString returns argument n as a string; numbers are converted. It raises an error if it
// is neither.
func (c *Call) CheckString(n int) string {
	if n <= len(c.args) {
		if v := c.args[n-1]; v.isString() {
			return v.str()
		}
	}
	s, ok := ToString(c.Arg(n))
	if !ok {
		c.TypeError(n, "string")
	}
	return s
}

// OptNumber is CheckNumber, or def if the argument is nil or absent.
func (c *Call) OptNumber(n int, def float64) float64 {
	if c.Arg(n).IsNil() {
		return def
	}
	return c.CheckNumber(n)
}

// OptInt is CheckInt, or def if the argument is nil or absent.
func (c *Call) OptInt(n, def int) int {
	if c.Arg(n).IsNil() {
		return def
	}
	return c.CheckInt(n)
}

// OptString is CheckString, or def if the argument is nil or absent.
func (c *Call) OptString(n int, def string) string {
	if c.Arg(n).IsNil() {
		return def
	}
	return c.CheckString(n)
}

// Step accounts for n steps of work in a Go function, so that Options.Interrupt is called in
// time. It does not return when the program is to end.
func (c *Call) Step(n int) { c.state.step(n) }
