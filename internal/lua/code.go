package lua

// opcode is what an instruction does. Registers are R, constants K, upvalues U; RK(x) is
// K[x-256] if x >= 256, and else R[x].
type opcode uint8

const (
	opMove      opcode = iota // R[a] = R[b]
	opLoadK                   // R[a] = K[b]
	opLoadBool                // R[a] = b != 0; if c != 0, skip the next instruction
	opLoadNil                 // R[a..b] = nil
	opGetUpval                // R[a] = U[b]
	opGetGlobal               // R[a] = G[K[b]]
	opGetTable                // R[a] = R[b][RK(c)]
	opGetField                // R[a] = R[b][K[c]], a string
	opSetGlobal               // G[K[b]] = R[a]
	opSetUpval                // U[b] = R[a]
	opSetTable                // R[a][RK(b)] = RK(c)
	opNewTable                // R[a] = {}; room for about b and c values
	opSelf                    // R[a+1] = R[b]; R[a] = R[b][RK(c)]
	opAdd                     // R[a] = RK(b) + RK(c), and so on
	opSub
	opMul
	opDiv
	opMod
	opPow
	opUnm      // R[a] = -R[b]
	opNot      // R[a] = not R[b]
	opLen      // R[a] = #R[b]
	opConcat   // R[a] = R[b] .. ... .. R[c]
	opJump     // go on b instructions further
	opEq       // if (RK(b) == RK(c)) ~= (a != 0), skip the next instruction; and so on
	opLt       //
	opLe       //
	opTest     // if truth of R[a] ~= (c != 0), skip the next instruction
	opTestSet  // if truth of R[b] ~= (c != 0), skip the next one, else R[a] = R[b]
	opCall     // R[a], ... = R[a](R[a+1], ...); b-1 arguments, c-1 results; 0: to the top
	opTailCall // return R[a](R[a+1], ...); b-1 arguments; 0: to the top
	opReturn   // return R[a], ...; b-1 values; 0: to the top
	opForLoop  // R[a] += R[a+2]; if that is within R[a+1], R[a+3] = R[a] and go on b further
	opForPrep  // R[a] -= R[a+2]; go on b further
	opTForLoop // R[a+3], ... = R[a](R[a+1], R[a+2]), c results; skip the next one if R[a+3] is nil
	opSetList  // R[a][(b-1)*50 + i] = R[a+i] for i = 1..c; 0: to the top
	opClose    // variables from R[a] on leave the stack
	opClosure  // R[a] = a closure of prototype b
	opVararg   // R[a], ... = the variable arguments, b-1 of them; 0: all, to the top
)

// instr is one instruction.
type instr struct {
	op opcode
	a  uint8
	c  uint16
	b  int32
}

const (
	// constantBit marks a constant in an operand that may be either.
	constantBit = 256
	// noRegister is the register of a value that nobody wants.
	noRegister = 255

	registersMax = 250
	localsMax    = 200
	upvaluesMax  = 60
	constantsMax = 1<<18 - 1
	jumpMax      = 1<<17 - 1

	// fieldsPerFlush is how many values a table constructor collects in registers.
	fieldsPerFlush = 50
)

// proto is the code of a function, without the variables of others that it uses.
type proto struct {
	chunk     string // its name as Load got it
	name      string // and as errors show it
	firstLine int    // 0 for a whole chunk
	params    int
	registers int
	variadic  bool
	needsArg  bool // a table of the variable arguments goes into the local variable arg

	code         []instr
	lines        []int32 // of each instruction
	constants    []Value
	protos       []*proto
	captures     []capture // where a new closure finds its upvalues
	upvalueNames []string
	locals       []localVar // in the order of their beginning
	names        int        // bytes of the names of locals and upvalues

	epoch uint32
}

// capture is a variable of the enclosing function: one of its registers, or one of its own
// upvalues.
type capture struct {
	local bool
	index int
}

// localVar is a local variable and the instructions [from, to) during which it is active.
type localVar struct {
	name     string
	from, to int
}

// The sizes of what functions are made of, with the slices' own room to grow.
const (
	sizeofProto    = 320
	sizeofInstr    = 12 // with its line
	sizeofLocal    = 32
	sizeofCapture  = 32 // with the header of its name
	sizeofProtoRef = 8
)

// size returns about how many bytes the function takes, without those in it and without its
// constants' texts.
func (p *proto) size() int64 {
	n := sizeofProto + sizeofInstr*cap(p.code) + sizeofValue*cap(p.constants) + sizeofLocal*cap(p.locals) +
		sizeofCapture*cap(p.captures) + sizeofProtoRef*cap(p.protos) + p.names
	return int64(n)
}

// sizeOfAll is size with the constants' texts, and with the functions within.
func (p *proto) sizeOfAll() int64 {
	n := p.size()
	for _, k := range p.constants {
		if k.isString() {
			n += int64(k.strLen())
		}
	}
	for _, inner := range p.protos {
		n += inner.sizeOfAll()
	}
	return n
}

func (p *proto) line(pc int) int {
	if pc < 0 || pc >= len(p.lines) {
		return 0
	}
	return int(p.lines[pc])
}
