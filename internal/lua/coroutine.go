package lua

// resume runs a coroutine until it yields, returns or fails. The results are what it yields or
// returns.
func (s *State) resume(co *thread, args []Value) ([]Value, error) {
	if s.goCalls >= goCallsMax {
		return nil, errorString("C stack overflow")
	}
	from := s.running
	err := s.protect(func() {
		s.goCalls++
		co.goCallsBase = s.goCalls
		s.running = co
		co.proceed(args)
		s.running = from
		s.goCalls--
	})
	if err != nil {
		co.status = statusDead
		return nil, err
	}
	if co.status == statusYielding {
		co.status = statusSuspended
		return co.yielded, nil
	}
	co.status = statusDead
	return co.stack[:co.top], nil
}

// proceed starts the coroutine, or goes on behind its yield.
func (th *thread) proceed(args []Value) {
	started := len(th.frames) > 1
	th.status = statusRunning
	if started {
		th.deliver(args, th.pendingAt, th.pendingWant)
		th.execute()
		return
	}
	th.need(1 + len(args))
	th.top = 1 + copy(th.stack[1:], args)
	if th.enter(0, all) {
		th.frame().fresh = true
		th.execute()
	}
}

var coroutineEntries = []Entry{
	{"create", func(c *Call) { c.Return(threadValue(newCoroutine(c))) }},
	{"resume", coResume},
	{"running", coRunning},
	{"status", coStatus},
	{"wrap", coWrap},
	{"yield", coYield},
}

func newCoroutine(c *Call) *thread {
	v := c.Arg(1)
	if !v.isFunction() || v.function().IsGo() {
		c.ArgError(1, "Lua function expected")
	}
	return c.state.newThread(v.function())
}

func (c *Call) checkThread(n int) *thread {
	v := c.Arg(n)
	if !v.isThread() {
		c.ArgError(n, "coroutine expected")
	}
	return v.thread()
}

// statusName returns what a coroutine is to the one that asks.
func (c *Call) statusName(co *thread) string {
	switch {
	case co == c.thread:
		return "running"
	case co.status == statusRunning:
		return "normal"
	case co.status == statusDead:
		return "dead"
	default:
		return "suspended"
	}
}

func coStatus(c *Call) { c.Return(String(c.statusName(c.checkThread(1)))) }

func coRunning(c *Call) {
	if c.thread == c.state.main {
		c.Return(Nil)
		return
	}
	c.Return(threadValue(c.thread))
}

// resumeArgs resumes a coroutine, if it can be.
func (c *Call) resumeArgs(co *thread, args []Value) ([]Value, *Error) {
	if name := c.statusName(co); name != "suspended" {
		return nil, errorf("cannot resume %s coroutine", name)
	}
	results, err := c.state.resume(co, args)
	switch err := err.(type) {
	case nil:
		return results, nil
	case *Error:
		return nil, err
	default:
		panic(&abort{err})
	}
}

func coResume(c *Call) {
	results, err := c.resumeArgs(c.checkThread(1), c.Args()[1:])
	if err != nil {
		c.Return(False, err.Value)
		return
	}
	c.Return(True)
	c.Return(results...)
}

func coWrap(c *Call) {
	co := newCoroutine(c)
	c.Return(FunctionValue(c.state.newWrapper(co)))
}

// newWrapper returns a function that resumes a coroutine, and raises its errors.
func (s *State) newWrapper(co *thread) *Function {
	f := s.NewFunction(func(c *Call) {
		results, err := c.resumeArgs(co, c.Args())
		if err != nil {
			if text, ok := ToString(err.Value); ok {
				c.Raise(c.state.newString(c.Where(1) + text))
			}
			c.Raise(err.Value)
		}
		c.Return(results...)
	})
	f.holds = []Value{threadValue(co)}
	return f
}

func coYield(c *Call) {
	th := c.thread
	if c.state.goCalls > th.goCallsBase {
		panic(errorString("attempt to yield across metamethod/C-call boundary"))
	}
	before := cap(th.yielded)
	th.yielded = append(th.yielded[:0], c.args...)
	if grown := cap(th.yielded) - before; grown > 0 {
		c.state.charge(grown * sizeofValue)
	}
	th.status = statusYielding
}
