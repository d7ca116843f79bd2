package lua

import "fmt"

// parser reads a chunk by recursive descent and makes its code on the way.
type parser struct {
	*lexer
	fn *builder // the function that is being read
}

// compile makes a function of a chunk. It takes steps for what it reads, so that it can be
// interrupted, and pays for what it makes.
func (s *State) compile(name, src string) *Function {
	l := &lexer{state: s, chunk: name, name: displayName(name), src: src, line: 1, lastLine: 1}
	l.hold(len(src)) // itself, if nobody else has it, or what is read of it
	p := &parser{lexer: l}
	p.fn = newBuilder(p.lexer, nil, 0)
	p.fn.p.variadic = true
	p.next()
	p.chunk()
	p.check(tokEOF)
	fn := s.newClosure(p.fn.finish())
	s.Unpin(l.held)
	return fn
}

func (p *parser) chunk() {
	p.enterLevel()
	for last := false; !last && !p.blockEnds(); {
		last = p.statement()
		p.accept(';')
		p.fn.free = len(p.fn.active)
	}
	p.leaveLevel()
}

// scope reads statements into a scope of their own.
func (p *parser) scope() {
	p.fn.enter(&block{})
	p.chunk()
	p.fn.leave()
}

// Levels of nesting use the stack of Go, as calls do, and count with them.

func (p *parser) enterLevel() {
	p.state.goCalls++
	if p.state.goCalls > goCallsMax {
		p.fail("chunk has too many syntax levels", 0)
	}
}

func (p *parser) leaveLevel() { p.state.goCalls-- }

// Tokens.

func (p *parser) accept(t token) bool {
	if p.current.token != t {
		return false
	}
	p.next()
	return true
}

func (p *parser) check(t token) {
	if p.current.token != t {
		p.failHere(fmt.Sprintf("'%s' expected", t.text()))
	}
}

func (p *parser) expect(t token) {
	p.check(t)
	p.next()
}

// close expects the token that ends what the token open has begun in a line.
func (p *parser) close(t, open token, line int) {
	if p.accept(t) {
		return
	}
	if line == p.line {
		p.check(t)
	}
	p.failHere(fmt.Sprintf("'%s' expected (to close '%s' at line %d)", t.text(), open.text(), line))
}

func (p *parser) name() string {
	p.check(tokName)
	name := p.current.text
	p.next()
	return name
}

func (p *parser) blockEnds() bool {
	switch p.current.token {
	case tokElse, tokElseif, tokEnd, tokUntil, tokEOF:
		return true
	}
	return false
}

// tooMany raises the error of a function that has more of something than the machine can
// have.
func (p *parser) tooMany(b *builder, limit int, what string) {
	where := "main function"
	if b.p.firstLine != 0 {
		where = fmt.Sprintf("function at line %d", b.p.firstLine)
	}
	p.fail(fmt.Sprintf("%s has more than %d %s", where, limit, what), 0)
}
