package lua

import (
	"errors"
	"fmt"
)

// Error is an error of a program: any value that it raised, or a text of the machine. One
// that Load or Call return has not been caught by the program.
type Error struct {
	Value Value // what pcall returns as its second result

	// Chunk and Line say where the program was when it raised the error: the name as Load got
	// it, and the line in it. If a Go function that a Go function has called raised it, they
	// are "=[C]" and -1; if nothing ran, as for an error in the text, "" and 0.
	Chunk string
	Line  int
}

// Error returns the value as a text, as far as it is one.
func (e *Error) Error() string {
	if s, ok := ToString(e.Value); ok {
		return s
	}
	return fmt.Sprintf("(error object is a %s value)", e.Value.Kind())
}

// abort passes through protected calls, and State.Call returns err.
type abort struct{ err error }

// errMemory reports that a State holds more than Options.MemoryLimit, or that one value
// would be too large for any.
var errMemory = &abort{ErrMemory}

// ErrMemory is what State.Call returns when the program needs more than
// Options.MemoryLimit. The text is the reference implementation's.
var ErrMemory = errors.New("not enough memory")

// raised returns an error whose text has been made for the program, which pays for it: a program
// can keep what it catches.
func (s *State) raised(text string) *Error {
	s.charge(len(text) + sizeofValue)
	return errorString(text)
}

// errorString returns an error without a position, with a text that need not be paid for.
func errorString(text string) *Error { return &Error{Value: String(text)} }

func errorf(format string, args ...any) *Error { return errorString(fmt.Sprintf(format, args...)) }
