package lua

// jump adds a jump whose target is open. What would jump to it goes where it goes.
func (b *builder) jump() jumps {
	waiting := b.pending
	b.pending = nil
	at := b.emit(opJump, 0, 0, 0)
	b.lex.hold(sizeofJump)
	return append(waiting, at)
}

// label returns the place of the next instruction, to which a jump may lead.
func (b *builder) label() int {
	b.lastTarget = b.pc()
	return b.pc()
}

// jumpHere lets the jumps lead to the next instruction.
func (b *builder) jumpHere(list jumps) {
	b.label()
	b.pending = joined(b.pending, list)
}

// joined returns the jumps of both lists, which must not be used any more. It adds the shorter one
// to the longer one, so that a chain of operators costs no more than its length.
func joined(x, y jumps) jumps {
	if len(x) < len(y) {
		x, y = y, x
	}
	return append(x, y...)
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
