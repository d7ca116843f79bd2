package lua

// thread is one line of execution: the main one, or a coroutine. Its functions keep their
// registers in one stack and their places in another, so that a call from Lua to Lua uses no
// stack of Go's.
type thread struct {
	state  *State
	stack  []Value  // at least stackSlack longer than any frame needs
	top    int      // the end of the values that the last call or vararg left, or Go works on
	frames []*frame // those in use; the capacity holds used ones
	open   *upvalue // the variables in the stack that closures share, highest index first

	// framesLimit is the depth at which a stack overflow is reported; while the error
	// handler of one runs, it is framesMaxHandler.
	framesLimit int

	status      status
	goCallsBase int // goCalls of the State where the thread was resumed

	// While a coroutine waits in yield: where what it is resumed with goes.
	pendingAt, pendingWant int

	yielded []Value // what it passes to whoever resumed it

	id    uint32
	epoch uint32
}

// frame is one call in progress.
type frame struct {
	fn   *Function
	at   int // the place of fn in the stack; results go there
	base int // its first register
	want int // the number of results that the caller takes, or all
	pc   int // the next instruction, while another frame is on top
	// fresh marks the frame that a run of the machine has begun with; when it returns, so
	// does the machine.
	fresh     bool
	tailCalls int // callers that have replaced themselves
}

// status is what a thread does.
type status uint8

const (
	statusSuspended status = iota // not started, or in yield
	statusRunning                 // or has resumed another one that runs
	statusYielding                // on its way out to whoever resumed it
	statusDead
)

// all as the number of results or arguments means up to the top.
const all = -1

const (
	// stackSlack is the number of registers that instructions can name: a frame's registers
	// are seen as an array of this size.
	stackSlack = 256

	stackStart = stackSlack + 64

	sizeofThread = 192
	sizeofFrame  = 80 // with its place in the list
	framesKept   = 16 // that a thread keeps although no call uses them

	// The depth of calls at which a stack overflow is reported: the first time, after one has
	// been, and while the handler of one runs.
	framesMax        = 16384
	framesMaxAfter   = 20000
	framesMaxHandler = 32768

	// goCallsMax is how deep Go functions, metamethods, coroutines and the parser may be
	// within each other. Errors in handlers of that error go on for a little longer.
	goCallsMax      = 200
	goCallsMaxError = goCallsMax + goCallsMax/8
)

func (s *State) newThread(fn *Function) *thread {
	s.charge(stackStart*sizeofValue + sizeofThread)
	s.lastID++
	th := &thread{state: s, stack: make([]Value, stackStart), framesLimit: framesMax, id: s.lastID}
	th.frames = []*frame{{want: all}}
	if fn != nil {
		th.stack[0] = FunctionValue(fn)
		th.top = 1
	}
	return th
}

// frame returns the call in progress. The first frame of a thread is nobody's.
func (th *thread) frame() *frame { return th.frames[len(th.frames)-1] }

// need makes room for values below index n.
func (th *thread) need(n int) {
	if n+stackSlack > len(th.stack) {
		th.grow(n + stackSlack)
	}
}

func (th *thread) grow(n int) {
	size := max(n, 2*len(th.stack))
	th.state.charge((size - len(th.stack)) * sizeofValue)
	grown := make([]Value, size)
	copy(grown, th.stack)
	th.stack = grown
	for u := th.open; u != nil; u = u.next {
		u.at = &grown[u.index]
	}
}

// capture returns the upvalue for the variable at index i of the stack.
func (th *thread) capture(i int) *upvalue {
	link := &th.open
	for *link != nil && (*link).index > i {
		link = &(*link).next
	}
	if *link != nil && (*link).index == i {
		return *link
	}
	th.state.charge(sizeofUpvalue)
	u := &upvalue{at: &th.stack[i], index: i, next: *link}
	*link = u
	return u
}

// closeUpvalues takes the variables from index i on out of the stack.
func (th *thread) closeUpvalues(i int) {
	for u := th.open; u != nil && u.index >= i; u = th.open {
		th.open = u.next
		u.closed = *u.at
		u.at = &u.closed
		u.next = nil
	}
}

// call calls fn from Go and returns all its results. They lie above the top of the stack: whoever
// wants them takes them before anything else happens.
func (th *thread) call(fn Value, args []Value) []Value {
	at := th.pushCall(fn, args)
	th.callAt(at, all)
	results := th.stack[at:th.top]
	th.top = at
	return results
}

// callFirst is call for the first result alone, or Nil.
func (th *thread) callFirst(fn Value, args ...Value) Value {
	at := th.pushCall(fn, args)
	th.callAt(at, 1)
	th.top = at
	return th.stack[at]
}

// pushCall puts a function and its arguments on top of the stack, and returns the place of
// the function.
func (th *thread) pushCall(fn Value, args []Value) int {
	at := th.top
	if f := th.frame(); f.fn != nil && f.fn.native == nil {
		at = max(at, f.base+f.fn.proto.registers)
	}
	th.need(at + 1 + len(args))
	th.stack[at] = fn
	copy(th.stack[at+1:], args)
	th.top = at + 1 + len(args)
	return at
}

// callAt calls the function at index at of the stack with the arguments up to the top. The
// results begin at the same index; if all are wanted, they end at the top.
func (th *thread) callAt(at, want int) {
	s := th.state
	s.goCalls++
	if s.goCalls >= goCallsMax {
		th.goCallsOverflow()
	}
	if th.enter(at, want) {
		th.frame().fresh = true
		th.execute()
	}
	s.goCalls--
}

func (th *thread) goCallsOverflow() {
	if th.state.goCalls == goCallsMax {
		th.raise("C stack overflow")
	}
	if th.state.goCalls >= goCallsMaxError {
		panic(errInHandler)
	}
}
