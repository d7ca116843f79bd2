package lua

// priorities are how strongly binary operators bind what stands on their left and right.
var priorities = map[token]struct{ left, right int }{
	'+': {6, 6}, '-': {6, 6},
	'*': {7, 7}, '/': {7, 7}, '%': {7, 7},
	'^':       {10, 9},
	tokConcat: {5, 4},
	tokEq:     {3, 3}, tokNe: {3, 3}, '<': {3, 3}, tokLe: {3, 3}, '>': {3, 3}, tokGe: {3, 3},
	tokAnd: {2, 2},
	tokOr:  {1, 1},
}

const unaryPriority = 8

func (p *parser) expression() operand {
	e, _ := p.binaryExpression(0)
	return e
}

// binaryExpression reads operands joined by operators that bind more than limit. It returns
// the operator that it has left, or 0.
func (p *parser) binaryExpression(limit int) (left operand, rest token) {
	p.enterLevel()
	switch op := p.current.token; op {
	case tokNot, '-', '#':
		p.next()
		left, _ = p.binaryExpression(unaryPriority)
		p.fn.prefix(op, &left)
	default:
		left = p.simpleExpression()
	}
	op := p.current.token
	for priorities[op].left > limit {
		p.next()
		p.fn.infix(op, &left)
		right, next := p.binaryExpression(priorities[op].right)
		p.fn.postfix(op, &left, &right)
		op = next
	}
	p.leaveLevel()
	return left, op
}

func (p *parser) simpleExpression() operand {
	var e operand
	switch p.current.token {
	case tokNumber:
		e = operand{kind: kindNumeral, number: p.current.number}
	case tokString:
		e = p.constantString(p.current.text)
	case tokNil:
		e.kind = kindNilConst
	case tokTrue:
		e.kind = kindTrue
	case tokFalse:
		e.kind = kindFalse
	case tokDots:
		if !p.fn.p.variadic {
			p.failHere("cannot use '...' outside a vararg function")
		}
		p.fn.p.needsArg = false
		e = operand{kind: kindVarargs, index: p.fn.emit(opVararg, 0, 1, 0)}
	case '{':
		return p.constructor()
	case tokFunction:
		p.next()
		return p.body(p.line, false)
	default:
		return p.suffixedExpression()
	}
	p.next()
	return e
}

func (p *parser) constantString(s string) operand {
	return operand{kind: kindConstant, index: p.fn.text(s)}
}

// prefixExpression reads a name or an expression in parentheses.
func (p *parser) prefixExpression() operand {
	switch p.current.token {
	case '(':
		line := p.line
		p.next()
		e := p.expression()
		p.close(')', '(', line)
		p.fn.fetch(&e)
		return e
	case tokName:
		return p.variable(p.name())
	default:
		p.failHere("unexpected symbol")
		return operand{}
	}
}

// suffixedExpression reads a name or an expression in parentheses, with all indices and
// arguments behind it.
func (p *parser) suffixedExpression() operand {
	e := p.prefixExpression()
	for {
		switch p.current.token {
		case '.':
			p.field(&e)
		case '[':
			p.fn.toAny(&e)
			key := p.bracketed()
			p.fn.index(&e, &key)
		case ':':
			p.next()
			key := p.constantString(p.name())
			p.fn.self(&e, &key)
			p.arguments(&e)
		case '(', tokString, '{':
			p.fn.toNext(&e)
			p.arguments(&e)
		default:
			return e
		}
	}
}

// field reads a name behind . or : and makes e that field of it.
func (p *parser) field(e *operand) {
	p.fn.toAny(e)
	p.next()
	key := p.constantString(p.name())
	p.fn.index(e, &key)
}

// bracketed reads [expression].
func (p *parser) bracketed() operand {
	p.next()
	e := p.expression()
	p.fn.toValue(&e)
	p.expect(']')
	return e
}

