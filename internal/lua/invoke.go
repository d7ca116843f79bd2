package lua

import "fmt"

// enter begins a call of the function at index at of the stack, with the arguments up to
// the top. It reports true for a Lua function, which the machine has to execute now; a Go
// function has returned, or yielded.
func (th *thread) enter(at, want int) bool {
	v := th.stack[at]
	if !v.isFunction() {
		v = th.callable(at)
	}
	fn := v.function()
	if len(th.frames) >= th.framesLimit {
		th.framesOverflow()
	}
	if fn.native != nil {
		th.callNative(fn, at, want)
		return false
	}
	base := th.arrange(fn.proto, at)
	th.frames = append(th.frames, frame{fn: fn, at: at, base: base, want: want})
	return true
}

// callable puts the metamethod __call in front of the value at index at, which is not a
// function.
func (th *thread) callable(at int) Value {
	v := th.state.metamethod(th.stack[at], "__call")
	if !v.isFunction() {
		th.typeErrorAt(at, "call")
	}
	th.need(th.top + 1)
	copy(th.stack[at+1:th.top+1], th.stack[at:th.top])
	th.stack[at] = v
	th.top++
	return v
}

func (th *thread) framesOverflow() {
	if th.framesLimit > framesMaxAfter {
		panic(errInHandler)
	}
	th.framesLimit = framesMaxHandler
	th.raise("stack overflow")
}

// arrange makes the arguments above index at the parameters of p, and returns its first
// register.
func (th *thread) arrange(p *proto, at int) int {
	base := at + 1
	given := th.top - base
	if p.variadic {
		base = th.shiftFixed(p, base, given)
		given = min(given, p.params)
	}
	th.need(base + p.registers)
	if given < p.registers {
		clear(th.stack[base+given : base+p.registers])
	}
	return base
}

// shiftFixed copies the fixed parameters of a variadic function above all its arguments:
// those stay below the registers.
func (th *thread) shiftFixed(p *proto, at, given int) int {
	base := at + max(given, p.params)
	th.need(base + p.params)
	for i := range min(given, p.params) {
		th.stack[base+i] = th.stack[at+i]
		th.stack[at+i] = Nil
	}
	return base
}

// callNative calls a Go function and puts its results in place.
func (th *thread) callNative(fn *Function, at, want int) {
	s := th.state
	th.frames = append(th.frames, frame{fn: fn, at: at, base: at + 1, want: want})
	if s.callsInUse == len(s.calls) {
		s.calls = append(s.calls, &Call{state: s})
	}
	c := s.calls[s.callsInUse]
	s.callsInUse++
	c.thread = th
	c.args = th.stack[at+1 : th.top : th.top]
	c.results = c.results[:0]
	fn.native(c)
	s.callsInUse--
	th.frames = th.frames[:len(th.frames)-1]
	if th.status == statusYielding {
		th.pendingAt, th.pendingWant = at, want
		return
	}
	th.deliver(c.results, at, want)
}

// deliver puts the results of a call at index at: as many as are wanted, or all up to the
// top.
func (th *thread) deliver(results []Value, at, want int) {
	if want == all {
		th.need(at + len(results))
		th.top = at + copy(th.stack[at:], results)
		return
	}
	n := copy(th.stack[at:at+want], results)
	clear(th.stack[at+n : at+want])
}

// raise raises a text with the position of the running function in front, if that is one
// of Lua.
func (th *thread) raise(format string, args ...any) {
	panic(errorString(th.where(0) + fmt.Sprintf(format, args...)))
}

// where returns "chunk:line: " for the function at a level, or "" if it is not one of Lua.
func (th *thread) where(level int) string {
	chunk, line, ok := th.position(level)
	if !ok || line <= 0 {
		return ""
	}
	return fmt.Sprintf("%s:%d: ", displayName(chunk), line)
}
