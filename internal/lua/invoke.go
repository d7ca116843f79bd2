package lua

import "fmt"

// pushFrame adds a frame. Frames are used again, so that a pointer to one stays good.
func (th *thread) pushFrame() *frame {
	n := len(th.frames)
	if n < cap(th.frames) && th.frames[:n+1][n] != nil {
		th.frames = th.frames[:n+1]
		return th.frames[n]
	}
	th.state.charge(sizeofFrame)
	f := new(frame)
	th.frames = append(th.frames, f)
	return f
}

// enter begins a call of the value at index at of the stack, with the arguments up to the
// top. It reports true for a Lua function, which the machine has to execute now; a Go
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
	s := th.state
	if s.budget--; s.budget < 0 {
		s.interrupt()
	}
	base := th.arrange(fn.proto, at)
	*th.pushFrame() = frame{fn: fn, at: at, base: base, want: want}
	return true
}

// enterTail is enter for a call that replaces its caller, whose frame is f. What a Go function
// returns goes to index at, up to the top.
func (th *thread) enterTail(f *frame, at int) bool {
	v := th.stack[at]
	if !v.isFunction() {
		v = th.callable(at)
	}
	fn := v.function()
	if fn.native != nil {
		return th.enter(at, all)
	}
	s := th.state
	if s.budget--; s.budget < 0 {
		s.interrupt()
	}
	th.closeUpvalues(f.base)
	th.top = f.at + copy(th.stack[f.at:], th.stack[at:th.top])
	f.base = th.arrange(fn.proto, f.at)
	f.fn = fn
	f.pc = 0
	f.tailCalls++
	return true
}

// leave ends frame f, the topmost one, with n results from index at on. It reports true if the
// machine has to stop.
func (th *thread) leave(f *frame, at, n int) bool {
	if th.open != nil {
		th.closeUpvalues(f.base)
	}
	to, want := f.at, f.want
	th.frames = th.frames[:len(th.frames)-1]
	switch {
	case want == all:
		copy(th.stack[to:], th.stack[at:at+n])
		th.top = to + n
	case want == 1 && n > 0:
		th.stack[to] = th.stack[at]
	default:
		th.deliver(th.stack[at:at+n], to, want)
	}
	return f.fresh
}

// callable puts the metamethod __call in front of the value at index at, which is not a
// function.
func (th *thread) callable(at int) Value {
	v := th.state.metamethod(th.stack[at], nameCall)
	if !v.isFunction() {
		th.callError(at)
	}
	th.need(th.top + 1)
	copy(th.stack[at+1:th.top+1], th.stack[at:th.top])
	th.stack[at] = v
	th.top++
	return v
}

func (th *thread) callError(at int) {
	register := notRegister
	if f := th.frame(); f.fn != nil && f.fn.native == nil && at >= f.base && at < f.base+f.fn.proto.registers {
		register = at - f.base
	}
	th.operandError(th.stack[at], register, "call")
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
		base = th.arrangeVariadic(p, base, given)
		given = p.params
		if p.needsArg {
			given++
		}
	}
	th.need(base + p.registers)
	if given < p.registers {
		clear(th.stack[base+given : base+p.registers])
	}
	return base
}

// arrangeVariadic copies the fixed parameters of a variadic function above all its arguments,
// which stay below the registers. Behind them goes the table arg, if there is to be one.
func (th *thread) arrangeVariadic(p *proto, at, given int) int {
	base := at + max(given, p.params)
	th.need(base + p.params + 1)
	for i := range p.params {
		v := Nil
		if i < given {
			v = th.stack[at+i]
			th.stack[at+i] = Nil
		}
		th.stack[base+i] = v
	}
	th.top = base + p.params
	if p.needsArg {
		extra := th.stack[min(at+p.params, base):base]
		arg := th.state.NewTable(len(extra), 1)
		for i, v := range extra {
			arg.SetInt(i+1, v)
		}
		arg.SetField("n", Number(float64(len(extra))))
		th.stack[th.top] = TableValue(arg)
		th.top++
	}
	return base
}

// varargs copies the variable arguments of frame f to index at: as many as are wanted, or all
// up to the top.
func (th *thread) varargs(f *frame, at, want int) {
	first := f.at + 1 + f.fn.proto.params
	n := max(f.base-first, 0)
	if want == all {
		th.need(at + n)
		th.top = at + n
		want = n
	}
	th.state.step(want / 16)
	copied := copy(th.stack[at:at+want], th.stack[first:first+n])
	clear(th.stack[at+copied : at+want])
}

// closure makes a function of prototype number i of the function in frame f.
func (th *thread) closure(f *frame, i int) *Function {
	p := f.fn.proto.protos[i]
	c := th.state.newClosure(p)
	for i, from := range p.captures {
		if from.local {
			c.upvalues[i] = th.capture(f.base + from.index)
		} else {
			c.upvalues[i] = f.fn.upvalues[from.index]
		}
	}
	return c
}

// callNative calls a Go function and puts its results in place.
func (th *thread) callNative(fn *Function, at, want int) {
	s := th.state
	*th.pushFrame() = frame{fn: fn, at: at, base: at + 1, want: want}
	c := s.beginCall(th, th.stack[at+1:th.top:th.top])
	fn.native(c)
	s.callsInUse--
	th.frames = th.frames[:len(th.frames)-1]
	if th.status == statusYielding {
		th.pendingAt, th.pendingWant = at, want
		return
	}
	th.deliver(c.results, at, want)
}

// beginCall returns a Call, which is in use until callsInUse is lowered again.
func (s *State) beginCall(th *thread, args []Value) *Call {
	if s.callsInUse == len(s.calls) {
		s.calls = append(s.calls, &Call{state: s})
	}
	c := s.calls[s.callsInUse]
	s.callsInUse++
	c.thread = th
	c.args = args
	c.results = c.results[:0]
	return c
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

// prepareFor checks the initial value, limit and step of a loop, and goes one step back.
func (th *thread) prepareFor(v []Value) {
	for i, what := range [...]string{"initial value", "limit", "step"} {
		f, ok := ToNumber(v[i])
		if !ok {
			th.raise("'for' %s must be a number", what)
		}
		v[i] = Number(f)
	}
	v[0] = Number(v[0].number() - v[2].number())
}

// iterate calls the iterator at index at with its state and control variable, for want
// results behind them.
func (th *thread) iterate(at, want int) {
	call := at + 3
	th.need(call + 3)
	copy(th.stack[call:call+3], th.stack[at:call])
	th.top = call + 3
	th.callAt(call, want)
}

// raise raises a text with the position of the running function in front, if that is one
// of Lua.
func (th *thread) raise(format string, args ...any) {
	panic(th.state.raised(th.where(0) + fmt.Sprintf(format, args...)))
}
