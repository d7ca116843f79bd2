package lua

import "math"

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
	jump := b.jump()
	return jump[len(jump)-1]
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
		right.ifFalse = joined(right.ifFalse, left.ifFalse)
		*left = *right
	case tokOr:
		b.fetch(right)
		right.ifTrue = joined(right.ifTrue, left.ifTrue)
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
