package lua

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
