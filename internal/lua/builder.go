package lua

import "math"

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

func newBuilder(l *lexer, parent *builder, line int) *builder {
	p := &proto{chunk: l.chunk, firstLine: line, registers: 2}
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

// Instructions.

func (b *builder) pc() int { return len(b.p.code) }

// emit adds an instruction, whose line is that of the last token that has been used.
func (b *builder) emit(op opcode, a, bb, c int) int {
	b.patch(b.pending, b.pc(), noRegister, b.pc())
	b.pending = nil
	b.p.code = append(b.p.code, instr{op: op, a: uint8(a), b: int32(bb), c: uint16(c)})
	b.p.lines = append(b.p.lines, int32(b.lex.lastLine))
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
	i := len(b.p.constants)
	b.constants[key] = i
	b.p.constants = append(b.p.constants, v)
	return i
}

func (b *builder) text(s string) int { return b.constant(String(s)) }

// Registers.

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

// Jumps.

// jump adds a jump whose target is open. What would jump to it goes where it goes.
func (b *builder) jump() jumps {
	waiting := b.pending
	b.pending = nil
	at := b.emit(opJump, 0, 0, 0)
	return append(jumps{at}, waiting...)
}

// label returns the place of the next instruction, to which a jump may lead.
func (b *builder) label() int {
	b.lastTarget = b.pc()
	return b.pc()
}

// jumpHere lets the jumps lead to the next instruction.
func (b *builder) jumpHere(list jumps) {
	b.label()
	b.pending = append(b.pending, list...)
}

func (b *builder) jumpTo(list jumps, target int) {
	if target == b.pc() {
		b.jumpHere(list)
		return
	}
	b.patch(list, target, noRegister, target)
}

// patch lets jumps that carry a value lead to withValue, with the value in that register,
// and the others to without.
func (b *builder) patch(list jumps, withValue, register, without int) {
	for _, at := range list {
		target := without
		if b.carry(at, register) {
			target = withValue
		}
		offset := target - (at + 1)
		if offset > jumpMax || offset < -jumpMax {
			b.lex.failHere("control structure too long")
		}
		b.p.code[at].b = int32(offset)
	}
}

// control returns the instruction that decides about the jump at a place: the test in front
// of it, or itself.
func (b *builder) control(at int) *instr {
	if at > 0 {
		switch in := &b.p.code[at-1]; in.op {
		case opEq, opLt, opLe, opTest, opTestSet, opTForLoop:
			return in
		}
	}
	return &b.p.code[at]
}

// carry sends the value that the jump at a place has tested into a register, or nowhere. It
// reports false if the jump has none.
func (b *builder) carry(at, register int) bool {
	in := b.control(at)
	if in.op != opTestSet {
		return false
	}
	if register != noRegister && register != int(in.b) {
		in.a = uint8(register)
		return true
	}
	*in = instr{op: opTest, a: uint8(in.b), c: in.c}
	return true
}

// lacksValue reports whether some jump carries no value.
func (b *builder) lacksValue(list jumps) bool {
	for _, at := range list {
		if b.control(at).op != opTestSet {
			return true
		}
	}
	return false
}

func (b *builder) dropValues(list jumps) {
	for _, at := range list {
		b.carry(at, noRegister)
	}
}

// Values.

// setResults makes a call or ... have count values; all is any number.
func (b *builder) setResults(e *operand, count int) {
	switch e.kind {
	case kindCallValue:
		b.at(e).c = uint16(count + 1)
	case kindVarargs:
		b.at(e).b = int32(count + 1)
		b.at(e).a = uint8(b.free)
		b.reserve(1)
	}
}

func (b *builder) setOneResult(e *operand) {
	switch e.kind {
	case kindCallValue:
		e.kind = kindRegister
		e.index = int(b.at(e).a)
	case kindVarargs:
		b.at(e).b = 2
		e.kind = kindPending
	}
}

// fetch adds the code that reads a variable, so that e is a value.
func (b *builder) fetch(e *operand) {
	switch e.kind {
	case kindLocal:
		e.kind = kindRegister
	case kindUpvalue:
		e.index = b.emit(opGetUpval, 0, e.index, 0)
		e.kind = kindPending
	case kindGlobal:
		e.index = b.emit(opGetGlobal, 0, e.index, 0)
		e.kind = kindPending
	case kindIndexed:
		b.release(e.key)
		b.release(e.index)
		e.index = b.emit(opGetTable, 0, e.index, e.key)
		e.kind = kindPending
	case kindCallValue, kindVarargs:
		b.setOneResult(e)
	}
}

// load puts the value into a register, but for what its jumps carry.
func (b *builder) load(e *operand, register int) {
	b.fetch(e)
	switch e.kind {
	case kindNilConst:
		b.loadNil(register, 1)
	case kindTrue:
		b.emit(opLoadBool, register, 1, 0)
	case kindFalse:
		b.emit(opLoadBool, register, 0, 0)
	case kindConstant:
		b.emit(opLoadK, register, e.index, 0)
	case kindNumeral:
		b.emit(opLoadK, register, b.constant(Number(e.number)), 0)
	case kindPending:
		b.at(e).a = uint8(register)
	case kindRegister:
		if e.index != register {
			b.emit(opMove, register, e.index, 0)
		}
	default: // kindVoid and kindJump
		return
	}
	e.kind = kindRegister
	e.index = register
}

func (b *builder) loadAnywhere(e *operand) {
	if e.kind != kindRegister {
		b.reserve(1)
		b.load(e, b.free-1)
	}
}

// settle puts the value into a register, whichever way it is reached.
func (b *builder) settle(e *operand, register int) {
	b.load(e, register)
	if e.kind == kindJump {
		e.ifTrue = append(e.ifTrue, e.index)
	}
	if e.hasJumps() {
		loadFalse, loadTrue := -1, -1
		if b.lacksValue(e.ifTrue) || b.lacksValue(e.ifFalse) {
			var over jumps
			if e.kind != kindJump {
				over = b.jump()
			}
			b.label()
			loadFalse = b.emit(opLoadBool, register, 0, 1)
			b.label()
			loadTrue = b.emit(opLoadBool, register, 1, 0)
			b.jumpHere(over)
		}
		end := b.label()
		b.patch(e.ifFalse, end, register, loadFalse)
		b.patch(e.ifTrue, end, register, loadTrue)
	}
	*e = operand{kind: kindRegister, index: register}
}

// toNext puts the value into the next free register.
func (b *builder) toNext(e *operand) {
	b.fetch(e)
	b.releaseOperand(e)
	b.reserve(1)
	b.settle(e, b.free-1)
}

// toAny puts the value into some register and returns it.
func (b *builder) toAny(e *operand) int {
	b.fetch(e)
	if e.kind == kindRegister {
		if !e.hasJumps() {
			return e.index
		}
		if e.index >= len(b.active) {
			b.settle(e, e.index)
			return e.index
		}
	}
	b.toNext(e)
	return e.index
}

func (b *builder) toValue(e *operand) {
	if e.hasJumps() {
		b.toAny(e)
		return
	}
	b.fetch(e)
}

// toOperand makes the value a constant or puts it into a register, and returns which, as
// instructions name it.
func (b *builder) toOperand(e *operand) int {
	b.toValue(e)
	switch e.kind {
	case kindNilConst, kindTrue, kindFalse, kindNumeral:
		if len(b.p.constants) < constantBit {
			var v Value
			switch e.kind {
			case kindTrue:
				v = True
			case kindFalse:
				v = False
			case kindNumeral:
				v = Number(e.number)
			}
			e.index = b.constant(v)
			e.kind = kindConstant
			return e.index + constantBit
		}
	case kindConstant:
		if e.index < constantBit {
			return e.index + constantBit
		}
	}
	return b.toAny(e)
}

// store assigns the value to a variable.
func (b *builder) store(variable, e *operand) {
	switch variable.kind {
	case kindLocal:
		b.releaseOperand(e)
		b.settle(e, variable.index)
		return
	case kindUpvalue:
		b.emit(opSetUpval, b.toAny(e), variable.index, 0)
	case kindGlobal:
		b.emit(opSetGlobal, b.toAny(e), variable.index, 0)
	case kindIndexed:
		b.emit(opSetTable, variable.index, variable.key, b.toOperand(e))
	}
	b.releaseOperand(e)
}

// index makes t the value of its field key. t is in a register.
func (b *builder) index(t, key *operand) {
	t.key = b.toOperand(key)
	t.kind = kindIndexed
}

// self makes e the method key of e, with e behind it as the first argument.
func (b *builder) self(e, key *operand) {
	b.toAny(e)
	b.releaseOperand(e)
	at := b.free
	b.reserve(2)
	b.emit(opSelf, at, e.index, b.toOperand(key))
	b.releaseOperand(key)
	*e = operand{kind: kindRegister, index: at}
}

// Conditions.

// jumpIf adds a jump that is taken if e is as said.
func (b *builder) jumpIf(e *operand, truth bool) int {
	if e.kind == kindPending {
		if in := *b.at(e); in.op == opNot {
			b.p.code = b.p.code[:b.pc()-1]
			b.p.lines = b.p.lines[:b.pc()]
			return b.test(instr{op: opTest, a: uint8(in.b), c: bit(!truth)})
		}
	}
	b.loadAnywhere(e)
	b.releaseOperand(e)
	return b.test(instr{op: opTestSet, a: noRegister, b: int32(e.index), c: bit(truth)})
}

func bit(b bool) uint16 {
	if b {
		return 1
	}
	return 0
}

// test adds a test and the jump that belongs to it, whose place it returns.
func (b *builder) test(in instr) int {
	b.emit(in.op, int(in.a), int(in.b), int(in.c))
	return b.jump()[0]
}

func (b *builder) invert(e *operand) {
	in := b.control(e.index)
	in.a = 1 - in.a
}

// goIfTrue lets what follows run only if e is true; ifFalse of e jumps over it.
func (b *builder) goIfTrue(e *operand) {
	b.fetch(e)
	switch e.kind {
	case kindConstant, kindNumeral, kindTrue:
	case kindJump:
		b.invert(e)
		e.ifFalse = append(e.ifFalse, e.index)
	default:
		e.ifFalse = append(e.ifFalse, b.jumpIf(e, false))
	}
	b.jumpHere(e.ifTrue)
	e.ifTrue = nil
}

// goIfFalse lets what follows run only if e is false; ifTrue of e jumps over it.
func (b *builder) goIfFalse(e *operand) {
	b.fetch(e)
	switch e.kind {
	case kindNilConst, kindFalse:
	case kindJump:
		e.ifTrue = append(e.ifTrue, e.index)
	default:
		e.ifTrue = append(e.ifTrue, b.jumpIf(e, true))
	}
	b.jumpHere(e.ifFalse)
	e.ifFalse = nil
}

func (b *builder) not(e *operand) {
	b.fetch(e)
	switch e.kind {
	case kindNilConst, kindFalse:
		e.kind = kindTrue
	case kindConstant, kindNumeral, kindTrue:
		e.kind = kindFalse
	case kindJump:
		b.invert(e)
	default:
		b.loadAnywhere(e)
		b.releaseOperand(e)
		e.index = b.emit(opNot, 0, e.index, 0)
		e.kind = kindPending
	}
	e.ifTrue, e.ifFalse = e.ifFalse, e.ifTrue
	b.dropValues(e.ifTrue)
	b.dropValues(e.ifFalse)
}

// Operators.

func (b *builder) prefix(op token, e *operand) {
	switch op {
	case tokNot:
		b.not(e)
	case '-':
		if e.isNumeral() {
			if !math.IsNaN(e.number) {
				e.number = -e.number
				return
			}
		}
		b.unary(opUnm, e)
	case '#':
		b.unary(opLen, e)
	}
}

func (b *builder) unary(op opcode, e *operand) {
	b.toAny(e)
	b.releaseOperand(e)
	e.index = b.emit(op, 0, e.index, 0)
	e.kind = kindPending
}

// infix prepares the left operand before code for the right one is made.
func (b *builder) infix(op token, e *operand) {
	switch op {
	case tokAnd:
		b.goIfTrue(e)
	case tokOr:
		b.goIfFalse(e)
	case tokConcat:
		b.toNext(e)
	case '+', '-', '*', '/', '%', '^':
		if !e.isNumeral() {
			b.toOperand(e)
		}
	default:
		b.toOperand(e)
	}
}

var arithmetic = map[token]opcode{'+': opAdd, '-': opSub, '*': opMul, '/': opDiv, '%': opMod, '^': opPow}

// postfix makes left the result of the operator.
func (b *builder) postfix(op token, left, right *operand) {
	switch op {
	case tokAnd:
		b.fetch(right)
		right.ifFalse = append(right.ifFalse, left.ifFalse...)
		*left = *right
	case tokOr:
		b.fetch(right)
		right.ifTrue = append(right.ifTrue, left.ifTrue...)
		*left = *right
	case tokConcat:
		b.concat(left, right)
	case tokEq:
		b.compare(opEq, true, left, right)
	case tokNe:
		b.compare(opEq, false, left, right)
	case '<':
		b.compare(opLt, true, left, right)
	case tokLe:
		b.compare(opLe, true, left, right)
	case '>':
		b.compare(opLt, false, left, right)
	case tokGe:
		b.compare(opLe, false, left, right)
	default:
		b.arithmetic(arithmetic[op], left, right)
	}
}

// concat joins a chain of .. into one instruction over neighbouring registers.
func (b *builder) concat(left, right *operand) {
	b.toValue(right)
	if right.kind == kindPending && b.at(right).op == opConcat {
		b.releaseOperand(left)
		b.at(right).b = int32(left.index)
		left.kind = kindPending
		left.index = right.index
		return
	}
	b.toNext(right)
	b.binary(opConcat, left, right)
}

func (b *builder) arithmetic(op opcode, left, right *operand) {
	if left.isNumeral() && right.isNumeral() {
		divides := op == opDiv || op == opMod
		f := calculate(op, left.number, right.number)
		if !(divides && right.number == 0) && !math.IsNaN(f) {
			left.number = f
			return
		}
	}
	b.binary(op, left, right)
}

func (b *builder) binary(op opcode, left, right *operand) {
	r := b.toOperand(right)
	l := b.toOperand(left)
	if l > r {
		b.releaseOperand(left)
		b.releaseOperand(right)
	} else {
		b.releaseOperand(right)
		b.releaseOperand(left)
	}
	left.index = b.emit(op, 0, l, r)
	left.kind = kindPending
}

// compare makes left a jump that is taken if the comparison comes out as said.
func (b *builder) compare(op opcode, truth bool, left, right *operand) {
	l := b.toOperand(left)
	r := b.toOperand(right)
	b.releaseOperand(right)
	b.releaseOperand(left)
	if !truth && op != opEq {
		l, r, truth = r, l, true
	}
	left.index = b.test(instr{op: op, a: uint8(bit(truth)), b: int32(l), c: uint16(r)})
	left.kind = kindJump
}