// arguments reads the arguments of a call of f, which is in the last register in use, or in
// the one before that as a method.
func (p *parser) arguments(f *operand) {
	line := p.line
	var args operand
	switch p.current.token {
	case '(':
		if line != p.lastLine {
			p.failHere("ambiguous syntax (function call x new statement)")
		}
		p.next()
		if p.current.token != ')' {
			args, _ = p.expressions()
			p.fn.setResults(&args, all)
		}
		p.close(')', '(', line)
	case '{':
		args = p.constructor()
	case tokString:
		args = p.constantString(p.current.text)
		p.next()
	default:
		p.failHere("function arguments expected")
	}
	base, count := f.index, all
	if !args.isMulti() {
		if args.kind != kindVoid {
			p.fn.toNext(&args)
		}
		count = p.fn.free - (base + 1)
	}
	*f = operand{kind: kindCallValue, index: p.fn.emit(opCall, base, count+1, 2)}
	p.fn.fixLine(line)
	p.fn.free = base + 1
}

// expressions reads expressions with commas between them. All but the last are in registers;
// that one is returned, with their number.
func (p *parser) expressions() (last operand, count int) {
	last = p.expression()
	count = 1
	for p.accept(',') {
		p.fn.toNext(&last)
		last = p.expression()
		count++
	}
	return last, count
}

// tableFields is a table constructor as far as it has been read.
type tableFields struct {
	table   int     // its register
	last    operand // the last value without a key, which may be one of many
	records int
	values  int
	pending int // values in registers that have to go into the table
}

func (p *parser) constructor() operand {
	b, line := p.fn, p.line
	at := b.emit(opNewTable, 0, 0, 0)
	t := operand{kind: kindPending, index: at}
	b.toNext(&t)
	fields := tableFields{table: t.index}
	p.expect('{')
	for p.current.token != '}' {
		p.flushValue(&fields)
		switch {
		case p.current.token == tokName && p.lookAhead() == '=' || p.current.token == '[':
			p.record(&fields)
		default:
			fields.last = p.expression()
			fields.values++
			fields.pending++
		}
		if !p.accept(',') && !p.accept(';') {
			break
		}
	}
	p.close('}', '{', line)
	p.flushLast(&fields)
	b.p.code[at].b = int32(roundSize(fields.values))
	b.p.code[at].c = uint16(min(roundSize(fields.records), 1<<16-1))
	return t
}

// record reads name = value or [key] = value.
func (p *parser) record(f *tableFields) {
	b := p.fn
	free := b.free
	var key operand
	if p.current.token == tokName {
		key = p.constantString(p.name())
	} else {
		key = p.bracketed()
	}
	f.records++
	p.expect('=')
	k := b.toOperand(&key)
	value := p.expression()
	b.emit(opSetTable, f.table, k, b.toOperand(&value))
	b.free = free
}

// flushValue puts the last value into a register, and a full set of registers into the table.
func (p *parser) flushValue(f *tableFields) {
	if f.last.kind == kindVoid {
		return
	}
	p.fn.toNext(&f.last)
	f.last = operand{}
	if f.pending == fieldsPerFlush {
		p.fn.setList(f, f.pending)
		f.pending = 0
	}
}

func (p *parser) flushLast(f *tableFields) {
	if f.pending == 0 {
		return
	}
	if f.last.isMulti() {
		p.fn.setResults(&f.last, all)
		p.fn.setList(f, all)
		f.values--
		return
	}
	if f.last.kind != kindVoid {
		p.fn.toNext(&f.last)
	}
	p.fn.setList(f, f.pending)
}

func (b *builder) setList(f *tableFields, count int) {
	batch := (f.values-1)/fieldsPerFlush + 1
	b.emit(opSetList, f.table, batch, max(count, 0))
	b.free = f.table + 1
}

// roundSize rounds a size up to what the reference implementation can write into an
// instruction: one of the numbers with four significant bits. What # finds in a table with
// gaps depends on it.
func roundSize(n int) int {
	shift := 0
	for n >= 16 {
		n = (n + 1) >> 1
		shift++
	}
	return n << shift
}
