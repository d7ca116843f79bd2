package lua

// statement reads one statement, and reports whether it must be the last of its block.
func (p *parser) statement() (last bool) {
	line := p.line
	switch p.current.token {
	case tokIf:
		p.ifStatement(line)
	case tokWhile:
		p.whileStatement(line)
	case tokDo:
		p.next()
		p.scope()
		p.close(tokEnd, tokDo, line)
	case tokFor:
		p.forStatement(line)
	case tokRepeat:
		p.repeatStatement(line)
	case tokFunction:
		p.functionStatement(line)
	case tokLocal:
		p.next()
		if p.accept(tokFunction) {
			p.localFunction()
		} else {
			p.localStatement()
		}
	case tokReturn:
		p.returnStatement()
		return true
	case tokBreak:
		p.next()
		p.breakStatement()
		return true
	default:
		p.expressionStatement()
	}
	return false
}

// condition reads a condition, and returns the jumps that are taken if it is false.
func (p *parser) condition() jumps {
	e := p.expression()
	if e.kind == kindNilConst {
		e.kind = kindFalse
	}
	p.fn.goIfTrue(&e)
	return e.ifFalse
}

func (p *parser) ifStatement(line int) {
	var toEnd jumps
	ifFalse := p.thenBlock()
	for p.current.token == tokElseif {
		toEnd = append(toEnd, p.fn.jump()...)
		p.fn.jumpHere(ifFalse)
		ifFalse = p.thenBlock()
	}
	if p.current.token == tokElse {
		toEnd = append(toEnd, p.fn.jump()...)
		p.fn.jumpHere(ifFalse)
		p.next()
		p.scope()
	} else {
		toEnd = append(toEnd, ifFalse...)
	}
	p.fn.jumpHere(toEnd)
	p.close(tokEnd, tokIf, line)
}

// thenBlock reads a condition and its block, and returns the jumps over it.
func (p *parser) thenBlock() jumps {
	p.next()
	ifFalse := p.condition()
	p.expect(tokThen)
	p.scope()
	return ifFalse
}

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
	bl.breaks = append(bl.breaks, b.jump()...)
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
	p.forBody(vars)
	b.jumpHere(prep)
	b.emit(opTForLoop, base, 0, vars)
	b.fixLine(line)
	b.jumpTo(b.jump(), prep[0]+1)
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

func (p *parser) localFunction() {
	b := p.fn
	p.declare(p.name(), 0)
	v := operand{kind: kindLocal, index: b.free}
	b.reserve(1)
	b.activate(1)
	at := b.active[len(b.active)-1]
	f := p.body(p.line, false)
	b.store(&v, &f)
	b.p.locals[at].from = b.pc() // errors know the variable only when it has its value
}

func (p *parser) localStatement() {
	vars := 0
	for {
		p.declare(p.name(), vars)
		vars++
		if !p.accept(',') {
			break
		}
	}
	var last operand
	count := 0
	if p.accept('=') {
		last, count = p.expressions()
	}
	p.adjust(vars, count, &last)
	p.fn.activate(vars)
}

// adjust makes count expressions, of which the last is not in a register yet, vars values in
// registers.
func (p *parser) adjust(vars, count int, last *operand) {
	b := p.fn
	extra := vars - count
	if last.isMulti() {
		extra = max(extra+1, 0)
		b.setResults(last, extra)
		if extra > 1 {
			b.reserve(extra - 1)
		}
		return
	}
	if last.kind != kindVoid {
		b.toNext(last)
	}
	if extra > 0 {
		register := b.free
		b.reserve(extra)
		b.loadNil(register, extra)
	}
}

func (p *parser) functionStatement(line int) {
	p.next()
	v := p.variable(p.name())
	for p.current.token == '.' {
		p.field(&v)
	}
	method := p.current.token == ':'
	if method {
		p.field(&v)
	}
	f := p.body(line, method)
	p.fn.store(&v, &f)
	p.fn.fixLine(line)
}

