package lua

import "slices"

// Options are the limits of a State. The zero value has none.
type Options struct {
	// MemoryLimit is how many bytes all that a program can reach may hold. The State looks
	// when this much has been allocated since it last looked, so for a moment there may be
	// half as much again, plus what Go has not collected yet. 0 is no limit.
	MemoryLimit int64

	// Interrupt is called every now and then while programs run: after some ten thousand
	// steps of the machine, or as much work in a library function. If it returns an error,
	// the program ends, and State.Call returns that error. It must not use the State.
	Interrupt func() error

	// Roots, if not nil, names the functions that the caller keeps for later, so that they, and
	// what they hold, count as memory of the programs.
	Roots func(add func(*Function))

	// Clock returns the processor time used so far, in seconds, for os.clock. Without it
	// there is no table os.
	Clock func() float64
}

// State is one world of Lua: globals, libraries, memory account. Between calls it keeps
// what programs have left in its globals.
type State struct {
	globals     *Table
	stringsMeta *Table // what s:upper() looks into
	main        *thread
	running     *thread

	options Options
	budget  int // steps until Interrupt is called
	memory  account
	random  lrand48

	goCalls int // Go functions, metamethods and machines within each other, on all threads

	protections int // protected calls within each other

	calls      []*Call // the first callsInUse belong to Go functions in progress
	callsInUse int

	lastID uint32 // of a table, function or thread
}

// New returns a State with empty globals.
func New(o Options) *State {
	s := &State{options: o}
	s.memory.limit, s.memory.trigger = o.MemoryLimit, o.MemoryLimit
	s.budget = stepsPerInterrupt
	s.random = lrand48Start
	s.globals = s.NewTable(0, 0)
	s.main = s.newThread(nil)
	s.main.status = statusRunning
	s.running = s.main
	return s
}

// Globals returns the table of the global variables.
func (s *State) Globals() *Table { return s.globals }

// StringMetatable returns the metatable of all strings, or nil before OpenLibs.
func (s *State) StringMetatable() *Table { return s.stringsMeta }

// SeedRandom starts the sequence of math.random anew. Each seed has its own sequence, which
// is that of Redis. A new State is seeded with 0x1234ABCD.
func (s *State) SeedRandom(seed int32) { s.random.seed(seed) }

// Memory returns an estimate of the bytes that the program can reach.
func (s *State) Memory() int64 { return s.memory.used }

// Collect counts anew what programs can reach, and returns the bytes. It lets go of what deep
// calls have needed; no program may be running.
func (s *State) Collect() int64 {
	if th := s.main; len(th.stack) > 4*stackStart {
		th.stack, th.top = make([]Value, stackStart), 0
		th.frames = th.frames[:1:1]
	}
	s.calls = s.calls[:0:0]
	s.memory.used = s.census()
	return s.memory.used
}

// Load compiles a chunk and returns it as a function without parameters. Errors name the
// chunk by name: "@user_script" is shown as user_script, "=x" as x, and any other name, which
// should be the text itself, as [string "..."]. The error is an *Error, or what a limit
// reports.
func (s *State) Load(name string, src []byte) (fn *Function, err error) {
	err = s.protect(func() { fn = s.compile(name, string(src)) })
	return fn, err
}

// Do runs Go code as a Go function that a program has called: it may use all of c but the results,
// and what ends the program ends it. Do returns that error.
func (s *State) Do(fn GoFunction) error {
	return s.protect(func() {
		fn(s.beginCall(s.running, nil))
		s.callsInUse--
	})
}

// CallFirst is Call for the first result alone, or Nil.
func (s *State) CallFirst(fn *Function, args ...Value) (result Value, err error) {
	err = s.protect(func() { result = s.running.callFirst(FunctionValue(fn), args...) })
	return result, err
}

// Call calls fn and returns its results. An error that the program did not catch is an
// *Error; one of Options.Interrupt is returned as it is. Call may be used by a Go function
// that the program has called.
func (s *State) Call(fn *Function, args ...Value) (results []Value, err error) {
	err = s.protect(func() { results = slices.Clone(s.running.call(FunctionValue(fn), args)) })
	return results, err
}
