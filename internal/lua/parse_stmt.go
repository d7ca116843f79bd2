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
		toEnd = joined(toEnd, p.fn.jump())
		p.fn.jumpHere(ifFalse)
		ifFalse = p.thenBlock()
	}
	if p.current.token == tokElse {
		toEnd = joined(toEnd, p.fn.jump())
		p.fn.jumpHere(ifFalse)
		p.next()
		p.scope()
	} else {
		toEnd = joined(toEnd, ifFalse)
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