// body reads the parameters and the block of a function, which begins at line. A method has
// a parameter self.
func (p *parser) body(line int, method bool) operand {
	outer := p.fn
	p.fn = newBuilder(p.lexer, outer, line)
	p.expect('(')
	if method {
		p.declare("self", 0)
		p.fn.activate(1)
	}
	p.parameters()
	p.expect(')')
	p.chunk()
	p.close(tokEnd, tokFunction, line)
	inner := p.fn.finish()
	p.fn = outer
	outer.p.protos = append(outer.p.protos, inner)
	at := outer.emit(opClosure, 0, len(outer.p.protos)-1, 0)
	return operand{kind: kindPending, index: at}
}

func (p *parser) parameters() {
	b := p.fn
	count := 0
	for p.current.token != ')' {
		if p.current.token == tokDots {
			p.next()
			p.declare("arg", count)
			count++
			b.p.variadic, b.p.needsArg = true, true
			break
		}
		if p.current.token != tokName {
			p.failHere("<name> or '...' expected")
		}
		p.declare(p.name(), count)
		count++
		if !p.accept(',') {
			break
		}
		if p.current.token == ')' {
			p.failHere("<name> or '...' expected")
		}
	}
	b.activate(count)
	b.p.params = len(b.active)
	if b.p.variadic {
		b.p.params--
	}
	b.reserve(len(b.active))
}

// expressionStatement reads a call or an assignment.
func (p *parser) expressionStatement() {
	e := p.suffixedExpression()
	if e.kind == kindCallValue {
		p.fn.at(&e).c = 1
		return
	}
	p.assignment(&target{variable: e}, 1)
}

// target is a variable on the left side of an assignment, and those before it.
type target struct {
	variable operand
	previous *target
}

func (p *parser) assignment(t *target, vars int) {
	b := p.fn
	switch t.variable.kind {
	case kindLocal, kindUpvalue, kindGlobal, kindIndexed:
	default:
		p.failHere("syntax error")
	}
	if p.accept(',') {
		next := &target{variable: p.suffixedExpression(), previous: t}
		if next.variable.kind == kindLocal {
			p.saveConflicting(t, next.variable.index)
		}
		if limit := goCallsMax - p.state.goCalls; vars > limit {
			p.tooMany(b, limit, "variables in assignment")
		}
		p.assignment(next, vars+1)
	} else {
		p.expect('=')
		last, count := p.expressions()
		if count == vars {
			b.setOneResult(&last)
			b.store(&t.variable, &last)
			return
		}
		p.adjust(vars, count, &last)
		if count > vars {
			b.free -= count - vars
		}
	}
	value := operand{kind: kindRegister, index: b.free - 1}
	b.store(&t.variable, &value)
}

// saveConflicting copies a local variable that is about to be assigned, if one of the targets
// before it is indexed by it or an index of it: those mean its value before the assignment.
func (p *parser) saveConflicting(t *target, register int) {
	b := p.fn
	conflict := false
	for ; t != nil; t = t.previous {
		if v := &t.variable; v.kind == kindIndexed {
			if v.index == register {
				v.index = b.free
				conflict = true
			}
			if v.key == register {
				v.key = b.free
				conflict = true
			}
		}
	}
	if conflict {
		b.emit(opMove, b.free, register, 0)
		b.reserve(1)
	}
}

func (p *parser) returnStatement() {
	b := p.fn
	p.next()
	if p.blockEnds() || p.current.token == ';' {
		b.emit(opReturn, 0, 1, 0)
		return
	}
	last, count := p.expressions()
	switch {
	case last.isMulti():
		b.setResults(&last, all)
		if last.kind == kindCallValue && count == 1 {
			b.at(&last).op = opTailCall
		}
		b.emit(opReturn, len(b.active), all+1, 0)
	case count == 1:
		b.emit(opReturn, b.toAny(&last), 2, 0)
	default:
		b.toNext(&last)
		b.emit(opReturn, len(b.active), count+1, 0)
	}
}
