package lua

import "strings"

// builder makes the code of one function, while the parser reads it.
type builder struct {
	p      *proto
	parent *builder
	lex    *lexer
	block  *block

	constants  map[constantKey]int
	active     []int // of the active local variables, by register: their place in p.locals
	free       int   // the first register that holds nothing; all above are free too
	pending    jumps // to the next instruction
	lastTarget int   // the last instruction that some jump is known to lead to
}

// constantKey tells constants apart. Numbers are equal as Lua compares them: -0 finds the
// constant 0.
type constantKey struct {
	kind   Kind
	number float64
	text   string
}

// block is a scope, or a loop.
type block struct {
	parent   *block
	loop     bool
	breaks   jumps
	outer    int  // active variables outside
	captured bool // some variable of it is an upvalue
}

// What the compiler needs besides the code that it makes.
const (
	sizeofBuilder  = 256
	sizeofJump     = 16  // in the lists that it is part of
	sizeofConstant = 128 // while the map of them is there
)

func newBuilder(l *lexer, parent *builder, line int) *builder {
	l.hold(sizeofProto + sizeofBuilder)
	p := &proto{chunk: l.chunk, name: l.name, firstLine: line, registers: 2}
	return &builder{p: p, parent: parent, lex: l, constants: make(map[constantKey]int), lastTarget: -1}
}

// finish ends the function.
func (b *builder) finish() *proto {
	b.endLocals(0)
	b.emit(opReturn, 0, 1, 0)
	b.refine()
	return b.p
}

// refine gives instructions that index by a constant string their faster form.
func (b *builder) refine() {
	for i := range b.p.code {
		in := &b.p.code[i]
		if in.op == opGetTable && in.c >= constantBit && b.p.constants[in.c-constantBit].isString() {
			in.op = opGetField
			in.c -= constantBit
		}
	}
}

func (b *builder) pc() int { return len(b.p.code) }

// emit adds an instruction, whose line is that of the last token that has been used.
func (b *builder) emit(op opcode, a, bb, c int) int {
	b.patch(b.pending, b.pc(), noRegister, b.pc())
	b.pending = nil
	room := cap(b.p.code)
	b.p.code = append(b.p.code, instr{op: op, a: uint8(a), b: int32(bb), c: uint16(c)})
	b.p.lines = append(b.p.lines, int32(b.lex.lastLine))
	if grown := cap(b.p.code) - room; grown > 0 {
		b.lex.hold(grown * sizeofInstr)
	}
	return b.pc() - 1
}

// fixLine changes the line of the last instruction.
func (b *builder) fixLine(line int) { b.p.lines[b.pc()-1] = int32(line) }

func (b *builder) at(e *operand) *instr { return &b.p.code[e.index] }

// loadNil puts nil into count registers. New registers of a function hold it already, and
// a neighbouring instruction can do it too, unless a jump leads between.
func (b *builder) loadNil(from, count int) {
	if pc := b.pc(); pc > b.lastTarget {
		if pc == 0 {
			if from >= len(b.active) {
				return
			}
		} else if last := &b.p.code[pc-1]; last.op == opLoadNil && int(last.a) <= from && from <= int(last.b)+1 {
			last.b = max(last.b, int32(from+count-1))
			return
		}
	}
	b.emit(opLoadNil, from, from+count-1, 0)
}

// constant returns the number of constant v.
func (b *builder) constant(v Value) int {
	key := constantKey{kind: v.Kind()}
	switch key.kind {
	case KindNumber:
		key.number = v.number()
	case KindString:
		key.text = v.str()
	case KindBool:
		key.number = float64(v.bits & 1)
	}
	if i, ok := b.constants[key]; ok {
		return i
	}
	if len(b.p.constants) >= constantsMax {
		b.lex.fail("constant table overflow", 0)
	}
	b.lex.hold(sizeofConstant + len(key.text))
	if key.kind == KindString { // names are parts of the source, which must not stay for them
		key.text = strings.Clone(key.text)
		v = String(key.text)
	}
	i := len(b.p.constants)
	b.constants[key] = i
	b.p.constants = append(b.p.constants, v)
	return i
}

func (b *builder) text(s string) int { return b.constant(String(s)) }

// name returns a copy of a name that the function keeps.
func (b *builder) name(s string) string {
	b.lex.hold(len(s))
	b.p.names += len(s)
	return strings.Clone(s)
}

// room makes sure that count registers more exist.
func (b *builder) room(count int) {
	n := b.free + count
	if n > b.p.registers {
		if n >= registersMax {
			b.lex.failHere("function or expression too complex")
		}
		b.p.registers = n
	}
}

func (b *builder) reserve(count int) {
	b.room(count)
	b.free += count
}

// release frees a register that is neither a constant nor a variable's. It must be the last
// one in use.
func (b *builder) release(register int) {
	if register < constantBit && register >= len(b.active) {
		b.free--
		if register != b.free {
			panic("lua: registers freed out of order")
		}
	}
}

func (b *builder) releaseOperand(e *operand) {
	if e.kind == kindRegister {
		b.release(e.index)
	}
}
