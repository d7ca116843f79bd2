package lua

import "unsafe"

// GoFunction is a function of Go that programs can call. It finds its arguments in c, and
// returns values with c.Return. c is valid until it returns.
type GoFunction func(c *Call)

// Function is a function of a program, or a Go function as a program sees it.
type Function struct {
	proto    *proto     // nil if native is set
	upvalues []*upvalue // as many as proto asks for
	native   GoFunction

	holds []Value // what native refers to

	id    uint32
	epoch uint32
}

// upvalue is a variable that closures share. While the function that declared it runs, the
// variable lives in the stack of its thread; then it moves into closed.
type upvalue struct {
	at     *Value // into a stack, or &closed
	closed Value

	// next is the open upvalue of the same thread that lies next below in the stack, at
	// index. Both mean nothing once the upvalue is closed.
	next  *upvalue
	index int

	epoch uint32
}

const (
	sizeofFunction = 64
	sizeofUpvalue  = 64
)

// NewFunction returns fn as a function for programs. Like the reference implementation's
// functions it has no name of its own: errors name it as the program that calls it does.
func (s *State) NewFunction(fn GoFunction) *Function {
	s.charge(sizeofFunction)
	s.lastID++
	return &Function{native: fn, id: s.lastID}
}

func (s *State) newClosure(p *proto) *Function {
	s.charge(sizeofFunction + len(p.upvalueNames)*int(unsafe.Sizeof(uintptr(0))))
	s.lastID++
	return &Function{proto: p, upvalues: make([]*upvalue, len(p.upvalueNames)), id: s.lastID}
}

// CodeSize returns about how many bytes the code of the function takes, with that of the functions
// in it.
func (f *Function) CodeSize() int64 {
	if f.proto == nil {
		return 0
	}
	return f.proto.sizeOfAll()
}

// IsGo reports whether the function is a Go function.
func (f *Function) IsGo() bool { return f.native != nil }
