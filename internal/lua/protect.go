package lua

// errInHandler is the error of an error handler that fails, too.
var errInHandler = errorString("error in error handling")

// stepsPerInterrupt is how many steps pass between two calls of Options.Interrupt.
const stepsPerInterrupt = 10000

// bytesPerStep is how many bytes a library function or an operator may read or write for
// one step.
const bytesPerStep = 256

// step accounts for n steps of work.
func (s *State) step(n int) {
	s.budget -= n
	if s.budget < 0 {
		s.interrupt()
	}
}

func (s *State) interrupt() {
	s.budget = stepsPerInterrupt
	if s.options.Interrupt == nil {
		return
	}
	if err := s.options.Interrupt(); err != nil {
		panic(&abort{err})
	}
}

// mark is what a protected call puts back when it catches an error.
type mark struct {
	thread  *thread
	frames  int
	top     int
	goCalls int
	calls   int
	pinned  int64
}

func (s *State) mark() mark {
	th := s.running
	return mark{th, len(th.frames), th.top, s.goCalls, s.callsInUse, s.memory.pinned}
}

func (s *State) unwind(m mark) {
	th := m.thread
	th.closeUpvalues(m.top)
	th.frames = th.frames[:m.frames]
	th.top = m.top
	if th.framesLimit > framesMaxAfter {
		th.framesLimit = framesMaxAfter
	}
	s.running = th
	s.goCalls = m.goCalls
	s.callsInUse = m.calls
	s.memory.pinned = m.pinned
}

// protect runs f and returns the error that it raises.
func (s *State) protect(f func()) error { return s.protectHandler(nil, f) }

// protectHandler is protect with a handler that is called where the error was raised.
func (s *State) protectHandler(handler *Function, f func()) (err error) {
	m := s.mark()
	defer func() {
		r := recover()
		if r == nil {
			return
		}
		err = s.caught(r, handler)
		s.unwind(m)
		if err == nil {
			panic(r)
		}
	}()
	f()
	return nil
}

// caught returns the error behind what a protected call has recovered: nil if it is none of
// this package's. The stack is still as it was when the error was raised.
func (s *State) caught(r any, handler *Function) error {
	switch r := r.(type) {
	case *abort:
		return r.err
	case *Error:
		return s.handled(r, handler)
	default:
		return nil
	}
}

// handled returns e with its position, and with the value that the handler makes of it. An
// error in the handler goes to the handler, until there is no stack left for it.
func (s *State) handled(e *Error, handler *Function) error {
	th := s.running
	result := &Error{Value: e.Value, Chunk: e.Chunk, Line: e.Line}
	if result.Chunk == "" {
		result.Chunk, result.Line = th.raisedAt()
	}
	if handler == nil || e == errInHandler {
		return result
	}
	err := s.protectHandler(handler, func() {
		result.Value = th.callFirst(FunctionValue(handler), e.Value)
	})
	if err != nil {
		return err
	}
	return result
}

// raisedAt returns the position of the running function, or, if it is one of Go, of its
// caller.
func (th *thread) raisedAt() (chunk string, line int) {
	if len(th.frames) > 1 && th.frame().fn.native == nil {
		chunk, line, _ = th.position(0)
		return chunk, line
	}
	chunk, line, _ = th.position(1)
	return chunk, line
}
