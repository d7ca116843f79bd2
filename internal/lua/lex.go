package lua

import "fmt"

// token is a kind of token: a byte that stands for itself, or one of those below.
type token int

const (
	tokAnd token = iota + 257
	tokBreak
	tokDo
	tokElse
	tokElseif
	tokEnd
	tokFalse
	tokFor
	tokFunction
	tokIf
	tokIn
	tokLocal
	tokNil
	tokNot
	tokOr
	tokRepeat
	tokReturn
	tokThen
	tokTrue
	tokUntil
	tokWhile
	tokConcat
	tokDots
	tokEq
	tokGe
	tokLe
	tokNe
	tokNumber
	tokName
	tokString
	tokEOF
)

var tokenTexts = [...]string{
	"and", "break", "do", "else", "elseif", "end", "false", "for", "function", "if", "in", "local",
	"nil", "not", "or", "repeat", "return", "then", "true", "until", "while",
	"..", "...", "==", ">=", "<=", "~=", "<number>", "<name>", "<string>", "<eof>",
}

var keywords = func() map[string]token {
	m := make(map[string]token)
	for t := tokAnd; t <= tokWhile; t++ {
		m[t.text()] = t
	}
	return m
}()

// text returns the token as error messages show it.
func (t token) text() string {
	switch {
	case t >= tokAnd:
		return tokenTexts[t-tokAnd]
	case t < 32 || t == 127:
		return fmt.Sprintf("char(%d)", int(t))
	default:
		return string([]byte{byte(t)})
	}
}

// lexeme is a token with its value.
type lexeme struct {
	token  token
	number float64
	text   string // of a name, as part of the source, or the contents of a string
}

// lexer cuts a source text into tokens, one ahead of the parser.
type lexer struct {
	state *State
	held  int // bytes that are pinned for the compiler

	chunk string
	name  string // of the chunk, as errors at run time show it
	src   string
	pos   int
	line  int // of what is read

	current  lexeme
	ahead    lexeme // if hasAhead
	hasAhead bool
	lastLine int // of the token before current

	// raw is the text of the last name, number or string, as far as it is read; error
	// messages show it.
	raw []byte
}

const endOfText = -1

// hold pins n bytes until the chunk is compiled.
func (l *lexer) hold(n int) {
	l.held += n
	l.state.Pin(n)
}

func (l *lexer) peek() int {
	if l.pos < len(l.src) {
		return int(l.src[l.pos])
	}
	return endOfText
}

// save moves the next byte into raw.
func (l *lexer) save() {
	if l.pos < len(l.src) {
		l.raw = append(l.raw, l.src[l.pos])
	}
	l.pos++
}

// next makes the following token the current one.
func (l *lexer) next() {
	l.lastLine = l.line
	if l.hasAhead {
		l.current = l.ahead
		l.hasAhead = false
		return
	}
	l.current = l.read()
}

// lookAhead returns the token after the current one.
func (l *lexer) lookAhead() token {
	l.ahead = l.read()
	l.hasAhead = true
	return l.ahead.token
}

// fail raises an error that shows token near, or none if it is 0.
func (l *lexer) fail(text string, near token) {
	at := fmt.Sprintf("%s:%d: %s", displayNameIn(l.chunk, syntaxNameMax), l.line, text)
	switch near {
	case 0:
		panic(l.state.raised(at))
	case tokName, tokString, tokNumber:
		panic(l.state.raised(at + " near '" + cutAtZero(string(l.raw)) + "'"))
	default:
		panic(l.state.raised(at + " near '" + near.text() + "'"))
	}
}

// failHere raises an error that shows the current token.
func (l *lexer) failHere(text string) { l.fail(text, l.current.token) }

// read returns the token that follows.
func (l *lexer) read() lexeme {
	from := l.pos
	t := l.scan()
	l.state.step(1 + (l.pos-from)/bytesPerStep)
	return t
}

func (l *lexer) scan() lexeme {
	l.raw = l.raw[:0]
	for {
		c := l.peek()
		switch {
		case c == endOfText:
			return lexeme{token: tokEOF}
		case c == '\n' || c == '\r':
			l.newLine()
		case isSpace(c):
			l.pos++
		case c == '-':
			l.pos++
			if l.peek() != '-' {
				return lexeme{token: '-'}
			}
			l.pos++
			l.comment()
		default:
			return l.scanToken(c)
		}
	}
}

func (l *lexer) scanToken(c int) lexeme {
	switch {
	case isNameStart(c):
		return l.scanName()
	case isDigit(c):
		return l.scanNumber()
	}
	switch c {
	case '[':
		level := l.bracketLevel()
		if level >= 0 {
			return lexeme{token: tokString, text: l.longString(level)}
		}
		if level == -1 {
			return lexeme{token: '['}
		}
		l.fail("invalid long string delimiter", tokString)
	case '"', '\'':
		return lexeme{token: tokString, text: l.shortString(c)}
	case '.':
		return l.dots()
	case '=':
		return l.maybeEqual('=', tokEq)
	case '<':
		return l.maybeEqual('<', tokLe)
	case '>':
		return l.maybeEqual('>', tokGe)
	case '~':
		return l.maybeEqual('~', tokNe)
	}
	l.pos++
	return lexeme{token: token(c)}
}

// maybeEqual reads one of the operators that may end in =.
func (l *lexer) maybeEqual(alone, equal token) lexeme {
	l.pos++
	if l.peek() != '=' {
		return lexeme{token: alone}
	}
	l.pos++
	return lexeme{token: equal}
}

// dots reads . .. ... or a number that begins with a point.
func (l *lexer) dots() lexeme {
	l.save()
	switch c := l.peek(); {
	case c == '.':
		l.save()
		if l.peek() == '.' {
			l.save()
			return lexeme{token: tokDots}
		}
		return lexeme{token: tokConcat}
	case isDigit(c):
		return l.scanNumber()
	}
	return lexeme{token: '.'}
}

func (l *lexer) scanName() lexeme {
	from := l.pos
	for c := l.peek(); isNameStart(c) || isDigit(c); c = l.peek() {
		l.pos++
	}
	text := l.src[from:l.pos]
	l.raw = append(l.raw, text...)
	if t, ok := keywords[text]; ok {
		return lexeme{token: t}
	}
	return lexeme{token: tokName, text: text}
}

// scanNumber reads everything that could belong to a number, and then looks whether it is one.
func (l *lexer) scanNumber() lexeme {
	for c := l.peek(); isDigit(c) || c == '.'; c = l.peek() {
		l.save()
	}
	if c := l.peek(); c == 'e' || c == 'E' {
		l.save()
		if c := l.peek(); c == '+' || c == '-' {
			l.save()
		}
	}
	for c := l.peek(); isNameStart(c) || isDigit(c); c = l.peek() {
		l.save()
	}
	f, ok := parseNumber(string(l.raw))
	if !ok {
		l.fail("malformed number", tokNumber)
	}
	return lexeme{token: tokNumber, number: f}
}

// newLine skips one end of a line: \n, \r, or both in any order.
func (l *lexer) newLine() {
	first := l.peek()
	l.pos++
	if c := l.peek(); (c == '\n' || c == '\r') && c != first {
		l.pos++
	}
	l.line++
}

func isDigit(c int) bool { return '0' <= c && c <= '9' }

func isSpace(c int) bool { return c == ' ' || '\t' <= c && c <= '\r' }

func isNameStart(c int) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
}
