package lua

// operandKind says where the value of an expression is while code for it is made: code that
// fetches it is put off for as long as possible, so that it can go where it is wanted.
type operandKind uint8

const (
	kindVoid      operandKind = iota // no value: an empty list
	kindNilConst                     // nil
	kindTrue                         // true
	kindFalse                        // false
	kindConstant                     // constant number index
	kindNumeral                      // number
	kindLocal                        // the local variable in register index
	kindUpvalue                      // upvalue number index
	kindGlobal                       // the global variable named by constant number index
	kindIndexed                      // register index, indexed by key, which may be a constant
	kindJump                         // a comparison: the jump at index is taken if it holds
	kindPending                      // the instruction at index makes it; its register a is open
	kindRegister                     // in register index
	kindCallValue                    // the call at index
	kindVarargs                      // the instruction opVararg at index
)

// operand is an expression for which code is being made.
type operand struct {
	kind   operandKind
	index  int
	key    int
	number float64

	// Jumps out of the expression: to where it is known to be true, or false. The value that
	// decided is in the register that the jump's opTestSet names, if it has one.
	ifTrue, ifFalse jumps
}

// jumps are instructions whose target is not known yet.
type jumps []int

func (e *operand) hasJumps() bool { return len(e.ifTrue) > 0 || len(e.ifFalse) > 0 }

func (e *operand) isNumeral() bool { return e.kind == kindNumeral && !e.hasJumps() }

// isMulti reports whether e can have any number of values.
func (e *operand) isMulti() bool { return e.kind == kindCallValue || e.kind == kindVarargs }
