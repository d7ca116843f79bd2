package lua

func (p *parser) whileStatement(line int) {
	b := p.fn
	p.next()
	start := b.label()
	exit := p.condition()
	b.enter(&block{loop: true})
	p.expect(tokDo)
	p.scope()
	b.jumpTo(b.jump(), start)
	p.close(tokEnd, tokWhile, line)
	b.leave()
	b.jumpHere(exit)
}

func (p *parser) repeatStatement(line int) {
	b := p.fn
	start := b.label()
	scope := &block{}
	b.enter(&block{loop: true})
	b.enter(scope)
	p.next()
	p.chunk()
	p.close(tokUntil, tokRepeat, line)
	again := p.condition()
	if !scope.captured {
		b.leave()
		b.jumpTo(again, start)
	} else { // the variables of a round leave the stack on either way out
		p.breakStatement()
		b.jumpHere(again)
		b.leave()
		b.jumpTo(b.jump(), start)
	}
	b.leave()
}

func (p *parser) breakStatement() {
	b := p.fn
	bl, captured := b.block, false
	for bl != nil && !bl.loop {
		captured = captured || bl.captured
		bl = bl.parent
	}
	if bl == nil {
		p.failHere("no loop to break")
	}
	if captured {
		b.emit(opClose, bl.outer, 0, 0)
	}
	bl.breaks = joined(bl.breaks, b.jump())
}

func (p *parser) forStatement(line int) {
	p.fn.enter(&block{loop: true})
	p.next()
	name := p.name()
	switch p.current.token {
	case '=':
		p.numericFor(name, line)
	case ',', tokIn:
		p.genericFor(name)
	default:
		p.failHere("'=' or 'in' expected")
	}
	p.close(tokEnd, tokFor, line)
	p.fn.leave()
}

func (p *parser) numericFor(name string, line int) {
	b := p.fn
	base := b.free
	for i, n := range []string{"(for index)", "(for limit)", "(for step)", name} {
		p.declare(n, i)
	}
	p.expect('=')
	p.toNextRegister()
	p.expect(',')
	p.toNextRegister()
	if p.accept(',') {
		p.toNextRegister()
	} else {
		b.emit(opLoadK, b.free, b.constant(Number(1)), 0)
		b.reserve(1)
	}
	p.activateFor(1)
	p.expect(tokDo)
	prep := b.emit(opForPrep, base, 0, 0)
	p.forBody(1)
	b.jumpHere(jumps{prep})
	loop := b.emit(opForLoop, base, 0, 0)
	b.fixLine(line)
	b.jumpTo(jumps{loop}, prep+1)
}

func (p *parser) toNextRegister() {
	e := p.expression()
	p.fn.toNext(&e)
}

func (p *parser) genericFor(name string) {
	b := p.fn
	base := b.free
	for i, n := range []string{"(for generator)", "(for state)", "(for control)", name} {
		p.declare(n, i)
	}
	vars := 1
	for p.accept(',') {
		p.declare(p.name(), 3+vars)
		vars++
	}
	p.expect(tokIn)
	line := p.line
	last, count := p.expressions()
	p.adjust(3, count, &last)
	b.room(3)
	p.activateFor(vars)
	p.expect(tokDo)
	prep := b.jump()
	body := b.pc()
	p.forBody(vars)
	b.jumpHere(prep)
	b.emit(opTForLoop, base, 0, vars)
	b.fixLine(line)
	b.jumpTo(b.jump(), body)
}

// activateFor makes the three hidden variables of a loop active; vars more are declared.
func (p *parser) activateFor(vars int) {
	b := p.fn
	first := len(b.p.locals) - vars - 3
	for i := first; i < first+3; i++ {
		b.p.locals[i].from = b.pc()
		b.active = append(b.active, i)
	}
}

// forBody reads the block of a loop with its variables.
func (p *parser) forBody(vars int) {
	b := p.fn
	b.enter(&block{})
	b.activate(vars)
	b.reserve(vars)
	p.scope()
	b.leave()
}
