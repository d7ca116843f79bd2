package lua

// declare adds a local variable, which is active after activate. It is number i of those
// that are declared together.
func (p *parser) declare(name string, i int) {
	b := p.fn
	if len(b.active)+i+1 > localsMax {
		p.tooMany(b, localsMax, "local variables")
	}
	if len(b.p.locals) >= 1<<15-1 {
		p.fail("too many local variables", 0)
	}
	b.lex.hold(sizeofLocal)
	b.p.locals = append(b.p.locals, localVar{name: b.name(name)})
}

// activate makes the last count declared variables visible. They are in the registers that
// follow those of the active ones.
func (b *builder) activate(count int) {
	for i := len(b.p.locals) - count; i < len(b.p.locals); i++ {
		b.p.locals[i].from = b.pc()
		b.active = append(b.active, i)
	}
}

// endLocals makes all variables but the first level ones invisible.
func (b *builder) endLocals(level int) {
	for _, i := range b.active[level:] {
		b.p.locals[i].to = b.pc()
	}
	b.active = b.active[:level]
}

func (b *builder) enter(bl *block) {
	bl.parent = b.block
	bl.outer = len(b.active)
	b.block = bl
}

func (b *builder) leave() {
	bl := b.block
	b.block = bl.parent
	b.endLocals(bl.outer)
	if bl.captured {
		b.emit(opClose, bl.outer, 0, 0)
	}
	b.free = len(b.active)
	b.jumpHere(bl.breaks)
}

// variable returns the variable that a name means where it stands.
func (p *parser) variable(name string) operand {
	e := p.resolve(p.fn, name)
	if e.kind == kindGlobal {
		e.index = p.fn.text(name)
	}
	return e
}

func (p *parser) resolve(b *builder, name string) operand {
	if b == nil {
		return operand{kind: kindGlobal}
	}
	p.state.budget -= len(b.active) / 8
	for i := len(b.active) - 1; i >= 0; i-- {
		if b.p.locals[b.active[i]].name == name {
			if b != p.fn {
				b.markCaptured(i)
			}
			return operand{kind: kindLocal, index: i}
		}
	}
	e := p.resolve(b.parent, name)
	if e.kind == kindGlobal {
		return e
	}
	return operand{kind: kindUpvalue, index: p.upvalue(b, name, e)}
}

// markCaptured notes that the variable in a register becomes an upvalue, in the block that
// has to close it.
func (b *builder) markCaptured(register int) {
	bl := b.block
	for bl != nil && bl.outer > register {
		bl = bl.parent
	}
	if bl != nil {
		bl.captured = true
	}
}

// upvalue returns the number of the upvalue of b that is outer, a variable of the function
// around it.
func (p *parser) upvalue(b *builder, name string, outer operand) int {
	c := capture{local: outer.kind == kindLocal, index: outer.index}
	for i := range b.p.captures {
		if b.p.captures[i] == c {
			return i
		}
	}
	if len(b.p.captures) >= upvaluesMax {
		p.tooMany(b, upvaluesMax, "upvalues")
	}
	b.lex.hold(sizeofCapture)
	b.p.captures = append(b.p.captures, c)
	b.p.upvalueNames = append(b.p.upvalueNames, b.name(name))
	return len(b.p.captures) - 1
}
